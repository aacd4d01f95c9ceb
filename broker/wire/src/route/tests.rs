use proptest::prelude::*;

use super::encode::Address;
use super::*;

fn limits(dedicated: bool) -> Limits {
    Limits {
        max_control_line: 200,
        max_payload: 100,
        dedicated,
    }
}

fn parse_all(input: &[u8], limits: &Limits) -> Op<'static> {
    // Tests leak their few bytes, so that operations can outlive the input.
    let input: &'static [u8] = Vec::leak(input.to_vec());
    for cut in 0..input.len() {
        let parsed = parse(&input[..cut], limits);
        assert!(
            matches!(parsed, Ok(Parsed::Incomplete { .. })),
            "{parsed:?}"
        );
    }
    match parse(input, limits) {
        Ok(Parsed::Complete { op, consumed }) if consumed == input.len() => op,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

/// Parses, compares, and writes the operation again.
fn check_interest(input: &str, dedicated: bool, expected: Interest<'_>) {
    let mut out = Vec::new();
    match parse_all(input.as_bytes(), &limits(dedicated)) {
        Op::Sub(interest) => {
            assert_eq!(interest, expected, "{input:?}");
            encode::sub(&mut out, &interest);
        }
        Op::Unsub(interest) => {
            assert_eq!(interest, expected, "{input:?}");
            encode::unsub(&mut out, &interest);
        }
        other => panic!("{input:?}: {other:?}"),
    }
    assert_eq!(out, input.as_bytes());
}

fn check_message(input: &str, dedicated: bool, expected: &str) {
    let Op::Msg(message) = parse_all(input.as_bytes(), &limits(dedicated)) else {
        panic!("{input:?} is not a message");
    };
    let text = |bytes: Option<&[u8]>| {
        bytes
            .map_or("-".into(), String::from_utf8_lossy)
            .into_owned()
    };
    let queues: Vec<String> = message
        .queues
        .iter()
        .map(|queue| text(Some(queue)))
        .collect();
    assert_eq!(queues.len(), message.queues.len());
    let found = format!(
        "{} {} {} {} [{}] {} {}",
        text(message.origin),
        text(message.account),
        text(Some(message.subject)),
        text(message.reply),
        queues.join(","),
        message.header_len,
        message.payload().escape_ascii(),
    );
    assert_eq!(found, expected, "{input:?}");
    let mut out = Vec::new();
    encode::forward(&mut out, &message);
    assert_eq!(String::from_utf8_lossy(&out), input);
}

#[test]
fn interest() {
    let plain = Interest {
        origin: None,
        account: Some(b"A"),
        subject: b"a.>",
        queue: None,
    };
    check_interest("RS+ A a.>\r\n", false, plain);
    check_interest("RS- A a.>\r\n", false, plain);
    let queued = |weight| Interest {
        queue: Some(Queue { name: b"q", weight }),
        ..plain
    };
    check_interest("RS+ A a.> q 3\r\n", false, queued(3));
    check_interest("RS- A a.> q\r\n", false, queued(0));
    let leaf = Interest {
        origin: Some(b"hub"),
        ..plain
    };
    check_interest("LS+ hub A a.>\r\n", false, leaf);
    check_interest("LS- hub A a.>\r\n", false, leaf);
    check_interest(
        "LS+ hub A a.> q 3\r\n",
        false,
        Interest {
            queue: queued(3).queue,
            ..leaf
        },
    );
    let dedicated = Interest {
        account: None,
        ..plain
    };
    check_interest("RS+ a.>\r\n", true, dedicated);
    check_interest("RS- a.>\r\n", true, dedicated);
    check_interest(
        "RS+ a.> q 3\r\n",
        true,
        Interest {
            account: None,
            ..queued(3)
        },
    );
    check_interest(
        "LS+ hub a.>\r\n",
        true,
        Interest {
            account: None,
            ..leaf
        },
    );
}

#[test]
fn messages() {
    check_message("RMSG A a 2\r\nhi\r\n", false, "- A a - [] 0 hi");
    check_message("RMSG A a r 2\r\nhi\r\n", false, "- A a r [] 0 hi");
    check_message(
        "RMSG A a + r q1 q2 2\r\nhi\r\n",
        false,
        "- A a r [q1,q2] 0 hi",
    );
    check_message(
        "RMSG A a | q1 q2 2\r\nhi\r\n",
        false,
        "- A a - [q1,q2] 0 hi",
    );
    check_message("RMSG a 2\r\nhi\r\n", true, "- - a - [] 0 hi");
    check_message("RMSG a + r q1 2\r\nhi\r\n", true, "- - a r [q1] 0 hi");
    let block = "NATS/1.0\r\n\r\n";
    let check = |line: &str, dedicated: bool, expected: &str| {
        check_message(&format!("{line}\r\n{block}hi\r\n"), dedicated, expected);
    };
    check("HMSG A a 12 14", false, "- A a - [] 12 hi");
    check("HMSG A a r 12 14", false, "- A a r [] 12 hi");
    check("HMSG A a + r q1 q2 12 14", false, "- A a r [q1,q2] 12 hi");
    check("HMSG A a | q1 12 14", false, "- A a - [q1] 12 hi");
    check("HMSG a | q1 12 14", true, "- - a - [q1] 12 hi");
    check("LMSG hub A a 12 14", false, "hub A a - [] 12 hi");
    check("LMSG hub A a + r q 12 14", false, "hub A a r [q] 12 hi");
    check("LMSG hub a r 12 14", true, "hub - a r [] 12 hi");
    check_message("LMSG hub A a 0 2\r\nhi\r\n", false, "hub A a - [] 0 hi");
}

#[test]
fn everything_else() {
    let check = |input: &str, expected: Op<'_>| {
        assert_eq!(
            parse_all(input.as_bytes(), &limits(false)),
            expected,
            "{input:?}"
        );
    };
    check("PING\r\n", Op::Ping);
    check("PONG\r\n", Op::Pong);
    check("+OK\r\n", Op::Ok);
    check("-ERR 'x'\r\n", Op::Err(b"'x'"));
    check("INFO {} \r\n", Op::Info(b"{} "));
    check("CONNECT {}\r\n", Op::Connect(b"{}"));
    check("A+ $G\r\n", Op::AccountSub(b"$G"));
    check("A- $G\r\n", Op::AccountUnsub(b"$G"));
}

