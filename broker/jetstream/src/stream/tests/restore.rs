use super::*;
use crate::command::{CopiedMessage, Restore};
use crate::consumer::{ConsumerConfig, State};

fn fixture(config: StreamConfig) -> Fixture {
    let store = Box::new(MemoryStore::new());
    Fixture {
        machine: StreamMachine::new(config, SECOND, store).awaiting_restore(),
        index: 0,
        now_ns: 1000 * SECOND,
    }
}

fn copy(seq: u64, time_s: i64, headers: &[(&str, &str)]) -> CopiedMessage {
    CopiedMessage {
        seq,
        time_ns: time_s * SECOND,
        message: message("a", headers, "x"),
    }
}

impl Fixture {
    fn part(&mut self, part: Restore) -> Result<Answer, ApiError> {
        self.answer(Action::Restore(part))
    }

    fn restore(&mut self, messages: Vec<CopiedMessage>, last_seq: u64) {
        for part in [
            Restore::Begin { first_seq: 0 },
            Restore::Messages(messages),
            Restore::End { last_seq },
        ] {
            assert_eq!(self.part(part), Ok(Answer::Restored));
        }
    }
}

#[test]
fn sequences_times_and_ids_are_those_of_the_backup() {
    let mut stream = fixture(config());
    let (old, new) = (("Nats-Msg-Id", "old"), ("Nats-Msg-Id", "new"));
    stream.restore(vec![copy(3, 1, &[old]), copy(5, 999, &[new])], 7);
    assert_eq!(stream.seqs(), [3, 5]);
    let stored = stream.machine.store().get(3).unwrap().unwrap();
    assert_eq!(stored.time_ns, SECOND);
    assert!(stream.publish("a", &[new], "x").unwrap().duplicate);
    assert_eq!(stream.publish("a", &[old], "x").unwrap().seq, 8);
}

#[test]
fn limits_and_ages_count_once_everything_is_there() {
    let mut stream = fixture(StreamConfig {
        max_msgs: 2,
        max_age_ns: 500 * SECOND,
        allow_msg_ttl: true,
        ..config()
    });
    stream.part(Restore::Begin { first_seq: 2 }).unwrap();
    let expired = copy(2, 990, &[("Nats-TTL", "5s")]);
    let messages = vec![
        expired,
        copy(3, 1, &[]),
        copy(4, 998, &[]),
        copy(5, 998, &[]),
        copy(6, 999, &[]),
    ];
    stream.part(Restore::Messages(messages)).unwrap();
    assert_eq!(stream.machine.next_expiry_ns(), None);
    assert_eq!(stream.seqs(), [3, 4, 5, 6]);
    stream.part(Restore::End { last_seq: 6 }).unwrap();
    assert_eq!(stream.seqs(), [5, 6]);
    assert_eq!(stream.machine.next_expiry_ns(), Some((998 + 500) * SECOND));
}

#[test]
fn what_no_restored_consumer_wants_is_removed_at_the_end() {
    let mut stream = fixture(StreamConfig {
        retention: crate::config::Retention::Interest,
        ..config()
    });
    stream.part(Restore::Begin { first_seq: 0 }).unwrap();
    let consumer = Restore::Consumer {
        name: "C".to_owned(),
        config: Box::new(ConsumerConfig::default()),
        state: State::starting_at(3),
    };
    stream.part(consumer).unwrap();
    let messages = vec![copy(1, 1, &[]), copy(2, 1, &[]), copy(3, 1, &[])];
    stream.part(Restore::Messages(messages)).unwrap();
    stream.part(Restore::End { last_seq: 3 }).unwrap();
    assert_eq!(stream.seqs(), [3]);
    assert_eq!(stream.machine.consumers()["C"].state.next_seq(), 3);
}

#[test]
fn parts_out_of_order_are_refused_and_an_abandoned_stream_stays_so() {
    let mut stream = fixture(config());
    let messages = Restore::Messages(vec![copy(4, 1, &[])]);
    assert!(stream.part(messages.clone()).is_err());
    stream.part(Restore::Begin { first_seq: 0 }).unwrap();
    assert!(stream.part(Restore::Begin { first_seq: 0 }).is_err());
    stream.part(messages.clone()).unwrap();
    assert!(stream.part(messages).is_err(), "the sequence is used");
    stream.part(Restore::Abandon).unwrap();
    assert!(stream.part(Restore::End { last_seq: 4 }).is_err());
    let state = stream.machine.encode_state();
    let again = StreamMachine::decode_state(state, Box::new(MemoryStore::new())).unwrap();
    assert_eq!(again.restoration(), Restoration::Abandoned);
    let mut other = Fixture::new(config());
    assert!(other.part(Restore::Abandon).is_err(), "never awaited");
    assert_eq!(other.put("a"), 1);
}

#[test]
fn a_source_goes_on_where_its_last_message_was() {
    let source = crate::config::StreamSource {
        name: "O".to_owned(),
        ..crate::config::StreamSource::default()
    };
    let header = String::from_utf8(source.header(17, b"a", "id")).unwrap();
    let mut stream = fixture(StreamConfig {
        sources: vec![source.clone()],
        ..config()
    });
    stream.restore(vec![copy(1, 1, &[("Nats-Stream-Source", &header)])], 1);
    let position = stream.machine.position(&source.key());
    assert_eq!((position.seq, position.identity.as_str()), (17, "id"));
}
