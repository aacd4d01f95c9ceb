//! Equal logs give equal streams, wherever a stream was saved and restored in between.

use messages::{MessageStore, ReadLimits};
use proptest::prelude::*;

use super::*;
use crate::command::{ConsumerProgress, Purge};
use crate::config::Retention;
use crate::consumer::{AckPolicy, ConsumerConfig, Fact, Progress};

fn subject() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "a.x", "a.y"])
}

fn header() -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    prop::option::of(prop::sample::select(vec![
        ("Nats-Msg-Id", "one"),
        ("Nats-Msg-Id", "two"),
        ("Nats-Rollup", "sub"),
        ("Nats-Rollup", "all"),
        ("Nats-TTL", "2"),
        ("Nats-TTL", "never"),
        ("Nats-Expected-Last-Sequence", "3"),
        ("Nats-Expected-Last-Subject-Sequence", "0"),
        ("Nats-Expected-Last-Msg-Id", "one"),
    ]))
}

fn facts() -> impl Strategy<Value = Progress> {
    prop::collection::vec((1u64..20, 0u8..4), 1..4).prop_map(|facts| {
        let mut progress = Progress::default();
        for (stream_seq, kind) in facts {
            progress.push(match kind {
                0 => Fact::Delivered {
                    stream_seq,
                    consumer_seq: stream_seq,
                    count: 2,
                    time_ns: 1,
                },
                1 => Fact::Acked {
                    stream_seq,
                    count: 1,
                },
                2 => Fact::AckedThrough { stream_seq },
                _ => Fact::Skipped { stream_seq },
            });
        }
        progress
    })
}

fn action() -> impl Strategy<Value = Action> {
    let publish = (subject(), header())
        .prop_map(|(subject, header)| message(subject, &Vec::from_iter(header), "x"));
    let name = || prop::sample::select(vec!["C".to_owned(), "D".to_owned()]);
    let consumer = subject().prop_map(|filter| {
        Box::new(ConsumerConfig {
            filter_subject: filter.to_owned(),
            ack_policy: AckPolicy::Explicit,
            ..ConsumerConfig::default()
        })
    });
    prop_oneof![
        5 => prop::collection::vec(publish, 1..4).prop_map(Action::PublishBatch),
        1 => (1u64..20).prop_map(|seq| Action::DeleteMsg { seq, no_erase: false }),
        1 => (subject(), 0u64..9, 0u64..3).prop_map(|(filter, upto_seq, keep)| {
            Action::Purge(Purge { filter: filter.into(), upto_seq, keep })
        }),
        1 => Just(Action::Purge(Purge::default())),
        2 => (name(), consumer).prop_map(|(name, config)| Action::CreateConsumer { name, config }),
        1 => name().prop_map(|name| Action::DeleteConsumer { name }),
        2 => (name(), facts()).prop_map(|(consumer, progress)| {
            Action::ConsumerProgress(vec![ConsumerProgress { consumer, progress }])
        }),
        1 => configs().prop_map(|config| Action::UpdateConfig(Box::new(config))),
        2 => Just(Action::Tick),
    ]
}

fn configs() -> impl Strategy<Value = StreamConfig> {
    let retention = prop::sample::select(vec![
        Retention::Limits,
        Retention::Interest,
        Retention::WorkQueue,
    ]);
    (retention, 0i64..8, 0i64..4, any::<bool>(), 0i64..5, 0i64..3).prop_map(
        |(retention, max_msgs, per_subject, new, age, marker)| StreamConfig {
            subject_delete_marker_ttl_ns: marker * SECOND,
            retention,
            max_msgs,
            max_msgs_per_subject: per_subject,
            discard: if new { Discard::New } else { Discard::Old },
            max_age_ns: age * SECOND,
            duplicate_window_ns: 2 * SECOND,
            allow_rollup_hdrs: true,
            allow_msg_ttl: true,
            ..config()
        },
    )
}

/// Everything in the stream, in a form that can be compared.
fn picture(machine: &StreamMachine) -> (Bytes, messages::State, Vec<messages::StoredMessage>) {
    let limits = ReadLimits {
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let all = machine.store().read_batch(0, limits).unwrap();
    (machine.encode_state(), machine.store().state(), all)
}

/// A store with the same messages.
fn copy(store: &dyn MessageStore) -> Box<dyn MessageStore> {
    let mut copy = Box::new(MemoryStore::new());
    let limits = ReadLimits {
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    for message in store.read_batch(0, limits).unwrap() {
        copy.skip_to(message.seq);
        let (seq, time_ns) = (message.seq, message.time_ns);
        copy.append(
            seq,
            time_ns,
            &message.subject,
            &message.headers,
            &message.payload,
        )
        .unwrap();
    }
    copy.skip_to(store.state().last_seq + 1);
    copy
}

proptest! {
    #[test]
    fn equal_logs_give_equal_streams(
        config in configs(),
        log in prop::collection::vec((action(), 0i64..3), 1..40),
    ) {
        let mut streams = [Fixture::new(config.clone()), Fixture::new(config)];
        for (action, seconds) in log {
            let [left, right] = &mut streams;
            left.now_ns += seconds * SECOND;
            right.now_ns += seconds * SECOND;
            prop_assert_eq!(left.apply(action.clone()), right.apply(action));
        }
        prop_assert_eq!(picture(&streams[0].machine), picture(&streams[1].machine));
    }

    #[test]
    fn a_restored_stream_goes_on_as_if_nothing_had_happened(
        config in configs(),
        before in prop::collection::vec((action(), 0i64..3), 1..25),
        after in prop::collection::vec((action(), 0i64..3), 1..25),
    ) {
        let mut stream = Fixture::new(config);
        for (action, seconds) in before {
            stream.now_ns += seconds * SECOND;
            stream.apply(action);
        }
        let store = copy(stream.machine.store());
        let state = stream.machine.encode_state();
        let machine = StreamMachine::decode_state(state.clone(), store).unwrap();
        prop_assert_eq!(machine.encode_state(), state);
        let mut restored = Fixture { machine, index: stream.index, now_ns: stream.now_ns };
        for (action, seconds) in after {
            stream.now_ns += seconds * SECOND;
            restored.now_ns += seconds * SECOND;
            let published = |effects: Vec<Effect>| -> Vec<Effect> {
                effects.into_iter().filter(|e| !matches!(e, Effect::Removed(_))).collect()
            };
            let (left, right) = (stream.apply(action.clone()), restored.apply(action));
            prop_assert_eq!(published(left), published(right));
        }
        prop_assert_eq!(stream.machine.encode_state(), restored.machine.encode_state());
        prop_assert_eq!(picture(&stream.machine).2, picture(&restored.machine).2);
    }

    #[test]
    fn damaged_state_never_panics(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let mut stream = Fixture::new(config());
        stream.publish("a", &[("Nats-Msg-Id", "one")], "x").unwrap();
        let config = Box::new(ConsumerConfig::default());
        stream.answer(Action::CreateConsumer { name: "C".to_owned(), config }).unwrap();
        let mut state = stream.machine.encode_state().to_vec();
        let at = at % state.len();
        state[at] = byte;
        state.truncate(cut.max(1));
        let _ = StreamMachine::decode_state(state.into(), Box::new(MemoryStore::new()));
    }
}
