use super::*;
use crate::command::{Copied, CopiedMessage};
use crate::config::StreamSource;

fn origin(name: &str) -> StreamSource {
    StreamSource {
        name: name.to_owned(),
        ..StreamSource::default()
    }
}

fn mirror() -> Fixture {
    Fixture::new(StreamConfig {
        subjects: vec![],
        mirror: Some(origin("O")),
        ..config()
    })
}

fn sourcing(config: StreamConfig) -> Fixture {
    Fixture::new(StreamConfig {
        sources: vec![origin("O"), origin("P")],
        ..config
    })
}

fn stretch(source: &str, after: u64, seqs: &[u64], up_to: u64) -> Copied {
    let messages = seqs.iter().map(|seq| CopiedMessage {
        seq: *seq,
        time_ns: *seq as i64,
        message: message("a", &[("Nats-TTL", "1h")], &format!("{source}{seq}")),
    });
    Copied {
        source: origin(source).key(),
        identity: "one".to_owned(),
        after,
        up_to,
        messages: messages.collect(),
    }
}

impl Fixture {
    /// Copies a stretch; what stalled it, if anything did.
    fn copy(&mut self, copied: Copied) -> Option<ApiError> {
        let effects = self.apply(Action::Copy(copied));
        effects.into_iter().find_map(|effect| match effect {
            Effect::Copied { stalled, .. } => stalled,
            _ => None,
        })
    }

    fn payloads(&self) -> Vec<String> {
        let seqs = self.seqs().into_iter();
        seqs.map(|seq| {
            let message = self.machine.store().get(seq).unwrap().unwrap();
            String::from_utf8(message.payload.to_vec()).unwrap()
        })
        .collect()
    }

    fn position(&self, source: &str) -> u64 {
        self.machine.position(&origin(source).key()).seq
    }
}

#[test]
fn a_mirror_keeps_sequences_and_times() {
    let mut stream = mirror();
    stream.copy(stretch("O", 0, &[3, 5], 7));
    assert_eq!(stream.seqs(), [3, 5]);
    let message = stream.machine.store().get(5).unwrap().unwrap();
    assert_eq!(message.time_ns, 5);
    assert_eq!(stream.machine.store().state().last_seq, 7);
    stream.copy(stretch("O", 0, &[5, 6, 7, 8], 8));
    assert_eq!(stream.seqs(), [3, 5, 8], "what was passed over stays so");
}

#[test]
fn each_source_has_its_own_position() {
    let mut stream = sourcing(config());
    stream.copy(stretch("O", 0, &[1, 2], 2));
    stream.copy(stretch("P", 0, &[1], 4));
    stream.put("b");
    stream.copy(stretch("O", 2, &[3], 3));
    stream.copy(stretch("O", 0, &[2, 3, 4], 4));
    assert_eq!(stream.payloads(), ["O1", "O2", "P1", "x", "O3", "O4"]);
    assert_eq!((stream.position("O"), stream.position("P")), (4, 4));
}

#[test]
fn a_stretch_that_leaves_a_gap_is_ignored() {
    let mut stream = sourcing(config());
    stream.copy(stretch("O", 0, &[1], 1));
    stream.copy(stretch("O", 2, &[3], 3));
    assert_eq!(stream.payloads(), ["O1"]);
    let mut stream = mirror();
    stream.copy(stretch("O", 2, &[3], 3));
    assert!(stream.seqs().is_empty());
}

#[test]
fn a_full_stream_takes_the_rest_when_it_has_room() {
    let mut stream = sourcing(StreamConfig {
        discard: Discard::New,
        max_msgs: 2,
        ..config()
    });
    let stalled = stream.copy(stretch("O", 0, &[1, 2, 3, 4], 4)).unwrap();
    assert_eq!(stalled.err_code, 10077);
    assert_eq!(stream.position("O"), 2);
    // What the leader proposed before it knew must not leave a gap.
    stream.copy(stretch("O", 4, &[5], 5));
    stream.answer(Action::Purge(Default::default())).unwrap();
    assert_eq!(stream.copy(stretch("O", 2, &[3, 4], 4)), None);
    assert_eq!(stream.payloads(), ["O3", "O4"]);
}

#[test]
fn an_origin_that_was_made_anew_is_copied_from_its_beginning() {
    let mut stream = sourcing(config());
    stream.copy(stretch("O", 0, &[1, 2], 2));
    let mut anew = stretch("O", 0, &[1], 1);
    anew.identity = "two".to_owned();
    stream.copy(anew);
    assert_eq!(stream.payloads(), ["O1", "O2", "O1"]);
    assert_eq!(stream.position("O"), 1);
}

#[test]
fn what_is_no_source_is_ignored_and_a_source_that_comes_back_goes_on() {
    let mut stream = sourcing(config());
    stream.copy(stretch("O", 0, &[1], 1));
    let update = |sources: &[&str]| {
        Action::UpdateConfig(Box::new(StreamConfig {
            sources: sources.iter().map(|name| origin(name)).collect(),
            ..config()
        }))
    };
    stream.answer(update(&["P"])).unwrap();
    stream.copy(stretch("O", 1, &[2], 2));
    stream.answer(update(&["O", "P"])).unwrap();
    stream.copy(stretch("O", 0, &[1, 2], 2));
    assert_eq!(stream.payloads(), ["O1", "O2"]);
}

#[test]
fn positions_survive_a_checkpoint() {
    let mut stream = sourcing(config());
    stream.copy(stretch("O", 0, &[1, 2], 5));
    let state = stream.machine.encode_state();
    let reopened = StreamMachine::decode_state(state, Box::new(MemoryStore::new())).unwrap();
    let key = origin("O").key();
    assert_eq!(reopened.position(&key), stream.machine.position(&key));
    assert_eq!(reopened.position(&key).seq, 5);
}

#[test]
fn headers_that_mean_nothing_here_are_kept() {
    let mut stream = sourcing(config());
    let mut copied = stretch("O", 0, &[], 2);
    let headers = [
        ("Nats-Incr", "1"),
        ("Nats-Rollup", "sub"),
        ("Nats-Schedule", "@daily"),
    ];
    copied.messages.push(CopiedMessage {
        seq: 1,
        time_ns: 1,
        message: message("a", &headers, "5"),
    });
    assert_eq!(stream.copy(copied), None);
    assert_eq!(stream.payloads(), ["5"]);
}

#[test]
fn a_sourced_counter_replaces_its_share() {
    let mut stream = sourcing(StreamConfig {
        allow_msg_counter: true,
        ..config()
    });
    let total = |seq: u64, source: &str, value: &str| {
        let origin_header = format!("{source} {seq} > > a");
        let headers = [("Nats-Incr", "1"), ("Nats-Stream-Source", &origin_header)];
        let payload = format!(r#"{{"val":"{value}"}}"#);
        let mut copied = stretch(source, 0, &[], seq);
        copied.messages.push(CopiedMessage {
            seq,
            time_ns: 1,
            message: message("a", &headers, &payload),
        });
        copied
    };
    stream.copy(total(1, "O", "5"));
    stream.copy(total(1, "P", "10"));
    stream.copy(total(4, "O", "7"));
    let last = stream.machine.store().get(3).unwrap().unwrap();
    assert_eq!(last.payload, r#"{"val":"17"}"#);
    let shares = wire::headers::get(&last.headers, "Nats-Counter-Sources").unwrap();
    assert_eq!(shares, br#"{"O":{"a":"7"},"P":{"a":"10"}}"#);
    assert_eq!(
        wire::headers::get(&last.headers, "Nats-Incr"),
        Some(&b"2"[..])
    );
}
