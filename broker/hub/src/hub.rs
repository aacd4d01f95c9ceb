//! The hub: accounts, connections, and the way in for code of this process.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use wire::CloseReason;

use crate::{
    account::{Account, AccountLimits, InterestWatcher},
    auth::Authenticator,
    batch,
    connection::Connection,
    deliver::{self, Message},
    delivery::{Handler, Origin, Publish, SubscriptionId, WatchId},
    mishap::Mishaps,
    options::{Advertised, Limits, Options, TlsOptions},
    rate::HandshakeRate,
    reload::send_away,
    route::Routes,
    sharing::{Definitions, Sharing},
    snapshot::{ConnectionSnapshot, PastTotals},
    subscription::{NewSub, Sub, Target},
    sweeper,
    watch::ClientWatcher,
    websocket::WebSocketOptions,
};

/// Where the hub is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Running,
    /// No new clients; the ones that are here are asked to leave, then made to.
    LameDuck,
    Stopped,
}

/// All live connections of a server, and everything they have in common. Always behind an `Arc`.
pub struct Hub {
    options: Options,
    pub(crate) limits: ArcSwap<Limits>,
    pub(crate) tls: ArcSwapOption<TlsOptions>,
    pub(crate) advertised: ArcSwap<Advertised>,
    pub(crate) websocket: ArcSwapOption<WebSocketOptions>,
    authenticator: Arc<dyn Authenticator>,
    accounts: RwLock<BTreeMap<String, Arc<Account>>>,
    pub(crate) clients: Mutex<HashMap<u64, Arc<Connection>>>,
    pub(crate) closed: Mutex<VecDeque<ConnectionSnapshot>>,
    pub(crate) past: PastTotals,
    pub(crate) mishaps: Arc<Mishaps>,
    pub(crate) handshakes: HandshakeRate,
    handlers: Mutex<HashMap<SubscriptionId, (Arc<Account>, Sub)>>,
    watches: Mutex<HashMap<WatchId, Arc<Account>>>,
    pub(crate) sharing: Mutex<Definitions>,
    pub(crate) client_watcher: ArcSwapOption<ClientWatcher>,
    next_id: AtomicU64,
    pub(crate) routes: Arc<Routes>,
    pub(crate) client_port: AtomicU64,
    pub(crate) websocket_port: AtomicU64,
    phase: watch::Sender<Phase>,
    started: SystemTime,
}

impl Hub {
    /// A hub without connections. Must be called inside a tokio runtime: it starts the task that
    /// watches over pings and deadlines.
    pub fn new(options: Options, authenticator: Arc<dyn Authenticator>) -> Arc<Hub> {
        let hub = Arc::new(Hub {
            limits: ArcSwap::from_pointee(options.limits.clone()),
            tls: ArcSwapOption::from(options.tls.clone().map(Arc::new)),
            routes: Routes::new(options.cluster.clone()),
            websocket: ArcSwapOption::from(options.websocket.clone().map(Arc::new)),
            advertised: ArcSwap::from_pointee(options.advertised.clone()),
            client_port: AtomicU64::new(u64::from(options.server.port)),
            websocket_port: AtomicU64::new(
                options
                    .websocket
                    .as_ref()
                    .map_or(0, |websocket| u64::from(websocket.port)),
            ),
            options,
            authenticator,
            accounts: RwLock::default(),
            clients: Mutex::default(),
            closed: Mutex::default(),
            past: PastTotals::default(),
            mishaps: Arc::default(),
            handshakes: HandshakeRate::new(),
            handlers: Mutex::default(),
            watches: Mutex::default(),
            sharing: Mutex::default(),
            client_watcher: ArcSwapOption::empty(),
            next_id: AtomicU64::new(1),
            phase: watch::Sender::new(Phase::Running),
            started: SystemTime::now(),
        });
        sweeper::start(&hub);
        hub
    }

    /// Whether clients must identify themselves.
    pub fn is_auth_required(&self) -> bool {
        self.authenticator.auth_required()
    }

