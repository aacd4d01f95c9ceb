//! Many short runs, each with its own seed.

use std::sync::atomic::{AtomicU64, Ordering};

use sim::run::{Plan, Report, run};
use storage::wal::SyncPolicy;

/// Runs unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;
const FOUNDING_SEEDS: u64 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn play(plan: &Plan) -> Report {
    run(plan).expect("a runtime")
}

/// Plays one plan and tells everything about it. What the brokers log helps to understand a failure:
/// RUST_LOG=info.
fn play_one(plan: &Plan) {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let report = play(plan);
    println!("{}", report.lines.join("\n"));
    report.expect_no_violation();
}

/// Plays the plans of many seeds on all cores; the reports are in the order of the seeds.
fn play_all(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> Vec<Report> {
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
    let work = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return reports;
            }
            reports.push(play(&plan(seed)));
        }
    };
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let done = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"));
        done.flatten().collect()
    });
    reports.sort_by_key(|report| report.seed);
    reports
}

/// Whether some of the seeds breaks a promise.
fn is_caught(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) -> bool {
    seeds
        .map(|seed| play(&plan(seed)))
        .any(|report| !report.violations.is_empty())
}

#[test]
fn nothing_breaks_when_nothing_is_broken() {
    let plan = Plan {
        faults: &[],
        ..Plan::new(1)
    };
    let report = play(&plan);
    report.expect_no_violation();
    assert!(
        report.acked > 100 && report.confirmed > 100,
        "only {} publishes and {} acknowledgements",
        report.acked,
        report.confirmed
    );
}

#[test]
fn promises_are_kept_whatever_breaks() {
    if let Some(seed) = number("SIM_SEED") {
        return play_one(&Plan::new(seed));
    }
    let reports = play_all(1..1 + number("SIM_SEEDS").unwrap_or(SEEDS), Plan::new);
    for report in &reports {
        report.expect_no_violation();
    }
    let acked: usize = reports.iter().map(|report| report.acked).sum();
    assert!(
        acked > 50 * reports.len(),
        "the clients got too little done: {acked} acknowledged in {} runs",
        reports.len()
    );
}

#[test]
fn strangers_become_one_cluster_whatever_breaks() {
    if let Some(seed) = number("SIM_FOUNDING_SEED") {
        return play_one(&Plan::founding(seed));
    }
    for report in play_all(1..1 + FOUNDING_SEEDS, Plan::founding) {
        report.expect_no_violation();
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let report = play(&Plan::new(seed));
        (report.trace_hash, report.events)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// A bug put in on purpose has to be noticed, and must be what is noticed.
#[test]
fn acknowledging_before_the_sync_is_caught() {
    assert!(is_caught(1..9, Plan::syncing_late));
    let right = |seed| Plan {
        sync: SyncPolicy::Always,
        ..Plan::syncing_late(seed)
    };
    assert!(!is_caught(1..4, right));
}

#[test]
fn forgetting_votes_is_caught() {
    assert!(is_caught(1..9, Plan::forgetting_votes));
    let right = |seed| Plan {
        forgets_votes: false,
        ..Plan::forgetting_votes(seed)
    };
    assert!(!is_caught(1..4, right));
}
