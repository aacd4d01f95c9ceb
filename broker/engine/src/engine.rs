//! JetStream on one server: its meta group, its stream replicas, its accounts.

mod balance;
mod catching_up;
mod changes;
mod formation;
mod housekeeping;
mod leaderless;
mod mending;
mod placed;
mod stalls;
mod takeover;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use consensus::formation::Identity;
use consensus::{GroupId, NodeId, Role};
use jetstream::api::account::AccountLimits;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::allowance::{self, Allowance, TierUsage};
use crate::api::{self, Job, Waiting};
use crate::asset::Asset;
use crate::bus::SubscriptionId;
use crate::env::Env;
use crate::meta::{META_GROUP, ServerFacts, StreamKey};
use crate::meta_group::{Change, MetaGroup};
use crate::peer::{AccountReport, Question};

pub use formation::{Founding, load_identity, replace_everywhere};
pub use mending::OfflineReplica;
pub use placed::{hand_over_meta, successor};

/// Brings the group of a stream in line with its assignment, beside everything else.
pub(crate) fn conform_soon(engine: &Engine, asset: Arc<Asset>) {
    let leading = engine.clone();
    engine.spawn(async move { changes::conform(&leading, &asset).await });
}

/// API requests waiting for a worker; more are dropped, and their senders ask again.
const MAX_WAITING_REQUESTS: usize = 10_000;
/// Groups that are handed over at the same time.
const HAND_OVERS_AT_ONCE: usize = 64;
/// How long a server that stops waits for acknowledgements of what it proposed.
const SETTLE_MAX: Duration = Duration::from_secs(1);
const SETTLE_POLL: Duration = Duration::from_millis(5);
/// How long other servers may take to hear that this one stops.
const LEAVING_TIMEOUT: Duration = Duration::from_millis(250);
/// API requests handled at the same time.
const WORKERS: usize = 16;

/// JetStream on this server. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub env: Arc<Env>,
    pub meta: Arc<MetaGroup>,
    assets: RwLock<BTreeMap<StreamKey, Arc<Asset>>>,
    accounts: RwLock<BTreeMap<String, Account>>,
    requests: Waiting,
    stats: ApiCounters,
    /// Set once the server is part of its cluster and the meta group runs.
    ready: watch::Sender<bool>,
    founding: Mutex<Option<Founding>>,
    identity: Mutex<Option<Identity>>,
    system_account: OnceLock<String>,
    /// Tags that this server carries now.
    tags: RwLock<Vec<String>>,
    tasks: Mutex<JoinSet<()>>,
    pub troubles: mending::Troubles,
    /// Turns to send a backup.
    pub backups: Arc<Semaphore>,
    leaderless: leaderless::Leaderless,
    /// Whether the meta group's replica was damaged and joins anew.
    rejoins: AtomicBool,
    /// What accounts use on other servers, as those said last.
    usage_elsewhere: Mutex<BTreeMap<NodeId, BTreeMap<String, TierUsage>>>,
    /// What accounts may still store.
    rooms: usage::Rooms,
    /// The servers that are connected.
    peers_up: Mutex<BTreeSet<NodeId>>,
}

struct Account {
    /// What it may use; `None` without JetStream, which it is told when it asks.
    allowance: Option<Allowance>,
    subscriptions: Vec<SubscriptionId>,
    requests: ApiCounters,
}

/// API requests since the start.
#[derive(Default)]
pub(crate) struct ApiCounters {
    total: AtomicU64,
    errors: AtomicU64,
}

impl ApiCounters {
    fn count(&self, is_refused: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.errors
            .fetch_add(u64::from(is_refused), Ordering::Relaxed);
    }

    /// All requests, and those that were refused.
    fn get(&self) -> (u64, u64) {
        (
            self.total.load(Ordering::Relaxed),
            self.errors.load(Ordering::Relaxed),
        )
    }
}

