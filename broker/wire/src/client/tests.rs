use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits {
        max_control_line: 64,
        max_payload: Some(100),
        headers: true,
    }
}

fn check(input: &[u8], expected: Op<'_>) {
    let parsed = parse(input, &limits());
    assert_eq!(
        parsed,
        Ok(Parsed::Complete {
            op: expected,
            consumed: input.len()
        }),
        "{}",
        input.escape_ascii()
    );
    // Every shorter piece asks for more, and for no more than there is.
    for cut in 0..input.len() {
        match parse(&input[..cut], &limits()) {
            Ok(Parsed::Incomplete { needed }) => assert!(cut < needed && needed <= input.len()),
            other => panic!("{}: {other:?}", input[..cut].escape_ascii()),
        }
    }
}

fn check_error(input: &[u8], expected: Error) {
    assert_eq!(
        parse(input, &limits()),
        Err(expected),
        "{}",
        input.escape_ascii()
    );
}

fn publish<'a>(
    subject: &'a str,
    reply: Option<&'a str>,
    header_len: usize,
    message: &'a [u8],
) -> Op<'a> {
    let (subject, reply) = (subject.as_bytes(), reply.map(str::as_bytes));
    Op::Pub(Publish {
        subject,
        reply,
        header_len,
        message,
    })
}

#[test]
fn publishing() {
    check(b"PUB foo 5\r\nhello\r\n", publish("foo", None, 0, b"hello"));
    check(b"pub foo 5\r\nhello\r\n", publish("foo", None, 0, b"hello"));
    check(
        b"PUB\tfoo\t5\r\nhello\r\n",
        publish("foo", None, 0, b"hello"),
    );
    check(
        b"PUB  foo \t 5 \r\nhello\r\n",
        publish("foo", None, 0, b"hello"),
    );
    check(b"PUB foo 5\nhello\r\n", publish("foo", None, 0, b"hello"));
    check(
        b"PUB foo INBOX.22 2\r\n\r\n\r\n",
        publish("foo", Some("INBOX.22"), 0, b"\r\n"),
    );
    check(b"PUB foo 0\r\n\r\n", publish("foo", None, 0, b""));
    check(
        b"PUB foo..bar 000000001\r\nx\r\n",
        publish("foo..bar", None, 0, b"x"),
    );
    check(
        b"PUB f\xff 1\r\n\0\r\n",
        Op::Pub(Publish {
            subject: b"f\xff",
            reply: None,
            header_len: 0,
            message: b"\0",
        }),
    );
}

#[test]
fn publishing_with_headers() {
    let message = b"NATS/1.0\r\nA: b\r\n\r\nhello";
    let op = publish("foo", None, 18, message);
    check(b"HPUB foo 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n", op);
    check(b"hPub foo 18\t23\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n", op);
    let reply = publish("foo", Some("bar"), 12, b"NATS/1.0\r\n\r\n");
    check(b"HPUB foo bar 12 12\r\nNATS/1.0\r\n\r\n\r\n", reply);
    check(
        b"HPUB foo 0 5\r\nhello\r\n",
        publish("foo", None, 0, b"hello"),
    );
    let Op::Pub(publish) = op else {
        panic!("not a publication")
    };
    assert_eq!(publish.headers(), b"NATS/1.0\r\nA: b\r\n\r\n");
    assert_eq!(publish.payload(), b"hello");
}

