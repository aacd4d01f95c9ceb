use proptest::prelude::*;

use super::*;

fn round_trip(action: Action) {
    let proposal = Some(ProposalId {
        origin: 3,
        number: u64::MAX,
    });
    for proposal in [proposal, None] {
        let command = Command {
            time_ns: -7,
            proposal,
            action: action.clone(),
        };
        assert_eq!(Command::decode(command.encode()).unwrap(), command);
    }
}

#[test]
fn every_command_is_read_back() {
    let config = StreamConfig {
        name: "S".to_owned(),
        max_age_ns: 5,
        ..StreamConfig::default()
    };
    let consumer = ConsumerConfig {
        name: "C".to_owned(),
        ..ConsumerConfig::default()
    };
    let name = "C".to_owned();
    let publish = |subject: &'static str, payload: Vec<u8>| Publish {
        subject: Bytes::from(subject),
        headers: Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n"),
        payload: payload.into(),
    };
    let mut progress = Progress::default();
    progress.push(crate::consumer::Fact::Acked {
        stream_seq: 9,
        count: 2,
    });
    let messages = vec![publish("a.b", vec![]), publish("c", vec![7; 300])];
    for action in [
        Action::PublishBatch(messages),
        Action::DeleteMsg {
            seq: 300,
            no_erase: true,
        },
        Action::Purge(Purge {
            filter: "a.*".into(),
            upto_seq: 4,
            keep: 0,
        }),
        Action::UpdateConfig(Box::new(config)),
        Action::CreateConsumer {
            name: name.clone(),
            config: Box::new(consumer.clone()),
        },
        Action::UpdateConsumer {
            name: name.clone(),
            config: Box::new(consumer),
        },
        Action::DeleteConsumer { name: name.clone() },
        Action::ConsumerProgress(vec![ConsumerProgress {
            consumer: name,
            progress,
        }]),
        Action::Restore(Restore::Begin { first_seq: 4 }),
        Action::Restore(Restore::Consumer {
            name: "C".to_owned(),
            config: Box::default(),
            state: State::starting_at(9),
        }),
        Action::Restore(Restore::Messages(vec![CopiedMessage {
            seq: 5,
            time_ns: -1,
            message: publish("c", vec![1]),
        }])),
        Action::Restore(Restore::Abandon),
        Action::Restore(Restore::End { last_seq: 7 }),
        Action::Tick,
    ] {
        round_trip(action);
    }
}

#[test]
fn a_decoded_payload_is_a_slice_of_the_input() {
    let message = Publish {
        payload: Bytes::from(vec![1; 1000]),
        ..Publish::default()
    };
    let command = Command {
        time_ns: 0,
        proposal: None,
        action: Action::PublishBatch(vec![message]),
    };
    let encoded = command.encode();
    let Action::PublishBatch(messages) = Command::decode(encoded.clone()).unwrap().action else {
        panic!("a publish was encoded");
    };
    let span = encoded.as_ptr_range();
    assert!(span.contains(&messages[0].payload.as_ptr()));
}

#[test]
fn a_count_beyond_the_input_is_damage() {
    let mut writer = crate::codec::Writer::default();
    writer.u8(1);
    writer.i64(0);
    writer.bool(false);
    writer.u64(500);
    assert_eq!(
        Command::decode(writer.finish()).unwrap_err().what,
        "publish count"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in 0u8..14, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut input = vec![kind];
        input.extend(body);
        let _ = Command::decode(input.into());
    }

    #[test]
    fn a_flipped_byte_never_panics(seq in any::<u64>(), at in 0usize..40, bit in 0u8..8) {
        let action = Action::Purge(Purge { filter: "x.>".into(), upto_seq: seq, keep: seq });
        let command = Command { time_ns: 1, proposal: None, action };
        let mut bytes = command.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = Command::decode(bytes.into());
    }
}
