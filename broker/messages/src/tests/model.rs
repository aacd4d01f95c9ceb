//! Both stores against the simplest thing that gives the same answers, through random histories
//! with checkpoints, crashes and a device that fills up.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use storage::fs::{SimFs, SimOp};

use crate::{Erase, Filters, MemoryStore, MessageStore, Purge, ReadLimits, State, StoredMessage};

use super::{filters, open};

const SUBJECTS: &[&str] = &[
    "a", "b", "a.1", "a.2", "a.2.x", "b.1", "b.2", "c.1.x", "c.2.x",
];
const PATTERNS: &[&[&str]] = &[
    &[],
    &["a"],
    &["a.*"],
    &["*.*.x"],
    &["a", "b.2"],
    &["b.>"],
    &["z"],
];

#[derive(Debug, Clone)]
enum Step {
    Append {
        gap: u64,
        subject: usize,
        headers: usize,
        payload: usize,
    },
    Remove {
        pick: usize,
        erase: bool,
    },
    Purge {
        filters: usize,
        below: u64,
        keep: u64,
    },
    Compact {
        below: u64,
    },
    Skip {
        gap: u64,
    },
    Reset,
    Checkpoint,
    Reopen,
    Crash,
    FillUp,
    MakeRoom,
    Fail {
        what: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        prop_oneof![9 => Just(1u64), 1 => 2u64..6],
        0..SUBJECTS.len(),
        0usize..60,
        0usize..150,
    )
        .prop_map(|(gap, subject, headers, payload)| Step::Append {
            gap,
            subject,
            headers,
            payload,
        });
    prop_oneof![
        40 => append,
        16 => (any::<usize>(), any::<bool>()).prop_map(|(pick, erase)| Step::Remove { pick, erase }),
        2 => (0..PATTERNS.len(), any::<u64>(), 0u64..4)
            .prop_map(|(filters, below, keep)| Step::Purge { filters, below, keep }),
        1 => any::<u64>().prop_map(|below| Step::Compact { below }),
        1 => (1u64..8).prop_map(|gap| Step::Skip { gap }),
        1 => Just(Step::Reset),
        8 => Just(Step::Checkpoint),
        2 => Just(Step::Reopen),
        3 => Just(Step::Crash),
        1 => Just(Step::FillUp),
        2 => Just(Step::MakeRoom),
        1 => (0usize..4).prop_map(|what| Step::Fail { what }),
    ]
}

#[derive(Debug, Clone, Default)]
struct Model {
    messages: BTreeMap<u64, StoredMessage>,
    last_seq: u64,
    last_time_ns: i64,
}

impl Model {
    fn matching<'a>(&'a self, filters: &'a Filters) -> impl DoubleEndedIterator<Item = u64> + 'a {
        let fits = |(_, message): &(&u64, &StoredMessage)| filters.matches(&message.subject);
        self.messages.iter().filter(fits).map(|(seq, _)| *seq)
    }

    fn state(&self, store: &dyn MessageStore) -> State {
        let size = |m: &StoredMessage| {
            store.message_size(m.subject.len(), m.headers.len(), m.payload.len())
        };
        let first = self.messages.values().next();
        let mut subjects: Vec<&Bytes> = self.messages.values().map(|m| &m.subject).collect();
        subjects.sort();
        subjects.dedup();
        let messages = self.messages.len() as u64;
        let empty = if self.last_seq == 0 {
            0
        } else {
            self.last_seq + 1
        };
        State {
            messages,
            bytes: self.messages.values().map(size).sum(),
            first_seq: first.map_or(empty, |m| m.seq),
            first_time_ns: first.map_or(0, |m| m.time_ns),
            last_seq: self.last_seq,
            last_time_ns: self.last_time_ns,
            num_deleted: first.map_or(0, |m| self.last_seq - m.seq + 1 - messages),
            num_subjects: subjects.len() as u64,
        }
    }
}

/// A change, applied to the model and to a store.
fn change(step: &Step, model: &mut Model, store: &mut dyn MessageStore) {
    match *step {
        Step::Append {
            gap,
            subject,
            headers,
            payload,
        } => {
            let seq = model.last_seq + gap;
            let bytes = |len: usize| Bytes::from(vec![seq as u8; len]);
            let message = StoredMessage {
                seq,
                time_ns: seq as i64 * 1000,
                subject: Bytes::from_static(SUBJECTS[subject].as_bytes()),
                headers: bytes(headers.saturating_sub(30)),
                payload: bytes(payload),
            };
            let StoredMessage {
                time_ns,
                subject,
                headers,
                payload,
                ..
            } = &message;
            store
                .append(seq, *time_ns, subject, headers, payload)
                .expect("stored");
            (model.last_seq, model.last_time_ns) = (seq, *time_ns);
            model.messages.insert(seq, message);
        }
        Step::Remove { pick, erase } => {
            let seq = pick as u64 % (model.last_seq + 1);
            let erase = if erase { Erase::Yes } else { Erase::No };
            let removed = store.remove(seq, erase).expect("removed");
            assert_eq!(removed, model.messages.remove(&seq).is_some());
        }
        Step::Purge {
            filters: at,
            below,
            keep,
        } => {
            let before_seq = below % (model.last_seq + 3);
            let purge = Purge {
                filters: filters(PATTERNS[at]),
                before_seq,
                keep,
            };
            let matching: Vec<u64> = model.matching(&purge.filters).collect();
            let old = &matching[..matching.len().saturating_sub(keep as usize)];
            let gone: Vec<u64> = old
                .iter()
                .copied()
                .filter(|seq| *seq < before_seq)
                .collect();
            gone.iter().for_each(|seq| drop(model.messages.remove(seq)));
            assert_eq!(store.purge(&purge).expect("purged"), gone.len() as u64);
        }
        Step::Compact { below } => {
            let first_seq = below % (model.last_seq + 4);
            let kept = model.messages.split_off(&first_seq);
            let gone = std::mem::replace(&mut model.messages, kept);
            model.last_seq = model.last_seq.max(first_seq.saturating_sub(1));
            assert_eq!(
                store.compact(first_seq).expect("compacted"),
                gone.len() as u64
            );
        }
        Step::Skip { gap } => {
            store.skip_to(model.last_seq + gap);
            model.last_seq += gap - 1;
        }
        Step::Reset => {
            store.reset();
            *model = Model::default();
        }
        _ => {}
    }
}

