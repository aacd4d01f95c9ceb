mod batches;
mod consumers;
mod copies;
mod counters;
mod determinism;
mod limits;
mod publish;
mod restore;
mod schedules;

use bytes::Bytes;
use messages::{Filters, MemoryStore};

use super::*;
use crate::command::Publish;
use crate::config::Discard;
use crate::error::ApiError;

pub(super) const SECOND: i64 = 1_000_000_000;

/// A machine over an in-memory store, with a log index and a clock.
pub(super) struct Fixture {
    pub(super) machine: StreamMachine,
    pub(super) index: u64,
    pub(super) now_ns: i64,
}

pub(super) fn config() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: vec![">".to_owned()],
        duplicate_window_ns: 120 * SECOND,
        ..StreamConfig::default()
    }
}

impl Fixture {
    pub(super) fn new(config: StreamConfig) -> Fixture {
        let store = Box::new(MemoryStore::new());
        Fixture {
            machine: StreamMachine::new(config, SECOND, store),
            index: 0,
            now_ns: SECOND,
        }
    }

    pub(super) fn apply(&mut self, action: Action) -> Vec<Effect> {
        self.index += 1;
        let command = Command {
            time_ns: self.now_ns,
            proposal: None,
            action,
        };
        let mut effects = Vec::new();
        self.machine
            .apply(self.index, &command, &mut effects)
            .unwrap();
        effects
    }

    pub(super) fn answer(&mut self, action: Action) -> Result<Answer, ApiError> {
        let effects = self.apply(action);
        let answers = effects.into_iter().filter_map(|effect| match effect {
            Effect::Answered(answer) => Some(answer),
            _ => None,
        });
        answers.last().expect("the command has an answer")
    }

    /// Publishes one message with headers given as lines.
    pub(super) fn publish(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &str,
    ) -> Result<PubAck, ApiError> {
        let effects = self.apply(Action::PublishBatch(vec![message(
            subject, headers, payload,
        )]));
        let outcomes = effects.into_iter().filter_map(|effect| match effect {
            Effect::Published {
                position: 0,
                outcome,
            } => Some(outcome),
            _ => None,
        });
        outcomes.last().expect("the publish has an outcome")
    }

    pub(super) fn put(&mut self, subject: &str) -> u64 {
        self.publish(subject, &[], "x").unwrap().seq
    }

    pub(super) fn err_code(&mut self, subject: &str, headers: &[(&str, &str)]) -> u16 {
        self.publish(subject, headers, "x").unwrap_err().err_code
    }

    /// The sequences that have a message.
    pub(super) fn seqs(&self) -> Vec<u64> {
        let everything = Filters::everything();
        let mut seqs = Vec::new();
        while let Some(seq) = self
            .machine
            .store()
            .next_matching(&everything, seqs.last().map_or(0, |seq| seq + 1))
        {
            seqs.push(seq);
        }
        seqs
    }
}

pub(super) fn message(subject: &str, headers: &[(&str, &str)], payload: &str) -> Publish {
    let mut block = String::new();
    if !headers.is_empty() {
        block.push_str("NATS/1.0\r\n");
        for (name, value) in headers {
            block.push_str(&format!("{name}: {value}\r\n"));
        }
        block.push_str("\r\n");
    }
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Publish {
        subject: bytes(subject),
        headers: bytes(&block),
        payload: bytes(payload),
    }
}

#[test]
fn a_batch_is_answered_message_by_message() {
    let mut stream = Fixture::new(config());
    let wrong = [("Nats-Expected-Last-Sequence", "7")];
    let messages = vec![
        message("a", &[], "1"),
        message("b", &wrong, "2"),
        message("c", &[], "3"),
    ];
    let effects = stream.apply(Action::PublishBatch(messages));
    let ack = |seq| {
        Ok(PubAck {
            seq,
            duplicate: false,
            ..PubAck::default()
        })
    };
    let expected = [
        Effect::Published {
            position: 0,
            outcome: ack(1),
        },
        Effect::Published {
            position: 1,
            outcome: Err(ApiError::stream_wrong_last_sequence(1)),
        },
        Effect::Published {
            position: 2,
            outcome: ack(2),
        },
        Effect::NewMessages {
            first_seq: 1,
            last_seq: 2,
        },
    ];
    assert_eq!(effects, expected);
}

