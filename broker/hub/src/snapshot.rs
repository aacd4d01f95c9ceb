//! What monitoring sees: plain data, copied while nothing is held up for long.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use identity::Login;
use wire::CloseReason;

use crate::{
    account::Account,
    connection::{Connection, traits},
    hub::Hub,
    subscription::{Sub, Target},
    watch::ClientEvent,
};

/// One client connection, live or closed.
#[derive(Clone, Debug)]
pub struct ConnectionSnapshot {
    pub cid: u64,
    pub peer: SocketAddr,
    pub start: SystemTime,
    pub last_activity: SystemTime,
    /// `None` when never measured.
    pub rtt: Option<Duration>,
    /// Time since `start`; of a closed connection, until its end.
    pub uptime: Duration,
    pub idle: Duration,
    pub pending_bytes: usize,
    pub in_messages: u64,
    pub out_messages: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: usize,
    pub name: String,
    pub lang: String,
    pub version: String,
    pub tls_version: Option<&'static str>,
    pub tls_cipher: Option<String>,
    /// Came over WebSocket.
    pub is_websocket: bool,
    pub account: String,
    /// What people call the account.
    pub account_tag: String,
    pub user: String,
    pub login: Option<Box<Login>>,
    /// Set on closed connections.
    pub stop: Option<SystemTime>,
    pub reason: Option<CloseReason>,
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionSnapshot {
    pub account: String,
    /// What people call the account.
    pub account_tag: String,
    pub subject: String,
    pub queue: Option<String>,
    pub sid: String,
    pub messages: u64,
    /// Ends by itself after this many messages; 0 = never.
    pub max: u64,
    /// Connection it belongs to; 0 for one of this process.
    pub cid: u64,
}

/// One account's counters on this server.
#[derive(Clone, Debug, Default)]
pub struct AccountSnapshot {
    pub name: String,
    /// What people call it.
    pub tag: String,
    pub connections: usize,
    pub subscriptions: usize,
    pub in_messages: u64,
    pub in_bytes: u64,
    pub out_messages: u64,
    pub out_bytes: u64,
    pub slow_consumers: u64,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RouteSnapshot {
    pub rid: u64,
    pub remote_id: String,
    pub remote_name: String,
    /// This server dialled.
    pub did_solicit: bool,
    /// The peer was named in the configuration.
    pub is_configured: bool,
    pub peer: SocketAddr,
    pub start: SystemTime,
    pub last_activity: SystemTime,
    pub rtt: Option<Duration>,
    pub uptime: Duration,
    pub idle: Duration,
    pub pending_bytes: usize,
    pub in_messages: u64,
    pub out_messages: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: usize,
    pub tls: bool,
}

/// Counters of the whole server since it started.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub connections: usize,
    pub total_connections: u64,
    pub routes: usize,
    pub subscriptions: usize,
    pub in_messages: u64,
    pub in_bytes: u64,
    pub out_messages: u64,
    pub out_bytes: u64,
    pub slow_consumers: u64,
    pub stale_connections: u64,
    /// Panics, each of which ended one connection at most.
    pub panics: u64,
}

/// What connections counted that are gone.
#[derive(Default)]
pub(crate) struct PastTotals {
    pub connections: AtomicU64,
    pub in_messages: AtomicU64,
    pub in_bytes: AtomicU64,
    pub out_messages: AtomicU64,
    pub out_bytes: AtomicU64,
    pub slow_consumers: AtomicU64,
    pub stale_connections: AtomicU64,
}

impl Hub {
    /// The live client connections, by id.
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        let clients: Vec<_> = self.clients.lock().values().cloned().collect();
        let mut list: Vec<_> = clients.iter().map(|client| snapshot(client)).collect();
        list.sort_unstable_by_key(|snapshot| snapshot.cid);
        list
    }

    /// One live client connection.
    pub fn connection(&self, cid: u64) -> Option<ConnectionSnapshot> {
        let client = self.clients.lock().get(&cid).cloned();
        client.map(|client| snapshot(&client))
    }

