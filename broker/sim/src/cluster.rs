//! Three brokers that can be broken, and the tasks that keep their world going.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use consensus::{NodeId, Role};
use engine::Engine;
use parking_lot::Mutex;
use storage::fs::FileSystem;
use tokio::task::JoinSet;

use crate::broker::{ACCOUNT, Broker, Setup, World};
use crate::bus::Switch;
use crate::disk;
use crate::network::Network;
use crate::observer::Observer;
use crate::run::Plan;
use crate::trace::Trace;

/// How often connections between brokers are looked at, and brokers whose log failed.
const LOOK: Duration = Duration::from_millis(50);

/// The brokers, by their number.
pub struct Cluster {
    pub world: World,
    pub brokers: BTreeMap<NodeId, Broker>,
    pub observer: Observer,
    /// The engines that run, for the tasks of the world.
    running: Arc<Mutex<BTreeMap<NodeId, Engine>>>,
    tasks: JoinSet<()>,
}

impl Cluster {
    /// Sets up brokers 1 to 3; none is started.
    pub fn new(plan: &Plan) -> Self {
        let trace = Trace::new();
        let network = Network::new(plan.seed, trace.clone());
        let bus = Switch::new(network.clone(), trace.clone());
        let world = World {
            network,
            bus,
            trace,
        };
        let nodes: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let broker = |node: &NodeId| {
            let setup = Setup {
                node: *node,
                seed: plan.seed,
                nodes: nodes.clone(),
                is_founded: plan.is_founded,
                sync: plan.sync,
                timing: plan.timing.clone(),
                forgets_votes: plan.forgets_votes,
            };
            (*node, Broker::new(setup, world.clone()))
        };
        let mut cluster = Cluster {
            brokers: nodes.iter().map(broker).collect(),
            observer: Observer::default(),
            running: Arc::default(),
            tasks: JoinSet::new(),
            world,
        };
        cluster.tasks.spawn(cluster.world.network.clone().run());
        cluster.tasks.spawn(watch(
            cluster.world.clone(),
            cluster.running.clone(),
            cluster.observer.clone(),
        ));
        cluster
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        self.brokers.keys().copied().collect()
    }

    pub fn running(&self) -> Vec<NodeId> {
        let up = self.brokers.values().filter(|broker| broker.is_up());
        up.map(Broker::node).collect()
    }

    pub fn broker(&mut self, node: NodeId) -> Option<&mut Broker> {
        self.brokers.get_mut(&node)
    }

    /// Starts a broker, if its disk lets it.
    pub fn start(&mut self, node: NodeId) {
        let trace = self.world.trace.clone();
        let Some(broker) = self.brokers.get_mut(&node) else {
            return;
        };
        match broker.start() {
            Ok(()) => trace.say(format!("broker {} started", node.0)),
            Err(error) => trace.say(format!("broker {} cannot start: {error}", node.0)),
        }
        if let Some(engine) = broker.engine() {
            self.running.lock().insert(node, engine.clone());
        }
    }

    pub async fn crash(&mut self, node: NodeId) {
        self.running.lock().remove(&node);
        if let Some(broker) = self.brokers.get_mut(&node)
            && broker.is_up()
        {
            self.world.trace.say(format!("broker {} crashes", node.0));
            broker.crash().await;
        }
    }

    /// All machines lose their power in the same moment.
    pub async fn power_failure(&mut self) {
        self.world.trace.say("power failure".to_owned());
        self.running.lock().clear();
        for broker in self.brokers.values_mut() {
            broker.lose_power();
        }
        for broker in self.brokers.values_mut() {
            broker.end().await;
        }
    }

    /// Crashes brokers whose log failed: in production their processes have ended.
    pub async fn bury_broken(&mut self) {
        for node in self.nodes() {
            if self.brokers[&node].is_broken() {
                self.crash(node).await;
            }
        }
    }

    /// Makes everything work again.
    pub async fn heal(&mut self) {
        self.world.trace.say("healed".to_owned());
        self.world.network.heal();
        self.bury_broken().await;
        for broker in self.brokers.values_mut() {
            broker.fs.set_capacity_bytes(None);
            broker.pace.set_longest(disk::QUICK);
        }
        for node in self.nodes() {
            self.start(node);
        }
    }

    /// The broker that leads a stream in the latest term, as far as the brokers know.
    pub fn leader_of(&self, stream: &str) -> Option<NodeId> {
        let leading = self.brokers.values().filter_map(|broker| {
            let asset = broker.engine()?.asset(ACCOUNT, stream)?;
            match asset.group()?.role() {
                Role::Leader { term } => Some((term, broker.node())),
                Role::Follower { .. } => None,
            }
        });
        leading.max().map(|(_, node)| node)
    }

    /// Whether every broker has all that was acknowledged, as far as the leaders know.
    pub fn is_whole(&self) -> bool {
        let count = self.brokers.len();
        let has_all = |engine: &Engine| {
            let is_calm = engine.offline_replicas().is_empty()
                && engine.env().wal.damaged().is_empty()
                && engine.is_ready();
            let is_clean = |asset: &Arc<engine::Asset>| {
                asset.read(|machine| machine.store().damaged().is_empty())
            };
            is_calm && engine.assets().iter().all(is_clean)
        };
        let engines: Vec<&Engine> = self.brokers.values().filter_map(Broker::engine).collect();
        if engines.len() < count || !engines.iter().all(|engine| has_all(engine)) {
            return false;
        }
        let groups = engines
            .iter()
            .flat_map(|engine| engine.env().consensus.groups());
        let mut whole = BTreeSet::new();
        let mut known = BTreeSet::new();
        for group in groups {
            known.insert(group.id());
            let replicas = group.replicas();
            let is_whole = matches!(group.role(), Role::Leader { .. })
                && group.members().voters.len() == count
                && replicas.len() + 1 == count
                && replicas.iter().all(|replica| replica.current);
            if is_whole {
                whole.insert(group.id());
            }
        }
        !known.is_empty() && whole == known
    }

    /// Bytes that a broker's disk holds.
    pub fn used_bytes(&self, node: NodeId) -> u64 {
        let space = self.brokers[&node].fs.space(std::path::Path::new("/"));
        space.map_or(0, |space| space.total - space.free)
    }
}

/// Tells brokers who can be reached, as routes would, and looks at what they apply.
async fn watch(world: World, running: Arc<Mutex<BTreeMap<NodeId, Engine>>>, observer: Observer) {
    // By the start of the asking broker, so that one that was started again is told anew.
    let mut links: BTreeMap<(u64, NodeId, NodeId), bool> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let engines: Vec<Engine> = running.lock().values().cloned().collect();
        for engine in &engines {
            let life = engine.env().options.start_id;
            for other in (1..=3).map(NodeId) {
                let here = engine.env().node();
                if other == here {
                    continue;
                }
                let is_up = world.network.is_connected(here, other);
                let was_up = links.insert((life, here, other), is_up).unwrap_or(false);
                if is_up != was_up {
                    engine.peer_changed(other, is_up);
                }
            }
            observer.look(engine, &world.trace);
            observer.look_at_identity(engine);
        }
    }
}