/// Compares all that can be asked, around one sequence.
fn compare(model: &Model, store: &dyn MessageStore, kept: &[Filters], probe: u64) {
    assert_eq!(store.state(), model.state(store));
    assert_eq!(
        store.get(probe).expect("readable").as_ref(),
        model.messages.get(&probe)
    );
    for filters in kept {
        let from: Vec<u64> = model
            .matching(filters)
            .filter(|seq| *seq >= probe)
            .collect();
        assert_eq!(
            store.next_matching(filters, probe),
            from.first().copied(),
            "{filters:?}"
        );
        assert_eq!(
            store.count_matching(filters, probe),
            from.len() as u64,
            "{filters:?}"
        );
        let last = model.matching(filters).rfind(|seq| *seq <= probe);
        assert_eq!(store.last_matching(filters, probe), last, "{filters:?}");
    }
    for subject in SUBJECTS {
        let filter = filters(&[subject]);
        assert_eq!(
            store.first_for(subject.as_bytes()),
            model.matching(&filter).next()
        );
        assert_eq!(
            store.last_for(subject.as_bytes()),
            model.matching(&filter).next_back()
        );
        let count = model.matching(&filter).count() as u64;
        assert_eq!(store.subject_count(subject.as_bytes()), count);
    }
    let at_time = store.seq_at_time(probe as i64 * 1000).expect("readable");
    let expected = model
        .messages
        .range(probe..)
        .next()
        .map_or(model.last_seq + 1, |(seq, _)| *seq);
    assert_eq!(at_time, expected);
}

/// Compares every message.
fn compare_all(model: &Model, store: &dyn MessageStore) {
    let limits = ReadLimits {
        messages_max: 7,
        bytes_max: 300,
    };
    let mut expected = model.messages.values();
    let mut from_seq = 0;
    loop {
        let batch = store.read_batch(from_seq, limits).expect("readable");
        let Some(last) = batch.last() else { break };
        from_seq = last.seq + 1;
        batch
            .iter()
            .for_each(|message| assert_eq!(Some(message), expected.next()));
    }
    assert_eq!(expected.next(), None);
    let deleted: u64 = store
        .deleted()
        .map(|range| range.end() - range.start() + 1)
        .sum();
    assert_eq!(deleted, store.state().num_deleted);
    assert!(store.damaged().is_empty());
}

fn kept_filters() -> Vec<Filters> {
    PATTERNS.iter().map(|patterns| filters(patterns)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn memory_store_is_like_the_model(steps in prop::collection::vec((step(), any::<u64>()), 1..200)) {
        let (mut model, mut store, kept) = (Model::default(), MemoryStore::new(), kept_filters());
        for (step, probe) in &steps {
            change(step, &mut model, &mut store);
            compare(&model, &store, &kept, probe % (model.last_seq + 3));
        }
        compare_all(&model, &store);
    }

    #[test]
    fn file_store_is_like_the_model(
        seed in any::<u64>(),
        steps in prop::collection::vec((step(), any::<u64>()), 1..200),
    ) {
        let fs = SimFs::new(seed);
        let (mut model, mut store, kept) = (Model::default(), open(&fs), kept_filters());
        // What a crash may return to: the last checkpoint that succeeded, or one tried since then.
        let mut durable = vec![(None, Model::default())];
        for (at, (step, probe)) in steps.iter().enumerate() {
            change(step, &mut model, &mut store);
            match step {
                Step::Checkpoint => {
                    let seal = Bytes::from(at.to_string());
                    if store.checkpoint(&seal).is_ok() {
                        durable.clear();
                    }
                    durable.push((Some(seal), model.clone()));
                }
                Step::Crash | Step::Reopen => {
                    drop(store);
                    match step {
                        Step::Crash => fs.crash(),
                        _ => fs.kill(),
                    }
                    store = open(&fs);
                    let found = durable.iter().find(|(seal, _)| *seal == store.seal());
                    model = found.expect("the seal is of a checkpoint").1.clone();
                    durable = vec![(store.seal(), model.clone())];
                    compare_all(&model, &store);
                }
                Step::FillUp => fs.set_capacity_bytes(Some(2_000)),
                Step::MakeRoom => fs.set_capacity_bytes(None),
                Step::Fail { what } => {
                    let ops = [SimOp::Write, SimOp::Sync, SimOp::SyncDir, SimOp::Rename];
                    fs.fail_next(ops[*what]);
                }
                _ => {}
            }
            compare(&model, &store, &kept, probe % (model.last_seq + 3));
        }
        compare_all(&model, &store);
    }
}
