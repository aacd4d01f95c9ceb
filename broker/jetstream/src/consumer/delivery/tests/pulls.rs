use super::harness::*;

use crate::consumer::config::ConsumerConfig;
use crate::consumer::delivery::End;
use crate::timestamp::Timestamp;

#[test]
fn a_batch_is_delivered_with_sequences_and_pending() {
    let mut bench = Bench::new(explicit(), 3);
    assert_eq!(bench.num_pending(), 3);
    assert_eq!(bench.pull("2", "r"), ["r <- 1.1.1/2", "r <- 1.2.2/1"]);
    assert_eq!(bench.num_pending(), 1);
    assert_eq!(bench.pull("", "r"), ["r <- 1.3.3/0"]);
    bench.commit();
    assert_eq!(bench.replicated.pending().len(), 3);
}

#[test]
fn a_request_waits_for_new_messages() {
    let mut bench = Bench::new(explicit(), 0);
    assert!(bench.pull("2", "r").is_empty());
    bench.publish("skip");
    bench.publish("a");
    assert_eq!(bench.run(), ["r <- 1.2.1/0"]);
    assert_eq!(bench.delivery.live_info().num_waiting, 1);
}

#[test]
fn requests_take_turns() {
    let mut bench = Bench::new(explicit(), 0);
    bench.pull("2", "x");
    bench.pull("2", "y");
    (0..4).for_each(|_| bench.publish("a"));
    assert_eq!(
        bench.run(),
        [
            "x <- 1.1.1/3",
            "y <- 1.2.2/2",
            "x <- 1.3.3/1",
            "y <- 1.4.4/0"
        ]
    );
}

#[test]
fn a_request_that_expires_says_what_is_left() {
    let mut bench = Bench::new(explicit(), 1);
    let request = r#"{"batch":5,"expires":2000000000,"max_bytes":1000}"#;
    let delivered = bench.pull(request, "r");
    assert_eq!(delivered, ["r <- 1.1.1/0"]);
    assert_eq!(bench.next_in(), Some(2 * SECOND));
    // Subject 1, payload 7, and `$JS.ACK.S.C.1.1.1.0.0` 21 bytes.
    let left = 1000 - 1 - 7 - 21;
    let expected = format!("r: 408 Request Timeout; Pending-Messages: 4; Pending-Bytes: {left}");
    assert_eq!(bench.after(2 * SECOND), [expected]);
    assert_eq!(bench.delivery.live_info().num_waiting, 0);
}

