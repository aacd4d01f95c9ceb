use super::harness::*;

use crate::consumer::action::Action;
use crate::consumer::config::{AckPolicy, ConsumerConfig, ReplayPolicy};
use crate::consumer::state::SequencePair;
use crate::consumer::status;

fn active(config: ConsumerConfig, count: u64) -> Bench {
    let mut bench = Bench::new(config, count);
    bench.delivery.set_push_interest(bench.now_ns, true);
    bench
}

#[test]
fn messages_are_pushed_while_somebody_listens() {
    let mut bench = Bench::new(push(), 2);
    assert!(bench.run().is_empty());
    bench.delivery.set_push_interest(bench.now_ns, true);
    assert_eq!(bench.run(), ["to <- 1.1.1/1", "to <- 1.2.2/0"]);
    assert!(bench.delivery.live_info().push_bound);
    bench.commit();
    // Without acks, delivered is done.
    assert_eq!(bench.done, [1, 2]);
    let floor = SequencePair {
        consumer_seq: 2,
        stream_seq: 2,
    };
    assert_eq!(bench.replicated.ack_floor(), floor);
    bench.delivery.set_push_interest(bench.now_ns, false);
    bench.publish("a");
    assert!(bench.run().is_empty());
    assert_eq!(
        bench.delivery.inactive_since(&bench.stream),
        Some(bench.now_ns)
    );
}

#[test]
fn a_pull_request_to_a_push_consumer_is_refused() {
    let mut bench = Bench::new(push(), 1);
    assert_eq!(bench.pull("1", "r"), ["r: 409 Consumer is push based"]);
}

#[test]
fn heartbeats_come_when_nothing_else_does() {
    let mut bench = active(
        ConsumerConfig {
            idle_heartbeat_ns: SECOND,
            ..push()
        },
        1,
    );
    bench.run();
    assert_eq!(bench.next_in(), Some(SECOND));
    let beat = "to: 100 Idle Heartbeat; Last-Consumer: 1; Last-Stream: 1";
    assert_eq!(bench.after(SECOND), [beat]);
    assert_eq!(bench.next_in(), Some(SECOND));
    bench.publish("skip");
    assert!(bench.run().is_empty());
    let beat = "to: 100 Idle Heartbeat; Last-Consumer: 1; Last-Stream: 2";
    assert_eq!(bench.after(SECOND), [beat]);
    bench.delivery.set_push_interest(bench.now_ns, false);
    assert_eq!(bench.next_in(), None);
}

/// Publishes and delivers until flow control interferes; returns how many were delivered and the
/// subject of the request.
fn fill(bench: &mut Bench) -> (usize, bytes::Bytes) {
    for _ in 0..40 {
        let seq = bench.stream.add("a", bench.now_ns);
        let payload = bytes::Bytes::from(vec![0; 256 * 1024]);
        bench.stream.messages.get_mut(&seq).unwrap().payload = payload;
        bench.delivery.new_messages(seq, 1);
    }
    let mut out = Vec::new();
    bench.run_into(&mut out);
    let delivered = out
        .iter()
        .filter(|action| matches!(action, Action::Deliver { .. }))
        .count();
    let mut requests = out.into_iter().filter_map(|action| match action {
        Action::Status { reply, .. } if !reply.is_empty() => Some(reply),
        _ => None,
    });
    let subject = requests.next().expect("a flow control request");
    assert_eq!(requests.next(), None, "one request at a time");
    (delivered, subject)
}

#[test]
fn flow_control_opens_the_window_step_by_step() {
    let config = ConsumerConfig {
        flow_control: true,
        idle_heartbeat_ns: SECOND,
        ..push()
    };
    let mut bench = active(config, 0);
    let (delivered, subject) = fill(&mut bench);
    // The window is 2 MiB at first.
    assert_eq!(delivered, 8);
    let beat = bench.after(SECOND);
    let stalled = format!("Consumer-Stalled: {}", String::from_utf8_lossy(&subject));
    assert!(beat[0].ends_with(&stalled), "{beat:?}");
    bench
        .delivery
        .flow_control_reply(bench.now_ns, b"$JS.FC.S.C.other", b"");
    assert!(bench.run().is_empty());
    bench
        .delivery
        .flow_control_reply(bench.now_ns, &subject, b"");
    let (delivered, again) = fill(&mut bench);
    assert!(
        (9..=16).contains(&delivered),
        "{delivered} with a window of 4 MiB"
    );
    assert_ne!(subject, again);
}

fn acknowledging() -> ConsumerConfig {
    ConsumerConfig {
        ack_policy: AckPolicy::FlowControl,
        flow_control: true,
        idle_heartbeat_ns: SECOND,
        max_ack_pending: 2,
        ..push()
    }
}

/// Runs; returns the reply subject of the flow control request that was made.
fn asked(bench: &mut Bench) -> Option<bytes::Bytes> {
    let mut out = Vec::new();
    bench.run_into(&mut out);
    out.into_iter().find_map(|action| match action {
        Action::Status { reply, .. } if !reply.is_empty() => Some(reply),
        _ => None,
    })
}

fn reply(bench: &mut Bench, subject: &[u8], stored: (u64, u64)) {
    let headers = status::stored_through(stored.0, stored.1);
    let now_ns = bench.now_ns;
    bench.delivery.flow_control_reply(now_ns, subject, &headers);
}

