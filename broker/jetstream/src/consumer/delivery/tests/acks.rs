use super::harness::*;

use crate::consumer::config::{AckPolicy, ConsumerConfig};
use crate::consumer::state::SequencePair;

#[test]
fn an_ack_is_confirmed_and_finishes_the_message() {
    let mut bench = Bench::new(explicit(), 2);
    bench.pull("2", "r");
    assert_eq!(bench.ack("1.1.1", "+ACK", "c"), ["confirm c"]);
    assert_eq!(bench.ack("1.1.1", "", "c"), ["confirm c"], "repeated");
    bench.commit();
    assert_eq!(bench.done, [1]);
    let floor = SequencePair {
        consumer_seq: 1,
        stream_seq: 1,
    };
    assert_eq!(bench.replicated.ack_floor(), floor);
}

#[test]
fn an_ack_of_what_was_not_delivered_is_ignored() {
    let mut bench = Bench::new(explicit(), 2);
    bench.pull("1", "r");
    assert!(bench.ack("1.2.2", "", "c").is_empty());
    assert!(bench.ack("1.0.0", "", "c").is_empty());
    assert!(bench.ack("1.2.2", "+TERM", "c").is_empty());
    assert_eq!(bench.pull("1", "r"), ["r <- 1.2.2/0"]);
}

