//! What limits remove, and what they refuse.

use super::*;

fn limited(change: impl FnOnce(&mut StreamConfig)) -> Fixture {
    let mut config = config();
    change(&mut config);
    Fixture::new(config)
}

#[test]
fn the_oldest_messages_make_room() {
    let mut stream = limited(|config| config.max_msgs = 2);
    for subject in ["a", "b", "c"] {
        stream.put(subject);
    }
    assert_eq!(stream.seqs(), [2, 3]);
    let size = stream.machine.size_of(&message("a", &[], "x"));
    let mut stream = limited(|config| config.max_bytes = 2 * i64::try_from(size).unwrap());
    for subject in ["a", "b", "c"] {
        stream.put(subject);
    }
    assert_eq!(stream.seqs(), [2, 3]);
    let mut stream = limited(|config| config.max_msgs_per_subject = 1);
    for subject in ["a", "b", "a"] {
        stream.put(subject);
    }
    assert_eq!(stream.seqs(), [2, 3]);
}

#[test]
fn new_messages_are_refused_where_the_stream_says_so() {
    let refused = |text: &str| Err(ApiError::stream_store_failed(text));
    let mut stream = limited(|config| {
        config.discard = Discard::New;
        config.max_msgs = 1;
    });
    stream.put("a");
    assert_eq!(
        stream.publish("a", &[], "x"),
        refused("maximum messages exceeded")
    );
    let mut stream = limited(|config| {
        config.discard = Discard::New;
        config.max_bytes = 60;
    });
    stream.put("a");
    let long = "x".repeat(60);
    assert_eq!(
        stream.publish("a", &[], &long),
        refused("maximum bytes exceeded")
    );
    let mut stream = limited(|config| {
        config.discard = Discard::New;
        config.max_msgs_per_subject = 1;
        config.discard_new_per_subject = true;
    });
    stream.put("a");
    stream.put("b");
    assert_eq!(
        stream.publish("a", &[], "x"),
        refused("maximum messages per subject exceeded")
    );
    assert_eq!(stream.seqs(), [1, 2]);
}

#[test]
fn a_full_stream_takes_what_replaces_its_subject() {
    let mut stream = limited(|config| {
        config.discard = Discard::New;
        config.max_msgs = 2;
        config.max_msgs_per_subject = 1;
    });
    stream.put("a");
    stream.put("b");
    assert_eq!(stream.put("a"), 3);
    assert_eq!(stream.seqs(), [2, 3]);
    assert_eq!(stream.err_code("c", &[]), 10077);
}

#[test]
fn messages_expire_by_the_time_of_commands() {
    let mut stream = limited(|config| config.max_age_ns = 10 * SECOND);
    stream.put("a");
    stream.now_ns += 4 * SECOND;
    stream.put("b");
    assert_eq!(stream.machine.next_expiry_ns(), Some(11 * SECOND));
    stream.now_ns += 6 * SECOND;
    assert_eq!(stream.apply(Action::Tick), [Effect::Removed(1..=1)]);
    assert_eq!(stream.seqs(), [2]);
    stream.now_ns += 100 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [0; 0]);
    assert_eq!(stream.machine.next_expiry_ns(), None);
    assert_eq!(stream.put("c"), 3);
}

#[test]
fn a_message_can_have_its_own_time_to_live() {
    let mut stream = limited(|config| {
        config.max_age_ns = 10 * SECOND;
        config.allow_msg_ttl = true;
    });
    stream.publish("short", &[("Nats-TTL", "2s")], "").unwrap();
    stream
        .publish("never", &[("Nats-TTL", "never")], "")
        .unwrap();
    stream.put("plain");
    stream.publish("long", &[("Nats-TTL", "1m")], "").unwrap();
    assert_eq!(stream.machine.next_expiry_ns(), Some(3 * SECOND));
    stream.now_ns += 2 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [2, 3, 4]);
    // The stream's age limit ends the long one early.
    stream.now_ns += 20 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [2]);
    assert_eq!(stream.machine.next_expiry_ns(), Some(61 * SECOND));
    stream.now_ns += 60 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [2]);
    assert_eq!(stream.machine.next_expiry_ns(), None);
}

#[test]
fn lowered_limits_apply_at_once() {
    let mut stream = limited(|_| {});
    for subject in ["a", "a", "a", "b", "c"] {
        stream.put(subject);
    }
    let update = StreamConfig {
        max_msgs_per_subject: 1,
        max_msgs: 2,
        ..config()
    };
    stream
        .answer(Action::UpdateConfig(Box::new(update)))
        .unwrap();
    assert_eq!(stream.seqs(), [4, 5]);
}

#[test]
fn the_last_message_of_a_subject_leaves_a_marker_when_it_expires() {
    let mut stream = limited(|config| {
        config.max_age_ns = 10 * SECOND;
        config.allow_msg_ttl = true;
        config.allow_rollup_hdrs = true;
        config.subject_delete_marker_ttl_ns = 5 * SECOND;
    });
    stream.put("a");
    stream.publish("b", &[("Nats-TTL", "1s")], "x").unwrap();
    stream.now_ns += 5 * SECOND;
    stream.put("a");
    assert_eq!(stream.seqs(), [1, 3, 4]);
    let marker = stream.machine.store().get(3).unwrap().unwrap();
    let headers =
        "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 5s\r\nNats-Rollup: sub\r\n\r\n";
    assert_eq!(
        (&marker.subject[..], &marker.headers[..]),
        (&b"b"[..], headers.as_bytes())
    );
    stream.now_ns += 5 * SECOND;
    let effects = stream.apply(Action::Tick);
    assert_eq!(effects, [Effect::Removed(1..=3)]);
    assert_eq!(stream.seqs(), [4]);
}

#[test]
fn a_long_time_to_live_does_not_keep_a_subject_from_its_marker() {
    let mut stream = limited(|config| {
        config.max_age_ns = 2 * SECOND;
        config.allow_msg_ttl = true;
        config.allow_rollup_hdrs = true;
        config.subject_delete_marker_ttl_ns = 2 * SECOND;
    });
    stream.publish("a", &[("Nats-TTL", "20s")], "").unwrap();
    stream.put("a");
    stream.now_ns += 2 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [3]);
}

#[test]
fn messages_that_never_expire_do_not_ask_for_ticks() {
    let mut stream = limited(|config| {
        config.max_age_ns = 10 * SECOND;
        config.allow_msg_ttl = true;
    });
    stream
        .publish("never", &[("Nats-TTL", "never")], "")
        .unwrap();
    stream.now_ns += 10 * SECOND;
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs(), [1]);
    assert_eq!(stream.machine.next_expiry_ns(), None);
}
