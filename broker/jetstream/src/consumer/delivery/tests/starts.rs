use super::harness::*;

use crate::consumer::config::{ConsumerConfig, DeliverPolicy};
use crate::consumer::validate_reset;
use crate::timestamp::Timestamp;

/// Five messages, at 0 s to 40 s; the fourth does not match. The first is removed.
fn stream() -> Stream {
    let mut stream = Stream::default();
    for (index, subject) in ["a", "a", "b", "skip", "a"].into_iter().enumerate() {
        stream.add(subject, 10 * SECOND * index as i64);
    }
    stream.messages.remove(&1);
    stream
}

#[test]
fn each_policy_starts_where_it_should() {
    let by_seq = |opt_start_seq| ConsumerConfig {
        deliver_policy: DeliverPolicy::ByStartSequence,
        opt_start_seq,
        ..explicit()
    };
    let by_time = |time_ns| ConsumerConfig {
        deliver_policy: DeliverPolicy::ByStartTime,
        opt_start_time: Some(Timestamp(time_ns)),
        ..explicit()
    };
    let policy = |deliver_policy| ConsumerConfig {
        deliver_policy,
        ..explicit()
    };
    let cases: [(ConsumerConfig, &[&str]); 10] = [
        (
            policy(DeliverPolicy::All),
            &["r <- 1.2.1/2", "r <- 1.3.2/1", "r <- 1.5.3/0"],
        ),
        (policy(DeliverPolicy::Last), &["r <- 1.5.1/0"]),
        (policy(DeliverPolicy::New), &[]),
        (
            policy(DeliverPolicy::LastPerSubject),
            &["r <- 1.3.1/1", "r <- 1.5.2/0"],
        ),
        (by_seq(1), &["r <- 1.2.1/2", "r <- 1.3.2/1", "r <- 1.5.3/0"]),
        (by_seq(3), &["r <- 1.3.1/1", "r <- 1.5.2/0"]),
        (by_seq(4), &["r <- 1.5.1/0"]),
        (by_seq(100), &[]),
        (by_time(15 * SECOND), &["r <- 1.3.1/1", "r <- 1.5.2/0"]),
        (by_time(100 * SECOND), &[]),
    ];
    for (config, expected) in cases {
        let name = format!("{:?} {}", config.deliver_policy, config.opt_start_seq);
        let mut bench = Bench::on(config, stream());
        assert_eq!(bench.num_pending(), expected.len() as u64, "{name}");
        assert_eq!(bench.pull("9", "r"), expected, "{name}");
        bench.commit();
    }
}

#[test]
fn a_start_in_the_future_is_waited_for() {
    let config = ConsumerConfig {
        deliver_policy: DeliverPolicy::ByStartSequence,
        opt_start_seq: 7,
        ..explicit()
    };
    let mut bench = Bench::on(config, stream());
    bench.pull("9", "r");
    bench.publish("a");
    assert!(bench.run().is_empty());
    bench.publish("a");
    assert_eq!(bench.run(), ["r <- 1.7.1/0"]);
}

#[test]
fn after_the_newest_of_each_subject_everything_follows() {
    let config = ConsumerConfig {
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..explicit()
    };
    let mut bench = Bench::on(config, stream());
    bench.publish("b");
    bench.publish("b");
    assert_eq!(bench.num_pending(), 4);
    assert_eq!(bench.pull("1", "r"), ["r <- 1.3.1/3"]);
    bench.commit();
    // The next leader continues with the list.
    bench.change_leader();
    assert_eq!(bench.num_pending(), 3);
    assert_eq!(
        bench.pull("9", "r"),
        ["r <- 1.5.2/2", "r <- 1.6.3/1", "r <- 1.7.4/0"]
    );
}

#[test]
fn an_empty_stream_delivers_what_comes() {
    for deliver_policy in [
        DeliverPolicy::All,
        DeliverPolicy::Last,
        DeliverPolicy::New,
        DeliverPolicy::LastPerSubject,
    ] {
        let mut bench = Bench::new(
            ConsumerConfig {
                deliver_policy,
                ..explicit()
            },
            0,
        );
        bench.pull("9", "r");
        bench.publish("a");
        assert_eq!(bench.run(), ["r <- 1.1.1/0"], "{deliver_policy:?}");
    }
}

#[test]
fn a_long_stretch_without_matches_is_reported_once() {
    let mut bench = Bench::new(explicit(), 0);
    bench.pull("9", "r");
    for _ in 0..2000 {
        bench.publish("skip");
    }
    bench.run();
    bench.commit();
    assert_eq!(bench.replicated.next_seq(), 2001);
    assert_eq!(
        bench.replicated.delivered().stream_seq,
        0,
        "nothing was delivered"
    );
    bench.publish("skip");
    bench.run();
    assert_eq!(bench.delivery.take_progress(), None);
}

#[test]
fn a_reset_may_not_go_below_the_configured_start() {
    let config = |deliver_policy| ConsumerConfig {
        deliver_policy,
        opt_start_seq: 3,
        opt_start_time: Some(Timestamp(15 * SECOND)),
        ..explicit()
    };
    let cases = [
        (DeliverPolicy::All, 1, Ok(1)),
        (DeliverPolicy::New, 0, Ok(6)),
        (DeliverPolicy::New, 1, Err("invalid reset: not allowed")),
        (DeliverPolicy::ByStartSequence, 3, Ok(3)),
        (
            DeliverPolicy::ByStartSequence,
            2,
            Err("invalid reset: below start seq"),
        ),
        (DeliverPolicy::ByStartTime, 3, Ok(3)),
        (
            DeliverPolicy::ByStartTime,
            2,
            Err("invalid reset: below start time"),
        ),
    ];
    for (policy, seq, expected) in cases {
        let bench = Bench::on(config(policy), stream());
        let answer = validate_reset(&bench.config, &bench.replicated, seq, &bench.stream);
        let answer = answer.map_err(|error| error.description.into_owned());
        assert_eq!(answer, expected.map_err(str::to_owned), "{policy:?} {seq}");
    }
}