impl Engine {
    /// Prepares JetStream; nothing runs before [`Engine::start`].
    pub fn new(env: Env) -> std::io::Result<(Engine, Start)> {
        let env = Arc::new(env);
        let dir = env.options.store_dir.join("meta");
        let (meta, changes) = MetaGroup::open(env.fs.clone(), &dir)?;
        let (jobs, waiting) = mpsc::channel(MAX_WAITING_REQUESTS);
        let tags = RwLock::new(env.options.tags.clone());
        let shared = Arc::new(Shared {
            env,
            tags,
            meta,
            assets: RwLock::default(),
            accounts: RwLock::default(),
            requests: Waiting::new(jobs),
            stats: ApiCounters::default(),
            ready: watch::Sender::new(false),
            founding: Mutex::default(),
            identity: Mutex::default(),
            system_account: OnceLock::new(),
            tasks: Mutex::default(),
            troubles: mending::Troubles::default(),
            backups: Arc::new(Semaphore::new(crate::backup::AT_ONCE)),
            peers_up: Mutex::default(),
            leaderless: leaderless::Leaderless::default(),
            rejoins: AtomicBool::new(false),
            usage_elsewhere: Mutex::default(),
            rooms: usage::Rooms::default(),
        });
        Ok((Engine { shared }, Start { changes, waiting }))
    }

    /// Starts JetStream on a server that stands alone, with everything it stored.
    pub async fn start_alone(&self, start: Start) -> Result<(), consensus::OpenError> {
        self.serve_api(start.waiting);
        let shared = &self.shared;
        let group = shared
            .env
            .consensus
            .local(META_GROUP, shared.meta.clone())
            .await?;
        shared.meta.attach(group);
        self.run_meta(start.changes).await;
        Ok(())
    }

    /// Starts JetStream on a server of a cluster. It is ready once the cluster is formed.
    pub fn start_clustered(&self, start: Start, founding: Founding, identity: Identity) {
        self.serve_api(start.waiting);
        *self.shared.founding.lock() = Some(founding);
        *self.shared.identity.lock() = Some(identity);
        let engine = self.clone();
        self.spawn(async move { formation::run(engine, start.changes).await });
    }

