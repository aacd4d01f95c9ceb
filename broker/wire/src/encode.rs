//! What the server sends to clients. Every function appends to a buffer that the caller owns.

use crate::ServerInfo;
use crate::lexer::CRLF;

/// `MSG` with its payload.
#[inline]
pub fn msg(out: &mut Vec<u8>, subject: &[u8], sid: &[u8], reply: Option<&[u8]>, payload: &[u8]) {
    msg_line(out, subject, sid, reply, payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(CRLF);
}

/// The control line of `MSG` alone. The payload of `payload_len` bytes and a line end must follow;
/// a message to many subscribers is then encoded once and shared.
#[inline]
pub fn msg_line(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    payload_len: usize,
) {
    out.extend_from_slice(b"MSG ");
    address(out, subject, sid, reply);
    number(out, payload_len as u64);
    out.extend_from_slice(CRLF);
}

/// `HMSG`: the first `header_len` bytes of `message` are its header block.
#[inline]
pub fn hmsg(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    header_len: usize,
    message: &[u8],
) {
    hmsg_line(out, subject, sid, reply, header_len, message.len());
    out.extend_from_slice(message);
    out.extend_from_slice(CRLF);
}

/// The control line of `HMSG` alone; see [`msg_line`].
#[inline]
pub fn hmsg_line(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    header_len: usize,
    total_len: usize,
) {
    out.extend_from_slice(b"HMSG ");
    address(out, subject, sid, reply);
    number(out, header_len as u64);
    out.push(b' ');
    number(out, total_len as u64);
    out.extend_from_slice(CRLF);
}

#[inline]
fn address(out: &mut Vec<u8>, subject: &[u8], sid: &[u8], reply: Option<&[u8]>) {
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if let Some(reply) = reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
}

pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// `-ERR` with a text such as that of [`crate::Error::text`].
pub fn err(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// `INFO`, to clients and to routes.
pub fn info(out: &mut Vec<u8>, info: &ServerInfo) {
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(&info.to_json());
    out.extend_from_slice(b" \r\n");
}

/// Appends a number in decimal.
#[inline]
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    // Twenty digits hold every u64. Written from the last digit, two at a time.
    const DIGITS_MAX: usize = 20;
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0u8; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        start -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("only text was written")
    }

    #[test]
    fn messages() {
        assert_eq!(
            written(|out| msg(out, b"a.b", b"9", None, b"hi")),
            "MSG a.b 9 2\r\nhi\r\n"
        );
        assert_eq!(
            written(|out| msg(out, b"a", b"9", Some(b"r"), b"")),
            "MSG a 9 r 0\r\n\r\n"
        );
        assert_eq!(
            written(|out| hmsg(out, b"a", b"9", Some(b"r"), 12, b"NATS/1.0\r\n\r\nhi")),
            "HMSG a 9 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
        );
        assert_eq!(
            written(|out| hmsg(out, b"a", b"9", None, 12, b"NATS/1.0\r\n\r\n")),
            "HMSG a 9 12 12\r\nNATS/1.0\r\n\r\n\r\n"
        );
    }

    #[test]
    fn short_lines() {
        assert_eq!(written(ok), "+OK\r\n");
        assert_eq!(written(ping), "PING\r\n");
        assert_eq!(written(pong), "PONG\r\n");
        assert_eq!(
            written(|out| err(out, "Stale Connection")),
            "-ERR 'Stale Connection'\r\n"
        );
    }

    #[test]
    fn info_has_its_fixed_keys_and_ends_with_a_space() {
        let nothing = ServerInfo::default();
        assert_eq!(
            written(|out| info(out, &nothing)),
            "INFO {\"server_id\":\"\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"go\":\"\",\
             \"host\":\"\",\"port\":0,\"headers\":false,\"max_payload\":0} \r\n"
        );
        let some = ServerInfo {
            jetstream: true,
            client_id: 7,
            ..nothing
        };
        let line = written(|out| info(out, &some));
        assert!(line.ends_with("\"max_payload\":0,\"jetstream\":true,\"client_id\":7} \r\n"));
        let json = line.trim_start_matches("INFO ").trim_end();
        assert_eq!(
            ServerInfo::parse(json.as_bytes()).expect("it parses again"),
            some
        );
    }

    proptest! {
        #[test]
        fn numbers_are_decimal(value in prop_oneof![any::<u64>(), 0..2000u64]) {
            prop_assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }
}
