use backup::{BackupReader, BackupWriter};
use messages::{MemoryStore, ReadLimits};
use serde_json::json;

use super::*;
use crate::command::{Action, Command, Restore};
use crate::config::StreamConfig;
use crate::consumer::{AckPolicy, ConsumerConfig, CreateLimits, Fact, Progress};

const NOW_NS: i64 = 50_000_000_000;

struct Stream {
    machine: StreamMachine,
    index: u64,
}

impl Stream {
    fn new() -> Stream {
        Stream {
            machine: StreamMachine::new(config(), 1, Box::new(MemoryStore::new())),
            index: 0,
        }
    }

    fn apply(&mut self, action: Action) {
        self.index += 1;
        let command = Command {
            time_ns: NOW_NS,
            proposal: None,
            action,
        };
        let mut effects = Vec::new();
        self.machine
            .apply(self.index, &command, &mut effects)
            .unwrap();
    }

    fn backup(&self) -> Vec<Entry> {
        let mut contents = Contents::of(&self.machine, true, NOW_NS);
        let mut entries: Vec<Entry> = std::iter::from_fn(|| contents.next_file()).collect();
        let limits = ReadLimits {
            messages_max: 100,
            bytes_max: 1 << 20,
        };
        let stored = self.machine.store().read_batch(0, limits).unwrap();
        entries.extend(stored.into_iter().map(message_entry));
        entries
    }
}

fn config() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: vec!["s.>".to_owned()],
        ..StreamConfig::default()
    }
}

/// A stream with gaps and a consumer with one message done, one pending, one exhausted.
fn original() -> Stream {
    let mut stream = Stream::new();
    let publish = |number: u8| crate::Publish {
        subject: format!("s.{number}").into(),
        headers: Bytes::new(),
        payload: vec![number].into(),
    };
    stream.apply(Action::PublishBatch((1..=6).map(publish).collect()));
    for seq in [1, 4, 6] {
        stream.apply(Action::DeleteMsg {
            seq,
            no_erase: true,
        });
    }
    let config = ConsumerConfig {
        durable_name: "C".to_owned(),
        name: "C".to_owned(),
        ack_policy: AckPolicy::Explicit,
        max_deliver: 2,
        ..ConsumerConfig::default()
    };
    let (name, consumer) = ("C".to_owned(), "C".to_owned());
    stream.apply(Action::CreateConsumer {
        name,
        config: Box::new(config),
    });
    let mut progress = Progress::default();
    for stream_seq in [2, 3, 5] {
        progress.push(Fact::Delivered {
            stream_seq,
            consumer_seq: stream_seq - 1,
            count: 1,
            time_ns: 9,
        });
    }
    progress.push(Fact::Acked {
        stream_seq: 2,
        count: 1,
    });
    progress.push(Fact::Redelivered {
        stream_seq: 3,
        consumer_seq: 5,
        deliveries: 2,
        time_ns: 10,
    });
    progress.push(Fact::Exhausted { stream_seq: 3 });
    let progress = crate::command::ConsumerProgress { consumer, progress };
    stream.apply(Action::ConsumerProgress(vec![progress]));
    stream
}

fn restore(entries: Vec<Entry>) -> Result<Stream, RestoreError> {
    let mut stream = Stream::new();
    stream.machine = stream.machine.awaiting_restore();
    let mut restoring = Restoring::new(config(), CreateLimits::default());
    for entry in entries {
        stream.apply(Action::Restore(restoring.entry(entry)?));
    }
    stream.apply(Action::Restore(restoring.end()?));
    Ok(stream)
}

