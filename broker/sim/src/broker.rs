//! One broker: its disk and clock, which stay, and its processes, which come and go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use consensus::formation::{ClusterId, Identity, Membership};
use consensus::{Blocking, Consensus, GroupId, Limits, NodeId, Timing};
use engine::clock::SteadyClock;
use engine::env::{Env, Options};
use engine::random::Random;
use engine::{Engine, Founding};
use jetstream::api::account::AccountLimits;
use storage::fs::{FileSystem, SimFs, SimOptions, write_file_atomic};
use storage::wal::{self, SyncPolicy, Wal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bus::Switch;
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::disk::{self, Pace};
use crate::network::Network;
use crate::trace::Trace;

/// The account all clients are of.
pub const ACCOUNT: &str = "A";
const STORE: &str = "/store";
/// Small, so that a short run goes through several segments and checkpoints.
const WAL_SEGMENT_BYTES: u64 = 128 << 10;
const WAL_SIZE_LIMIT_BYTES: u64 = 512 << 10;
const SETTLE: Duration = Duration::from_secs(1);
/// The cluster that all brokers are of if they need not found one.
const READY_MADE: ClusterId = ClusterId(77);

/// What is set for a broker once.
#[derive(Debug, Clone)]
pub struct Setup {
    pub node: NodeId,
    pub seed: u64,
    /// All brokers of the cluster.
    pub nodes: Vec<NodeId>,
    /// Whether the brokers begin as members of a cluster, not as strangers.
    pub is_founded: bool,
    pub sync: SyncPolicy,
    pub timing: Timing,
    /// A bug on purpose: what was voted is forgotten in a crash.
    pub forgets_votes: bool,
}

/// What all brokers share.
#[derive(Clone)]
pub struct World {
    pub network: Network,
    pub bus: Switch,
    pub trace: Trace,
}

/// A broker, running or not.
pub struct Broker {
    setup: Setup,
    world: World,
    pub fs: SimFs,
    pub pace: Pace,
    pub clock: SimClock,
    first_votes: FirstVotes,
    lives: u64,
    up: Option<Up>,
}

/// The processes of one life.
struct Up {
    engine: Engine,
    wal: Wal,
    writer: JoinHandle<()>,
    /// The log failed: in production the process would have ended.
    is_broken: Arc<AtomicBool>,
}

impl Broker {
    /// A broker with an empty disk, not started.
    pub fn new(setup: Setup, world: World) -> Self {
        let seed = setup.seed ^ setup.node.0.wrapping_mul(0x9e37_79b9);
        let fs = SimFs::with_options(SimOptions {
            seed,
            ..SimOptions::default()
        });
        Broker {
            world,
            fs,
            pace: Pace::new(Dice::of(seed, "disk")),
            clock: SimClock::new(0),
            first_votes: FirstVotes::default(),
            lives: 0,
            up: None,
            setup,
        }
    }

    pub fn node(&self) -> NodeId {
        self.setup.node
    }

    pub fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Whether the log failed, so that the broker waits to be crashed and started again.
    pub fn is_broken(&self) -> bool {
        let up = self.up.as_ref();
        up.is_some_and(|up| up.is_broken.load(Ordering::Relaxed))
    }

    pub fn engine(&self) -> Option<&Engine> {
        self.up.as_ref().map(|up| &up.engine)
    }

    /// Starts the broker with what its disk holds. Fails while the disk is full.
    pub fn start(&mut self) -> std::io::Result<()> {
        if self.up.is_some() {
            return Ok(());
        }
        self.lives += 1;
        let (fs, node) = (self.file_system(), self.setup.node);
        let store = Path::new(STORE);
        fs.create_dir_all(store)?;
        if self.setup.is_founded && !fs.exists(&store.join("identity"))? {
            let identity = self.ready_made_identity();
            write_file_atomic(&*fs, &store.join("identity"), &identity.encode())?;
        }
        let identity = engine::load_identity(&*fs, store, node.0)?;
        let is_broken = Arc::new(AtomicBool::new(false));
        let wal = self.open_wal(&is_broken)?;
        if self.setup.forgets_votes {
            self.first_votes
                .restore(&wal)
                .map_err(std::io::Error::other)?;
        }
        let port = self.world.network.port(node);
        let consensus = Consensus::new(consensus::Options {
            node,
            wal: wal.clone(),
            transport: port.clone(),
            timing: self.setup.timing.clone(),
            limits: Limits::default(),
            blocking: Blocking::Inline,
            seed: self.setup.seed.wrapping_add(self.lives),
        });
        let (engine, start) = Engine::new(Env {
            options: self.engine_options(),
            bus: self.world.bus.plug(node),
            clock: SteadyClock::new(self.clock.clone()),
            fs,
            wal: wal.clone(),
            consensus: consensus.clone(),
            peers: port,
            random: Random::new(self.dice("names").draw()),
        })?;
        self.world.network.plug(consensus, engine.clone());
        engine.enable_account(ACCOUNT, AccountLimits::default());
        let cluster = Dice::of(self.setup.seed ^ node.0, "cluster").draw() ^ self.lives;
        let founding = Founding::new(name(node), self.setup.nodes.len(), SETTLE, cluster);
        engine.start_clustered(start, founding, identity);
        let writer = tokio::spawn(disk::write(wal.clone(), self.pace.clone()));
        self.up = Some(Up {
            engine,
            wal,
            writer,
            is_broken,
        });
        Ok(())
    }

    /// The power fails: what was not synced is partly lost.
    pub async fn crash(&mut self) {
        self.lose_power();
        self.end().await;
    }

    /// The first moment of a crash: nothing gets out or onto the disk any more.
    pub fn lose_power(&self) {
        self.cut_off();
        self.fs.crash();
    }

    fn cut_off(&self) {
        self.world.network.unplug(self.setup.node);
        self.world.bus.unplug(self.setup.node);
    }

    /// Dice for one part of this life of this broker.
    fn dice(&self, part: &str) -> Dice {
        Dice::of(
            self.setup.seed ^ self.lives ^ (self.setup.node.0 << 32),
            part,
        )
    }

    /// Damages something on the disk of a broker that is down.
    pub fn rot(&self, dice: &mut Dice) -> Option<String> {
        crate::rot::rot(&self.fs, Path::new(STORE), dice).ok()?
    }

    /// The same, but no more than one bit.
    pub fn flip_bit(&self, dice: &mut Dice) -> Option<String> {
        crate::rot::flip_bit(&self.fs, Path::new(STORE), dice).ok()?
    }

    /// The rest of a crash: the processes are gone.
    pub async fn end(&mut self) {
        if let Some(up) = self.up.take() {
            self.first_votes.remember(&up.wal);
            up.engine.halt().await;
            drop(up.wal);
            up.writer.abort();
            // It ended by the abort, and there is nothing else to learn from it.
            let _ = up.writer.await;
        }
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.fs.clone())
    }

    fn open_wal(&self, is_broken: &Arc<AtomicBool>) -> std::io::Result<Wal> {
        let started = Instant::now();
        let mut options = wal::Options::new(Arc::new(move || started.elapsed()));
        options.segment_size_bytes = WAL_SEGMENT_BYTES;
        options.size_limit_bytes = WAL_SIZE_LIMIT_BYTES;
        options.sync = self.setup.sync;
        options.store_id = self.setup.node.0;
        let (world, node, is_broken) = (self.world.clone(), self.setup.node, is_broken.clone());
        options.on_fatal = Arc::new(move |error| {
            world
                .trace
                .say(format!("log of broker {} failed: {error}", node.0));
            world.network.unplug(node);
            world.bus.unplug(node);
            is_broken.store(true, Ordering::Relaxed);
        });
        let dir = Path::new(STORE).join("wal");
        Wal::open(self.file_system(), &dir, options).map_err(std::io::Error::other)
    }

    fn engine_options(&self) -> Options {
        let node = self.setup.node;
        Options {
            server_name: name(node),
            server_id: format!("N{}", node.0),
            cluster: Some("C".to_owned()),
            domain: String::new(),
            tags: Vec::new(),
            unique_tag: None,
            store_dir: STORE.into(),
            max_file_bytes: 1 << 30,
            max_memory_bytes: 1 << 30,
            start_id: Dice::of(self.setup.seed ^ self.lives, "start").draw(),
        }
    }

    fn ready_made_identity(&self) -> Identity {
        let mut identity = Identity::fresh(self.setup.node);
        identity.cluster = Some(Membership {
            cluster: READY_MADE,
            founders: self.setup.nodes.iter().copied().collect(),
        });
        identity
    }
}

/// The vote that each group had when its broker crashed for the first time.
#[derive(Default)]
struct FirstVotes(BTreeMap<GroupId, Bytes>);

impl FirstVotes {
    /// Where `consensus` keeps the vote of a group.
    const KEY: u8 = 1;

    fn remember(&mut self, wal: &Wal) {
        for group in wal.groups() {
            if let Some(vote) = wal.log(group).state(Self::KEY) {
                self.0.entry(group).or_insert(vote);
            }
        }
    }

    fn restore(&self, wal: &Wal) -> Result<(), wal::Error> {
        for (group, vote) in &self.0 {
            wal.log(*group).set_state_lazy(Self::KEY, vote.clone())?;
        }
        Ok(())
    }
}

fn name(node: NodeId) -> String {
    format!("broker-{}", node.0)
}
