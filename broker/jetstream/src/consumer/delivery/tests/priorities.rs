use super::harness::*;
use crate::consumer::Action;
use crate::consumer::config::{ConsumerConfig, PriorityPolicy};

fn group(policy: PriorityPolicy) -> ConsumerConfig {
    ConsumerConfig {
        priority_policy: policy,
        priority_groups: vec!["A".to_owned()],
        priority_timeout_ns: 3 * SECOND,
        max_waiting: 8,
        ..explicit()
    }
}

#[test]
fn requests_that_do_not_fit_the_group_are_refused() {
    let mut bench = Bench::new(group(PriorityPolicy::Overflow), 0);
    let cases = [
        ("{}", "400 Bad Request - Priority Group missing"),
        (
            r#"{"group":"B"}"#,
            "400 Bad Request - Invalid Priority Group",
        ),
        (
            r#"{"group":"A","id":"x"}"#,
            "400 Bad Request - Not a Pinned Client Priority consumer",
        ),
    ];
    for (request, refusal) in cases {
        assert_eq!(bench.pull(request, "r"), [format!("r: {refusal}")]);
    }
    let mut plain = Bench::new(explicit(), 0);
    assert_eq!(
        plain.pull(r#"{"min_pending":1}"#, "r"),
        ["r: 400 Bad Request - Not a Overflow Priority consumer"]
    );
}

#[test]
fn an_overflow_is_served_when_enough_waits() {
    let mut bench = Bench::new(group(PriorityPolicy::Overflow), 2);
    let many = r#"{"group":"A","batch":2,"min_pending":3}"#;
    assert!(bench.pull(many, "many").is_empty());
    assert_eq!(bench.pull(r#"{"group":"A"}"#, "any"), ["any <- 1.1.1/1"]);
    bench.publish("a");
    bench.publish("a");
    assert_eq!(bench.run(), ["many <- 1.2.2/2"], "then too few are left");
    let unacked = r#"{"group":"A","batch":5,"min_ack_pending":2}"#;
    assert_eq!(
        bench.pull(unacked, "acks"),
        ["acks <- 1.3.3/1", "acks <- 1.4.4/0"]
    );
}

#[test]
fn only_the_pinned_client_is_served_until_it_is_silent() {
    let mut bench = Bench::new(group(PriorityPolicy::PinnedClient), 4);
    let two = r#"{"group":"A","batch":2}"#;
    assert_eq!(
        bench.pull(two, "one"),
        ["pinned A", "one <- 1.1.1/3", "one <- 1.2.2/2"]
    );
    assert!(bench.pull(two, "two").is_empty());
    let (id, _) = bench.delivery.live_info().pinned.unwrap();
    assert_eq!(id.len(), 22);
    let own = format!(r#"{{"group":"A","id":{id:?}}}"#);
    assert_eq!(bench.pull(&own, "one"), ["one <- 1.3.3/1"]);
    let wrong = r#"{"group":"A","id":"other"}"#;
    assert_eq!(bench.pull(wrong, "r"), ["r: 423 Pin-Id mismatch"]);
    assert_eq!(bench.next_in(), Some(3 * SECOND));
    assert_eq!(
        bench.after(3 * SECOND),
        ["unpinned A timeout", "pinned A", "two <- 1.4.4/0"]
    );
    assert_ne!(bench.delivery.live_info().pinned.unwrap().0, id);
}

#[test]
fn whoever_was_unpinned_is_told_when_another_is_pinned() {
    let mut bench = Bench::new(group(PriorityPolicy::PinnedClient), 1);
    bench.pull(r#"{"group":"A"}"#, "one");
    let (id, _) = bench.delivery.live_info().pinned.unwrap();
    let own = format!(r#"{{"group":"A","id":{id:?}}}"#);
    bench.pull(&own, "one");
    bench.pull(r#"{"group":"A"}"#, "two");
    let mut out: Vec<Action> = Vec::new();
    assert!(!bench.delivery.unpin("B", &mut out));
    assert!(bench.delivery.unpin("A", &mut out));
    assert_eq!(lines(&out), ["unpinned A admin"]);
    bench.publish("a");
    assert_eq!(
        bench.run(),
        ["one: 423 Wrong-Pin-Id", "pinned A", "two <- 1.2.2/0"]
    );
}

#[test]
fn a_better_priority_is_served_first() {
    let mut bench = Bench::new(group(PriorityPolicy::Prioritized), 0);
    let asks = |priority: u8, batch: u8| {
        format!(r#"{{"group":"A","batch":{batch},"priority":{priority}}}"#)
    };
    bench.pull(&asks(2, 2), "last");
    bench.pull(&asks(0, 2), "first");
    bench.pull(&asks(0, 1), "second");
    for _ in 0..4 {
        bench.publish("a");
    }
    assert_eq!(
        bench.run(),
        [
            "first <- 1.1.1/3",
            "second <- 1.2.2/2",
            "first <- 1.3.3/1",
            "last <- 1.4.4/0"
        ]
    );
}
