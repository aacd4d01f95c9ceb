//! Consumers' replicated state, and messages that leave when consumers are done with them.

use super::*;
use crate::command::ConsumerProgress;
use crate::config::Retention;
use crate::consumer::{AckPolicy, ConsumerConfig, Fact, Progress};

fn consumer(filter: &str) -> Box<ConsumerConfig> {
    Box::new(ConsumerConfig {
        ack_policy: AckPolicy::Explicit,
        filter_subject: filter.to_owned(),
        ..ConsumerConfig::default()
    })
}

impl Fixture {
    fn create(&mut self, name: &str, filter: &str) -> Result<Answer, ApiError> {
        self.answer(Action::CreateConsumer {
            name: name.to_owned(),
            config: consumer(filter),
        })
    }

    /// Delivers and acknowledges one message.
    fn finish(&mut self, name: &str, seq: u64) {
        let mut progress = Progress::default();
        let consumer_seq = self.machine.consumers()[name]
            .state
            .delivered()
            .consumer_seq
            + 1;
        let time_ns = self.now_ns;
        progress.push(Fact::Delivered {
            stream_seq: seq,
            consumer_seq,
            count: 1,
            time_ns,
        });
        progress.push(Fact::Acked {
            stream_seq: seq,
            count: 1,
        });
        let consumer = name.to_owned();
        self.apply(Action::ConsumerProgress(vec![ConsumerProgress {
            consumer,
            progress,
        }]));
    }
}

fn retention(retention: Retention) -> Fixture {
    Fixture::new(StreamConfig {
        retention,
        ..config()
    })
}

#[test]
fn creating_a_consumer_twice_is_harmless_if_it_is_the_same() {
    let mut stream = Fixture::new(StreamConfig {
        max_consumers: 2,
        ..config()
    });
    assert_eq!(
        stream.create("C", ""),
        Ok(Answer::ConsumerCreated { created: true })
    );
    assert_eq!(
        stream.create("C", ""),
        Ok(Answer::ConsumerCreated { created: false })
    );
    assert_eq!(
        stream.create("C", "x"),
        Err(ApiError::CONSUMER_ALREADY_EXISTS)
    );
    stream.create("D", "").unwrap();
    assert_eq!(
        stream.create("E", ""),
        Err(ApiError::MAXIMUM_CONSUMERS_LIMIT)
    );
    let delete = |name: &str| Action::DeleteConsumer {
        name: name.to_owned(),
    };
    assert_eq!(stream.answer(delete("C")), Ok(Answer::ConsumerDeleted));
    assert_eq!(
        stream.answer(delete("C")),
        Err(ApiError::CONSUMER_NOT_FOUND)
    );
    let update = Action::UpdateConsumer {
        name: "C".to_owned(),
        config: consumer(""),
    };
    assert_eq!(
        stream.answer(update),
        Err(ApiError::CONSUMER_DOES_NOT_EXIST)
    );
}

#[test]
fn a_work_queue_keeps_messages_until_they_are_acknowledged() {
    let mut stream = retention(Retention::WorkQueue);
    stream.put("a");
    stream.put("a");
    stream.create("C", "").unwrap();
    stream.finish("C", 1);
    assert_eq!(stream.seqs(), [2]);
    stream
        .answer(Action::DeleteConsumer {
            name: "C".to_owned(),
        })
        .unwrap();
    assert_eq!(stream.seqs(), [2]);
}

#[test]
fn with_interest_retention_a_message_without_a_reader_uses_up_its_sequence() {
    let mut stream = retention(Retention::Interest);
    assert_eq!(stream.put("a"), 1);
    stream.create("C", "b").unwrap();
    assert_eq!(stream.put("a"), 2);
    assert_eq!(stream.put("b"), 3);
    assert_eq!(stream.seqs(), [3]);
    let ids = [("Nats-Msg-Id", "x")];
    assert_eq!(stream.publish("a", &ids, "").unwrap().seq, 4);
    assert!(stream.publish("a", &ids, "").unwrap().duplicate);
}

#[test]
fn with_interest_retention_the_last_reader_removes_a_message() {
    let mut stream = retention(Retention::Interest);
    stream.create("A", "").unwrap();
    stream.create("B", "x").unwrap();
    for subject in ["x", "y", "x"] {
        stream.put(subject);
    }
    stream.finish("A", 1);
    assert_eq!(stream.seqs(), [1, 2, 3]);
    stream.finish("B", 1);
    stream.finish("A", 2);
    assert_eq!(stream.seqs(), [3]);
    stream
        .answer(Action::DeleteConsumer {
            name: "A".to_owned(),
        })
        .unwrap();
    assert_eq!(stream.seqs(), [3]);
    stream
        .answer(Action::DeleteConsumer {
            name: "B".to_owned(),
        })
        .unwrap();
    assert_eq!(stream.seqs(), [0; 0]);
}

#[test]
fn with_limits_retention_acknowledgements_remove_nothing() {
    let mut stream = retention(Retention::Limits);
    stream.create("A", "").unwrap();
    stream.put("a");
    stream.finish("A", 1);
    assert_eq!(stream.seqs(), [1]);
}

#[test]
fn a_change_to_interest_retention_removes_what_all_have_read() {
    let mut stream = retention(Retention::Limits);
    stream.create("A", "").unwrap();
    stream.put("a");
    stream.put("b");
    stream.finish("A", 1);
    let update = StreamConfig {
        retention: Retention::Interest,
        ..config()
    };
    stream
        .answer(Action::UpdateConfig(Box::new(update)))
        .unwrap();
    assert_eq!(stream.seqs(), [2]);
}

#[test]
fn progress_of_a_deleted_consumer_is_void() {
    let mut stream = retention(Retention::WorkQueue);
    stream.put("a");
    let mut progress = Progress::default();
    progress.push(Fact::AckedThrough { stream_seq: 1 });
    let consumer = "gone".to_owned();
    stream.apply(Action::ConsumerProgress(vec![ConsumerProgress {
        consumer,
        progress,
    }]));
    assert_eq!(stream.seqs(), [1]);
}