#[test]
fn everything_else() {
    check(b"PING\r\n", Op::Ping);
    check(b"ping\n", Op::Ping);
    check(b"PONG\r\n", Op::Pong);
    check(b"PINGworld\r\n", Op::Ping);
    check(b"+OK\r\n", Op::Ok);
    check(b"+ok\n", Op::Ok);
    check(b"-ERR 'no'\r\n", Op::Err(b"'no'"));
    check(b"INFO {}\r\n", Op::Info(b"{}"));
    check(b"CONNECT {}\r\n", Op::Connect(b"{}"));
    check(b"CONNECT{\"a\": 1}\n", Op::Connect(b"{\"a\": 1}"));
    check(b"connect \t {} \r\n", Op::Connect(b"{} "));
    check(
        b"SUB foo 1\r\n",
        Op::Sub {
            subject: b"foo",
            queue: None,
            sid: b"1",
        },
    );
    check(
        b"sub\tfoo.*  q\t1\n",
        Op::Sub {
            subject: b"foo.*",
            queue: Some(b"q"),
            sid: b"1",
        },
    );
    check(
        b"SUB foo..bar x\r\n",
        Op::Sub {
            subject: b"foo..bar",
            queue: None,
            sid: b"x",
        },
    );
    check(
        b"UNSUB 1\r\n",
        Op::Unsub {
            sid: b"1",
            max: None,
        },
    );
    check(
        b"UNSUB 1 5\r\n",
        Op::Unsub {
            sid: b"1",
            max: Some(5),
        },
    );
    check(
        b"UNSUB 1 0\r\n",
        Op::Unsub {
            sid: b"1",
            max: None,
        },
    );
    check(
        b"UNSUB 1 -5\r\n",
        Op::Unsub {
            sid: b"1",
            max: None,
        },
    );
    check(
        b"UNSUB 1 many\r\n",
        Op::Unsub {
            sid: b"1",
            max: None,
        },
    );
}

#[test]
fn unknown_operations() {
    for input in [
        &b"X"[..],
        b" PING\r\n",
        b"\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PUBX foo 1\r\n",
        b"PUB\r\n",
        b"HPUB\n",
        b"SUB\r\n",
        b"UNSUB\r\n",
        b"SUBS foo 1\r\n",
        b"MSG foo 1 1\r\n",
        b"RMSG a foo 1\r\n",
        b"A+ foo\r\n",
        b"LS+ foo\r\n",
        b"+NO\r\n",
        b"-ERR\r\n",
        b"PUB foo 5\r\nhelloX\n",
        b"PUB foo 5\r\nhello\rX",
        b"PUB foo 5\r\nhello\n",
        b"PUB foo 5\r\nhelloworld",
    ] {
        check_error(input, Error::UnknownOperation);
    }
}

#[test]
fn malformed_arguments_close_in_silence() {
    for (verb, inputs) in [
        (
            "PUB",
            &[
                &b"PUB  \r\n"[..],
                b"PUB foo\r\n",
                b"PUB foo bar\r\n",
                b"PUB foo -1\r\n",
                b"PUB foo +1\r\n",
                b"PUB foo 1 2 3\r\n",
                b"PUB foo bar baz 1\r\n",
                b"PUB foo 1234567890\r\n",
                b"PUB foo 1\r\r\nx\r\n",
            ][..],
        ),
        (
            "HPUB",
            &[
                b"HPUB foo 1\r\n",
                b"HPUB foo bar baz 1 2\r\n",
                b"HPUB foo x 5\r\n",
                b"HPUB foo 5 x\r\n",
                b"HPUB foo 6 5\r\n",
                b"HPUB foo -1 5\r\n",
            ],
        ),
        (
            "SUB",
            &[b"SUB foo\r\n", b"SUB foo bar baz 1\r\n", b"SUB  \r\n"],
        ),
        ("UNSUB", &[b"UNSUB  \r\n", b"UNSUB 1 2 3\r\n"]),
    ] {
        for input in inputs {
            let error = Error::Malformed { verb };
            assert_eq!(error.text(), None);
            check_error(input, error);
        }
    }
}

#[test]
fn headers_must_be_negotiated() {
    let limits = Limits {
        headers: false,
        ..limits()
    };
    let parsed = parse(b"HPUB foo 0 0\r\n\r\n", &limits);
    assert_eq!(parsed, Err(Error::HeadersNotNegotiated));
}

