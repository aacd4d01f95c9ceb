//! Servers that can be started, killed and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{
    Blocking, Consensus, Group, GroupId, Limits, NodeId, Options, Role, Start, Timing,
};
use storage::fs::SimFs;
use storage::wal::{self, Wal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ledger::{Disk, Ledger};
use crate::network::Network;

pub const GROUP: GroupId = GroupId(77);

/// How long anything may take in these tests, in simulated time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a sync of a simulated disk takes.
const SYNC: Duration = Duration::from_millis(1);

pub fn node(id: u64) -> NodeId {
    NodeId(id)
}

pub fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

pub fn command(number: u64) -> Bytes {
    Bytes::from(format!("command {number}"))
}

/// Waits for a condition, with a deadline.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server with its disk.
pub struct Server {
    pub id: NodeId,
    pub fs: SimFs,
    disk: Arc<Disk>,
    network: Network,
    seed: u64,
    pub limits: Limits,
    pub blocking: Blocking,
    up: Option<Up>,
}

/// What a running server has.
struct Up {
    wal: Wal,
    consensus: Consensus,
    writer: JoinHandle<()>,
    group: Option<Group>,
    ledger: Arc<Ledger>,
}

impl Server {
    pub fn new(id: u64, network: &Network, seed: u64) -> Self {
        Self {
            id: NodeId(id),
            fs: SimFs::new(seed ^ id),
            disk: Arc::new(Disk::default()),
            network: network.clone(),
            seed,
            limits: Limits::default(),
            blocking: Blocking::Inline,
            up: None,
        }
    }

    /// Starts the process, without groups.
    pub fn boot(&mut self) {
        assert!(self.up.is_none(), "is up");
        let started = Instant::now();
        let mut options = wal::Options::new(Arc::new(move || started.elapsed()));
        options.segment_size_bytes = 256 * 1024;
        options.on_fatal = Arc::new(|_| {});
        let wal = Wal::open(Arc::new(self.fs.clone()), Path::new("/wal"), options)
            .expect("the log opens");
        let writer = tokio::spawn(write(wal.clone()));
        let consensus = Consensus::new(Options {
            node: self.id,
            wal: wal.clone(),
            transport: self.network.transport(self.id),
            timing: Timing::default(),
            limits: self.limits.clone(),
            blocking: self.blocking,
            seed: self.seed,
        });
        self.network.plug(&consensus);
        let ledger = Ledger::open(self.disk.clone());
        self.up = Some(Up {
            wal,
            consensus,
            writer,
            group: None,
            ledger,
        });
    }

    fn up(&self) -> &Up {
        self.up.as_ref().expect("is up")
    }

    pub fn is_up(&self) -> bool {
        self.up.is_some()
    }

    pub fn wal(&self) -> &Wal {
        &self.up().wal
    }

    pub fn consensus(&self) -> &Consensus {
        &self.up().consensus
    }

    pub fn group(&self) -> &Group {
        self.up().group.as_ref().expect("the group is open")
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        self.up().ledger.clone()
    }

    pub fn leads(&self) -> bool {
        let group = self.up.as_ref().and_then(|up| up.group.as_ref());
        group.is_some_and(|group| matches!(group.role(), Role::Leader { .. }))
    }

    pub async fn open_local(&mut self) {
        let ledger = self.ledger();
        let group = self
            .consensus()
            .local(GROUP, ledger)
            .await
            .expect("the group opens");
        self.up.as_mut().expect("is up").group = Some(group);
    }

    pub async fn open(&mut self, start: Start) {
        let ledger = self.ledger();
        let group = self.consensus().replicated(GROUP, start, ledger).await;
        self.up.as_mut().expect("is up").group = Some(group.expect("the group opens"));
    }

    /// The power fails: what was not synced is partly lost.
    pub async fn crash(&mut self) {
        let up = self.up.take().expect("is up");
        self.network.unplug(self.id);
        self.fs.crash();
        up.consensus.halt().await;
        end(up.writer).await;
    }

    /// The server is stopped as it should be.
    pub async fn stop(&mut self) {
        let up = self.up.take().expect("is up");
        up.consensus.shutdown().await;
        self.network.unplug(self.id);
        up.wal.close().expect("the log closes");
        end(up.writer).await;
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

/// Drives the writer of a log.
async fn write(wal: Wal) {
    let wake = Arc::new(Notify::new());
    let notify = wake.clone();
    wal.set_wakeup(Arc::new(move || notify.notify_one()));
    loop {
        tokio::time::sleep(SYNC).await;
        while wal.commit_pending() {}
        wake.notified().await;
    }
}

/// Several servers with one group.
pub struct Cluster {
    pub network: Network,
    pub servers: BTreeMap<u64, Server>,
    founders: BTreeSet<NodeId>,
    next_command: u64,
    /// Who led in which term, as reported in lives that ended.
    leaders: BTreeMap<u64, NodeId>,
    /// Commands that some leader applied.
    pub applied: Vec<Bytes>,
}

impl Cluster {
    /// Starts servers 1 to `count`; the group is founded by all of them.
    pub async fn start(count: u64, seed: u64) -> Self {
        Self::start_with(count, seed, Blocking::Inline).await
    }

    /// As [`Cluster::start`], with long machine calls where `blocking` says.
    pub async fn start_with(count: u64, seed: u64, blocking: Blocking) -> Self {
        let network = Network::new(seed);
        let ids: Vec<u64> = (1..=count).collect();
        let server = |id: &u64| Server {
            blocking,
            ..Server::new(*id, &network, seed)
        };
        let servers = ids.iter().map(|id| (*id, server(id))).collect();
        let mut cluster = Self {
            network,
            servers,
            founders: nodes(&ids),
            next_command: 0,
            leaders: BTreeMap::new(),
            applied: Vec::new(),
        };
        for id in ids {
            cluster.boot(id).await;
        }
        cluster
    }

    /// Starts a server, again or for the first time, as a founder.
    pub async fn boot(&mut self, id: u64) {
        let founders = self.founders.clone();
        let server = self.server_mut(id);
        server.boot();
        server.open(Start::Founding(founders)).await;
    }

    pub fn server(&self, id: u64) -> &Server {
        &self.servers[&id]
    }

    pub fn server_mut(&mut self, id: u64) -> &mut Server {
        self.servers.get_mut(&id).expect("a server")
    }

    pub fn running(&self) -> impl Iterator<Item = &Server> {
        self.servers.values().filter(|server| server.is_up())
    }

    pub async fn crash(&mut self, id: u64) {
        self.note_leaders();
        self.server_mut(id).crash().await;
    }

    /// Ends all servers, so that a test can begin anew.
    pub async fn end(mut self) {
        for server in self.servers.values_mut().filter(|server| server.is_up()) {
            server.crash().await;
        }
    }

    /// The leader that has the latest term, once there is one among `ids` that all of them follow.
    pub async fn leader_among(&self, ids: &[u64]) -> u64 {
        let agreed = || {
            let leads = |id: &&u64| self.server(**id).leads();
            let leader = ids
                .iter()
                .filter(leads)
                .max_by_key(|id| self.server(**id).group().term());
            let leader = *leader?;
            let follow = |id: &u64| self.server(*id).group().leader() == Some(NodeId(leader));
            ids.iter().all(follow).then_some(leader)
        };
        until("a leader", || agreed().is_some()).await;
        agreed().expect("a leader")
    }

    pub async fn leader(&self) -> u64 {
        let ids: Vec<u64> = self.running().map(|server| server.id.0).collect();
        self.leader_among(&ids).await
    }

    /// Waits until so many more requests were sent. Heartbeats and attempts to be elected, which a
    /// server makes at its own pace, tell that it had the time to do something wrong.
    pub async fn sends(&self, requests: u64) {
        let enough = self.network.requests() + requests;
        until("requests are sent", || self.network.requests() >= enough).await;
    }

    /// A command that was never used.
    pub fn fresh_command(&mut self) -> Bytes {
        self.next_command += 1;
        command(self.next_command)
    }

    /// Proposes on a server and waits until it applied the commands.
    pub async fn commit(&mut self, id: u64, count: usize) {
        for _ in 0..count {
            let command = self.fresh_command();
            let server = self.server(id);
            server
                .group()
                .propose(command.clone())
                .expect("the leader takes commands");
            self.applied.push(command);
        }
        let last = self.applied.last().cloned().expect("a command");
        let ledger = self.server(id).ledger();
        until("the commands are applied", || ledger.has(&last)).await;
    }

    /// Waits until all running servers applied the same, then checks everything.
    pub async fn agree(&mut self) {
        let ledgers: Vec<_> = self.running().map(|server| server.ledger()).collect();
        let same = || {
            ledgers
                .windows(2)
                .all(|pair| pair[0].commands() == pair[1].commands())
        };
        until("all replicas are equal", same).await;
        self.note_leaders();
        let applied: BTreeSet<Bytes> = ledgers[0]
            .commands()
            .into_iter()
            .map(|(_, command)| command)
            .collect();
        for command in &self.applied {
            assert!(
                applied.contains(command),
                "{command:?} was applied and is lost"
            );
        }
    }

    /// Checks that each term had at most one leader, and each leader all that was applied before.
    pub fn note_leaders(&mut self) {
        let mut seen = Vec::new();
        for server in self.running() {
            for (role, _) in &server.ledger().state().roles {
                if let Role::Leader { term } = role {
                    seen.push((*term, server.id));
                }
            }
        }
        for (term, id) in seen {
            let first = *self.leaders.entry(term).or_insert(id);
            assert_eq!(first, id, "two leaders in term {term}");
        }
    }
}
