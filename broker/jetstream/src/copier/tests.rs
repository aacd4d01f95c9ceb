use proptest::prelude::*;

use super::*;
use crate::config::{SourceConsumer, StreamConfig, SubjectTransform};
use crate::stream::StreamMachine;
use crate::{Command, command::Action};
use messages::{Filters, MemoryStore};

const SECOND: i64 = 1_000_000_000;

fn setup(is_mirror: bool) -> Setup {
    Setup {
        account: "A".to_owned(),
        stream: "S".to_owned(),
        source: StreamSource {
            name: "O".to_owned(),
            ..StreamSource::default()
        },
        is_mirror,
    }
}

fn ask(copier: &mut Copier, now_ns: i64) -> (String, String) {
    let mut out = Vec::new();
    copier.run(now_ns, 0, || "tok".to_owned(), &mut out);
    match &out[..] {
        [
            Send::Request {
                subject, payload, ..
            },
        ] => (
            subject.clone(),
            String::from_utf8(payload.to_vec()).unwrap(),
        ),
        other => panic!("no request: {other:?}"),
    }
}

fn agree(copier: &mut Copier, now_ns: i64) {
    let headers = b"NATS/1.0\r\nNats-Stream-Identity: one\r\n\r\n";
    copier.answer(now_ns, headers, br#"{"num_pending":3}"#);
    assert!(copier.deliver_subject().is_some());
}

fn deliver(copier: &mut Copier, stream_seq: u64, consumer_seq: u64) {
    let reply = format!("$JS.ACK.O.C.1.{stream_seq}.{consumer_seq}.{stream_seq}.0");
    let delivered = Delivered {
        subject: Bytes::from_static(b"o.1"),
        reply: reply.into(),
        headers: Bytes::from_static(b"NATS/1.0\r\nNats-Expected-Stream: O\r\nX: y\r\n\r\n"),
        payload: stream_seq.to_string().into(),
    };
    copier.message(0, delivered);
}

fn heartbeat(consumer_seq: u64, stream_seq: u64) -> Delivered {
    Delivered {
        subject: Bytes::from_static(b"$JS.S.tok"),
        headers: crate::consumer::status::idle_heartbeat(consumer_seq, stream_seq, None),
        ..Delivered::default()
    }
}

#[test]
fn it_asks_for_what_comes_after_its_position() {
    let position = Position {
        seq: 7,
        identity: "one".to_owned(),
    };
    let mut copier = Copier::new(setup(false), position);
    let (subject, body) = ask(&mut copier, 0);
    assert_eq!(subject, "$JS.API.CONSUMER.CREATE.O");
    for part in [
        r#""opt_start_seq":8"#,
        r#""deliver_subject":"$JS.S.tok""#,
        r#""direct":true"#,
        r#""_nats.src.stream":"S""#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[test]
fn filters_prefixes_and_starts_are_those_of_the_source() {
    let mut of = setup(true);
    of.source.filter_subject = "o.1".to_owned();
    of.source.opt_start_seq = 3;
    of.source.external = Some(crate::config::External {
        api: "ext.api".to_owned(),
        deliver: "ext.del".to_owned(),
    });
    let (subject, body) = ask(&mut Copier::new(of, Position::default()), 0);
    assert_eq!(subject, "ext.api.CONSUMER.CREATE.O.JS_MIRROR_tok.o.1");
    assert!(
        body.contains(r#""deliver_subject":"ext.del.M.tok""#),
        "{body}"
    );
    assert!(body.contains(r#""opt_start_seq":3"#), "{body}");
}

#[test]
fn messages_carry_their_origin() {
    let mut of = setup(false);
    of.source.subject_transforms.push(SubjectTransform {
        src: "o.*".to_owned(),
        dest: "z.$1".to_owned(),
    });
    let mut copier = Copier::new(of, Position::default());
    ask(&mut copier, 0);
    agree(&mut copier, 0);
    deliver(&mut copier, 4, 1);
    let copied = copier.take_stretch().unwrap();
    let message = &copied.messages[0].message;
    assert_eq!(message.subject, "z.1");
    assert_eq!(
        message.headers,
        "NATS/1.0\r\nX: y\r\nNats-Stream-Source: O 4 o.* z.$1 o.1 one\r\n\r\n"
    );
    assert_eq!((copied.after, copied.up_to), (0, 4));
    assert_eq!(copier.take_stretch(), None);
}

#[test]
fn a_mirrored_message_expects_nothing() {
    let mut copier = Copier::new(setup(true), Position::default());
    ask(&mut copier, 0);
    agree(&mut copier, 0);
    deliver(&mut copier, 1, 1);
    let copied = copier.take_stretch().unwrap();
    let headers = &copied.messages[0].message.headers;
    assert_eq!(headers, "NATS/1.0\r\nX: y\r\n\r\n");
}

#[test]
fn what_a_full_stream_does_not_take_lags() {
    let mut copier = Copier::new(setup(false), Position::default());
    ask(&mut copier, 0);
    agree(&mut copier, 0);
    deliver(&mut copier, 1, 1);
    deliver(&mut copier, 2, 2);
    copier.take_stretch().unwrap();
    let full = ApiError::stream_store_failed("maximum messages exceeded");
    let position = Position {
        seq: 1,
        ..Position::default()
    };
    copier.begin_anew(0, position, Some(full.clone()));
    let info = copier.info(0, 1);
    assert_eq!((info.lag, info.error), (1, Some(full)));
}

#[test]
fn a_lost_message_or_a_silent_origin_makes_it_ask_again() {
    let mut copier = Copier::new(setup(false), Position::default());
    ask(&mut copier, 0);
    agree(&mut copier, 0);
    deliver(&mut copier, 1, 1);
    copier.take_stretch().unwrap();
    deliver(&mut copier, 3, 3);
    assert_eq!(copier.deliver_subject(), None);
    let (_, body) = ask(&mut copier, RETRY_NS.0);
    assert!(body.contains(r#""opt_start_seq":2"#), "{body}");
    agree(&mut copier, SECOND);
    copier.message(SECOND, heartbeat(1, 9));
    assert_eq!(
        copier.deliver_subject(),
        None,
        "a message before the heartbeat is missing"
    );
    ask(&mut copier, 3 * SECOND);
    agree(&mut copier, 3 * SECOND);
    let mut out = Vec::new();
    copier.run(3 * SECOND + SILENCE_NS, 0, String::new, &mut out);
    assert_eq!(copier.deliver_subject(), None);
}

#[test]
fn a_mirror_passes_over_what_the_origin_does_not_have() {
    let mut copier = Copier::new(setup(true), Position::default());
    ask(&mut copier, 0);
    agree(&mut copier, 0);
    copier.message(0, heartbeat(0, 9));
    let copied = copier.take_stretch().unwrap();
    assert_eq!((copied.up_to, copied.messages.len()), (9, 0));
}

#[test]
fn an_origin_that_refuses_is_asked_less_and_less_often() {
    let mut copier = Copier::new(setup(false), Position::default());
    let mut now_ns = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        ask(&mut copier, now_ns);
        copier.answer(
            now_ns,
            b"",
            br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        );
        pauses.push(copier.next_deadline() - now_ns);
        now_ns = copier.next_deadline();
    }
    assert!(pauses.is_sorted());
    assert_eq!(pauses.last(), Some(&RETRY_NS.1));
    assert_eq!(
        copier.info(now_ns, 0).error.map(|error| error.err_code),
        Some(10059)
    );
    assert_eq!(copier.info(now_ns, 0).active_ns, -1);
}

#[test]
fn another_stream_of_that_name_is_copied_from_its_beginning() {
    let position = Position {
        seq: 7,
        identity: "one".to_owned(),
    };
    let mut copier = Copier::new(setup(false), position);
    ask(&mut copier, 0);
    let refusal = ApiError::consumer_stream_identity_mismatch("two");
    let body = format!(
        r#"{{"error":{}}}"#,
        serde_json::to_string(&refusal).unwrap()
    );
    copier.answer(0, b"", body.as_bytes());
    let (_, body) = ask(&mut copier, SECOND);
    assert!(body.contains(r#""deliver_policy":"all""#), "{body}");
}

/// What happens between an origin and a copying stream.
#[derive(Clone, Debug)]
enum Event {
    /// The origin sends its next message.
    Deliver,
    /// The same, but it is lost on the way.
    Lose,
    /// The leader proposes what came.
    Propose,
    /// The log applies the next proposal.
    Apply,
    /// The log loses all proposals that wait, and another leader begins.
    ChangeLeader,
}

proptest! {
    /// Whatever is lost or repeated, the stream holds the origin's messages, each once, in order.
    #[test]
    fn nothing_is_lost_or_doubled(
        is_mirror in any::<bool>(),
        events in proptest::collection::vec(
            prop_oneof![
                4 => Just(Event::Deliver),
                1 => Just(Event::Lose),
                3 => Just(Event::Propose),
                2 => Just(Event::Apply),
                1 => Just(Event::ChangeLeader),
            ],
            1..120,
        )
    ) {
        let origin = setup(is_mirror).source;
        let config = StreamConfig {
            name: "S".to_owned(),
            mirror: is_mirror.then(|| origin.clone()),
            sources: if is_mirror { vec![] } else { vec![origin.clone()] },
            ..StreamConfig::default()
        };
        let mut machine = StreamMachine::new(config, 0, Box::new(MemoryStore::new()));
        let position = |machine: &StreamMachine| machine.position(&origin.key());
        let mut copier = Copier::new(setup(is_mirror), position(&machine));
        let (mut sent, mut consumer_seq, mut index) = (0, 0, 0);
        let mut log = std::collections::VecDeque::new();
        let mut now_ns = 0;
        for event in events {
            if copier.deliver_subject().is_none() {
                now_ns = copier.next_deadline().max(now_ns);
                let (_, body) = ask(&mut copier, now_ns);
                agree(&mut copier, now_ns);
                let start = body.split(r#""opt_start_seq":"#).nth(1);
                sent = start.map_or(0, |rest| {
                    rest.split(',').next().unwrap().parse::<u64>().unwrap() - 1
                });
                consumer_seq = 0;
            }
            match event {
                Event::Deliver => {
                    (sent, consumer_seq) = (sent + 1, consumer_seq + 1);
                    deliver(&mut copier, sent, consumer_seq);
                }
                Event::Lose => (sent, consumer_seq) = (sent + 1, consumer_seq + 1),
                Event::Propose => log.extend(copier.take_stretch()),
                Event::Apply => {
                    if let Some(copied) = log.pop_front() {
                        index += 1;
                        let command = Command {
                            time_ns: now_ns,
                            proposal: None,
                            action: Action::Copy(copied),
                        };
                        machine.apply(index, &command, &mut Vec::new()).unwrap();
                    }
                }
                Event::ChangeLeader => {
                    // Some of what the old leader proposed may still be in the log.
                    log.truncate(1);
                    copier = Copier::new(setup(is_mirror), position(&machine));
                }
            }
        }
        let mut expected = 1;
        let mut next = machine.store().next_matching(&Filters::everything(), 0);
        while let Some(seq) = next {
            let message = machine.store().get(seq).unwrap().unwrap();
            prop_assert_eq!(&message.payload, &expected.to_string());
            expected += 1;
            next = machine.store().next_matching(&Filters::everything(), seq + 1);
        }
        prop_assert_eq!(position(&machine).seq, expected - 1);
    }
}

fn durable() -> Setup {
    let mut setup = setup(false);
    setup.source.consumer = Some(SourceConsumer {
        name: "D".to_owned(),
        deliver_subject: "to".to_owned(),
    });
    setup
}

const AGREED: &[u8] = br#"{"config":{"deliver_subject":"to","ack_policy":"flow_control"}}"#;

#[test]
fn a_durable_consumer_is_started_where_copying_goes_on() {
    let mut copier = Copier::new(durable(), Position::default());
    let (subject, body) = ask(&mut copier, 0);
    assert_eq!(
        (&subject[..], &body[..]),
        ("$JS.API.CONSUMER.RESET.O.D", "")
    );
    let position = Position {
        seq: 7,
        identity: "one".to_owned(),
    };
    let mut copier = Copier::new(durable(), position);
    assert_eq!(ask(&mut copier, 0).1, r#"{"seq":8}"#);
    copier.answer(0, b"", AGREED);
    assert_eq!(copier.deliver_subject(), Some("to"));
}

#[test]
fn a_durable_consumer_that_does_not_fit_is_not_followed() {
    for (answer, code) in [
        (
            r#"{"config":{"deliver_subject":"to","ack_policy":"explicit"}}"#,
            ApiError::SOURCE_CONSUMER_REQUIRES_ACK_FC.err_code,
        ),
        (
            r#"{"config":{"deliver_subject":"elsewhere","ack_policy":"flow_control"}}"#,
            ApiError::SOURCE_DURABLE_CONSUMER_CFG_INVALID.err_code,
        ),
    ] {
        let mut copier = Copier::new(durable(), Position::default());
        ask(&mut copier, 0);
        copier.answer(0, b"", answer.as_bytes());
        assert_eq!(copier.deliver_subject(), None, "{answer}");
        let error = copier.info(0, 0).error.map(|error| error.err_code);
        assert_eq!(error, Some(code), "{answer}");
    }
}

#[test]
fn the_origin_hears_what_is_stored_and_not_before() {
    let mut copier = Copier::new(durable(), Position::default());
    ask(&mut copier, 0);
    copier.answer(0, b"", AGREED);
    deliver(&mut copier, 4, 1);
    deliver(&mut copier, 6, 2);
    let request = Delivered {
        subject: Bytes::from_static(b"to"),
        reply: Bytes::from_static(b"$JS.FC.O.D.x"),
        headers: crate::consumer::status::line("100 FlowControl Request"),
        ..Delivered::default()
    };
    copier.message(0, request);
    let mut out = Vec::new();
    copier.run(0, 5, String::new, &mut out);
    assert_eq!(out, [], "the last message is not stored");
    copier.run(0, 6, String::new, &mut out);
    let headers = crate::consumer::status::stored_through(2, 6);
    let subject = Bytes::from_static(b"$JS.FC.O.D.x");
    assert_eq!(out, [Send::FlowControl { subject, headers }]);
}

#[test]
fn a_copier_has_caught_up_when_little_is_left() {
    let mut copier = Copier::new(setup(true), Position::default());
    assert!(!copier.has_caught_up());
    for (pending, expected) in [(CAUGHT_UP_LAG, false), (CAUGHT_UP_LAG - 1, true)] {
        copier.begin_anew(0, Position::default(), None);
        ask(&mut copier, 100 * SECOND);
        assert!(!copier.has_caught_up());
        let answer = format!(r#"{{"num_pending":{pending}}}"#);
        copier.answer(100 * SECOND, b"", answer.as_bytes());
        assert_eq!(copier.has_caught_up(), expected, "{pending} are left");
    }
}