    /// The last closed connections, oldest first.
    pub fn closed_connections(&self) -> Vec<ConnectionSnapshot> {
        self.closed.lock().iter().cloned().collect()
    }

    /// The subscriptions of one client.
    pub fn subscriptions_of(&self, cid: u64) -> Vec<SubscriptionSnapshot> {
        let Some(client) = self.clients.lock().get(&cid).cloned() else {
            return Vec::new();
        };
        let account = client.facts.lock().account.clone();
        let (name, tag) = match account {
            Some(account) => (account.name().to_owned(), account.tag()),
            None => Default::default(),
        };
        let subs = client.subs.lock();
        subs.iter()
            .map(|sub| sub_snapshot((&name, &tag), sub))
            .collect()
    }

    /// The local subscriptions of one account, its handlers included.
    pub fn subscriptions(&self, account: &Account) -> Vec<SubscriptionSnapshot> {
        let mut list = Vec::new();
        let tag = account.tag();
        account.with_list(|index| {
            index.for_each(|_, _, sub| {
                if sub.is_local() {
                    list.push(sub_snapshot((account.name(), &tag), sub));
                }
            });
        });
        list
    }

    /// The counters of every account, by name.
    pub fn account_snapshots(&self) -> Vec<AccountSnapshot> {
        let clients: Vec<_> = self.clients.lock().values().cloned().collect();
        let mut list = Vec::new();
        for account in self.accounts() {
            let mut snapshot = account_snapshot(&account);
            for client in &clients {
                let of = client.facts.lock().account.clone();
                if of.is_some_and(|of| Arc::ptr_eq(&of, &account)) {
                    let out = client.out.lock();
                    snapshot.out_messages += out.messages;
                    snapshot.out_bytes += out.bytes;
                }
            }
            list.push(snapshot);
        }
        list
    }

    pub fn totals(&self) -> Totals {
        let past = &self.past;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut totals = Totals {
            total_connections: load(&past.connections),
            in_messages: load(&past.in_messages),
            in_bytes: load(&past.in_bytes),
            out_messages: load(&past.out_messages),
            out_bytes: load(&past.out_bytes),
            slow_consumers: load(&past.slow_consumers),
            stale_connections: load(&past.stale_connections),
            panics: self.mishaps.count(),
            ..Totals::default()
        };
        let clients: Vec<_> = self.clients.lock().values().cloned().collect();
        totals.connections = clients.len();
        totals.total_connections += clients.len() as u64;
        let routes = self.routes.connections();
        totals.routes = routes.len();
        for connection in clients.iter().chain(&routes) {
            let out = connection.out.lock();
            totals.out_messages += out.messages;
            totals.out_bytes += out.bytes;
            totals.in_messages += load(&connection.in_messages);
            totals.in_bytes += load(&connection.in_bytes);
        }
        let accounts = self.accounts();
        totals.subscriptions = accounts
            .iter()
            .map(|account| account.subscriptions.load(Ordering::Relaxed))
            .sum();
        totals
    }

    /// A client connection ended: it moves from the live ones to the closed ones.
    /// It had that many subscriptions.
    pub(crate) fn forget_client(&self, connection: &Arc<Connection>, subscriptions: usize) {
        if self.clients.lock().remove(&connection.id).is_none() {
            return;
        }
        let reason = connection.close_reason();
        let mut snapshot = snapshot(connection);
        snapshot.stop = Some(SystemTime::now());
        snapshot.reason = Some(reason);
        snapshot.pending_bytes = 0;
        snapshot.subscriptions = subscriptions;
        if connection.facts.lock().introduced {
            self.tell(|| ClientEvent::Disconnected(snapshot.clone()));
        }
        self.past.connections.fetch_add(1, Ordering::Relaxed);
        self.count_past(connection, reason);
        let keep = self.limits().max_closed_clients;
        let mut closed = self.closed.lock();
        closed.push_back(snapshot);
        while closed.len() > keep {
            closed.pop_front();
        }
    }