#[test]
fn an_ack_can_ask_for_more() {
    let mut bench = Bench::new(explicit(), 4);
    bench.pull("1", "r");
    assert_eq!(bench.ack("1.1.1", "+NXT", "n"), ["n <- 1.2.2/2"]);
    let more = bench.ack("1.2.2", r#"+NXT {"batch":2}"#, "n");
    assert_eq!(more, ["n <- 1.3.3/1", "n <- 1.4.4/0"]);
    bench.commit();
    assert_eq!(bench.done, [1, 2]);
}

#[test]
fn a_message_is_delivered_again_after_the_ack_wait() {
    let mut bench = Bench::new(explicit(), 2);
    bench.pull("4", "r");
    assert_eq!(bench.next_in(), Some(30 * SECOND));
    bench.after(10 * SECOND);
    bench.ack("1.1.1", "+WPI", "");
    assert_eq!(bench.after(20 * SECOND), ["r <- 2.2.3/0"]);
    assert_eq!(
        bench.after(10 * SECOND),
        ["r <- 2.1.4/0"],
        "work in progress got more time"
    );
    assert_eq!(bench.delivery.state().redelivered(), 2);
    bench.ack("2.1.4", "", "");
    bench.ack("2.2.3", "", "");
    assert_eq!(bench.next_in(), None);
    bench.commit();
    let floor = SequencePair {
        consumer_seq: 4,
        stream_seq: 2,
    };
    assert_eq!(bench.replicated.ack_floor(), floor);
}

#[test]
fn a_nak_is_delivered_again_at_once_or_later() {
    let mut bench = Bench::new(explicit(), 2);
    bench.pull("9", "r");
    assert_eq!(
        bench.ack("1.1.1", "-NAK", "c"),
        ["nak 1.1.1", "confirm c", "r <- 2.1.3/0"]
    );
    let delayed = bench.ack("1.2.2", r#"-NAK {"delay": 5000000000}"#, "");
    assert_eq!(delayed, ["nak 1.2.2"]);
    assert_eq!(bench.next_in(), Some(5 * SECOND));
    assert_eq!(bench.after(5 * SECOND), ["r <- 2.2.4/0"]);
    assert!(bench.ack("1.9.9", "-NAK", "").is_empty(), "never delivered");
}

#[test]
fn a_delayed_nak_takes_back_an_immediate_one() {
    let mut bench = Bench::new(explicit(), 1);
    bench.pull("1", "r");
    bench.ack("1.1.1", "-NAK", "");
    bench.ack("1.1.1", "-NAK 2s", "");
    assert!(bench.pull("1", "r").is_empty());
    assert_eq!(bench.after(2 * SECOND), ["r <- 2.1.2/0"]);
}

#[test]
fn a_terminated_message_is_done() {
    let mut bench = Bench::new(explicit(), 1);
    bench.pull("9", "r");
    let actions = bench.ack("1.1.1", "+TERM bad input", "c");
    assert_eq!(actions, ["terminated 1.1.1 bad input", "confirm c"]);
    assert!(bench.after(60 * SECOND).is_empty());
    bench.commit();
    assert_eq!(bench.done, [1]);
}

#[test]
fn backoff_sets_the_wait_of_each_delivery() {
    let config = ConsumerConfig {
        backoff_ns: vec![SECOND, 5 * SECOND],
        max_deliver: 4,
        ..explicit()
    };
    let mut bench = Bench::new(config, 1);
    bench.pull("9", "r");
    assert_eq!(bench.next_in(), Some(SECOND));
    assert_eq!(bench.after(SECOND), ["r <- 2.1.2/0"]);
    assert_eq!(bench.next_in(), Some(5 * SECOND));
    assert_eq!(bench.after(5 * SECOND), ["r <- 3.1.3/0"]);
    assert_eq!(bench.after(5 * SECOND), ["r <- 4.1.4/0"]);
    assert_eq!(bench.after(5 * SECOND), ["max deliveries 4.1"]);
    assert!(bench.after(60 * SECOND).is_empty(), "told once");
}

#[test]
fn max_deliver_counts_naks_and_keeps_the_message() {
    let config = ConsumerConfig {
        max_deliver: 2,
        max_ack_pending: 1,
        ..explicit()
    };
    let mut bench = Bench::new(config, 2);
    bench.pull("9", "r");
    assert_eq!(
        bench.ack("1.1.1", "-NAK", ""),
        ["nak 1.1.1", "r <- 2.1.2/1"]
    );
    let exhausted = bench.ack("2.1.2", "-NAK", "");
    assert_eq!(
        exhausted,
        ["nak 2.1.2", "max deliveries 2.1", "r <- 1.2.3/0"]
    );
    bench.commit();
    assert!(bench.replicated.needs(1) && bench.done.is_empty());
    assert_eq!(bench.delivery.state().redelivered(), 1);
    bench.ack("2.1.2", "", "");
    bench.commit();
    assert_eq!(bench.done, [1], "a late ack still counts");
}

#[test]
fn an_ack_covers_all_messages_before() {
    let mut bench = Bench::new(
        ConsumerConfig {
            ack_policy: AckPolicy::All,
            ..explicit()
        },
        4,
    );
    bench.pull("3", "r");
    assert_eq!(bench.ack("1.2.2", "", "c"), ["confirm c"]);
    assert_eq!(bench.ack("1.1.1", "", "c"), ["confirm c"]);
    bench.commit();
    assert_eq!(bench.done, [1, 2]);
    bench.pull("9", "r");
    assert_eq!(bench.after(30 * SECOND), ["r <- 2.3.5/0", "r <- 2.4.6/0"]);
    bench.ack("2.4.6", "", "");
    bench.commit();
    assert_eq!(bench.done, [1, 2, 3, 4]);
    let floor = SequencePair {
        consumer_seq: 6,
        stream_seq: 4,
    };
    assert_eq!(bench.replicated.ack_floor(), floor);
}

#[test]
fn a_pending_message_that_leaves_the_stream_is_terminated() {
    let mut bench = Bench::new(explicit(), 3);
    bench.pull("2", "r");
    let gone = "terminated 1.2.2 Unacknowledged message was deleted";
    assert_eq!(bench.remove(2), [gone]);
    assert!(bench.remove(3).is_empty());
    assert_eq!(bench.num_pending(), 0);
    bench.commit();
    // Removed without notice: found out when it is due.
    bench.stream.messages.remove(&1);
    bench.publish("a");
    bench.pull("9", "r");
    bench.after(30 * SECOND);
    bench.commit();
    assert_eq!(
        bench
            .replicated
            .pending()
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [4]
    );
}

#[test]
fn a_purge_leaves_only_what_exists() {
    let mut bench = Bench::new(explicit(), 6);
    bench.pull("4", "r");
    for seq in [1, 2, 4, 6] {
        bench.stream.messages.remove(&seq);
    }
    let mut out = Vec::new();
    bench
        .delivery
        .stream_purged(&bench.stream, &mut out)
        .unwrap();
    assert_eq!(
        lines(&out),
        ["terminated 1.4.4 Unacknowledged message was deleted"]
    );
    assert_eq!(bench.num_pending(), 1);
    bench.commit();
    assert_eq!(
        bench
            .replicated
            .pending()
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(bench.pull("9", "r"), ["r <- 1.5.5/0"]);
}

#[test]
fn a_new_leader_delivers_again_what_was_not_committed() {
    let mut bench = Bench::new(explicit(), 3);
    bench.pull("1", "r");
    bench.commit();
    bench.pull("1", "r");
    bench.ack("1.1.1", "", "");
    bench.pull("5", "w");
    assert_eq!(bench.change_leader().len(), 1);
    // The ack and the deliveries of 2 and 3 are lost.
    assert_eq!(bench.num_pending(), 2);
    assert!(
        bench.ack("1.2.2", "", "c").is_empty(),
        "not delivered by this leader"
    );
    assert_eq!(bench.pull("9", "r"), ["r <- 1.2.2/1", "r <- 1.3.3/0"]);
    assert_eq!(bench.next_in(), Some(30 * SECOND));
    let again = bench.after(30 * SECOND);
    assert_eq!(again, ["r <- 2.1.4/0", "r <- 2.2.5/0", "r <- 2.3.6/0"]);
    bench.commit();
}

#[test]
fn a_nak_survives_a_change_of_leader() {
    let mut bench = Bench::new(explicit(), 2);
    bench.pull("2", "r");
    bench.ack("1.1.1", "-NAK", "");
    bench.ack("1.2.2", "-NAK 5s", "");
    bench.commit();
    bench.change_leader();
    assert_eq!(bench.pull("9", "r"), ["r <- 2.1.3/0"]);
    assert_eq!(bench.next_in(), Some(5 * SECOND));
}

#[test]
fn a_reset_starts_again() {
    let mut bench = Bench::new(explicit(), 3);
    bench.pull("3", "r");
    bench.ack("1.1.1", "", "");
    bench.delivery.reset(2, &bench.stream);
    let live = bench.delivery.live_info();
    assert_eq!((live.last_delivered_ns, live.last_acked_ns), (None, None));
    assert_eq!(bench.num_pending(), 2);
    assert_eq!(bench.pull("9", "r"), ["r <- 1.2.1/1", "r <- 1.3.2/0"]);
    bench.commit();
}

#[test]
fn a_share_of_acks_is_reported() {
    let config = ConsumerConfig {
        sample_freq: "50%".to_owned(),
        ..explicit()
    };
    let mut bench = Bench::new(config, 4);
    bench.pull("4", "r");
    bench.now_ns += 7;
    let reported: Vec<String> = ["1.1.1", "1.2.2", "1.3.3", "1.4.4"]
        .iter()
        .flat_map(|s| bench.ack(s, "", ""))
        .collect();
    assert_eq!(reported, ["acked 2 after 7", "acked 4 after 7"]);
}

#[test]
fn many_acks_in_any_order_leave_no_deadlines() {
    let mut bench = Bench::new(
        ConsumerConfig {
            max_ack_pending: -1,
            ..explicit()
        },
        2000,
    );
    bench.pull("2000", "r");
    for seq in (1..=2000u64).rev() {
        bench.ack(&format!("1.{seq}.{seq}"), "", "");
    }
    assert_eq!(bench.next_in(), None);
    bench.commit();
    assert_eq!(bench.done.len(), 2000);
}
