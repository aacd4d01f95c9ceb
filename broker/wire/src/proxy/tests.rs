use proptest::prelude::*;

use super::*;

/// Reads as a server does: never more than the parser asks for. Returns what it consumed, too.
fn read(stream: &[u8]) -> (Result<Parsed, Error>, usize) {
    let mut end = 0;
    loop {
        match parse(&stream[..end]) {
            Ok(Parsed::Incomplete { more }) if end < stream.len() => {
                assert!(more > 0);
                end = (end + more).min(stream.len());
            }
            outcome => return (outcome, end),
        }
    }
}

fn complete(stream: &[u8], source: Option<&str>, length: usize) {
    let source = source.map(|source| source.parse().expect("an address"));
    assert_eq!(read(stream), (Ok(Parsed::Complete { source }), length));
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [V2_PREFIX, &[command, family], &length, rest].concat()
}

#[test]
fn lines() {
    let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 4222\r\n";
    complete(line, Some("192.0.2.1:56324"), line.len());
    complete(
        &[line, &b"CONNECT {}\r\n"[..]].concat(),
        Some("192.0.2.1:56324"),
        line.len(),
    );
    let line = b"PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 65535 0\r\n";
    complete(line, Some("[2001:db8::1]:65535"), line.len());
    complete(b"PROXY UNKNOWN\r\n", None, 15);
    complete(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None, 43);
    for wrong in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 ::1 10.0.0.1 1 2\r\n",
        "PROXY TCP6 10.0.0.1 ::1 1 2\r\n",
        "PROXY UDP4 10.0.0.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.1 1\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 10.0.0 10.0.0.1 1 2\r\n",
        "PROXY tcp4 10.0.0.1 10.0.0.1 1 2\r\n",
    ] {
        assert_eq!(read(wrong.as_bytes()).0, Err(Error::Line), "{wrong}");
    }
    assert_eq!(read(b"PROXY \xff\r\n").0, Err(Error::Line));
    let endless = [b"PROXY TCP4 ", &[b'1'; 1000][..]].concat();
    assert_eq!(read(&endless), (Err(Error::TooLong), V1_BYTES_MAX));
}

#[test]
fn binary_headers() {
    let inet = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 0x10, 0x7e];
    let header = v2(V2_PROXY, 0x11, &inet);
    complete(&header, Some("192.0.2.1:56324"), header.len());
    let behind = [header.as_slice(), b"PING\r\n"].concat();
    complete(&behind, Some("192.0.2.1:56324"), header.len());
    // Further facts behind the addresses are skipped.
    let header = v2(V2_PROXY, 0x11, &[&inet[..], &[7; 300]].concat());
    complete(&header, Some("192.0.2.1:56324"), header.len());
    let mut inet6 = [0; 36];
    (inet6[15], inet6[33]) = (1, 80);
    let header = v2(V2_PROXY, 0x21, &inet6);
    complete(&header, Some("[::1]:80"), header.len());
    complete(&v2(V2_LOCAL, 0, &[]), None, 16);
    complete(&v2(V2_LOCAL, 0x11, &inet), None, 28);
    complete(&v2(V2_PROXY, 0x01, &[1, 2]), None, 18);
    for (header, error) in [
        (v2(0x11, 0x11, &inet), Error::Command),
        (v2(0x22, 0x11, &inet), Error::Command),
        (v2(V2_PROXY, 0x12, &inet), Error::Family),
        (v2(V2_PROXY, 0x31, &[0; 216]), Error::Family),
        (v2(V2_PROXY, 0x11, &inet[1..]), Error::Short),
        (v2(V2_PROXY, 0x21, &inet6[1..]), Error::Short),
        (b"\r\n\r\n\0\r\nQUIX\n".to_vec(), Error::Signature),
    ] {
        assert_eq!(read(&header).0, Err(error), "{header:?}");
    }
}

#[test]
fn clients_without_a_proxy_are_told_early() {
    for (stream, consumed) in [
        (&b"CONNECT {}\r\n"[..], 1),
        (b"PING\r\n", 2),
        (b"PROXYING\r\n", 6),
        (b"\r\nPING\r\n", 3),
        (b"\x16\x03\x01", 1),
    ] {
        // The binary prefix is asked for as a whole, as both begin alike.
        let (outcome, end) = read(stream);
        assert_eq!(outcome, Ok(Parsed::Absent));
        assert!(end >= consumed && end <= stream.len());
    }
    assert_eq!(parse(b""), Ok(Parsed::Incomplete { more: 1 }));
    assert!(may_begin_with(b'P') && may_begin_with(b'\r'));
    assert!(!may_begin_with(0x16) && !may_begin_with(b'C'));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop::collection::vec(any::<u8>(), 0..300);
    let prefix = prop::sample::select(vec![&b""[..], V1_PREFIX, V2_PREFIX, b"PROXY TCP4 1.1.1.1 "]);
    (prefix, tail).prop_map(|(prefix, tail)| [prefix, &tail].concat())
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_it_asks_for_or_make_it_panic(stream in bytes()) {
        let (outcome, end) = read(&stream);
        prop_assert!(end <= V1_BYTES_MAX.max(V2_FIXED_BYTES + usize::from(u16::MAX)));
        if let Ok(Parsed::Incomplete { .. }) = outcome {
            prop_assert_eq!(end, stream.len());
        }
    }

    #[test]
    fn what_is_written_is_read(source: SocketAddr, port: u16, behind in bytes()) {
        let kind = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let other = if source.is_ipv4() { "127.0.0.1" } else { "::1" };
        let line = format!("PROXY {kind} {} {other} {} {port}\r\n", source.ip(), source.port());
        let stream = [line.as_bytes(), &behind].concat();
        let (outcome, end) = read(&stream);
        let found = SocketAddr::new(source.ip(), source.port());
        prop_assert_eq!(outcome, Ok(Parsed::Complete { source: Some(found) }));
        prop_assert_eq!(end, line.len());
    }
}