    /// Waits until JetStream can be used on this server.
    pub async fn ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        // The sender lives as long as this engine.
        ready.wait_for(|ready| *ready).await.ok();
    }

    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// Changes the tags of this server while it runs. The cluster hears of it within a moment, and
    /// streams that may not be here any more move away.
    pub fn set_tags(&self, tags: Vec<String>) {
        *self.shared.tags.write() = tags;
    }

    /// Lets an account use JetStream, or changes its limits.
    pub fn enable_account(&self, name: &str, allowance: impl Into<Allowance>) {
        self.set_allowance(name, Some(allowance.into()));
    }

    /// Takes JetStream away from an account, or refuses it. Its streams stay and come back with it.
    pub fn disable_account(&self, name: &str) {
        self.set_allowance(name, None);
    }

    fn set_allowance(&self, name: &str, allowance: Option<Allowance>) {
        let mut accounts = self.shared.accounts.write();
        if let Some(account) = accounts.get_mut(name) {
            account.allowance = allowance;
            return;
        }
        let subscriptions = api::subscribe(&self.shared.env, name, &self.shared.requests);
        accounts.insert(
            name.to_owned(),
            Account {
                allowance,
                subscriptions,
                requests: ApiCounters::default(),
            },
        );
    }

    /// Serves the calls that only users of the system account may make.
    pub fn enable_system_account(&self, name: &str) {
        self.shared.system_account.set(name.to_owned()).ok();
        // They last as long as the server.
        api::subscribe_system(&self.shared.env, name, &self.shared.requests);
    }

    /// The system account, empty if the server has none.
    pub fn system_account(&self) -> &str {
        self.shared.system_account.get().map_or("", String::as_str)
    }

    /// Forgets an account that is gone. Its streams stay and come back with it.
    pub fn remove_account(&self, name: &str) {
        if let Some(account) = self.shared.accounts.write().remove(name) {
            for id in account.subscriptions {
                self.shared.env.bus.unsubscribe(id);
            }
        }
    }

    /// The limits that an account has for all its streams alike; none where it has tiers.
    pub fn account_limits(&self, name: &str) -> Option<AccountLimits> {
        self.allowance(name).map(|allowance| match allowance {
            Allowance::Flat(limits) => limits,
            Allowance::Tiered(_) => AccountLimits::default(),
        })
    }

    /// What an account may use; `None` if it has no JetStream.
    pub fn allowance(&self, name: &str) -> Option<Allowance> {
        let accounts = self.shared.accounts.read();
        accounts.get(name)?.allowance.clone()
    }

    /// The accounts that have JetStream.
    pub fn account_names(&self) -> Vec<String> {
        let accounts = self.shared.accounts.read();
        let with_jetstream = accounts
            .iter()
            .filter(|(_, account)| account.allowance.is_some());
        with_jetstream.map(|(name, _)| name.clone()).collect()
    }

    /// Answers a question of another server.
    pub async fn handle_peer(&self, from: NodeId, question: Bytes) -> Bytes {
        let Some(question) = Question::decode(&question) else {
            return Bytes::new();
        };
        let answer = match question {
            Question::Formation { message } => {
                formation::receive(self, from, &message);
                return Bytes::new();
            }
            Question::Facts { node, facts } => {
                self.shared.put_facts(node, facts);
                return Bytes::new();
            }
            Question::StreamInfos { account, names } => {
                serde_json::to_vec(&api::local_stream_infos(self, &account, &names))
            }
            Question::Usage { account } => serde_json::to_vec(&self.account_report(&account)),
            Question::Moved {
                account,
                name,
                group,
                replicas,
            } => {
                self.shared.finish_move(account, name, group, replicas);
                return Bytes::new();
            }
            Question::RestoreFailed {
                account,
                name,
                group,
            } => {
                self.shared.remove_abandoned(account, name, group);
                return Bytes::new();
            }
            Question::Publish { group, messages } => {
                let asset = self.asset_of_group(group);
                serde_json::to_vec(&asset.is_some_and(|a| crate::forward::accept(&a, &messages)))
            }
            Question::Misses { node } => serde_json::to_vec(&!self.is_online(node)),
            Question::Reliance { node } => serde_json::to_vec(&self.report_groups(node)),
            Question::AllUsage { accounts } => {
                self.shared.usage_elsewhere.lock().insert(from, accounts);
                return Bytes::new();
            }
            Question::MetaIndex => serde_json::to_vec(&catching_up::read_index(self)),
            Question::Leaving => {
                self.env().consensus.set_reachable(from, false);
                return Bytes::new();
            }
            Question::Release { group } => {
                serde_json::to_vec(&mending::release(self, GroupId(group), from).await)
            }
            Question::Message { group, seq } => {
                let asset = self.asset_of_group(group);
                serde_json::to_vec(&asset.and_then(|asset| crate::repair::copy(&asset, seq)))
            }
        };
        Bytes::from(answer.unwrap_or_default())
    }

    /// Tells that the connection to another server came or went.
    pub fn peer_changed(&self, node: NodeId, is_up: bool) {
        let mut peers_up = self.shared.peers_up.lock();
        match is_up {
            true => peers_up.insert(node),
            false => peers_up.remove(&node),
        };
        drop(peers_up);
        if !is_up {
            // Others lead its streams now, and count them.
            self.shared.usage_elsewhere.lock().remove(&node);
        }
        self.env().consensus.set_reachable(node, is_up);
        formation::peer_changed(self, node, is_up);
        if !is_up {
            let engine = self.clone();
            self.spawn(async move { takeover::server_lost(engine, node).await });
        }
    }

    /// Hands over all leaderships, before clients are asked to leave. What has nobody to be handed
    /// over to stays.
    pub async fn hand_over(&self) {
        if !self.env().is_clustered() {
            return;
        }
        placed::hand_over_meta(self).await;
        let slots = Arc::new(Semaphore::new(HAND_OVERS_AT_ONCE));
        let mut handing = JoinSet::new();
        for asset in self.assets().into_iter().filter(|asset| asset.is_leader()) {
            let (engine, slots) = (self.clone(), slots.clone());
            handing.spawn(async move {
                // The semaphore is never closed.
                let _slot = slots.acquire().await.ok();
                if let Some(group) = asset.group() {
                    placed::hand_over(&engine, group).await;
                }
            });
        }
        handing.join_all().await;
    }

    /// Tells the other servers that this one is about to stop, and hands over all leaderships.
    pub async fn leave(&self) {
        self.say_leaving().await;
        self.hand_over().await;
    }

    /// Hands over all leaderships and makes everything durable.
    pub async fn shutdown(&self) {
        // First, while everything still runs: publishers go on with the next leaders meanwhile.
        self.leave().await;
        let settled = async {
            for asset in self.assets().iter().filter(|asset| !asset.is_leader()) {
                while !asset.is_settled() {
                    tokio::time::sleep(SETTLE_POLL).await;
                }
            }
        };
        tokio::time::timeout(SETTLE_MAX, settled).await.ok();
        self.shared.tasks.lock().abort_all();
        for asset in self.assets() {
            crate::lead::say_goodbye(&asset);
            asset.checkpoint().await;
        }
        self.shared.env.consensus.shutdown().await;
    }

    /// Tells the other servers that this one stops, so that servers that stop together do not wait
    /// for each other to take their leaderships.
    async fn say_leaving(&self) {
        let peers: Vec<NodeId> = self.shared.peers_up.lock().iter().copied().collect();
        let question = Question::Leaving.encode();
        let calls: Vec<_> = peers
            .into_iter()
            .map(|peer| {
                let peers = &self.env().peers;
                peers.call(peer, question.clone(), LEAVING_TIMEOUT)
            })
            .collect();
        for call in calls {
            call.await;
        }
    }

    /// Stops at once, without handing over or storing anything, as if the server had died.
    pub async fn halt(&self) {
        self.shared.tasks.lock().abort_all();
        self.shared.env.consensus.halt().await;
    }

    pub fn env(&self) -> &Arc<Env> {
        &self.shared.env
    }

    pub fn meta(&self) -> &Arc<MetaGroup> {
        &self.shared.meta
    }

    /// The stream replicas of this server.
    pub fn assets(&self) -> Vec<Arc<Asset>> {
        self.shared.assets.read().values().cloned().collect()
    }

    pub fn asset(&self, account: &str, stream: &str) -> Option<Arc<Asset>> {
        let key = (account.to_owned(), stream.to_owned());
        self.shared.assets.read().get(&key).cloned()
    }

    fn asset_of_group(&self, group: u64) -> Option<Arc<Asset>> {
        let mut assets = self.assets().into_iter();
        assets.find(|asset| asset.assignment.read().group == group)
    }

    /// What an account uses and has asked for on this server.
    pub(crate) fn account_report(&self, account: &str) -> AccountReport {
        let accounts = self.shared.accounts.read();
        let requests = accounts.get(account).map(|account| account.requests.get());
        let (api_total, api_errors) = requests.unwrap_or_default();
        drop(accounts);
        AccountReport {
            usage: self.all_local_usage().remove(account).unwrap_or_default(),
            api_total,
            api_errors,
        }
    }

    /// What every account uses on this server that uses anything, counting the streams it leads.
    pub(crate) fn all_local_usage(&self) -> BTreeMap<String, TierUsage> {
        let mut all: BTreeMap<String, TierUsage> = BTreeMap::new();
        for asset in self.assets() {
            if asset.is_leader() {
                let of_account = all.entry(asset.account()).or_default();
                allowance::add(of_account, &asset.usage());
            }
        }
        all
    }

    /// Requests and refusals of the API since the start.
    pub fn api_counts(&self) -> (u64, u64) {
        self.shared.stats.get()
    }

    /// Counts a request that was answered.
    pub(crate) fn count_request(&self, account: &str, is_refused: bool) {
        self.shared.stats.count(is_refused);
        if let Some(account) = self.shared.accounts.read().get(account) {
            account.requests.count(is_refused);
        }
    }

    /// The name of a server of the cluster.
    pub fn server_name(&self, node: NodeId) -> String {
        if node == self.shared.env.node() {
            return self.shared.env.options.server_name.clone();
        }
        let known = self
            .shared
            .meta
            .read(|meta| meta.servers().get(&node).map(|s| s.name.clone()));
        known.unwrap_or_else(|| node.to_string())
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.shared.tasks.lock();
        // Those that have ended would be kept otherwise.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Tells the system account whenever this server begins to lead the meta group.
    async fn tell_when_leading(&self) {
        let mut roles = self.meta().role_changes();
        loop {
            if matches!(*roles.borrow_and_update(), Role::Leader { .. }) {
                crate::advisory::domain_leader_elected(self);
            }
            if roles.changed().await.is_err() {
                return;
            }
        }
    }

    fn serve_api(&self, waiting: mpsc::Receiver<Job>) {
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..WORKERS {
            let (engine, waiting) = (self.clone(), waiting.clone());
            self.spawn(async move {
                loop {
                    let job = waiting.lock().await.recv().await;
                    let Some(job) = job else { return };
                    api::serve(&engine, job).await;
                    let dropped = engine.shared.requests.take_dropped();
                    if dropped > 0 {
                        crate::advisory::api_limit_reached(&engine, dropped);
                    }
                }
            });
        }
    }

    /// Opens what the meta state assigns to this server, then follows its changes.
    pub(crate) async fn run_meta(&self, mut changes: mpsc::UnboundedReceiver<Change>) {
        // What was reported so far is in the state that is looked at now.
        while changes.try_recv().is_ok() {}
        self.shared.reconcile(self).await;
        self.shared.ready.send_replace(true);
        let engine = self.clone();
        self.spawn(async move {
            while let Some(change) = changes.recv().await {
                changes::follow(&engine, change).await;
            }
        });
        let engine = self.clone();
        self.spawn(async move { housekeeping::run(engine).await });
        let engine = self.clone();
        self.spawn(async move { engine.tell_when_leading().await });
        let engine = self.clone();
        self.spawn(async move { placed::run(engine).await });
        let engine = self.clone();
        self.spawn(async move { mending::run(engine).await });
    }
}