#[test]
fn flow_control_replies_acknowledge_where_the_policy_says_so() {
    let mut bench = active(acknowledging(), 3);
    let subject = asked(&mut bench).expect("a request at the limit");
    assert_eq!(bench.delivery.state().pending().len(), 2);
    reply(&mut bench, b"$JS.FC.S.C.other", (1, 1));
    assert_eq!(bench.delivery.state().ack_floor().stream_seq, 0);
    reply(&mut bench, &subject, (1, 1));
    assert_eq!(bench.delivery.state().ack_floor().stream_seq, 1);
    // The third message brings the consumer to its limit again.
    let subject = asked(&mut bench).expect("another request at the limit");
    reply(&mut bench, &subject, (3, u64::MAX));
    assert_eq!(bench.delivery.state().ack_floor().stream_seq, 3);
    assert!(bench.delivery.state().pending().is_empty());
}

#[test]
fn a_quiet_consumer_asks_for_what_is_not_acknowledged_and_repeats_nothing() {
    let mut bench = active(acknowledging(), 1);
    assert_eq!(asked(&mut bench), None);
    bench.now_ns += SECOND;
    let subject = asked(&mut bench).expect("a request after the heartbeat");
    let sent = bench.after(3600 * SECOND);
    let stalled = format!("Consumer-Stalled: {}", String::from_utf8_lossy(&subject));
    assert!(sent.iter().all(|line| line.ends_with(&stalled)), "{sent:?}");
    reply(&mut bench, &subject, (1, 1));
    assert_eq!(bench.delivery.state().ack_floor().stream_seq, 1);
    bench.now_ns += SECOND;
    assert_eq!(asked(&mut bench), None);
}

#[test]
fn whoever_listens_next_owes_no_flow_control_replies() {
    let config = ConsumerConfig {
        flow_control: true,
        idle_heartbeat_ns: SECOND,
        ..push()
    };
    let mut bench = active(config, 0);
    fill(&mut bench);
    bench.delivery.set_push_interest(bench.now_ns, false);
    bench.delivery.set_push_interest(bench.now_ns, true);
    assert!(!bench.run().is_empty());
}

#[test]
fn a_rate_limit_spreads_messages() {
    // 80 bits are 10 bytes each second; the burst is 1024 bytes, as the largest message.
    let mut bench = active(
        ConsumerConfig {
            rate_limit_bps: 80,
            ..push()
        },
        100,
    );
    let sent = bench.run().len();
    // Each message is 30 to 33 bytes.
    assert!((31..=34).contains(&sent), "{sent}");
    let wait_ns = bench.next_in().expect("a deadline");
    assert!(wait_ns <= 4 * SECOND);
    assert_eq!(bench.after(wait_ns).len(), 1);
    // 300 bytes.
    assert_eq!(bench.after(30 * SECOND).len(), 9);
}

#[test]
fn a_replay_keeps_the_original_pauses() {
    let mut stream = Stream::default();
    for time_ns in [0, 1, 100 * MS, 350 * MS] {
        stream.add("a", time_ns);
    }
    let config = ConsumerConfig {
        replay_policy: ReplayPolicy::Original,
        ..push()
    };
    let mut bench = Bench::on(config, stream);
    bench.delivery.set_push_interest(bench.now_ns, true);
    assert_eq!(bench.run().len(), 2);
    assert_eq!(bench.next_in(), Some(100 * MS - 1));
    assert_eq!(bench.after(100 * MS), ["to <- 1.3.3/1"]);
    assert_eq!(bench.next_in(), Some(250 * MS));
    assert!(bench.after(249 * MS).is_empty());
    assert_eq!(bench.after(MS), ["to <- 1.4.4/0"]);
    // New messages are not held back.
    bench.now_ns += 60 * SECOND;
    bench.publish("a");
    assert_eq!(bench.run().len(), 1);
}

#[test]
fn pushed_messages_are_redelivered() {
    let config = ConsumerConfig {
        ack_policy: AckPolicy::Explicit,
        ack_wait_ns: SECOND,
        max_ack_pending: 2,
        ..push()
    };
    let mut bench = active(config, 3);
    assert_eq!(bench.run().len(), 2);
    assert_eq!(bench.after(SECOND), ["to <- 2.1.3/1", "to <- 2.2.4/1"]);
    assert_eq!(bench.ack("2.1.3", "", ""), ["to <- 1.3.5/0"]);
    bench.commit();
}

#[test]
fn headers_only_is_passed_on_and_counts_for_sizes() {
    let mut bench = Bench::new(
        ConsumerConfig {
            headers_only: true,
            ..explicit()
        },
        1,
    );
    let mut out = Vec::new();
    // Subject 1, ack subject 21, `NATS/1.0␍␊Nats-Msg-Size: 7␍␊␍␊` 30 bytes.
    let request = br#"{"batch":2,"max_bytes":52}"#;
    bench
        .delivery
        .pull(bench.now_ns, request, "r".into(), &bench.stream, &mut out);
    bench.run_into(&mut out);
    assert_eq!(lines(&out), ["r <- 1.1.1/0"]);
    assert!(matches!(
        out[0],
        Action::Deliver {
            headers_only: true,
            ..
        }
    ));
    assert_eq!(bench.delivery.live_info().num_waiting, 0);
}
