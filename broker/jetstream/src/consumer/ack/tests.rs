use super::*;

use proptest::prelude::*;

fn token(deliveries: u64, stream_seq: u64, consumer_seq: u64) -> AckToken {
    AckToken {
        deliveries,
        stream_seq,
        consumer_seq,
        time_ns: 1_700_000_000_000,
        num_pending: 12,
    }
}

#[test]
fn a_written_subject_is_read_back() {
    let mut subject = Vec::new();
    let prefix = AckPrefix::new("ORDERS", "worker");
    let token = token(1, 42, 7);
    prefix.write(&token, &mut subject);
    assert_eq!(subject, b"$JS.ACK.ORDERS.worker.1.42.7.1700000000000.12");
    assert_eq!(prefix.length(&token), subject.len());
    let parsed = AckSubject::parse(&subject).unwrap();
    assert_eq!(
        (parsed.stream, parsed.consumer),
        (&b"ORDERS"[..], &b"worker"[..])
    );
    assert_eq!((parsed.domain, parsed.token), (&b""[..], token));
}

#[test]
fn the_longer_form_names_a_domain() {
    for (subject, domain) in [
        ("$JS.ACK._.hash.S.C.1.42.7.1700000000000.12", ""),
        ("$JS.ACK.hub.hash.S.C.1.42.7.1700000000000.12.random", "hub"),
    ] {
        let parsed = AckSubject::parse(subject.as_bytes()).unwrap();
        assert_eq!(parsed.domain, domain.as_bytes());
        assert_eq!((parsed.stream, parsed.consumer), (&b"S"[..], &b"C"[..]));
        assert_eq!(parsed.token, token(1, 42, 7));
    }
}

#[test]
fn other_subjects_are_not_acks() {
    for subject in [
        "",
        "$JS.ACK.S.C",
        "$JS.ACK.S.C.1.2.3.4",
        "$JS.ACK.S.C.1.2.3.4.5.6",
        "$JS.ACK.S.C.1.2.3.x.5",
        "$JS.ACK.S.C.1.2..4.5",
        "$JS.ACK.S.C.1.99999999999999999999.3.4.5",
        "$JS.API.S.C.1.2.3.4.5",
    ] {
        assert_eq!(AckSubject::parse(subject.as_bytes()), None, "{subject}");
    }
}

#[test]
fn verbs_are_read_from_payloads() {
    let nak = |delay_ns| AckVerb::Nak { delay_ns };
    let cases: [(&[u8], AckVerb<'_>); 14] = [
        (b"", AckVerb::Ack),
        (b"+ACK", AckVerb::Ack),
        (b"+OK", AckVerb::Ack),
        (b"+NXT", AckVerb::Next(b"")),
        (b"+NXT 5", AckVerb::Next(b" 5")),
        (b"-NAK", nak(None)),
        (b"-NAK 1.5s", nak(Some(1_500_000_000))),
        (b"-NAK {\"delay\": 2000}", nak(Some(2000))),
        (b"-NAK soon", nak(None)),
        (b"-NAK {", nak(None)),
        (b"+WPI", AckVerb::InProgress),
        (b"+TERM", AckVerb::Terminate { reason: b"" }),
        (
            b"+TERM  no good ",
            AckVerb::Terminate { reason: b"no good" },
        ),
        (b"hello", AckVerb::Unknown),
    ];
    for (payload, expected) in cases {
        assert_eq!(AckVerb::parse(payload), expected);
    }
}

proptest! {
    #[test]
    fn any_token_survives(
        deliveries: u64, stream_seq: u64, consumer_seq: u64, time_ns in 0i64.., num_pending: u64,
    ) {
        let token = AckToken { deliveries, stream_seq, consumer_seq, time_ns, num_pending };
        let mut subject = Vec::new();
        let prefix = AckPrefix::new("S", "C");
        prefix.write(&token, &mut subject);
        prop_assert_eq!(prefix.length(&token), subject.len());
        prop_assert_eq!(AckSubject::parse(&subject).unwrap().token, token);
    }

    #[test]
    fn no_payload_or_subject_panics(bytes: Vec<u8>) {
        AckVerb::parse(&bytes);
        AckSubject::parse(&bytes);
        AckVerb::parse(&[b"-NAK ", &bytes[..]].concat());
        AckSubject::parse(&[b"$JS.ACK.", &bytes[..]].concat());
    }
}
