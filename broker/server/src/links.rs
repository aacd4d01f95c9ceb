//! Which server of the cluster is where: node ids, as consensus knows servers, to the addresses
//! their routes are known by.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{BoxFuture, Consensus, NodeId};
use engine::Engine;
use engine::env::PeerCalls;
use hub::{Hub, PeerHello, RouteEvent};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::peers::{Channel, Dialer, PeerStream, Peers, Service};

/// What a server tells its peers about itself, in its route INFO and when it dials.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Introduction {
    /// The node id, 16 hex digits: JSON numbers do not hold all of it in every reader.
    pub weir_node: String,
}

impl Introduction {
    pub fn new(node: NodeId) -> Self {
        Introduction {
            weir_node: node.to_string(),
        }
    }

    fn node(&self) -> Option<NodeId> {
        u64::from_str_radix(&self.weir_node, 16).ok().map(NodeId)
    }

    fn read(value: &serde_json::Value) -> Option<NodeId> {
        serde_json::from_value::<Introduction>(value.clone())
            .ok()?
            .node()
    }
}

/// The servers there is a route to.
#[derive(Clone)]
pub struct Links {
    hub: Arc<Hub>,
    here: NodeId,
    addresses: Arc<RwLock<BTreeMap<NodeId, String>>>,
}

impl Links {
    pub fn new(hub: Arc<Hub>, here: NodeId) -> Self {
        Links {
            hub,
            here,
            addresses: Arc::default(),
        }
    }

    /// Follows the routes, and tells JetStream who came and went.
    pub fn follow_routes(&self, engine: Engine, peers: Peers) {
        let links = self.clone();
        self.hub
            .on_route_change(Arc::new(move |event: &RouteEvent| {
                let Some(node) = Introduction::read(&event.extra) else {
                    return;
                };
                if event.up {
                    let known = links.addresses.write().insert(node, event.address.clone());
                    if known.as_ref().is_some_and(|known| *known != event.address) {
                        peers.forget(node);
                    }
                } else {
                    links.addresses.write().remove(&node);
                    peers.forget(node);
                }
                engine.peer_changed(node, event.up);
            }));
    }

    /// Serves the requests that peers send over streams of their own.
    pub fn accept_streams(&self, service: Arc<dyn Service>) {
        self.hub
            .on_peer_stream(Arc::new(move |hello: PeerHello, stream| {
                if let Some(from) = Introduction::read(&hello.hello) {
                    let stream: Box<dyn PeerStream> = Box::new(stream);
                    tokio::spawn(Peers::serve(from, stream, service.clone()));
                }
            }));
    }
}

impl Dialer for Links {
    fn dial(&self, to: NodeId) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>> {
        let links = self.clone();
        Box::pin(async move {
            let address = links.addresses.read().get(&to).cloned();
            let Some(address) = address else {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "no route to the server",
                ));
            };
            let hello = serde_json::to_value(Introduction::new(links.here))?;
            let stream = links.hub.dial_peer(&address, &hello).await?;
            Ok(Box::new(stream) as Box<dyn PeerStream>)
        })
    }
}

/// JetStream's questions to other servers.
pub struct Calls {
    pub links: Links,
    pub peers: Peers,
}

impl PeerCalls for Calls {
    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Option<Bytes>> {
        let call = self
            .peers
            .call_on(to, Channel::JetStream, false, request, timeout);
        Box::pin(async move { call.await.ok() })
    }

    fn is_online(&self, node: NodeId) -> bool {
        node == self.links.here || self.links.addresses.read().contains_key(&node)
    }
}

/// Answers consensus and JetStream requests of peers, once both exist.
#[derive(Default)]
pub struct Answers {
    pub parts: OnceCell<(Consensus, Engine)>,
}

impl Service for Answers {
    fn handle(&self, from: NodeId, mut request: Bytes) -> BoxFuture<'static, Bytes> {
        let parts = self.parts.get().cloned();
        Box::pin(async move {
            let Some((consensus, engine)) = parts else {
                return Bytes::new();
            };
            if request.is_empty() {
                return Bytes::new();
            }
            let channel = request.split_to(1)[0];
            if channel == Channel::Consensus as u8 {
                consensus.handle(from, request).await
            } else {
                engine.handle_peer(from, request).await
            }
        })
    }
}
