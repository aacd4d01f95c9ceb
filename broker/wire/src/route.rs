//! What the servers of one cluster say to each other: parsing here, writing in [`encode`].
//!
//! A route may be dedicated to one account. The account is then not written on the line, and
//! [`Limits::dedicated`] tells the parser so.

pub mod encode;

use crate::Error;
use crate::lexer::{self, Args, Gap, Step, Word};

/// How much longer than a client's the control lines of a route may be.
pub const CONTROL_LINE_FACTOR: usize = 16;

/// What the other server may send.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest argument part of a control line in bytes: the server option times
    /// [`CONTROL_LINE_FACTOR`].
    pub max_control_line: usize,
    /// Largest headers plus payload in bytes.
    pub max_payload: usize,
    /// Whether this route carries one account only, which is then absent from the lines.
    pub dedicated: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_control_line: crate::client::MAX_CONTROL_LINE_DEFAULT * CONTROL_LINE_FACTOR,
            // Sizes have at most nine digits, so this refuses none: the limit that counts is the
            // publishing client's, whose server already applied it.
            max_payload: 999_999_999,
            dedicated: false,
        }
    }
}

/// The outcome of [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// One operation, and how many bytes of the buffer it took.
    Complete { op: Op<'a>, consumed: usize },
    /// The operation is not complete before the buffer holds at least `needed` bytes.
    Incomplete { needed: usize },
}

/// One operation of another server. Borrows from the read buffer. `account` is `None` on a
/// dedicated route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    Connect(&'a [u8]),
    Info(&'a [u8]),
    Ping,
    Pong,
    Ok,
    Err(&'a [u8]),
    /// `RS+`, or `LS+` when there is an origin.
    Sub(Interest<'a>),
    /// `RS-`, or `LS-` when there is an origin. The weight of a queue is not on the line.
    Unsub(Interest<'a>),
    /// `RMSG`, `HMSG`, or `LMSG` when there is an origin.
    Msg(Message<'a>),
    /// `A+` and `A-`, which only gateways act upon.
    AccountSub(&'a [u8]),
    AccountUnsub(&'a [u8]),
}

/// Interest of another server in a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest<'a> {
    /// The cluster of the leaf node that is interested; `_` when it has none.
    pub origin: Option<&'a [u8]>,
    pub account: Option<&'a [u8]>,
    pub subject: &'a [u8],
    pub queue: Option<Queue<'a>>,
}

/// A queue group, with the number of its members at the other server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue<'a> {
    pub name: &'a [u8],
    pub weight: u32,
}

/// A message from another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The cluster of the leaf node that published.
    pub origin: Option<&'a [u8]>,
    pub account: Option<&'a [u8]>,
    pub subject: &'a [u8],
    pub reply: Option<&'a [u8]>,
    /// The queue groups that the sender chose this server for.
    pub queues: Queues<'a>,
    /// How many bytes of [`Message::message`] are the header block.
    pub header_len: usize,
    /// Header block and payload.
    pub message: &'a [u8],
}

impl<'a> Message<'a> {
    /// The header block, empty without headers.
    pub fn headers(&self) -> &'a [u8] {
        self.message.get(..self.header_len).unwrap_or_default()
    }

    /// The message without its header block.
    pub fn payload(&self) -> &'a [u8] {
        self.message.get(self.header_len..).unwrap_or_default()
    }
}

/// Names of queue groups, still on the line. Iterates without allocating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues<'a> {
    text: &'a [u8],
    count: usize,
}

impl<'a> Queues<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        Args(self.text).take(self.count)
    }
}

#[derive(Clone, Copy)]
enum Verb {
    RMsg,
    HMsg,
    LMsg,
    RSub,
    RUnsub,
    LSub,
    LUnsub,
    Ping,
    Pong,
    Info,
    Connect,
    Ok,
    Err,
    AccountSub,
    AccountUnsub,
}

const fn word(text: &'static [u8], verb: Verb, gap: Gap) -> Word<Verb> {
    Word { text, verb, gap }
}

const WORDS: [Word<Verb>; 15] = [
    word(b"RMSG", Verb::RMsg, Gap::Required),
    word(b"HMSG", Verb::HMsg, Gap::Required),
    word(b"LMSG", Verb::LMsg, Gap::Required),
    word(b"RS+", Verb::RSub, Gap::Required),
    word(b"RS-", Verb::RUnsub, Gap::Required),
    word(b"LS+", Verb::LSub, Gap::Required),
    word(b"LS-", Verb::LUnsub, Gap::Required),
    word(b"PING", Verb::Ping, Gap::Ignored),
    word(b"PONG", Verb::Pong, Gap::Ignored),
    word(b"INFO", Verb::Info, Gap::Optional),
    word(b"CONNECT", Verb::Connect, Gap::Optional),
    word(b"+OK", Verb::Ok, Gap::Ignored),
    word(b"-ERR", Verb::Err, Gap::Required),
    word(b"A+", Verb::AccountSub, Gap::Required),
    word(b"A-", Verb::AccountUnsub, Gap::Required),
];