#[test]
fn payload_limit_is_judged_from_the_control_line() {
    check_error(b"PUB foo 101\r\n", Error::MaxPayload);
    check_error(b"HPUB foo 1 101\r\n", Error::MaxPayload);
    let parsed = parse(b"PUB foo 100\r\n", &limits());
    assert_eq!(
        parsed,
        Ok(Parsed::Incomplete {
            needed: 13 + 100 + 2
        })
    );
    let unlimited = Limits {
        max_payload: None,
        ..limits()
    };
    let parsed = parse(b"PUB foo 999999999\r\nx", &unlimited);
    assert_eq!(
        parsed,
        Ok(Parsed::Incomplete {
            needed: 19 + 999_999_999 + 2
        })
    );
}

#[test]
fn control_line_limit_holds_with_and_without_the_line_end() {
    let line = |len: usize, end: &str| format!("SUB {} 1{end}", "s".repeat(len - 2)).into_bytes();
    for end in ["\r\n", "\n"] {
        check(
            &line(64, end),
            Op::Sub {
                subject: &[b's'; 62],
                queue: None,
                sid: b"1",
            },
        );
        check_error(&line(65, end), Error::MaxControlLine);
    }
    check_error(&line(70, ""), Error::MaxControlLine);
    check_error(
        &[b"CONNECT ".as_slice(), &[b'x'; 70]].concat(),
        Error::MaxControlLine,
    );
    check_error(
        &[b"PING".as_slice(), &[b' '; 70]].concat(),
        Error::MaxControlLine,
    );
    check_error(
        &[b"PUB ".as_slice(), &[b' '; 70]].concat(),
        Error::MaxControlLine,
    );
}

/// Parses a stream that arrives in pieces, as a connection would.
fn parse_stream(pieces: &[&[u8]]) -> Result<Vec<String>, Error> {
    let mut ops = Vec::new();
    let mut buf = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match parse(&buf, &limits())? {
                Parsed::Incomplete { needed } => {
                    assert!(needed > buf.len());
                    break;
                }
                Parsed::Complete { op, consumed } => {
                    ops.push(format!("{op:?}"));
                    buf.drain(..consumed);
                }
            }
        }
    }
    Ok(ops)
}

fn operation() -> impl Strategy<Value = Vec<u8>> {
    let word = "[a-z.*>]{1,8}";
    let payload = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"+OK\r\n".to_vec()),
        Just(b"CONNECT {}\r\n".to_vec()),
        (word, word).prop_map(|(subject, sid)| format!("SUB {subject} {sid}\r\n").into_bytes()),
        (word, 0..9u32).prop_map(|(sid, max)| format!("unsub {sid}\t{max}\n").into_bytes()),
        (word, payload.clone()).prop_map(|(subject, payload)| {
            let line = format!("PUB {subject} {}\r\n", payload.len());
            [line.as_bytes(), &payload, b"\r\n"].concat()
        }),
        (word, word, payload, any::<prop::sample::Index>()).prop_map(
            |(subject, reply, payload, header_len)| {
                let header_len = header_len.index(payload.len() + 1);
                let line = format!("HPUB {subject} {reply} {header_len} {}\r\n", payload.len());
                [line.as_bytes(), &payload, b"\r\n"].concat()
            }
        ),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same_operations(
        operations in proptest::collection::vec(operation(), 1..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream = operations.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let whole = parse_stream(&[&stream]);
        prop_assert_eq!(whole.as_ref().map(Vec::len), Ok(operations.len()));
        prop_assert_eq!(parse_stream(&pieces), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        start in prop_oneof![
            Just(""), Just("PUB "), Just("HPUB a "), Just("SUB "), Just("UNSUB "), Just("-ERR ")
        ],
        noise in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n'), b'0'..=b'9'], 0..80),
    ) {
        let input = [start.as_bytes(), &noise].concat();
        match parse(&input, &limits()) {
            Ok(Parsed::Complete { consumed, .. }) => prop_assert!(consumed <= input.len()),
            Ok(Parsed::Incomplete { needed }) => prop_assert!(needed > input.len()),
            Err(_) => {}
        }
    }
}