#[test]
fn refusals() {
    for input in [
        "RS+ A\r\n",
        "RS+ A a q\r\n",
        "RS+ A a q x\r\n",
        "RS+ A a q 1 2\r\n",
        "RS- A a q 1\r\n",
        "LS+ hub A\r\n",
        "RMSG A a\r\n",
        "RMSG A a x\r\n",
        "RMSG A a ? r q 2\r\n",
        "RMSG A a -2\r\n",
        "HMSG A a 2\r\n",
        "HMSG A a 3 2\r\n",
        "LMSG hub A 1 2\r\n",
    ] {
        let parsed = parse(input.as_bytes(), &limits(false));
        assert!(
            matches!(parsed, Err(Error::Malformed { .. })),
            "{input:?}: {parsed:?}"
        );
    }
    for input in [
        "PUB a 1\r\n",
        "SUB a 1\r\n",
        "RX",
        "RMSG A a 2\r\nhiX",
        "A* x\r\n",
    ] {
        assert_eq!(
            parse(input.as_bytes(), &limits(false)),
            Err(Error::UnknownOperation),
            "{input:?}"
        );
    }
    assert_eq!(
        parse(b"RMSG A a 101\r\n", &limits(false)),
        Err(Error::MaxPayload)
    );
    let endless = format!("RS+ {}", "x".repeat(300));
    assert_eq!(
        parse(endless.as_bytes(), &limits(false)),
        Err(Error::MaxControlLine)
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        origin in proptest::option::of("[a-z]{1,5}"),
        account in proptest::option::of("[A-Z$]{1,5}"),
        reply in proptest::option::of("[a-z.]{1,9}"),
        queues in proptest::collection::vec("[a-z]{1,4}", 0..4),
        message in proptest::collection::vec(any::<u8>(), 0..50),
        header_len in any::<prop::sample::Index>(),
    ) {
        let header_len = header_len.index(message.len() + 1);
        let mut out = Vec::new();
        let to = Address {
            origin: origin.as_deref().map(str::as_bytes),
            account: account.as_deref().map(str::as_bytes),
            subject: b"a.b",
            reply: reply.as_deref().map(str::as_bytes),
            queues: queues.iter().map(|queue| queue.as_bytes()),
        };
        encode::msg(&mut out, to, header_len, &message);
        let parsed = parse(&out, &limits(account.is_none()));
        let Ok(Parsed::Complete { op: Op::Msg(read), consumed }) = parsed else {
            return Err(TestCaseError::fail(format!("{parsed:?}")));
        };
        prop_assert_eq!(consumed, out.len());
        prop_assert_eq!(read.origin, origin.as_deref().map(str::as_bytes));
        prop_assert_eq!(read.account, account.as_deref().map(str::as_bytes));
        prop_assert_eq!(read.reply, reply.as_deref().map(str::as_bytes));
        prop_assert_eq!(read.queues.iter().collect::<Vec<_>>(), queues.iter().map(|q| q.as_bytes()).collect::<Vec<_>>());
        prop_assert_eq!(read.header_len, header_len);
        prop_assert_eq!(read.message, message.as_slice());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        start in prop_oneof![
            Just(""), Just("RMSG A a "), Just("HMSG A a + "), Just("LS+ "), Just("RS- ")
        ],
        noise in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b' '), Just(b'|'), Just(b'\n'), b'0'..=b'9'], 0..80),
    ) {
        let input = [start.as_bytes(), &noise].concat();
        match parse(&input, &limits(false)) {
            Ok(Parsed::Complete { consumed, .. }) => prop_assert!(consumed <= input.len()),
            Ok(Parsed::Incomplete { needed }) => prop_assert!(needed > input.len()),
            Err(_) => {}
        }
    }
}