/// What [`Engine::new`] leaves to be started.
pub struct Start {
    changes: mpsc::UnboundedReceiver<Change>,
    waiting: mpsc::Receiver<Job>,
}

impl Shared {
    /// This server, as the meta group should know it.
    fn facts(&self) -> ServerFacts {
        let options = &self.env.options;
        ServerFacts {
            name: options.server_name.clone(),
            tags: self.tags.read().clone(),
            max_file_bytes: options.max_file_bytes,
            max_memory_bytes: options.max_memory_bytes,
            start: options.start_id,
        }
    }

    /// On the meta leader: writes down what a server says of itself, if it is new.
    fn put_facts(&self, node: NodeId, facts: ServerFacts) {
        let known = self
            .meta
            .read(|meta| meta.servers().get(&node) == Some(&facts));
        if !known && self.meta.is_leader() {
            self.meta
                .propose(&crate::meta::MetaCommand::PutServer { node, facts })
                .ok();
        }
    }

    /// On the meta leader: writes down that a stream's move is over, unless it has another goal now.
    pub fn finish_move(&self, account: String, name: String, group: u64, replicas: Vec<NodeId>) {
        let is_due = self.meta.read(|meta| {
            meta.stream(&account, &name).is_some_and(|stream| {
                stream.group == group && stream.moving.is_some() && stream.replicas == replicas
            })
        });
        if is_due && self.meta.is_leader() {
            let command = crate::meta::MetaCommand::FinishMove {
                account,
                name,
                group,
                replicas,
            };
            // The stream's leader reports it again until it is known.
            self.meta.propose(&command).ok();
        }
    }

