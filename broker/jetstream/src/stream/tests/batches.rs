use super::*;
use crate::stream::StoredBatch;

fn batches() -> Fixture {
    Fixture::new(StreamConfig {
        allow_atomic: true,
        ..config()
    })
}

type Line<'a> = (&'a str, &'a [(&'a str, &'a str)]);

impl Fixture {
    fn commit(&mut self, lines: &[Line<'_>]) -> Result<PubAck, ApiError> {
        let messages = lines
            .iter()
            .map(|(subject, headers)| message(subject, headers, ""))
            .collect();
        let id = "b".to_owned();
        let effects = self.apply(Action::AtomicBatch { id, messages });
        let outcomes = effects.into_iter().filter_map(|effect| match effect {
            Effect::Published { outcome, .. } => Some(outcome),
            _ => None,
        });
        outcomes.last().expect("a batch has an outcome")
    }

    /// Commits a batch that is refused as a whole.
    fn refuse(&mut self, lines: &[Line<'_>]) -> u16 {
        let before = self.machine.store().state();
        let error = self.commit(lines).unwrap_err();
        assert_eq!(self.machine.store().state(), before, "nothing is stored");
        error.err_code
    }
}

#[test]
fn all_messages_of_a_batch_are_stored_with_one_answer() {
    let mut stream = batches();
    let ack = stream
        .commit(&[("a", &[]), ("b", &[]), ("a", &[])])
        .unwrap();
    assert_eq!(ack.seq, 3);
    let id = "b".to_owned();
    assert_eq!(ack.batch, Some(Box::new(StoredBatch { id, count: 3 })));
    assert_eq!(stream.seqs(), [1, 2, 3]);
}

#[test]
fn one_message_that_is_refused_refuses_the_batch() {
    let mut stream = batches();
    stream.put("a");
    let wrong_last = [("Nats-Expected-Last-Sequence", "5")];
    assert_eq!(stream.refuse(&[("a", &[]), ("a", &wrong_last)]), 10071);
    let last_id = [("Nats-Expected-Last-Msg-Id", "x")];
    assert_eq!(stream.refuse(&[("a", &[]), ("a", &last_id)]), 10177);
    let rollup = [("Nats-Rollup", "sub")];
    assert_eq!(stream.refuse(&[("a", &[]), ("a", &rollup)]), 10111);
    let increment = [("Nats-Incr", "1")];
    assert_eq!(stream.refuse(&[("a", &[]), ("a", &increment)]), 10168);
}

#[test]
fn messages_of_a_batch_know_of_each_other() {
    let mut stream = batches();
    let id = [("Nats-Msg-Id", "1")];
    assert_eq!(stream.refuse(&[("a", &id), ("b", &id)]), 10201);
    let unused = [("Nats-Expected-Last-Subject-Sequence", "0")];
    assert_eq!(stream.refuse(&[("a", &unused), ("a", &unused)]), 10164);
    stream.commit(&[("a", &unused), ("b", &unused)]).unwrap();
    let third = [("Nats-Expected-Last-Sequence", "3")];
    stream.commit(&[("a", &[]), ("a", &third)]).unwrap();
    stream.commit(&[("a", &id)]).unwrap();
    assert_eq!(stream.refuse(&[("a", &id)]), 10201);
}

#[test]
fn limits_are_those_of_the_whole_batch() {
    let mut stream = Fixture::new(StreamConfig {
        allow_atomic: true,
        discard: Discard::New,
        max_msgs: 3,
        max_msgs_per_subject: 2,
        discard_new_per_subject: true,
        ..config()
    });
    stream.put("z");
    assert_eq!(stream.refuse(&[("a", &[]), ("b", &[]), ("c", &[])]), 10077);
    assert_eq!(stream.refuse(&[("a", &[]), ("a", &[]), ("a", &[])]), 10077);
    stream.commit(&[("a", &[]), ("a", &[])]).unwrap();
}

#[test]
fn a_batch_of_increments_adds_up() {
    let mut stream = Fixture::new(StreamConfig {
        allow_atomic: true,
        allow_msg_counter: true,
        ..config()
    });
    let five = [("Nats-Incr", "5")];
    stream.commit(&[("a", &five), ("a", &five)]).unwrap();
    let ack = stream.publish("a", &[("Nats-Incr", "1")], "").unwrap();
    assert_eq!(ack.value.as_deref(), Some("11"));
}

#[test]
fn streams_without_batches_refuse_them() {
    assert_eq!(Fixture::new(config()).refuse(&[("a", &[])]), 10174);
}
