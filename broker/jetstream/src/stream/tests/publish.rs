//! Which messages are stored, and what clients are told about the others.

use super::*;
use crate::config::{Republish, SubjectTransform};

#[test]
fn expectations_are_checked_when_the_message_is_stored() {
    let mut stream = Fixture::new(config());
    stream.publish("a", &[("Nats-Msg-Id", "one")], "x").unwrap();
    stream.put("b");
    let wrong_sequence = |seq: u64| ApiError::stream_wrong_last_sequence(seq);
    let cases: &[(&[(&str, &str)], ApiError)] = &[
        (&[("Nats-Expected-Stream", "T")], ApiError::STREAM_NOT_MATCH),
        (&[("Nats-Expected-Last-Sequence", "1")], wrong_sequence(2)),
        (&[("Nats-Expected-Last-Sequence", "x")], wrong_sequence(2)),
        (
            &[("Nats-Expected-Last-Subject-Sequence", "0")],
            wrong_sequence(1),
        ),
        (
            &[
                ("Nats-Expected-Last-Subject-Sequence", "1"),
                ("Nats-Expected-Last-Subject-Sequence-Subject", "b"),
            ],
            wrong_sequence(2),
        ),
        (
            &[("Nats-Expected-Last-Subject-Sequence-Subject", "b")],
            ApiError::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID,
        ),
        (
            &[("Nats-Expected-Last-Msg-Id", "one")],
            ApiError::stream_wrong_last_msg_id(""),
        ),
        (
            &[("Nats-Rollup", "sub")],
            ApiError::stream_rollup_failed("rollup not permitted"),
        ),
        (&[("Nats-TTL", "5s")], ApiError::MESSAGE_TTL_DISABLED),
        (&[("Nats-TTL", "soon")], ApiError::MESSAGE_TTL_INVALID),
        (&[("Nats-Incr", "1")], ApiError::MESSAGE_INCR_DISABLED),
        (&[("Nats-Incr", "one")], ApiError::MESSAGE_INCR_INVALID),
        (&[("Nats-Batch-Id", "b")], ApiError::ATOMIC_PUBLISH_DISABLED),
        (
            &[("Nats-Schedule", "@hourly")],
            ApiError::MESSAGE_SCHEDULES_DISABLED,
        ),
        (
            &[("Nats-Scheduler", "x")],
            ApiError::MESSAGE_SCHEDULES_SCHEDULER_INVALID,
        ),
        (
            &[("Nats-Stream-Source", "T 1")],
            ApiError::MESSAGE_SOURCE_HDR_NOT_ALLOWED,
        ),
    ];
    for (headers, error) in cases {
        assert_eq!(
            stream.publish("a", headers, "x"),
            Err(error.clone()),
            "{headers:?}"
        );
    }
    assert_eq!(stream.seqs(), [1, 2]);
    for headers in [
        [("Nats-Expected-Last-Sequence", "2")],
        [("Nats-Expected-Stream", "S")],
        [("Nats-Expected-Last-Subject-Sequence", "4")],
    ] {
        stream.publish("a", &headers, "x").unwrap();
    }
    let new_subject = [("Nats-Expected-Last-Subject-Sequence", "0")];
    assert_eq!(stream.publish("new", &new_subject, "x").unwrap().seq, 6);
}

#[test]
fn the_last_message_id_can_be_expected() {
    let mut stream = Fixture::new(config());
    stream.publish("a", &[("Nats-Msg-Id", "one")], "x").unwrap();
    let next = [("Nats-Msg-Id", "two"), ("Nats-Expected-Last-Msg-Id", "one")];
    stream.publish("a", &next, "x").unwrap();
    let stale = [("Nats-Expected-Last-Msg-Id", "one")];
    let error = stream.publish("a", &stale, "x").unwrap_err();
    assert_eq!(error, ApiError::stream_wrong_last_msg_id("two"));
}

