//! What a client sends.

use crate::Error;
use crate::lexer::{self, Args, Gap, Step, Word};

/// Default of the server option `max_control_line`, in bytes.
pub const MAX_CONTROL_LINE_DEFAULT: usize = 4096;
/// Default of the server option `max_payload`, in bytes.
pub const MAX_PAYLOAD_DEFAULT: usize = 1024 * 1024;

/// What a client may send. Changes during a connection: `headers` is known after `CONNECT`, the
/// payload limit after authentication.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest argument part of a control line, in bytes.
    pub max_control_line: usize,
    /// Largest sum of headers and payload, in bytes; `None` is unlimited.
    pub max_payload: Option<usize>,
    /// Whether headers were negotiated; without them `HPUB` ends the connection.
    pub headers: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_control_line: MAX_CONTROL_LINE_DEFAULT,
            max_payload: Some(MAX_PAYLOAD_DEFAULT),
            headers: true,
        }
    }
}

/// The outcome of [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// One operation, and how many bytes of the buffer it took.
    Complete { op: Op<'a>, consumed: usize },
    /// The operation is not complete before the buffer holds at least `needed` bytes. Parsing
    /// again earlier is harmless, but wasted.
    Incomplete { needed: usize },
}

/// One operation of a client. Borrows from the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// The JSON text; see [`crate::ConnectOptions::parse`].
    Connect(&'a [u8]),
    /// Ignored by servers.
    Info(&'a [u8]),
    Ping,
    Pong,
    /// Ignored by servers.
    Ok,
    /// A client that reports an error is closed without an answer.
    Err(&'a [u8]),
    Pub(Publish<'a>),
    Sub {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// Without `max`, or with one that is not a positive number, the subscription ends now.
    Unsub {
        sid: &'a [u8],
        max: Option<u64>,
    },
}

/// `PUB` and `HPUB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub subject: &'a [u8],
    pub reply: Option<&'a [u8]>,
    /// How many bytes of [`Publish::message`] are the header block; 0 for `PUB`.
    pub header_len: usize,
    /// Header block and payload.
    pub message: &'a [u8],
}

impl<'a> Publish<'a> {
    /// The header block, empty without headers.
    pub fn headers(&self) -> &'a [u8] {
        self.message.get(..self.header_len).unwrap_or_default()
    }

    /// The message without its header block.
    pub fn payload(&self) -> &'a [u8] {
        self.message.get(self.header_len..).unwrap_or_default()
    }
}

/// Parses the first operation of `buf`. Copies nothing and allocates nothing.
///
/// An error ends the connection; [`Error::text`] is what to tell the client before.
#[inline]
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Error> {
    // Publishing is nearly everything a busy client does, so it skips the table of verbs.
    if let [b'P' | b'p', b'U' | b'u', b'B' | b'b', rest @ ..] = buf {
        return match lexer::arguments(rest, Gap::Required, 3, limits.max_control_line)? {
            Step::Ready((args, len)) => publish(buf, args, len, limits),
            Step::Incomplete { needed } => Ok(Parsed::Incomplete { needed }),
        };
    }
    if let [
        b'H' | b'h',
        b'P' | b'p',
        b'U' | b'u',
        b'B' | b'b',
        rest @ ..,
    ] = buf
    {
        return match lexer::arguments(rest, Gap::Required, 4, limits.max_control_line)? {
            Step::Ready((args, len)) => publish_with_headers(buf, args, len, limits),
            Step::Incomplete { needed } => Ok(Parsed::Incomplete { needed }),
        };
    }
    control(buf, limits)
}

#[derive(Clone, Copy)]
enum Verb {
    Pub,
    HPub,
    Ping,
    Pong,
    Sub,
    Unsub,
    Connect,
    Info,
    Ok,
    Err,
}

const fn word(text: &'static [u8], verb: Verb, gap: Gap) -> Word<Verb> {
    Word { text, verb, gap }
}

const WORDS: [Word<Verb>; 10] = [
    word(b"PING", Verb::Ping, Gap::Ignored),
    word(b"PONG", Verb::Pong, Gap::Ignored),
    word(b"SUB", Verb::Sub, Gap::Required),
    word(b"UNSUB", Verb::Unsub, Gap::Required),
    word(b"CONNECT", Verb::Connect, Gap::Optional),
    word(b"PUB", Verb::Pub, Gap::Required),
    word(b"HPUB", Verb::HPub, Gap::Required),
    word(b"INFO", Verb::Info, Gap::Optional),
    word(b"+OK", Verb::Ok, Gap::Ignored),
    word(b"-ERR", Verb::Err, Gap::Required),
];

fn control<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Error> {
    let line = match lexer::line(buf, &WORDS, limits.max_control_line)? {
        Step::Ready(line) => line,
        Step::Incomplete { needed } => return Ok(Parsed::Incomplete { needed }),
    };
    let op = match line.verb {
        Verb::Pub => return publish(buf, line.args, line.len, limits),
        Verb::HPub => return publish_with_headers(buf, line.args, line.len, limits),
        Verb::Ping => Op::Ping,
        Verb::Pong => Op::Pong,
        Verb::Sub => subscribe(line.args)?,
        Verb::Unsub => unsubscribe(line.args)?,
        Verb::Connect => Op::Connect(line.args),
        Verb::Info => Op::Info(line.args),
        Verb::Ok => Op::Ok,
        Verb::Err => Op::Err(line.args),
    };
    Ok(Parsed::Complete {
        op,
        consumed: line.len,
    })
}

#[inline]
fn publish<'a>(
    buf: &'a [u8],
    args: &'a [u8],
    line_len: usize,
    limits: &Limits,
) -> Result<Parsed<'a>, Error> {
    let malformed = Error::Malformed { verb: "PUB" };
    let mut args = Args(args);
    let (Some(subject), Some(second)) = (args.next(), args.next()) else {
        return Err(malformed);
    };
    let (reply, total) = match args.next() {
        None => (None, second),
        Some(third) => (Some(second), third),
    };
    let Some(total) = lexer::size(total) else {
        return Err(malformed);
    };
    if args.next().is_some() {
        return Err(malformed);
    }
    body(
        buf,
        line_len,
        limits,
        Sizes {
            header_len: 0,
            total,
        },
        subject,
        reply,
    )
}