#[test]
fn time_never_goes_back() {
    let mut stream = Fixture::new(config());
    stream.now_ns = 10 * SECOND;
    stream.put("a");
    stream.now_ns = 5 * SECOND;
    stream.put("b");
    let times = [1, 2].map(|seq| stream.machine.store().get(seq).unwrap().unwrap().time_ns);
    assert_eq!(times, [10 * SECOND; 2]);
}

#[test]
fn the_first_sequence_can_be_chosen() {
    let mut stream = Fixture::new(StreamConfig {
        first_seq: 100,
        ..config()
    });
    assert_eq!(stream.put("a"), 100);
}

#[test]
fn deleting_a_message_says_why_it_can_not() {
    let mut stream = Fixture::new(config());
    for subject in ["a", "b", "c"] {
        stream.put(subject);
    }
    let delete = |seq| Action::DeleteMsg {
        seq,
        no_erase: false,
    };
    assert_eq!(stream.answer(delete(2)), Ok(Answer::MsgDeleted));
    let missing = stream.answer(delete(2)).unwrap_err();
    assert_eq!(missing, ApiError::sequence_not_found(2));
    let missing = stream.answer(delete(0)).unwrap_err();
    assert_eq!(
        missing,
        ApiError::stream_msg_delete_failed("no message found")
    );
    let beyond = stream.answer(delete(9)).unwrap_err();
    assert_eq!(
        beyond,
        ApiError::stream_msg_delete_failed("stream store EOF")
    );
    let mut denied = Fixture::new(StreamConfig {
        deny_delete: true,
        ..config()
    });
    denied.put("a");
    let denied = denied.answer(delete(1)).unwrap_err();
    assert_eq!(
        denied,
        ApiError::stream_msg_delete_failed("message delete not permitted")
    );
}

#[test]
fn a_purge_can_be_narrowed() {
    let purge = |filter: &'static str, upto_seq, keep| {
        Action::Purge(crate::command::Purge {
            filter: filter.into(),
            upto_seq,
            keep,
        })
    };
    let cases = [
        (purge("", 0, 0), vec![], 6),
        (purge("a", 0, 0), vec![2, 4, 6], 3),
        (purge("", 4, 0), vec![4, 5, 6], 3),
        (purge("", 0, 2), vec![5, 6], 4),
        (purge("a", 0, 1), vec![2, 4, 5, 6], 2),
        (purge("a", 4, 0), vec![2, 4, 5, 6], 2),
        (purge("bad..filter", 0, 0), vec![1, 2, 3, 4, 5, 6], 0),
    ];
    for (action, left, purged) in cases {
        let mut stream = Fixture::new(config());
        for subject in ["a", "b", "a", "b", "a", "b"] {
            stream.put(subject);
        }
        assert_eq!(
            stream.answer(action.clone()),
            Ok(Answer::Purged { purged }),
            "{action:?}"
        );
        assert_eq!(stream.seqs(), left, "{action:?}");
        assert_eq!(stream.put("c"), 7);
    }
}

#[test]
fn a_sealed_stream_refuses_everything() {
    let mut stream = Fixture::new(config());
    stream.put("a");
    let sealed = StreamConfig {
        sealed: true,
        discard: Discard::New,
        ..config()
    };
    let update = Action::UpdateConfig(Box::new(sealed));
    assert_eq!(stream.answer(update), Ok(Answer::ConfigUpdated));
    assert_eq!(stream.publish("a", &[], "x"), Err(ApiError::STREAM_SEALED));
    let delete = stream.answer(Action::DeleteMsg {
        seq: 1,
        no_erase: false,
    });
    assert_eq!(delete, Err(ApiError::STREAM_SEALED));
    let purge = stream.answer(Action::Purge(crate::command::Purge::default()));
    assert_eq!(purge, Err(ApiError::STREAM_SEALED));
    assert_eq!(stream.seqs(), [1]);
}