    /// Keeps the counters of a connection that is going.
    pub(crate) fn count_past(&self, connection: &Connection, reason: CloseReason) {
        let add = |counter: &AtomicU64, value: u64| {
            counter.fetch_add(value, Ordering::Relaxed);
        };
        let past = &self.past;
        let (messages, bytes) = {
            let out = connection.out.lock();
            (out.messages, out.bytes)
        };
        add(&past.out_messages, messages);
        add(&past.out_bytes, bytes);
        add(
            &past.in_messages,
            connection.in_messages.load(Ordering::Relaxed),
        );
        add(&past.in_bytes, connection.in_bytes.load(Ordering::Relaxed));
        let account = connection.facts.lock().account.take();
        if let Some(account) = &account {
            add(&account.past_out_messages, messages);
            add(&account.past_out_bytes, bytes);
        }
        match reason {
            CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline => {
                add(&past.slow_consumers, 1);
                if let Some(account) = &account {
                    add(&account.slow_consumers, 1);
                }
            }
            CloseReason::StaleConnection => add(&past.stale_connections, 1),
            _ => {}
        }
    }
}

pub(crate) fn snapshot(connection: &Connection) -> ConnectionSnapshot {
    let uptime = connection.started_at.elapsed();
    let last_in = Duration::from_millis(connection.last_in_ms.load(Ordering::Relaxed));
    let (pending_bytes, out_messages, out_bytes) = {
        let out = connection.out.lock();
        (out.pending(), out.messages, out.bytes)
    };
    let facts = connection.facts.lock();
    let account = facts.account.as_ref();
    ConnectionSnapshot {
        cid: connection.id,
        peer: connection.peer,
        start: connection.started,
        last_activity: connection.started + last_in,
        rtt: rtt(connection),
        uptime,
        idle: uptime.saturating_sub(last_in),
        pending_bytes,
        in_messages: connection.in_messages.load(Ordering::Relaxed),
        in_bytes: connection.in_bytes.load(Ordering::Relaxed),
        out_messages,
        out_bytes,
        subscriptions: connection.subs.lock().len(),
        name: facts.name.to_string(),
        lang: facts.lang.to_string(),
        version: facts.version.to_string(),
        tls_version: facts.tls.as_ref().map(|tls| tls.version),
        tls_cipher: facts.tls.as_ref().map(|tls| tls.cipher.clone()),
        is_websocket: connection.has_trait(traits::WEBSOCKET),
        account: account.map_or(String::new(), |account| account.name().to_owned()),
        account_tag: account.map_or(String::new(), |account| account.tag()),
        user: facts
            .login
            .as_ref()
            .map_or(facts.claimed_user.to_string(), |login| login.user.clone()),
        login: facts.login.clone(),
        stop: None,
        reason: None,
    }
}

pub(crate) fn rtt(connection: &Connection) -> Option<Duration> {
    let us = connection.rtt_us.load(Ordering::Relaxed);
    (us > 0).then(|| Duration::from_micros(us))
}

fn sub_snapshot((account, tag): (&str, &str), sub: &Sub) -> SubscriptionSnapshot {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    SubscriptionSnapshot {
        account: account.to_owned(),
        account_tag: tag.to_owned(),
        subject: text(sub.subject()),
        queue: sub.queue().map(text),
        sid: text(sub.sid()),
        messages: sub.delivered(),
        max: sub.max(),
        cid: match &sub.target {
            Target::Client(connection) | Target::Route(connection) => connection.id,
            Target::Handler(_) | Target::Service(_) | Target::Shadow(_) => 0,
        },
    }
}

fn account_snapshot(account: &Account) -> AccountSnapshot {
    AccountSnapshot {
        name: account.name().to_owned(),
        tag: account.tag(),
        connections: account.connections.load(Ordering::Relaxed),
        subscriptions: account.subscriptions.load(Ordering::Relaxed),
        in_messages: account.in_messages.load(Ordering::Relaxed),
        in_bytes: account.in_bytes.load(Ordering::Relaxed),
        out_messages: account.past_out_messages.load(Ordering::Relaxed),
        out_bytes: account.past_out_bytes.load(Ordering::Relaxed),
        slow_consumers: account.slow_consumers.load(Ordering::Relaxed),
    }
}