/// Parses the first operation of `buf`. Copies nothing and allocates nothing. An error ends the
/// route.
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Error> {
    let line = match lexer::line(buf, &WORDS, limits.max_control_line)? {
        Step::Ready(line) => line,
        Step::Incomplete { needed } => return Ok(Parsed::Incomplete { needed }),
    };
    let op = match line.verb {
        Verb::RMsg | Verb::HMsg | Verb::LMsg => return message(buf, line, limits),
        Verb::RSub => Op::Sub(interest(line.args, Form::Sub, Origin::Absent, limits)?),
        Verb::RUnsub => Op::Unsub(interest(line.args, Form::Unsub, Origin::Absent, limits)?),
        Verb::LSub => Op::Sub(interest(line.args, Form::Sub, Origin::Present, limits)?),
        Verb::LUnsub => Op::Unsub(interest(line.args, Form::Unsub, Origin::Present, limits)?),
        Verb::Ping => Op::Ping,
        Verb::Pong => Op::Pong,
        Verb::Info => Op::Info(line.args),
        Verb::Connect => Op::Connect(line.args),
        Verb::Ok => Op::Ok,
        Verb::Err => Op::Err(line.args),
        Verb::AccountSub => Op::AccountSub(line.args),
        Verb::AccountUnsub => Op::AccountUnsub(line.args),
    };
    Ok(Parsed::Complete {
        op,
        consumed: line.len,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sub,
    Unsub,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Absent,
    Present,
}

fn interest<'a>(
    args: &'a [u8],
    form: Form,
    origin: Origin,
    limits: &Limits,
) -> Result<Interest<'a>, Error> {
    let malformed = Error::Malformed {
        verb: if form == Form::Sub { "RS+" } else { "RS-" },
    };
    let mut args = Args(args);
    let head = head(&mut args, origin, limits).ok_or(malformed.clone())?;
    let queue = match (args.next(), form) {
        (None, _) => None,
        (Some(name), Form::Unsub) => Some(Queue { name, weight: 0 }),
        (Some(name), Form::Sub) => {
            let weight = args.next().and_then(lexer::size).ok_or(malformed.clone())?;
            Some(Queue {
                name,
                weight: u32::try_from(weight).unwrap_or(u32::MAX),
            })
        }
    };
    if args.next().is_some() {
        return Err(malformed);
    }
    Ok(Interest {
        origin: head.origin,
        account: head.account,
        subject: head.subject,
        queue,
    })
}

struct Head<'a> {
    origin: Option<&'a [u8]>,
    account: Option<&'a [u8]>,
    subject: &'a [u8],
}

fn head<'a>(args: &mut Args<'a>, origin: Origin, limits: &Limits) -> Option<Head<'a>> {
    let origin = match origin {
        Origin::Present => Some(args.next()?),
        Origin::Absent => None,
    };
    let account = if limits.dedicated {
        None
    } else {
        Some(args.next()?)
    };
    Some(Head {
        origin,
        account,
        subject: args.next()?,
    })
}

fn message<'a>(
    buf: &'a [u8],
    line: lexer::Line<'a, Verb>,
    limits: &Limits,
) -> Result<Parsed<'a>, Error> {
    let (malformed, origin, with_headers) = match line.verb {
        Verb::HMsg => (Error::Malformed { verb: "HMSG" }, Origin::Absent, true),
        Verb::LMsg => (Error::Malformed { verb: "LMSG" }, Origin::Present, true),
        _ => (Error::Malformed { verb: "RMSG" }, Origin::Absent, false),
    };
    let mut args = Args(line.args);
    let Some(head) = head(&mut args, origin, limits) else {
        return Err(malformed);
    };
    let Some(tail) = tail(args, with_headers) else {
        return Err(malformed);
    };
    if tail.total > limits.max_payload {
        return Err(Error::MaxPayload);
    }
    match lexer::payload(buf, line.len, tail.total)? {
        Step::Incomplete { needed } => Ok(Parsed::Incomplete { needed }),
        Step::Ready((message, consumed)) => {
            let message = Message {
                origin: head.origin,
                account: head.account,
                subject: head.subject,
                reply: tail.reply,
                queues: tail.queues,
                header_len: tail.header_len,
                message,
            };
            Ok(Parsed::Complete {
                op: Op::Msg(message),
                consumed,
            })
        }
    }
}

/// What follows the subject: `[reply] sizes`, or `+ reply queues… sizes`, or `| queues… sizes`.
struct Tail<'a> {
    reply: Option<&'a [u8]>,
    queues: Queues<'a>,
    header_len: usize,
    total: usize,
}

fn tail<'a>(mut args: Args<'a>, with_headers: bool) -> Option<Tail<'a>> {
    let sizes = if with_headers { 2 } else { 1 };
    let fields = args.count();
    let mut reply = None;
    let mut queues = Queues::default();
    match fields.checked_sub(sizes)? {
        0 => {}
        1 => reply = Some(args.next()?),
        _ => {
            match args.next()? {
                b"+" => reply = Some(args.next()?),
                b"|" => {}
                _ => return None,
            }
            queues = Queues {
                text: args.0,
                count: args.count().checked_sub(sizes)?,
            };
            args.by_ref().take(queues.count).for_each(drop);
        }
    }
    let header_len = if with_headers {
        lexer::size(args.next()?)?
    } else {
        0
    };
    let total = lexer::size(args.next()?)?;
    if header_len > total {
        return None;
    }
    Some(Tail {
        reply,
        queues,
        header_len,
        total,
    })
}

#[cfg(test)]
mod tests;