#[test]
fn a_backup_restores_messages_gaps_and_what_consumers_did() {
    let original = original();
    let mut writer = BackupWriter::default();
    original.backup().iter().for_each(|entry| writer.add(entry));
    writer.finish();
    let mut reader = BackupReader::new(1 << 20);
    reader.push(&writer.take(usize::MAX));
    let entries = std::iter::from_fn(|| reader.next_entry().unwrap()).collect();
    let restored = restore(entries).unwrap();
    assert!(reader.is_complete());
    assert_eq!(
        restored.machine.store().state(),
        original.machine.store().state()
    );
    let of = |stream: &Stream| stream.machine.consumers()["C"].state.clone();
    let (before, after) = (of(&original), of(&restored));
    assert_eq!(after.delivered(), before.delivered());
    assert_eq!(after.ack_floor(), before.ack_floor());
    assert_eq!(after.pending(), before.pending());
    assert_eq!(after.exhausted(), before.exhausted());
    assert_eq!(after.next_seq(), before.next_seq());
}

#[test]
fn a_consumer_is_written_as_nats_server_reads_it() {
    let entries = original().backup();
    assert_eq!(entries[1].name, "consumers/C");
    let file: serde_json::Value = serde_json::from_slice(&entries[1].payload).unwrap();
    assert_eq!(
        file["state"],
        json!({
            "delivered": {"consumer_seq": 5, "stream_seq": 5},
            "ack_floor": {"consumer_seq": 3, "stream_seq": 4},
            "pending": {"5": {"Sequence": 4, "Timestamp": 9}},
            "redelivered": {"3": 1},
        })
    );
}

fn state(text: &str) -> Entry {
    Entry {
        name: STATE_FILE.into(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        ..Entry::default()
    }
}

#[test]
fn a_backup_that_contradicts_itself_is_refused() {
    let refused = |entries: Vec<Entry>| restore(entries).err().map(|error| error.to_string());
    let message = |seq| Entry {
        name: "s.1".into(),
        seq,
        ..Entry::default()
    };
    let consumer = |name: &str, text: &str| Entry {
        name: format!("consumers/{name}").into(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        ..Entry::default()
    };
    let two = || state(r#"{"messages":2,"first_seq":3,"last_seq":9}"#);
    let one = || state(r#"{"consumer_count":1}"#);
    assert_eq!(refused(vec![two(), message(3), message(4)]), None);
    for (entries, expected) in [
        (vec![], "expected state.json first"),
        (vec![message(1)], "expected state.json first"),
        (vec![state("{")], "error in state.json"),
        (
            vec![state(r#"{"messages":2,"first_seq":3,"last_seq":3}"#)],
            "invalid stream state",
        ),
        (
            vec![state(r#"{"last_seq":18446744073709551615}"#)],
            "invalid stream state",
        ),
        (vec![two(), message(2)], "message sequence 2 out of order"),
        (vec![two(), message(0)], "expected message sequence"),
        (vec![one()], "backup ends before its end mark"),
        (vec![one(), message(1)], "expected consumer"),
        (
            vec![one(), consumer("C", "{}")],
            "failed to decode consumer",
        ),
        (
            vec![one(), consumer("a.b", r#"{"config":{},"state":{}}"#)],
            "failed to add consumer",
        ),
        (
            vec![
                one(),
                consumer(
                    "C",
                    r#"{"config":{},"state":{"delivered":{"stream_seq":18446744073709551615}}}"#,
                ),
            ],
            "consumer \"C\" has an impossible state",
        ),
    ] {
        let refusal = refused(entries);
        assert!(
            refusal.as_ref().is_some_and(|text| text.contains(expected)),
            "{refusal:?}"
        );
    }
}

#[test]
fn messages_of_another_end_are_kept_within_the_sequences_that_exist() {
    let stream = restore(vec![state(r#"{"first_seq":8,"last_seq":7}"#)]).unwrap();
    assert_eq!(stream.machine.store().state().last_seq, 7);
    let mut restoring = Restoring::new(config(), CreateLimits::default());
    let begin = restoring.entry(state("{}")).unwrap();
    assert_eq!(begin, Restore::Begin { first_seq: 0 });
    assert_eq!(restoring.end().unwrap(), Restore::End { last_seq: 0 });
}