#[inline]
fn publish_with_headers<'a>(
    buf: &'a [u8],
    args: &'a [u8],
    line_len: usize,
    limits: &Limits,
) -> Result<Parsed<'a>, Error> {
    if !limits.headers {
        return Err(Error::HeadersNotNegotiated);
    }
    let malformed = Error::Malformed { verb: "HPUB" };
    let (subject, reply, header_len, total) = match Args(args).collect_up_to::<4>() {
        Some(([subject, header_len, total, _], 3)) => (subject, None, header_len, total),
        Some(([subject, reply, header_len, total], 4)) => (subject, Some(reply), header_len, total),
        _ => return Err(malformed),
    };
    let (Some(header_len), Some(total)) = (lexer::size(header_len), lexer::size(total)) else {
        return Err(malformed);
    };
    if header_len > total {
        return Err(malformed);
    }
    body(
        buf,
        line_len,
        limits,
        Sizes { header_len, total },
        subject,
        reply,
    )
}

struct Sizes {
    header_len: usize,
    total: usize,
}

#[inline]
fn body<'a>(
    buf: &'a [u8],
    line_len: usize,
    limits: &Limits,
    sizes: Sizes,
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
) -> Result<Parsed<'a>, Error> {
    // Judged before the payload arrives, so that a client cannot make the server buffer it.
    if limits.max_payload.is_some_and(|max| sizes.total > max) {
        return Err(Error::MaxPayload);
    }
    match lexer::payload(buf, line_len, sizes.total)? {
        Step::Incomplete { needed } => Ok(Parsed::Incomplete { needed }),
        Step::Ready((message, consumed)) => {
            let publish = Publish {
                subject,
                reply,
                header_len: sizes.header_len,
                message,
            };
            Ok(Parsed::Complete {
                op: Op::Pub(publish),
                consumed,
            })
        }
    }
}

fn subscribe(args: &[u8]) -> Result<Op<'_>, Error> {
    match Args(args).collect_up_to::<3>() {
        Some(([subject, sid, _], 2)) => Ok(Op::Sub {
            subject,
            queue: None,
            sid,
        }),
        Some(([subject, queue, sid], 3)) => Ok(Op::Sub {
            subject,
            queue: Some(queue),
            sid,
        }),
        _ => Err(Error::Malformed { verb: "SUB" }),
    }
}

fn unsubscribe(args: &[u8]) -> Result<Op<'_>, Error> {
    match Args(args).collect_up_to::<2>() {
        Some(([sid, _], 1)) => Ok(Op::Unsub { sid, max: None }),
        Some(([sid, max], 2)) => {
            let max = lexer::size(max)
                .filter(|max| *max > 0)
                .map(|max| max as u64);
            Ok(Op::Unsub { sid, max })
        }
        _ => Err(Error::Malformed { verb: "UNSUB" }),
    }
}

#[cfg(test)]
mod tests;
