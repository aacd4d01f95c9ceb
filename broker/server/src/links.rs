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
    places: Arc<RwLock<Places>>,
}

/// Where servers are reached.
#[derive(Default)]
struct Places(BTreeMap<NodeId, Place>);

#[derive(PartialEq, Eq)]
struct Place {
    /// Of the process: one that starts anew, perhaps on another machine, has another.
    server_id: String,
    address: String,
}

impl Places {
    /// Whether the server was elsewhere before.
    fn come(&mut self, node: NodeId, place: Place) -> bool {
        let known = self.0.get(&node).is_some_and(|known| *known != place);
        self.0.insert(node, place);
        known
    }

    fn address(&self, node: NodeId) -> Option<String> {
        Some(self.0.get(&node)?.address.clone())
    }

    /// Whether the server is gone. It is not when the route was one to an earlier process: those of a
    /// machine that lost its power end by a timeout, long after it is back.
    fn go(&mut self, node: NodeId, server_id: &str) -> bool {
        let is_last = self
            .0
            .get(&node)
            .is_none_or(|known| known.server_id == server_id);
        if is_last {
            self.0.remove(&node);
        }
        is_last
    }
}

impl Links {
    pub fn new(hub: Arc<Hub>, here: NodeId) -> Self {
        Links {
            hub,
            here,
            places: Arc::default(),
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
                let mut places = links.places.write();
                let ends = match event.up {
                    true => {
                        let (server_id, address) = (event.server_id.clone(), event.address.clone());
                        places.come(node, Place { server_id, address })
                    }
                    false if places.go(node, &event.server_id) => true,
                    false => return,
                };
                drop(places);
                if ends {
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
            let Some(address) = links.places.read().address(to) else {
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
        node == self.links.here || self.links.places.read().0.contains_key(&node)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_route_to_an_earlier_process_takes_nobody_away() {
        let place = |server_id: &str, address: &str| Place {
            server_id: server_id.to_owned(),
            address: address.to_owned(),
        };
        let mut places = Places::default();
        let node = NodeId(2);
        assert!(!places.come(node, place("FIRST", "10.0.0.1:6222")));
        assert!(!places.come(node, place("FIRST", "10.0.0.1:6222")));
        // Back after its machine lost its power, before anybody noticed.
        assert!(places.come(node, place("SECOND", "10.0.0.2:6222")));
        assert!(!places.go(node, "FIRST"));
        assert!(places.0.contains_key(&node));
        assert!(places.go(node, "SECOND"));
        assert!(!places.0.contains_key(&node));
    }
}
