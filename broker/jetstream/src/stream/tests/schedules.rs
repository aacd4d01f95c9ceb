use super::*;
use crate::timestamp::Timestamp;

fn schedules() -> Fixture {
    let mut stream = Fixture::new(StreamConfig {
        subjects: vec!["s.>".to_owned(), "t.>".to_owned()],
        allow_msg_schedules: true,
        allow_rollup_hdrs: true,
        allow_msg_ttl: true,
        ..config()
    });
    stream.now_ns = at("2026-01-01T00:00:00.2Z");
    stream
}

fn at(text: &str) -> i64 {
    Timestamp::parse(text).unwrap().0
}

impl Fixture {
    fn schedule(&mut self, pattern: &str, more: &[(&str, &str)]) -> Result<PubAck, ApiError> {
        let mut headers = vec![("Nats-Schedule", pattern)];
        headers.extend(more);
        self.publish("s.1", &headers, "body")
    }

    /// Lets time pass until the next deadline, which is returned.
    fn tick(&mut self) -> String {
        self.now_ns = self.machine.next_expiry_ns().unwrap();
        self.apply(Action::Tick);
        Timestamp(self.now_ns).to_string()
    }

    fn last(&self, subject: &str) -> Option<(String, String)> {
        let seq = self.machine.store().last_for(subject.as_bytes())?;
        let message = self.machine.store().get(seq).unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((
            text(&message.headers).replace("\r\n", "|"),
            text(&message.payload),
        ))
    }
}

const TARGET: (&str, &str) = ("Nats-Schedule-Target", "t.1");

#[test]
fn a_message_comes_once_at_its_time() {
    let mut stream = schedules();
    let more = [TARGET, ("Own", "v"), ("Nats-Schedule-TTL", "1h")];
    stream.schedule("@at 2026-01-01T00:01:00Z", &more).unwrap();
    assert_eq!(stream.last("t.1"), None);
    assert_eq!(stream.tick(), "2026-01-01T00:01:00Z");
    let expected =
        "NATS/1.0|Own: v|Nats-Scheduler: s.1|Nats-Schedule-Next: purge|Nats-TTL: 1h||".to_owned();
    assert_eq!(stream.last("t.1"), Some((expected, "body".to_owned())));
    assert_eq!(stream.last("s.1"), None, "the schedule is over");
}

#[test]
fn a_message_comes_again_and_again_until_it_is_cancelled() {
    let mut stream = schedules();
    stream.schedule("@every 10s", &[TARGET]).unwrap();
    assert_eq!(stream.tick(), "2026-01-01T00:00:10Z");
    let (headers, _) = stream.last("t.1").unwrap();
    assert!(headers.contains("Nats-Schedule-Next: 2026-01-01T00:00:20Z"));
    stream.now_ns = at("2026-01-01T00:01:03Z");
    stream.apply(Action::Tick);
    assert_eq!(stream.seqs().len(), 3, "missed times collapse into one");
    let cancel = [("Nats-Scheduler", "s.1"), ("Nats-Schedule-Next", "purge")];
    stream.publish("t.1", &cancel, "").unwrap();
    assert_eq!(stream.last("s.1"), None);
    assert_eq!(stream.machine.next_expiry_ns(), None);
}

#[test]
fn a_schedule_ends_with_its_message_and_is_replaced_by_the_next() {
    let mut stream = schedules();
    stream.schedule("@every 10s", &[TARGET]).unwrap();
    stream.schedule("@every 60s", &[TARGET]).unwrap();
    assert_eq!(stream.seqs(), [2]);
    assert_eq!(stream.tick(), "2026-01-01T00:01:00Z");
    stream
        .answer(Action::DeleteMsg {
            seq: 2,
            no_erase: true,
        })
        .unwrap();
    stream.tick();
    assert_eq!(stream.seqs(), [3]);
    assert_eq!(stream.machine.next_expiry_ns(), None);
}

#[test]
fn a_schedule_can_repeat_the_newest_message_of_a_subject() {
    let mut stream = schedules();
    let source = ("Nats-Schedule-Source", "t.source");
    let rollup = ("Nats-Schedule-Rollup", "sub");
    stream
        .schedule("0 0 * * * *", &[TARGET, source, rollup])
        .unwrap();
    stream.publish("t.source", &[("A", "b")], "one").unwrap();
    stream.tick();
    stream.publish("t.source", &[("A", "c")], "two").unwrap();
    stream.tick();
    let (headers, payload) = stream.last("t.1").unwrap();
    assert!(headers.starts_with("NATS/1.0|A: c|Nats-Scheduler: s.1|"));
    assert!(headers.ends_with("|Nats-Rollup: sub||"));
    assert_eq!(payload, "two");
    assert_eq!(stream.machine.store().subject_count(b"t.1"), 1);
}

#[test]
fn what_is_no_schedule_is_refused() {
    let mut stream = schedules();
    let mut code =
        |pattern: &str, more: &[(&str, &str)]| stream.schedule(pattern, more).unwrap_err().err_code;
    assert_eq!(code("nonsense", &[TARGET]), 10189);
    assert_eq!(code("@daily", &[]), 10190);
    for target in ["s.1", "t.*", "other.1"] {
        assert_eq!(code("@daily", &[("Nats-Schedule-Target", target)]), 10190);
    }
    let cases = [
        ("Nats-Schedule-TTL", "100ms", 10191),
        ("Nats-Schedule-Rollup", "all", 10192),
        ("Nats-Rollup", "all", 10192),
        ("Nats-Schedule-Source", "t.1", 10203),
        ("Nats-Schedule-Source", "x.y", 10203),
        ("Nats-Schedule-Time-Zone", "Mars/X", 10223),
    ];
    for (name, value, expected) in cases {
        assert_eq!(code("@daily", &[TARGET, (name, value)]), expected, "{name}");
    }
    for headers in [
        &[("Nats-Scheduler", "s.1")][..],
        &[("Nats-Schedule-Next", "purge")],
        &[("Nats-Scheduler", "s.1"), ("Nats-Schedule-Next", "soon")],
    ] {
        assert_eq!(stream.err_code("s.2", headers), 10212);
    }
    let mut plain = Fixture::new(config());
    assert_eq!(plain.err_code("s.1", &[("Nats-Schedule", "@daily")]), 10188);
}

#[test]
fn schedules_survive_a_checkpoint() {
    let mut stream = schedules();
    stream.schedule("@every 10s", &[TARGET]).unwrap();
    let state = stream.machine.encode_state();
    let reopened = StreamMachine::decode_state(state, Box::new(MemoryStore::new())).unwrap();
    assert_eq!(reopened.next_expiry_ns(), stream.machine.next_expiry_ns());
}