    /// What the hub was told when it started.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// When the hub was made.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    pub fn limits(&self) -> arc_swap::Guard<Arc<Limits>> {
        self.limits.load()
    }

    /// TLS on the client port, as new connections meet it.
    pub fn tls(&self) -> Option<Arc<TlsOptions>> {
        self.tls.load_full()
    }

    pub(crate) fn authenticator(&self) -> &dyn Authenticator {
        &*self.authenticator
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    // Accounts.

    /// The account of that name, made if there is none yet.
    pub fn account(&self, name: &str) -> Arc<Account> {
        let account = self.known_account(name);
        account.set_removed(false);
        account
    }

    /// The account of that name, which stays removed if it was.
    pub(crate) fn known_account(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(name) {
            return account.clone();
        }
        let mut accounts = self.accounts.write();
        let new = || Account::new(name, self.routes.gossip().clone());
        accounts.entry(name.to_owned()).or_insert_with(new).clone()
    }

    pub fn existing_account(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts
            .read()
            .get(name)
            .filter(|account| !account.is_removed())
            .cloned()
    }

    /// Every account, by name.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.read();
        accounts
            .values()
            .filter(|account| !account.is_removed())
            .cloned()
            .collect()
    }

    /// The accounts that ever owed an answer to another one.
    pub(crate) fn owing_accounts(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.read();
        let owing = accounts
            .values()
            .filter(|account| account.owed.get().is_some());
        owing.cloned().collect()
    }

    /// Ends the account's connections and hides it until somebody asks for it by name again.
    pub fn remove_account(self: &Arc<Self>, name: &str, reason: CloseReason) -> bool {
        let Some(account) = self.existing_account(name) else {
            return false;
        };
        self.set_sharing(name, Sharing::default());
        account.set_removed(true);
        self.kick_account(&account, reason);
        true
    }

    /// Sets an account's limits. Connections beyond a lowered `max_connections` are ended, the
    /// youngest first; payload limits reach a connection when it is re-authenticated.
    pub fn update_account(&self, name: &str, limits: &AccountLimits) {
        let account = self.account(name);
        account.set_limits(limits);
        let Ok(max) = usize::try_from(limits.max_connections) else {
            return;
        };
        let mut members = self.members(&account);
        members.sort_by_key(|connection| connection.id);
        for connection in members.iter().skip(max) {
            let reason = CloseReason::MaxAccountConnectionsExceeded;
            send_away(connection, &wire::Error::MaxAccountConnections, reason);
        }
    }

    pub(crate) fn members(&self, account: &Arc<Account>) -> Vec<Arc<Connection>> {
        let clients = self.clients.lock();
        let is_member = |connection: &&Arc<Connection>| {
            let facts = connection.facts.lock();
            facts
                .account
                .as_ref()
                .is_some_and(|of| Arc::ptr_eq(of, account))
        };
        clients.values().filter(is_member).cloned().collect()
    }

    fn kick_account(&self, account: &Arc<Account>, reason: CloseReason) {
        for connection in self.members(account) {
            connection.close(reason);
        }
    }

    // Connections.

    /// Ends one client connection. Returns whether it existed.
    pub fn kick(&self, cid: u64, reason: CloseReason) -> bool {
        let connection = self.clients.lock().get(&cid).cloned();
        let Some(connection) = connection else {
            return false;
        };
        connection.close(reason);
        true
    }

    // The way in for code of this process.

    /// Subscribes a handler. Other servers send it their messages too.
    pub fn subscribe(
        &self,
        account: &str,
        subject: &str,
        queue: Option<&str>,
        handler: Arc<dyn Handler>,
    ) -> SubscriptionId {
        self.subscribe_as(account, subject, queue, handler, true)
    }

    /// Subscribes a handler for messages published on this server only.
    pub fn subscribe_local(
        &self,
        account: &str,
        subject: &str,
        queue: Option<&str>,
        handler: Arc<dyn Handler>,
    ) -> SubscriptionId {
        self.subscribe_as(account, subject, queue, handler, false)
    }

    fn subscribe_as(
        &self,
        account: &str,
        subject: &str,
        queue: Option<&str>,
        handler: Arc<dyn Handler>,
        gossip: bool,
    ) -> SubscriptionId {
        let account = self.account(account);
        let id = SubscriptionId(self.next_id());
        let sub = Sub::new(NewSub {
            target: Target::Handler(handler),
            subject: subject.as_bytes(),
            queue: queue.unwrap_or_default().as_bytes(),
            sid: b"",
            deny: None,
            weight: 1,
            gossip,
        });
        batch::run(|| account.insert(&sub));
        self.handlers.lock().insert(id, (account, sub));
        id
    }

    /// Ends an internal subscription. A delivery that is under way may still arrive.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        let Some((account, sub)) = self.handlers.lock().remove(&id) else {
            return false;
        };
        sub.close();
        batch::run(|| account.remove(&sub))
    }

    /// Publishes a message. Returns whether anybody, here or on another server, was interested.
    pub fn publish(&self, account: &Arc<Account>, publish: &Publish<'_>) -> bool {
        if publish.headers.is_empty() {
            return self.publish_body(account, publish, publish.payload);
        }
        let mut body = Vec::with_capacity(publish.headers.len() + publish.payload.len());
        body.extend_from_slice(publish.headers);
        body.extend_from_slice(publish.payload);
        self.publish_body(account, publish, &body)
    }

    fn publish_body(&self, account: &Arc<Account>, publish: &Publish<'_>, body: &[u8]) -> bool {
        let message = Message {
            account,
            subject: publish.subject,
            shown: match publish.shown {
                b"" => publish.subject,
                shown => shown,
            },
            reply: (!publish.reply.is_empty()).then_some(publish.reply),
            header_len: publish.headers.len(),
            body,
            origin: Origin::SYSTEM,
            hops: 0,
        };
        batch::run(|| deliver::deliver_uncached(&message))
    }

    /// Runs `f`; what it publishes is written to each receiver once, when it returns.
    pub fn batch<R>(&self, f: impl FnOnce() -> R) -> R {
        batch::run(f)
    }

    /// Whether anybody in the cluster is subscribed to this literal subject.
    pub fn has_interest(&self, account: &Account, subject: &str) -> bool {
        account.has_interest(subject.as_bytes())
    }

    /// Whether anybody in the cluster is subscribed to exactly this subject, and not only to a
    /// wildcard that matches it.
    pub fn has_literal_interest(&self, account: &Account, subject: &str) -> bool {
        account.has_literal_interest(subject.as_bytes())
    }

    /// Calls `watcher` whenever the interest in a literal subject may have changed.
    pub fn watch_interest(
        &self,
        account: &str,
        subject: &str,
        watcher: InterestWatcher,
    ) -> WatchId {
        let account = self.account(account);
        let id = WatchId(self.next_id());
        account.watch(id, subject.as_bytes(), watcher);
        self.watches.lock().insert(id, account);
        id
    }

    pub fn unwatch_interest(&self, id: WatchId) -> bool {
        let account = self.watches.lock().remove(&id);
        account.is_some_and(|account| account.unwatch(id))
    }

    // The end.

    /// Resolves when the phase is at least `phase`.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as the hub, so waiting cannot fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Closes the listeners, asks clients to leave, and after the grace period makes them. Resolves
    /// when the last one is gone. See [`Limits::lame_duck_duration`].
    pub async fn lame_duck(self: &Arc<Self>) {
        self.advance(Phase::LameDuck);
        sweeper::drain_clients(self).await;
    }

    /// Ends every connection and listener.
    pub fn shutdown(&self) {
        self.advance(Phase::Stopped);
        for connection in self.clients.lock().values() {
            connection.close(CloseReason::ServerShutdown);
        }
        self.routes.close_all();
    }

    fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }
}
