use super::*;

fn counters() -> Fixture {
    Fixture::new(StreamConfig {
        allow_msg_counter: true,
        ..config()
    })
}

impl Fixture {
    /// Adds to a counter; the counter after it.
    fn add(&mut self, subject: &str, increment: &str) -> String {
        let ack = self.publish(subject, &[("Nats-Incr", increment)], "");
        ack.unwrap().value.expect("a counter has a value").into()
    }

    fn refused(&mut self, headers: &[(&str, &str)], payload: &str) -> u16 {
        self.publish("a", headers, payload).unwrap_err().err_code
    }

    fn stored(&self, seq: u64) -> (String, String) {
        let message = self.machine.store().get(seq).unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&message.headers), text(&message.payload))
    }
}

#[test]
fn a_counter_adds_up_without_a_bound() {
    let mut stream = counters();
    assert_eq!(stream.add("a", "5"), "5");
    assert_eq!(stream.add("a", "+3"), "8");
    assert_eq!(stream.add("b", "1"), "1");
    assert_eq!(stream.add("a", "-30"), "-22");
    let large = "9".repeat(30);
    assert_eq!(stream.add("b", &large), format!("1{}", "0".repeat(30)));
    let (headers, payload) = stream.stored(4);
    assert_eq!(headers, "NATS/1.0\r\nNats-Incr: -30\r\n\r\n");
    assert_eq!(payload, r#"{"val":"-22"}"#);
}

#[test]
fn what_does_not_count_is_refused() {
    let mut stream = counters();
    let one = ("Nats-Incr", "1");
    assert_eq!(stream.refused(&[], ""), 10169);
    assert_eq!(stream.refused(&[one], "x"), 10170);
    assert_eq!(stream.refused(&[("Nats-Incr", "x")], ""), 10171);
    assert_eq!(stream.refused(&[one, ("Nats-Rollup", "sub")], ""), 10171);
    let expectation = ("Nats-Expected-Last-Sequence", "0");
    assert_eq!(stream.refused(&[one, expectation], ""), 10171);
    let mut plain = Fixture::new(config());
    assert_eq!(plain.refused(&[one], ""), 10168);
}

#[test]
fn a_repeated_increment_counts_once() {
    let mut stream = counters();
    let headers = [("Nats-Incr", "1"), ("Nats-Msg-Id", "u")];
    stream.publish("a", &headers, "").unwrap();
    assert!(stream.publish("a", &headers, "").unwrap().duplicate);
    assert_eq!(stream.add("a", "1"), "2");
}

#[test]
fn a_counter_that_cannot_be_read_is_broken() {
    let mut stream = Fixture::new(config());
    stream.put("a");
    stream
        .answer(Action::UpdateConfig(Box::new(StreamConfig {
            allow_msg_counter: true,
            ..config()
        })))
        .unwrap();
    assert_eq!(stream.refused(&[("Nats-Incr", "1")], ""), 10172);
}
