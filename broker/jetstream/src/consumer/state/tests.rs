use super::*;

use bytes::Bytes;
use proptest::prelude::*;

use crate::consumer::progress::MAX_RUN;

fn pair(consumer_seq: u64, stream_seq: u64) -> SequencePair {
    SequencePair {
        consumer_seq,
        stream_seq,
    }
}

fn delivered(stream_seq: u64, consumer_seq: u64, count: u64) -> Fact {
    Fact::Delivered {
        stream_seq,
        consumer_seq,
        count,
        time_ns: 5,
    }
}

fn acked(stream_seq: u64) -> Fact {
    Fact::Acked {
        stream_seq,
        count: 1,
    }
}

/// Applies facts to a new consumer and returns it with what it finished.
fn apply(policy: AckPolicy, facts: &[Fact]) -> (State, Vec<u64>) {
    let mut state = State::starting_at(1);
    let mut done = Vec::new();
    for fact in facts {
        state.apply_fact(fact, policy, &mut done);
    }
    (state, done)
}

#[test]
fn explicit_acks_raise_the_floor_when_the_lowest_is_acked() {
    let start = [delivered(1, 1, 3), delivered(10, 4, 1)];
    let cases: [(&[u64], SequencePair); 5] = [
        (&[], pair(0, 0)),
        (&[2], pair(0, 0)),
        (&[1], pair(1, 1)),
        (&[2, 1], pair(2, 2)),
        (&[3, 1, 2], pair(3, 9)),
    ];
    for (acks, floor) in cases {
        let facts: Vec<Fact> = start
            .iter()
            .copied()
            .chain(acks.iter().map(|&seq| acked(seq)))
            .collect();
        let (state, done) = apply(AckPolicy::Explicit, &facts);
        assert_eq!(state.ack_floor(), floor, "after {acks:?}");
        assert_eq!(done, acks);
        assert_eq!(state.pending().len(), 4 - acks.len());
    }
    let all = [1, 2, 3, 10].map(acked);
    let (state, _) = apply(AckPolicy::Explicit, &[&start[..], &all[..]].concat());
    assert_eq!(state.ack_floor(), pair(4, 10));
}

#[test]
fn an_ack_that_covers_all_below_finishes_them() {
    let through = Fact::AckedThrough { stream_seq: 2 };
    let (state, done) = apply(AckPolicy::All, &[delivered(1, 1, 3), through, through]);
    assert_eq!(done, [1, 2]);
    assert_eq!(state.ack_floor(), pair(2, 2));
    assert_eq!(state.pending().keys().copied().collect::<Vec<_>>(), [3]);
}

#[test]
fn without_acks_delivered_is_done() {
    let (state, done) = apply(AckPolicy::None, &[delivered(1, 1, 2), delivered(7, 3, 1)]);
    assert_eq!(done, [1, 2, 7]);
    assert_eq!(state.ack_floor(), pair(3, 7));
    assert!(state.pending().is_empty());
}

#[test]
fn an_exhausted_message_is_kept_until_it_is_acked() {
    let again = Fact::Redelivered {
        stream_seq: 1,
        consumer_seq: 2,
        deliveries: 2,
        time_ns: 9,
    };
    let facts = [delivered(1, 1, 1), again, Fact::Exhausted { stream_seq: 1 }];
    let (mut state, mut done) = apply(AckPolicy::Explicit, &facts);
    assert_eq!(state.exhausted().get(&1), Some(&2));
    assert_eq!((state.ack_floor(), state.redelivered()), (pair(2, 1), 1));
    assert!(state.needs(1) && done.is_empty());
    state.apply_fact(&acked(1), AckPolicy::Explicit, &mut done);
    assert_eq!(done, [1]);
    assert!(!state.needs(1));
}

#[test]
fn a_purge_ends_waiting_for_what_is_gone() {
    let purged = |first_seq| Fact::Purged { first_seq };
    let (state, done) = apply(AckPolicy::Explicit, &[delivered(1, 1, 3), purged(3)]);
    assert_eq!((state.ack_floor(), state.pending().len()), (pair(2, 2), 1));
    assert!(done.is_empty());
    let (state, _) = apply(AckPolicy::Explicit, &[delivered(1, 1, 3), purged(100)]);
    assert_eq!((state.ack_floor(), state.next_seq()), (pair(3, 99), 100));
}

#[test]
fn a_reset_forgets_all_but_the_place() {
    let reset = Fact::Reset { stream_seq: 1 };
    let (state, _) = apply(AckPolicy::Explicit, &[delivered(1, 1, 3), acked(1), reset]);
    assert_eq!(state, State::starting_at(2));
}

#[test]
fn whoever_acknowledges_by_flow_control_is_done_with_what_it_starts_after() {
    let reset = Fact::Reset { stream_seq: 2 };
    let (state, done) = apply(AckPolicy::FlowControl, &[delivered(1, 1, 3), reset]);
    assert_eq!((state, done), (State::starting_at(3), vec![1, 2]));
}

