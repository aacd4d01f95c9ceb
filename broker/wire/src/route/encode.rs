//! What this server says to the other servers of its cluster. Every function appends to a buffer
//! that the caller owns. An account of `None` is for a route dedicated to that account.

use super::{Interest, Message};
use crate::ConnectOptions;
use crate::encode::number;
use crate::lexer::CRLF;

/// `CONNECT`.
pub fn connect(out: &mut Vec<u8>, options: &ConnectOptions) {
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(&options.to_json());
    out.extend_from_slice(CRLF);
}

/// `RS+`, or `LS+` when the interest has an origin.
pub fn sub(out: &mut Vec<u8>, interest: &Interest<'_>) {
    out.extend_from_slice(if interest.origin.is_some() {
        b"LS+"
    } else {
        b"RS+"
    });
    address(out, interest.origin, interest.account, interest.subject);
    if let Some(queue) = interest.queue {
        word(out, queue.name);
        out.push(b' ');
        number(out, u64::from(queue.weight));
    }
    out.extend_from_slice(CRLF);
}

/// `RS-`, or `LS-` when the interest has an origin. The weight of the queue is not written.
pub fn unsub(out: &mut Vec<u8>, interest: &Interest<'_>) {
    out.extend_from_slice(if interest.origin.is_some() {
        b"LS-"
    } else {
        b"RS-"
    });
    address(out, interest.origin, interest.account, interest.subject);
    if let Some(queue) = interest.queue {
        word(out, queue.name);
    }
    out.extend_from_slice(CRLF);
}

/// Where a message goes; the parts of its control line other than the sizes.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a, Q> {
    /// The cluster of the leaf node that published.
    pub origin: Option<&'a [u8]>,
    pub account: Option<&'a [u8]>,
    pub subject: &'a [u8],
    pub reply: Option<&'a [u8]>,
    /// The queue groups that the receiver serves for this message.
    pub queues: Q,
}

/// `RMSG`, `HMSG` when there are headers, or `LMSG` when there is an origin.
pub fn msg<'a, Q>(out: &mut Vec<u8>, to: Address<'a, Q>, header_len: usize, message: &[u8])
where
    Q: IntoIterator<Item = &'a [u8]>,
{
    msg_line(out, to, header_len, message.len());
    out.extend_from_slice(message);
    out.extend_from_slice(CRLF);
}

/// The control line of [`msg`] alone. The message of `total_len` bytes and a line end must follow.
pub fn msg_line<'a, Q>(out: &mut Vec<u8>, to: Address<'a, Q>, header_len: usize, total_len: usize)
where
    Q: IntoIterator<Item = &'a [u8]>,
{
    out.extend_from_slice(match (to.origin, header_len) {
        (Some(_), _) => b"LMSG",
        (None, 0) => b"RMSG",
        (None, _) => b"HMSG",
    });
    address(out, to.origin, to.account, to.subject);
    let mut queues = to.queues.into_iter().peekable();
    if queues.peek().is_some() {
        out.extend_from_slice(if to.reply.is_some() { b" +" } else { b" |" });
    }
    if let Some(reply) = to.reply {
        word(out, reply);
    }
    for queue in queues {
        word(out, queue);
    }
    if to.origin.is_some() || header_len > 0 {
        out.push(b' ');
        number(out, header_len as u64);
    }
    out.push(b' ');
    number(out, total_len as u64);
    out.extend_from_slice(CRLF);
}

/// Writes a parsed message again, as a route that forwards it would.
pub fn forward(out: &mut Vec<u8>, message: &Message<'_>) {
    let to = Address {
        origin: message.origin,
        account: message.account,
        subject: message.subject,
        reply: message.reply,
        queues: message.queues.iter(),
    };
    msg(out, to, message.header_len, message.message);
}

fn address(out: &mut Vec<u8>, origin: Option<&[u8]>, account: Option<&[u8]>, subject: &[u8]) {
    if let Some(origin) = origin {
        word(out, origin);
    }
    if let Some(account) = account {
        word(out, account);
    }
    word(out, subject);
}

fn word(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(word);
}
