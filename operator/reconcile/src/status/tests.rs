use super::*;

const GENERATION: Option<i64> = Some(3);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// The conditions that are true, and those that are unknown.
fn loud(verdict: &Verdict) -> (Vec<String>, Vec<String>) {
    let status = sync_status(verdict, Vec::new(), GENERATION, None, at(1));
    let with = |wanted: &str| {
        let conditions = status.conditions.iter();
        let fitting = conditions.filter(|found| found.status == wanted);
        fitting.map(|found| found.type_.clone()).collect()
    };
    (with("True"), with("Unknown"))
}

#[test]
fn each_verdict_has_its_conditions() {
    let check = |verdict: Verdict, is_true: &[&str]| {
        let (found, unknown) = loud(&verdict);
        assert_eq!(found, is_true, "{verdict:?}");
        assert_eq!(
            unknown.is_empty(),
            !matches!(verdict, Verdict::Retrying { .. })
        );
    };
    check(Verdict::Synced, &["Ready", "Synced"]);
    check(Verdict::Changed(Action::Created), &["Ready", "Synced"]);
    check(
        Verdict::Changed(Action::Corrected),
        &["Ready", "Synced", "Drifted"],
    );
    check(
        Verdict::Reported("differs".to_owned()),
        &["Ready", "Drifted"],
    );
    check(
        Verdict::Conflict("taken".to_owned()),
        &["Stalled", "Conflict"],
    );
    check(Verdict::stalled("Invalid", &"wrong"), &["Stalled"]);
    check(Verdict::retrying("NoLeader", &"wait"), &["Reconciling"]);
}

#[test]
fn every_condition_is_always_there_and_about_the_generation() {
    let status = sync_status(&Verdict::Synced, Vec::new(), GENERATION, None, at(1));
    let types: Vec<&str> = status
        .conditions
        .iter()
        .map(|found| found.type_.as_str())
        .collect();
    assert_eq!(
        types,
        [READY, RECONCILING, STALLED, SYNCED, DRIFTED, CONFLICT]
    );
    assert_eq!(status.observed_generation, GENERATION);
    assert!(
        status
            .conditions
            .iter()
            .all(|found| found.observed_generation == GENERATION)
    );
    assert!(
        status
            .conditions
            .iter()
            .all(|found| !found.reason.is_empty())
    );
}

#[test]
fn times_tell_when_a_condition_changed() {
    let first = sync_status(&Verdict::Synced, Vec::new(), GENERATION, None, at(1));
    let trouble = Verdict::retrying("NoLeader", &"wait");
    let second = sync_status(&trouble, Vec::new(), GENERATION, Some(&first), at(2));
    let time = |status: &SyncStatus, type_: &str| {
        let condition = status.conditions.iter().find(|found| found.type_ == type_);
        condition.map(|found| found.last_transition_time.0)
    };
    assert_eq!(time(&second, READY), Some(at(2)));
    assert_eq!(time(&second, STALLED), Some(at(1)));
    assert_eq!(second.last_sync_time, Some(Time(at(1))));
    let third = sync_status(
        &Verdict::Synced,
        Vec::new(),
        GENERATION,
        Some(&second),
        at(3),
    );
    assert_eq!(third.last_sync_time, Some(Time(at(3))));
}

#[test]
fn errors_of_requests_are_tried_again_if_that_may_help() {
    let reason = |error: RequestError| match Verdict::of_request(&error) {
        Verdict::Retrying { reason, .. } => (true, reason),
        Verdict::Stalled { reason, .. } => (false, reason),
        other => panic!("{other:?}"),
    };
    let refused = |code| RequestError::Refused {
        code,
        error_code: 1,
        description: "no".to_owned(),
    };
    let subject = "a".to_owned();
    assert_eq!(
        reason(RequestError::NotReachable("x".to_owned())),
        (true, "BrokerNotReachable")
    );
    assert_eq!(
        reason(RequestError::NoAnswer { subject }),
        (true, "NoLeader")
    );
    assert_eq!(reason(refused(503)), (true, "BrokerNotReady"));
    assert_eq!(reason(refused(400)), (false, "RefusedByBroker"));
}