#[test]
fn a_request_that_does_not_wait_is_answered_at_once() {
    let none = ["r: 404 No Messages"];
    let mut bench = Bench::new(explicit(), 0);
    assert_eq!(bench.pull(r#"{"batch":5,"no_wait":true}"#, "r"), none);
    bench.publish("a");
    let some = bench.pull(r#"{"batch":5,"no_wait":true}"#, "r");
    assert_eq!(some, ["r <- 1.1.1/0", "r: 404 No Messages"]);
    // With an expiry, it waits for the first message only.
    assert!(
        bench
            .pull(r#"{"batch":5,"no_wait":true,"expires":1000000000}"#, "r")
            .is_empty()
    );
    bench.publish("a");
    assert_eq!(bench.run(), ["r <- 1.2.2/0", "r: 404 No Messages"]);
}

#[test]
fn a_request_that_does_not_wait_yields_to_those_before() {
    let mut bench = Bench::new(
        ConsumerConfig {
            max_ack_pending: 1,
            ..explicit()
        },
        3,
    );
    assert_eq!(bench.pull("5", "x"), ["x <- 1.1.1/2"]);
    let refused = bench.pull(r#"{"batch":1,"no_wait":true}"#, "r");
    assert_eq!(refused, ["r: 408 Requests Pending"]);
}

#[test]
fn a_request_that_does_not_wait_for_messages_does_not_wait_for_acks_either() {
    let mut bench = Bench::new(
        ConsumerConfig {
            max_ack_pending: 1,
            ..explicit()
        },
        3,
    );
    let request = r#"{"batch":3,"no_wait":true,"expires":5000000000,"idle_heartbeat":1000000000}"#;
    assert_eq!(bench.pull(request, "r"), ["r <- 1.1.1/2"]);
    assert_eq!(bench.after(SECOND), ["r: 404 No Messages"]);
}

#[test]
fn byte_limits_end_a_request() {
    // Subject 1, payload 7, and an ack subject of 21 bytes: 29 bytes each.
    let too_large = "409 Message Size Exceeds MaxBytes; Pending-Messages: 8; Pending-Bytes: 12";
    let cases = [
        (
            r#"{"batch":9,"max_bytes":41}"#,
            vec!["r <- 1.1.1/2".to_owned(), format!("r: {too_large}")],
        ),
        (
            r#"{"batch":9,"max_bytes":29}"#,
            vec!["r <- 1.1.1/2".to_owned()],
        ),
        (
            r#"{"batch":1,"max_bytes":41}"#,
            vec![
                "r <- 1.1.1/2".to_owned(),
                "r: 409 Batch Completed; Pending-Messages: 0; Pending-Bytes: 12".to_owned(),
            ],
        ),
    ];
    for (request, expected) in cases {
        let mut bench = Bench::new(explicit(), 3);
        assert_eq!(bench.pull(request, "r"), expected);
        assert_eq!(bench.delivery.live_info().num_waiting, 0);
    }
}

#[test]
fn only_so_many_requests_wait() {
    let mut bench = Bench::new(explicit(), 0);
    for reply in ["a", "b", "c", "d"] {
        assert!(bench.pull("", reply).is_empty());
    }
    assert_eq!(bench.pull("", "e"), ["e: 409 Exceeded MaxWaiting"]);
    let heartbeat = r#"{"expires":4000000000,"idle_heartbeat":1000000000}"#;
    assert!(bench.pull(heartbeat, "e").is_empty());
    // A client that is gone makes room.
    bench.stream.deaf.insert("b".into());
    bench.now_ns += 2 * SECOND;
    assert!(bench.pull("", "e").is_empty());
    bench.publish("a");
    assert_eq!(bench.run(), ["a <- 1.1.1/0"]);
}

#[test]
fn limits_of_the_configuration_are_enforced() {
    let config = ConsumerConfig {
        max_batch: 10,
        max_expires_ns: 90 * SECOND,
        max_bytes: 100,
        ..explicit()
    };
    let mut bench = Bench::new(config, 0);
    let cases = [
        ("11", "r: 409 Exceeded MaxRequestBatch of 10"),
        (
            r#"{"expires":90000000001}"#,
            "r: 409 Exceeded MaxRequestExpires of 1m30s",
        ),
        (
            r#"{"max_bytes":101}"#,
            "r: 409 Exceeded MaxRequestMaxBytes of 100",
        ),
        (
            r#"{"idle_heartbeat":1}"#,
            "r: 400 Bad Request - heartbeat value too large",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(bench.pull(request, "r"), [expected]);
    }
}

#[test]
fn heartbeats_tell_the_last_sequences() {
    let mut bench = Bench::new(explicit(), 2);
    let request = r#"{"batch":5,"expires":10000000000,"idle_heartbeat":2000000000}"#;
    bench.pull(request, "r");
    assert_eq!(bench.next_in(), Some(2 * SECOND));
    let beat = "r: 100 Idle Heartbeat; Last-Consumer: 2; Last-Stream: 2";
    assert_eq!(bench.after(2 * SECOND), [beat]);
    assert_eq!(bench.next_in(), Some(2 * SECOND));
    bench.now_ns += SECOND;
    bench.publish("a");
    assert_eq!(bench.run(), ["r <- 1.3.3/0"]);
    assert!(
        bench.after(SECOND).is_empty(),
        "a message postpones the heartbeat"
    );
    assert_eq!(bench.after(SECOND).len(), 1);
}

#[test]
fn a_request_without_interest_is_dropped() {
    let mut bench = Bench::new(explicit(), 0);
    bench.pull("5", "x");
    bench.pull("5", "y");
    bench.stream.deaf.insert("x".into());
    bench.publish("a");
    assert_eq!(bench.run(), ["y <- 1.1.1/0"]);
    bench.delivery.interest_lost(b"y");
    bench.publish("a");
    assert!(bench.run().is_empty());
    assert_eq!(
        (bench.num_pending(), bench.delivery.live_info().num_waiting),
        (1, 0)
    );
}

#[test]
fn what_reached_nobody_is_sent_again() {
    let mut bench = Bench::new(explicit(), 1);
    assert_eq!(bench.pull("5", "x"), ["x <- 1.1.1/0"]);
    bench.delivery.undelivered(bench.now_ns, b"x", 1);
    assert_eq!(bench.pull("5", "y"), ["y <- 2.1.2/0"]);
    bench.commit();
}

#[test]
fn unacknowledged_messages_hold_back_new_ones() {
    let mut bench = Bench::new(
        ConsumerConfig {
            max_ack_pending: 2,
            ..explicit()
        },
        3,
    );
    assert_eq!(bench.pull("5", "r").len(), 2);
    assert!(bench.run().is_empty());
    assert_eq!(bench.ack("1.1.1", "", ""), ["r <- 1.3.3/0"]);
}

#[test]
fn a_paused_consumer_sends_nothing() {
    let pause_until = Some(Timestamp(1_005 * SECOND));
    let mut bench = Bench::new(
        ConsumerConfig {
            pause_until,
            ..explicit()
        },
        1,
    );
    assert!(bench.pull("1", "r").is_empty());
    assert_eq!(bench.next_in(), Some(5 * SECOND));
    assert_eq!(bench.after(5 * SECOND), ["r <- 1.1.1/0"]);
}

#[test]
fn waiting_clients_are_told_of_the_end() {
    let cases = [
        (End::ConsumerDeleted, "r: 409 Consumer Deleted"),
        (End::LeadershipChange, "r: 409 Leadership Change"),
        (
            End::ServerShutdown,
            "r: 409 Server Shutdown; Pending-Messages: 5; Pending-Bytes: 0",
        ),
    ];
    for (end, expected) in cases {
        let mut bench = Bench::new(explicit(), 0);
        bench.pull("5", "r");
        let mut out = Vec::new();
        bench.delivery.end(end, &mut out);
        assert_eq!(lines(&out), [expected]);
    }
}

#[test]
fn a_consumer_is_inactive_without_requests_and_pending_acks() {
    let mut bench = Bench::new(explicit(), 1);
    let start_ns = bench.now_ns;
    assert_eq!(bench.delivery.inactive_since(&bench.stream), Some(start_ns));
    bench.pull(r#"{"batch":2,"expires":2000000000}"#, "r");
    assert_eq!(bench.delivery.inactive_since(&bench.stream), None);
    bench.after(3 * SECOND);
    assert_eq!(
        bench.delivery.inactive_since(&bench.stream),
        Some(start_ns + 30 * SECOND)
    );
    bench.ack("1.1.1", "", "");
    assert_eq!(
        bench.delivery.inactive_since(&bench.stream),
        Some(start_ns + 2 * SECOND)
    );
}

#[test]
fn one_run_does_a_bounded_share_of_work() {
    let mut bench = Bench::new(explicit(), 400);
    bench.pull("0", "x");
    let mut out = Vec::new();
    bench
        .delivery
        .pull(bench.now_ns, b"400", "r".into(), &bench.stream, &mut out);
    let step = bench
        .delivery
        .run(bench.now_ns, &bench.stream, &mut out)
        .unwrap();
    assert_eq!(
        (step, out.len()),
        (super::super::Step::More, super::super::MAX_RUN_MESSAGES)
    );
    let progress = bench.delivery.take_progress().unwrap();
    assert_eq!(progress.len(), 1, "a batch is one fact");
}
