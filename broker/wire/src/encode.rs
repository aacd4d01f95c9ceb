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