    /// On the meta leader: removes a stream of which its leader says that its backup will not come.
    pub fn remove_abandoned(&self, account: String, name: String, group: u64) {
        let is_meant = self.meta.read(|meta| {
            let stream = meta.stream(&account, &name);
            stream.is_some_and(|stream| stream.group == group && stream.is_restored)
        });
        if is_meant && self.meta.is_leader() {
            let command = crate::meta::MetaCommand::RemoveStream {
                account,
                name,
                reply: None,
            };
            // The stream's leader says it again until it is gone.
            self.meta.propose(&command).ok();
        }
    }

    fn rejoins(&self) -> bool {
        self.rejoins.load(Ordering::Relaxed)
    }

    /// Whether a follower can hear the leader that it knows: who is left alone goes on knowing who led
    /// last, itself included.
    pub fn hears(&self, leader: NodeId) -> bool {
        leader != self.env.node() && self.env.peers.is_online(leader)
    }

    /// Who leads the meta group, if known.
    pub fn meta_leader(&self) -> Option<NodeId> {
        match *self.meta.role_changes().borrow() {
            Role::Leader { .. } => Some(self.env.node()),
            Role::Follower { leader } => {
                let known = leader.or_else(|| self.meta.group().and_then(|group| group.leader()));
                known.filter(|leader| !self.env.is_clustered() || self.hears(*leader))
            }
        }
    }
}
