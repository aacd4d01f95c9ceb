//! Routes: connections between the servers of one cluster.
//!
//! Every server has one route to every other. A route carries interest (which subjects somebody
//! here subscribes to) and the messages the other side is interested in; a message takes one hop
//! at most. Servers tell each other about servers, so one address is enough to join.
//!
//! - `route` (here): the table of peers, and who is told about what.
//! - [`session`]: the protocol of one route.
//! - [`handshake`]: dialling, accepting, and what is said before a route exists.
//! - [`info`]: what servers say about themselves.

mod handshake;
mod info;
mod peer;
mod session;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use wire::{
    CloseReason,
    route::{Interest, Queue, encode},
};

use self::info::PeerInfo;
pub use self::peer::{AsyncStream, PeerHello, PeerStreams};
use crate::{
    account::Change, connection::Connection, deliver::Message, hub::Hub, options::ClusterOptions,
    snapshot::RouteSnapshot,
};

/// Room for verb, weight and separators of an interest line.
const INTEREST_LINE_BYTES: usize = 32;

/// A route came up, went down, or its server said something new about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteEvent {
    pub server_id: String,
    pub server_name: String,
    /// What the peer says about itself beyond the protocol; see [`Hub::set_route_info_extra`].
    pub extra: serde_json::Value,
    /// Where servers reach it: `host:port` of its cluster port.
    pub address: String,
    pub up: bool,
}

/// Told about every [`RouteEvent`]. Must be quick, and must not wait for the hub.
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

/// Between the reply subject and the subject receivers are shown, where that is not the one the
/// message is routed by. The route protocol has no field for it.
const SHOWN_MARK: u8 = 0x01;

/// Takes apart what [`encode_message`] put into the reply field: reply and shown subject.
pub(crate) fn split_shown(reply: Option<&[u8]>) -> (Option<&[u8]>, Option<&[u8]>) {
    let Some(field) = reply else {
        return (None, None);
    };
    match memchr::memchr(SHOWN_MARK, field) {
        None => (Some(field), None),
        Some(at) => {
            let (reply, shown) = (&field[..at], &field[at + 1..]);
            ((!reply.is_empty()).then_some(reply), Some(shown))
        }
    }
}

/// Writes a message for another server, which serves `queues` for it.
pub(crate) fn encode_message(out: &mut Vec<u8>, message: &Message<'_>, queues: &[&[u8]]) {
    let with_shown;
    let reply = if message.shown == message.subject {
        message.reply
    } else {
        with_shown = [message.reply.unwrap_or_default(), message.shown].join(&SHOWN_MARK);
        Some(&with_shown[..])
    };
    let to = encode::Address {
        origin: None,
        account: Some(message.account.name().as_bytes()),
        subject: message.subject,
        reply,
        queues: queues.iter().copied(),
    };
    encode::msg(out, to, message.header_len, message.body);
}

/// All routes of this server.
pub(crate) struct Routes {
    options: ArcSwapOption<ClusterOptions>,
    gossip: Arc<Gossip>,
    pub port: AtomicU64,
    table: Mutex<Table>,
    extra: Mutex<serde_json::Value>,
    watchers: Mutex<Vec<RouteWatcher>>,
    peer_streams: Mutex<Option<PeerStreams>>,
    /// Counts routes that went down.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Table {
    /// By server id.
    peers: BTreeMap<String, Peer>,
    /// Addresses some task dials or watches.
    dialled: BTreeMap<String, Dialling>,
}

/// A task that keeps a route to one address.
struct Dialling {
    id: u64,
    user: Option<(String, String)>,
    is_configured: bool,
    /// Dropped to end the task, once the route it has is down.
    _goes_on: watch::Sender<()>,
}

/// One server there is a route to.
#[derive(Clone)]
struct Peer {
    connection: Arc<Connection>,
    info: PeerInfo,
    /// Id of the server that dialled.
    dialler: String,
    is_configured: bool,
}

/// What became of a new route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    /// The first route to that server.
    New,
    /// It takes the place of an older one.
    Replaced,
    /// There is a better one.
    Duplicate,
}

