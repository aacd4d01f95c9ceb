//! One run: build, break, heal, compare.

use std::collections::BTreeMap;
use std::time::Duration;

use consensus::{NodeId, Timing};
use storage::wal::SyncPolicy;

use crate::broker::{ACCOUNT, Broker};
use crate::cluster::Cluster;
use crate::history::{History, Recorder};
use crate::invariants::{self, Evidence};
use crate::nemesis::{self, Fault};
use crate::observer::{self, StreamView};
use crate::workload::{self, EVENTS, JOBS, KEYS, NEWS, STREAMS};

/// How long a healed cluster may take to work as if nothing had been.
const HEALING_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// How long things break, in simulated time.
    pub raging: Duration,
    pub faults: &'static [(Fault, u64)],
    /// Whether the brokers begin as members of a cluster, or have to found it.
    pub is_founded: bool,
    pub sync: SyncPolicy,
    pub timing: Timing,
    /// A bug on purpose: what was voted is forgotten in a crash.
    pub forgets_votes: bool,
}

impl Plan {
    /// Everything that can go wrong goes wrong, and nobody made a mistake.
    pub fn new(seed: u64) -> Self {
        Plan {
            seed,
            raging: Duration::from_secs(8),
            faults: nemesis::ALL,
            is_founded: true,
            sync: SyncPolicy::Always,
            timing: Timing::default(),
            forgets_votes: false,
        }
    }

    /// A mistake on purpose: writes are acknowledged before they are on the disk.
    pub fn syncing_late(seed: u64) -> Self {
        Plan {
            faults: nemesis::POWER,
            sync: SyncPolicy::Interval(Duration::from_secs(1)),
            ..Plan::new(seed)
        }
    }

    /// A mistake on purpose: votes are forgotten in a crash. The wide range of election timeouts
    /// leaves time between the election of a leader and the end of the one before.
    pub fn forgetting_votes(seed: u64) -> Self {
        Plan {
            faults: nemesis::ELECTIONS,
            raging: Duration::from_secs(30),
            timing: Timing {
                heartbeat_ms: 100,
                election_min_ms: 250,
                election_max_ms: 2500,
                ..Timing::default()
            },
            forgets_votes: true,
            ..Plan::new(seed)
        }
    }