#[test]
fn skipped_messages_are_not_needed() {
    let (state, _) = apply(AckPolicy::Explicit, &[Fact::Skipped { stream_seq: 50 }]);
    assert_eq!((state.next_seq(), state.delivered()), (51, pair(0, 0)));
    assert!(!state.needs(50) && state.needs(51));
}

#[test]
fn an_idle_state_is_small() {
    assert!(size_of::<State>() <= 128, "{} bytes", size_of::<State>());
    assert!(State::starting_at(1_000_000_000).encode().len() <= 32);
}

#[test]
fn neighbouring_facts_are_joined() {
    let mut progress = Progress::default();
    for seq in 1..=MAX_RUN + 1 {
        progress.push(delivered(seq, seq, 1));
    }
    progress.push(acked(1));
    progress.push(acked(2));
    progress.push(acked(4));
    let expected = [
        delivered(1, 1, MAX_RUN),
        delivered(MAX_RUN + 1, MAX_RUN + 1, 1),
        Fact::Acked {
            stream_seq: 1,
            count: 2,
        },
        acked(4),
    ];
    assert_eq!(progress.facts(), expected);
    assert_eq!(Progress::decode(progress.encode()), Ok(progress));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let seq = || 1u64..40;
    prop_oneof![
        (seq(), seq(), 1u64..5, any::<i64>()).prop_map(
            |(stream_seq, consumer_seq, count, time_ns)| {
                Fact::Delivered {
                    stream_seq,
                    consumer_seq,
                    count,
                    time_ns,
                }
            }
        ),
        (seq(), seq(), 1u32..5, any::<i64>()).prop_map(
            |(stream_seq, consumer_seq, deliveries, time_ns)| Fact::Redelivered {
                stream_seq,
                consumer_seq,
                deliveries,
                time_ns
            }
        ),
        (seq(), 1u64..5).prop_map(|(stream_seq, count)| Fact::Acked { stream_seq, count }),
        seq().prop_map(|stream_seq| Fact::AckedThrough { stream_seq }),
        (seq(), any::<i64>()).prop_map(|(stream_seq, time_ns)| Fact::Rescheduled {
            stream_seq,
            time_ns
        }),
        seq().prop_map(|stream_seq| Fact::Undelivered { stream_seq }),
        seq().prop_map(|stream_seq| Fact::Exhausted { stream_seq }),
        seq().prop_map(|stream_seq| Fact::Skipped { stream_seq }),
        seq().prop_map(|first_seq| Fact::Purged { first_seq }),
        seq().prop_map(|stream_seq| Fact::Reset { stream_seq }),
    ]
}

proptest! {
    /// Even facts that make no sense keep the state consistent, and it survives its encoding.
    #[test]
    fn any_facts_leave_a_consistent_state(facts in prop::collection::vec(any_fact(), 0..60)) {
        let mut progress = Progress::default();
        let mut one_by_one = State::starting_at(1);
        for fact in &facts {
            let before = one_by_one.ack_floor();
            one_by_one.apply_fact(fact, AckPolicy::Explicit, &mut Vec::new());
            let after = one_by_one.ack_floor();
            if !matches!(fact, Fact::Reset { .. }) {
                prop_assert!(after.stream_seq >= before.stream_seq);
                prop_assert!(after.consumer_seq >= before.consumer_seq);
            }
            prop_assert!(after.stream_seq <= one_by_one.next_seq());
            progress.push(*fact);
        }
        let mut at_once = State::starting_at(1);
        let decoded = Progress::decode(progress.encode()).unwrap();
        prop_assert_eq!(&decoded, &progress);
        at_once.apply(&decoded, AckPolicy::Explicit, &mut Vec::new());
        prop_assert_eq!(&at_once, &one_by_one);
        prop_assert_eq!(State::decode(at_once.encode()), Ok(at_once));
    }

    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        if let Ok(state) = State::decode(bytes.clone()) {
            prop_assert_eq!(State::decode(state.encode()), Ok(state));
        }
        if let Ok(progress) = Progress::decode(bytes) {
            let mut state = State::default();
            state.apply(&progress, AckPolicy::Explicit, &mut Vec::new());
            state.apply(&progress, AckPolicy::None, &mut Vec::new());
        }
    }

    /// A damaged encoding is refused or read as some state, but never breaks the reader.
    #[test]
    fn damage_never_panics(
        facts in prop::collection::vec(any_fact(), 1..20), at: prop::sample::Index, byte: u8,
    ) {
        let mut progress = Progress::default();
        facts.into_iter().for_each(|fact| progress.push(fact));
        let mut bytes = progress.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(progress) = Progress::decode(Bytes::from(bytes)) {
            State::starting_at(1).apply(&progress, AckPolicy::Explicit, &mut Vec::new());
        }
    }
}