impl Routes {
    pub fn new(options: Option<ClusterOptions>) -> Arc<Routes> {
        let enabled = options.is_some();
        let port = options.as_ref().map_or(0, |options| options.port);
        Arc::new(Routes {
            options: ArcSwapOption::from(options.map(Arc::new)),
            gossip: Arc::new(Gossip {
                enabled,
                routes: RwLock::default(),
            }),
            port: AtomicU64::new(u64::from(port)),
            table: Mutex::default(),
            extra: Mutex::new(serde_json::Value::Null),
            watchers: Mutex::default(),
            peer_streams: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// The cluster as it is configured now; `None` = a lone server.
    pub fn options(&self) -> Option<Arc<ClusterOptions>> {
        self.options.load_full()
    }

    /// Returns whether there is a cluster, and so whether the options took effect. Its name and the
    /// address it listens on stay.
    pub fn set_options(&self, new: ClusterOptions) -> bool {
        let Some(now) = self.options() else {
            return false;
        };
        self.options.store(Some(Arc::new(ClusterOptions {
            name: now.name.clone(),
            host: now.host.clone(),
            port: now.port,
            ..new
        })));
        true
    }

    pub fn is_clustered(&self) -> bool {
        self.gossip.is_enabled()
    }

    pub fn gossip(&self) -> &Arc<Gossip> {
        &self.gossip
    }

    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.table
            .lock()
            .peers
            .values()
            .map(|peer| peer.connection.clone())
            .collect()
    }

    pub fn ping_interval(&self) -> Duration {
        self.options()
            .map_or(Duration::MAX, |options| options.ping_interval)
    }

    pub fn close_all(&self) {
        for route in self.connections() {
            route.close(CloseReason::ServerShutdown);
        }
    }

    /// The server a route was dialled to at this address, or that says it listens there.
    fn connected_at(&self, address: &str) -> Option<String> {
        let table = self.table.lock();
        let peer = table
            .peers
            .values()
            .find(|peer| peer.info.address == address)?;
        Some(peer.info.server_id.clone())
    }

    /// Resolves when there is no route to that server.
    async fn disconnected(&self, server_id: &str) {
        let mut changes = self.changes.subscribe();
        while self.is_connected(server_id) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_connected(&self, server_id: &str) -> bool {
        self.table.lock().peers.contains_key(server_id)
    }

    /// Enters a route that has introduced itself. Of two routes between the same servers both ends
    /// keep the one the server with the lower id dialled; of two it dialled, the newer.
    fn register(&self, own_id: &str, peer: Peer) -> Registration {
        let mut table = self.table.lock();
        let Some(current) = table.peers.get(&peer.info.server_id) else {
            self.gossip.routes.write().push(peer.connection.clone());
            table.peers.insert(peer.info.server_id.clone(), peer);
            return Registration::New;
        };
        let preferred = own_id.min(peer.info.server_id.as_str());
        if current.dialler == preferred && peer.dialler != preferred {
            return Registration::Duplicate;
        }
        let loser = current.connection.clone();
        self.forget_gossip(&loser);
        self.gossip.routes.write().push(peer.connection.clone());
        table.peers.insert(peer.info.server_id.clone(), peer);
        drop(table);
        loser.close(CloseReason::DuplicateRoute);
        Registration::Replaced
    }

    /// Takes a route out again. `None` = it was replaced meanwhile.
    fn unregister(&self, connection: &Arc<Connection>, server_id: &str) -> Option<Peer> {
        self.forget_gossip(connection);
        let mut table = self.table.lock();
        let current = table.peers.get(server_id)?;
        if !Arc::ptr_eq(&current.connection, connection) {
            return None;
        }
        let peer = table.peers.remove(server_id);
        drop(table);
        self.changes.send_modify(|version| *version += 1);
        peer
    }

    fn forget_gossip(&self, connection: &Arc<Connection>) {
        self.gossip
            .routes
            .write()
            .retain(|route| !Arc::ptr_eq(route, connection));
    }

    fn notify(&self, info: &PeerInfo, up: bool) {
        let event = RouteEvent {
            server_id: info.server_id.clone(),
            server_name: info.server_name.clone(),
            extra: info.extra.clone(),
            address: info.address.clone(),
            up,
        };
        let watchers = self.watchers.lock().clone();
        for watcher in watchers {
            watcher(&event);
        }
    }
}

impl Hub {
    /// Calls `watcher` whenever a route comes up, goes down or its server says something new.
    pub fn on_route_change(&self, watcher: RouteWatcher) {
        self.routes.watchers.lock().push(watcher);
    }

    /// What the other servers are told about this one beyond the protocol. They find it in
    /// [`RouteEvent::extra`]. May be called at any time.
    pub fn set_route_info_extra(self: &Arc<Self>, extra: serde_json::Value) {
        *self.routes.extra.lock() = extra;
        self.announce_to_routes();
    }

    /// The cluster this server is a member of, as it is configured now.
    pub fn cluster(&self) -> Option<Arc<ClusterOptions>> {
        self.routes.options()
    }

    /// The routes that are up, by server id.
    pub fn route_snapshots(&self) -> Vec<RouteSnapshot> {
        let peers: Vec<Peer> = self.routes.table.lock().peers.values().cloned().collect();
        let own_id = &self.options().server.server_id;
        peers.iter().map(|peer| snapshot(peer, own_id)).collect()
    }

    /// The other servers of the cluster there is a route to.
    pub fn route_peers(&self) -> Vec<RouteEvent> {
        let table = self.routes.table.lock();
        let event = |peer: &Peer| RouteEvent {
            server_id: peer.info.server_id.clone(),
            server_name: peer.info.server_name.clone(),
            extra: peer.info.extra.clone(),
            address: peer.info.address.clone(),
            up: true,
        };
        table.peers.values().map(event).collect()
    }
}

fn snapshot(peer: &Peer, own_id: &str) -> RouteSnapshot {
    let connection = &peer.connection;
    let uptime = connection.started_at.elapsed();
    let last_in = Duration::from_millis(connection.last_in_ms.load(Ordering::Relaxed));
    let (pending_bytes, out_messages, out_bytes) = {
        let out = connection.out.lock();
        (out.pending(), out.messages, out.bytes)
    };
    RouteSnapshot {
        rid: connection.id,
        remote_id: peer.info.server_id.clone(),
        remote_name: peer.info.server_name.clone(),
        did_solicit: peer.dialler == own_id,
        is_configured: peer.is_configured,
        peer: connection.peer,
        start: connection.started,
        last_activity: connection.started + last_in,
        rtt: crate::snapshot::rtt(connection),
        uptime,
        idle: uptime.saturating_sub(last_in),
        pending_bytes,
        in_messages: connection.in_messages.load(Ordering::Relaxed),
        in_bytes: connection.in_bytes.load(Ordering::Relaxed),
        out_messages,
        out_bytes,
        subscriptions: connection.remote_interest.load(Ordering::Relaxed),
        tls: connection.facts.lock().tls.is_some(),
    }
}
