//! What Jepsen found in NATS 2.12.1 must not be found here: one test for each finding.

use std::time::Duration;

use sim::nemesis;
use sim::run::{Plan, run};

const SEEDS: u64 = 4;

fn play(seed: u64, faults: &'static [(nemesis::Fault, u64)]) {
    let plan = Plan {
        faults,
        raging: Duration::from_secs(20),
        ..Plan::new(seed)
    };
    run(&plan).expect("a runtime").expect_no_violation();
}

#[test]
fn acknowledged_writes_survive_a_power_failure_of_all_brokers() {
    for seed in 1..=SEEDS {
        play(seed, nemesis::POWER);
    }
}

/// Also: no replica serves something else than the others, and no stream is deleted because a
/// checkpoint of it, or of the meta group, cannot be read.
#[test]
fn single_bits_that_flip_on_one_broker_lose_no_write_and_no_stream_and_split_nobody() {
    for seed in 1..=2 * SEEDS {
        play(seed, nemesis::BITS);
    }
}