    /// Three strangers become a cluster, whatever happens meanwhile.
    pub fn founding(seed: u64) -> Self {
        Plan {
            faults: nemesis::FOUNDING,
            is_founded: false,
            ..Plan::new(seed)
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    /// Equal for equal runs.
    pub trace_hash: u64,
    pub events: u64,
    /// Publishes and puts that were acknowledged.
    pub acked: usize,
    /// Acknowledgements of the consumer that were confirmed.
    pub confirmed: usize,
    /// Promises that were broken.
    pub violations: Vec<String>,
    /// What happened, for the reader of a failure.
    pub lines: Vec<String>,
}

impl Report {
    /// Fails with everything a person needs to look into it.
    pub fn expect_no_violation(&self) {
        assert!(
            self.violations.is_empty(),
            "seed {seed} broke promises:\n  {violations}\nwhat happened:\n  {lines}\n\
             run it again: SIM_SEED={seed} cargo test -p sim",
            seed = self.seed,
            violations = self.violations.join("\n  "),
            lines = self.lines.join("\n  "),
        );
    }
}

/// Plays a plan, on a runtime and in a time of its own.
pub fn run(plan: &Plan) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    Ok(runtime.block_on(play(plan)))
}

async fn play(plan: &Plan) -> Report {
    let mut cluster = Cluster::new(plan);
    let history = Recorder::default();
    if !plan.is_founded {
        // They meet for the first time with one of them out of reach.
        let nodes = cluster.nodes();
        let lonely = NodeId(1 + plan.seed % nodes.len() as u64);
        cluster.world.network.isolate(lonely, &nodes);
    }
    for node in cluster.nodes() {
        cluster.start(node);
    }
    let mut violations = Vec::new();
    let world = cluster.world.clone();
    if !plan.is_founded {
        nemesis::rage(&mut cluster, plan.faults, plan.seed ^ 1, plan.raging).await;
        cluster.heal().await;
    }
    let preparing = workload::prepare(&world, plan.seed);
    if tokio::time::timeout(HEALING_MAX, preparing).await.is_err() {
        violations.push("the streams could not be created".to_owned());
    } else {
        world.trace.say("streams created".to_owned());
        let mut clients = workload::start(&world, &history, plan.seed);
        nemesis::rage(&mut cluster, plan.faults, plan.seed, plan.raging).await;
        cluster.heal().await;
        violations.extend(progress(&mut cluster, &history).await);
        clients.shutdown().await;
        violations.extend(settle(&mut cluster).await);
        let evidence = evidence(&cluster, &history);
        violations.extend(invariants::check(&evidence));
    }
    let known = history.copy();
    Report {
        seed: plan.seed,
        trace_hash: cluster.world.trace.hash(),
        events: cluster.world.trace.events(),
        acked: history.acked(),
        confirmed: confirmed(&known).iter().sum(),
        violations,
        lines: cluster.world.trace.lines(),
    }
}

/// More than so many of each, as [`progress`] counts them, show that the cluster works.
const ENOUGH: [usize; 5] = [5, 2, 5, 2, 2];

/// How many acknowledgements were confirmed to the reader of each stream that has one.
fn confirmed(history: &History) -> [usize; 3] {
    [EVENTS, JOBS, NEWS].map(|stream| history.confirmed(stream).len())
}

/// Waits until publishes are acknowledged, keys are put and the consumer gets somewhere.
async fn progress(cluster: &mut Cluster, history: &Recorder) -> Option<String> {
    let done = |history: &History| {
        let events = history
            .events
            .values()
            .filter(|sent| sent.acked_seq.is_some());
        let puts = history.puts.values().flatten();
        let puts = puts.filter(|sent| sent.acked_seq.is_some());
        let [events_done, jobs, news] = confirmed(history);
        [events.count(), puts.count(), events_done, jobs, news]
    };
    let before = history.write(|history| done(history));
    for _ in 0..HEALING_MAX.as_millis() / POLL.as_millis() {
        tokio::time::sleep(POLL).await;
        // A disk may have been told to fail before it was healed.
        cluster.bury_broken().await;
        for node in cluster.nodes() {
            if !cluster.brokers[&node].is_up() {
                cluster.start(node);
            }
        }
        let now = history.write(|history| done(history));
        let is_enough = |(at, least): (usize, &usize)| now[at] > before[at] + least;
        if ENOUGH.iter().enumerate().all(is_enough) {
            return None;
        }
    }
    let now = history.write(|history| done(history));
    Some(format!(
        "progress: no progress within {HEALING_MAX:?} after everything was healed: \
         [publishes, puts, confirmed of events, jobs and news] were {before:?} and are {now:?}"
    ))
}

/// Waits until all replicas of each stream have applied the same.
async fn settle(cluster: &mut Cluster) -> Option<String> {
    let mut views = Vec::new();
    for _ in 0..HEALING_MAX.as_millis() / POLL.as_millis() {
        tokio::time::sleep(POLL).await;
        views = STREAMS
            .iter()
            .flat_map(|stream| applied(cluster, stream))
            .collect();
        let equal = |stream: &str| {
            let mut of = views.iter().filter(|(of, ..)| *of == stream);
            let first = of.next().map(|(.., index)| *index);
            first.flatten().is_some() && of.all(|(.., index)| Some(*index) == first)
        };
        let is_clean = || {
            let engines = cluster.brokers.values().filter_map(Broker::engine);
            let mut assets = engines.flat_map(|engine| engine.assets());
            assets.all(|asset| asset.read(|machine| machine.store().damaged().is_empty()))
        };
        if STREAMS.into_iter().all(equal) && is_clean() {
            return None;
        }
    }
    Some(format!(
        "progress: replicas did not become equal: {views:?}"
    ))
}

fn applied(cluster: &Cluster, stream: &'static str) -> Vec<(&'static str, NodeId, Option<u64>)> {
    let of = cluster.brokers.iter().map(|(node, broker)| {
        let asset = broker
            .engine()
            .and_then(|engine| engine.asset(ACCOUNT, stream));
        let index = asset.map(|asset| asset.read(|machine| machine.applied_index()));
        (stream, *node, index)
    });
    of.collect()
}

fn evidence(cluster: &Cluster, history: &Recorder) -> Evidence {
    let views = |stream: &str| -> BTreeMap<NodeId, StreamView> {
        let of = cluster.brokers.iter().filter_map(|(node, broker)| {
            let asset = broker.engine()?.asset(ACCOUNT, stream)?;
            Some((*node, observer::view(&asset)))
        });
        of.collect()
    };
    Evidence {
        history: history.copy(),
        events: views(EVENTS),
        keys: views(KEYS),
        work: [JOBS, NEWS].map(|stream| (stream, views(stream))).into(),
        sightings: cluster.observer.sightings(),
    }
}
