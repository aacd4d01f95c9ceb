//! Many short runs, each with its own seed.

use std::sync::atomic::{AtomicU64, Ordering};

use sim::run::{Plan, Report, run};

/// Runs unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn play(plan: &Plan) -> Report {
    run(plan).expect("a runtime")
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

#[test]
fn nothing_breaks_when_nothing_is_broken() {
    let plan = Plan {
        faults: &[],
        ..Plan::new(1)
    };
    let report = play(&plan);
    report.expect_no_violation();
    assert!(report.acked > 100 && report.confirmed > 100, "{report:?}");
}

#[test]
fn promises_are_kept_whatever_breaks() {
    if let Some(seed) = number("SIM_SEED") {
        let report = play(&Plan::new(seed));
        println!("{}", report.lines.join("\n"));
        return report.expect_no_violation();
    }
    let reports = play_all(1..1 + number("SIM_SEEDS").unwrap_or(SEEDS), Plan::new);
    for report in &reports {
        report.expect_no_violation();
    }
    let acked: usize = reports.iter().map(|report| report.acked).sum();
    assert!(
        acked > 50 * reports.len(),
        "the clients got too little done: {acked}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let once = play(&Plan::new(7));
    let again = play(&Plan::new(7));
    assert_eq!(
        (once.trace_hash, once.events),
        (again.trace_hash, again.events)
    );
    assert_ne!(once.trace_hash, play(&Plan::new(8)).trace_hash);
}