#[test]
fn a_message_id_counts_once_within_the_window() {
    let mut stream = Fixture::new(StreamConfig {
        duplicate_window_ns: 2 * SECOND,
        ..config()
    });
    let id = [("Nats-Msg-Id", "one")];
    assert_eq!(
        stream.publish("a", &id, "x"),
        Ok(PubAck {
            seq: 1,
            duplicate: false,
            ..PubAck::default()
        })
    );
    stream.now_ns += SECOND;
    assert_eq!(
        stream.publish("b", &id, "y"),
        Ok(PubAck {
            seq: 1,
            duplicate: true,
            ..PubAck::default()
        })
    );
    stream.now_ns += SECOND;
    assert_eq!(
        stream.publish("a", &id, "x"),
        Ok(PubAck {
            seq: 2,
            duplicate: false,
            ..PubAck::default()
        })
    );
}

#[test]
fn sizes_are_limited() {
    let mut stream = Fixture::new(StreamConfig {
        max_msg_size: 4,
        ..config()
    });
    assert_eq!(stream.publish("a", &[], "1234").unwrap().seq, 1);
    let error = stream.publish("a", &[], "12345").unwrap_err();
    assert_eq!(error, ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
    let mut stream = Fixture::new(StreamConfig {
        max_msg_size: -1,
        ..config()
    });
    let long = "x".repeat(70_000);
    let error = stream.publish("a", &[("Long", &long)], "").unwrap_err();
    assert_eq!(error, ApiError::STREAM_HEADER_EXCEEDS_MAXIMUM);
    assert_eq!(stream.publish("a", &[], &long).unwrap().seq, 1);
}

#[test]
fn a_rollup_replaces_its_subject_or_everything() {
    let rollups = StreamConfig {
        allow_rollup_hdrs: true,
        ..config()
    };
    let mut stream = Fixture::new(rollups);
    for subject in ["a", "b", "a"] {
        stream.put(subject);
    }
    stream.publish("a", &[("Nats-Rollup", "sub")], "x").unwrap();
    assert_eq!(stream.seqs(), [2, 4]);
    stream.publish("c", &[("Nats-Rollup", "all")], "x").unwrap();
    assert_eq!(stream.seqs(), [5]);
    let error = stream
        .publish("c", &[("Nats-Rollup", "some")], "x")
        .unwrap_err();
    assert_eq!(
        error,
        ApiError::stream_rollup_failed("rollup value invalid: \"some\"")
    );
}

#[test]
fn subjects_can_be_rewritten_before_anything_else() {
    let rewrite = SubjectTransform {
        src: "in.*".to_owned(),
        dest: "out.$1".to_owned(),
    };
    let mut stream = Fixture::new(StreamConfig {
        subject_transform: Some(rewrite),
        ..config()
    });
    stream.put("in.a");
    stream.put("other");
    let subjects: Vec<_> = [1, 2]
        .iter()
        .map(|seq| stream.machine.store().get(*seq).unwrap().unwrap().subject)
        .collect();
    assert_eq!(subjects, ["out.a", "other"]);
    let expected = [("Nats-Expected-Last-Subject-Sequence", "1")];
    assert_eq!(stream.publish("in.a", &expected, "x").unwrap().seq, 3);
}

#[test]
fn stored_messages_are_republished_with_their_position() {
    let republish = Republish {
        src: "a.>".to_owned(),
        dest: "copy.>".to_owned(),
        headers_only: false,
    };
    let mut stream = Fixture::new(StreamConfig {
        republish: Some(republish),
        ..config()
    });
    stream.put("b");
    stream.put("a.x");
    let batch = vec![message("a.x", &[("K", "v")], "body")];
    let effects = stream.apply(Action::PublishBatch(batch));
    let Some(Effect::Republish {
        subject,
        headers,
        payload,
    }) = effects.first()
    else {
        panic!("the message was republished: {effects:?}");
    };
    assert_eq!((&subject[..], &payload[..]), (&b"copy.x"[..], &b"body"[..]));
    let expected = "NATS/1.0\r\nK: v\r\nNats-Stream: S\r\nNats-Subject: a.x\r\nNats-Sequence: 3\r\n\
        Nats-Time-Stamp: 1970-01-01T00:00:01Z\r\nNats-Last-Sequence: 2\r\n\r\n";
    assert_eq!(std::str::from_utf8(headers).unwrap(), expected);
}
