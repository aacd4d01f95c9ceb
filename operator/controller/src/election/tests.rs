use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::jiff::Timestamp;

use super::candidate::{Candidate, Step};

const LEASE: Duration = Duration::from_secs(15);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// What the candidate writes; `None` if it waits.
fn written(step: Step, second: i64) -> Option<LeaseSpec> {
    match step.at(at(second)) {
        Step::Write(spec) => Some(spec),
        Step::Wait => None,
    }
}

#[test]
fn a_lease_that_nobody_has_is_taken_and_renewed() {
    let mut candidate = Candidate::new("a".into(), LEASE);
    let first = written(candidate.step(None, seconds(0)), 100).expect("it is free");
    assert!(candidate.holds(&first));
    assert_eq!(first.lease_transitions, Some(0));
    assert_eq!(first.lease_duration_seconds, Some(15));
    let second = written(candidate.step(Some(&first), seconds(2)), 102).expect("it is ours");
    assert_eq!(second.acquire_time, first.acquire_time);
    assert_ne!(second.renew_time, first.renew_time);
    assert_eq!(second.lease_transitions, Some(0));
}

#[test]
fn a_lease_that_is_renewed_is_left_alone() {
    let mut other = Candidate::new("a".into(), LEASE);
    let mut candidate = Candidate::new("b".into(), LEASE);
    let mut lease = written(other.step(None, seconds(0)), 0).expect("it is free");
    for second in (0..100).step_by(2) {
        assert_eq!(candidate.step(Some(&lease), seconds(second)), Step::Wait);
        let renewed = other.step(Some(&lease), seconds(second));
        lease = written(renewed, second as i64).expect("it is theirs");
    }
}

#[test]
fn a_lease_that_is_not_renewed_is_taken_after_its_time_as_seen_from_here() {
    let mut other = Candidate::new("a".into(), LEASE);
    let mut candidate = Candidate::new("b".into(), LEASE);
    // The other's clock is far behind; that must not matter.
    let lease = written(other.step(None, seconds(0)), -1_000_000).expect("it is free");
    assert_eq!(candidate.step(Some(&lease), seconds(50)), Step::Wait);
    assert_eq!(candidate.step(Some(&lease), seconds(64)), Step::Wait);
    let taken = candidate.step(Some(&lease), seconds(65));
    let taken = written(taken, 7).expect("it ran out");
    assert!(candidate.holds(&taken) && !other.holds(&taken));
    assert_eq!(taken.lease_transitions, Some(1));
    assert_eq!(taken.acquire_time, taken.renew_time);
    assert_eq!(other.step(Some(&taken), seconds(66)), Step::Wait);
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut candidate = Candidate::new("b".into(), LEASE);
    let released = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_transitions: Some(4),
        ..LeaseSpec::default()
    };
    let taken = written(candidate.step(Some(&released), seconds(0)), 0).expect("it is free");
    assert!(candidate.holds(&taken));
    assert_eq!(taken.lease_transitions, Some(5));
}

#[test]
fn a_lease_with_a_senseless_time_runs_out_too() {
    let mut candidate = Candidate::new("b".into(), LEASE);
    let odd = LeaseSpec {
        holder_identity: Some("a".into()),
        lease_duration_seconds: Some(-1),
        ..LeaseSpec::default()
    };
    assert_eq!(candidate.step(Some(&odd), seconds(0)), Step::Wait);
    assert_eq!(candidate.step(Some(&odd), seconds(14)), Step::Wait);
    assert_ne!(candidate.step(Some(&odd), seconds(15)), Step::Wait);
}
