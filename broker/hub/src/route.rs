//! Routes: connections between the servers of one cluster.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::{
    CloseReason,
    route::{Interest, Queue, encode},
};

use crate::{account::Change, connection::Connection, deliver::Message, options::ClusterOptions};

/// Room for verb, weight and separators of an interest line.
const INTEREST_LINE_BYTES: usize = 32;

/// A stream between two servers, encrypted or not.
pub trait AsyncStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> AsyncStream for S {}

/// How a peer introduced itself on a stream of its own (the line `PEER <json>`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    pub json: Vec<u8>,
    pub peer: SocketAddr,
}

/// Takes over streams that peers open for other things than routing.
pub type PeerStreams = Arc<dyn Fn(PeerHello, Box<dyn AsyncStream>) + Send + Sync>;

/// A route came up or went down.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteEvent {
    pub server_id: String,
    pub server_name: String,
    /// What the peer said about itself beyond the protocol; see `Hub::set_route_info_extra`.
    pub extra: serde_json::Value,
    /// Where peers reach it: `host:port` of its cluster port.
    pub address: String,
    pub up: bool,
}

/// Told about every [`RouteEvent`], in order.
pub type RouteWatcher = Arc<dyn Fn(&RouteEvent) + Send + Sync>;

/// Who is told about changes of local interest.
pub(crate) struct Gossip {
    enabled: bool,
    routes: RwLock<Vec<Arc<Connection>>>,
}

impl Gossip {
    /// Without a cluster nobody counts interest.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The number of local subscriptions of one kind is `count` now. Called under the account's
    /// lock, so that every server hears of changes in the order in which they happened.
    pub fn interest(
        &self,
        account: &str,
        subject: &[u8],
        queue: Option<&[u8]>,
        count: u32,
        change: Change,
    ) {
        let news = match change {
            Change::Added => count == 1 || queue.is_some(),
            Change::Removed => count == 0 || queue.is_some(),
        };
        if !news {
            return;
        }
        for route in self.routes.read().iter() {
            tell_interest(route, account, subject, queue, count);
        }
    }
}

/// Tells one server how many subscriptions of one kind there are here.
fn tell_interest(
    route: &Arc<Connection>,
    account: &str,
    subject: &[u8],
    queue: Option<&[u8]>,
    count: u32,
) {
    let interest = Interest {
        origin: None,
        account: Some(account.as_bytes()),
        subject,
        queue: queue.map(|name| Queue {
            name,
            weight: count,
        }),
    };
    let size = account.len() + subject.len() + queue.map_or(0, <[u8]>::len);
    route.send(size + INTEREST_LINE_BYTES, |out| {
        if count > 0 {
            encode::sub(out, &interest);
        } else {
            encode::unsub(out, &interest);
        }
    });
}

/// Writes a message for another server, which serves `queues` for it.
pub(crate) fn encode_message(out: &mut Vec<u8>, message: &Message<'_>, queues: &[Box<[u8]>]) {
    let to = encode::Address {
        origin: None,
        account: Some(message.account.name().as_bytes()),
        subject: message.subject,
        reply: message.reply,
        queues: queues.iter().map(|queue| &**queue),
    };
    encode::msg(out, to, message.header_len, message.body);
}

/// All routes of this server.
pub(crate) struct Routes {
    options: Option<ClusterOptions>,
    gossip: Arc<Gossip>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    connections: Vec<Arc<Connection>>,
}

impl Routes {
    pub fn new(options: Option<ClusterOptions>) -> Arc<Routes> {
        let enabled = options.is_some();
        let gossip = Arc::new(Gossip {
            enabled,
            routes: RwLock::default(),
        });
        Arc::new(Routes {
            options,
            gossip,
            table: Mutex::default(),
        })
    }

    pub fn gossip(&self) -> &Arc<Gossip> {
        &self.gossip
    }

    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.table.lock().connections.clone()
    }

    pub fn ping_interval(&self) -> Duration {
        self.options
            .as_ref()
            .map_or(Duration::MAX, |options| options.ping_interval)
    }

    pub fn close_all(&self) {
        for route in self.connections() {
            route.close(CloseReason::ServerShutdown);
        }
    }

    pub fn announce_lame_duck(&self) {}
}
impl crate::Hub {
    pub(crate) fn connect_urls(&self) -> Vec<String> {
        Vec::new()
    }
}
