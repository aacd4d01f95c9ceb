//! What crosses the border between the hub and code of this process that publishes or listens.

use std::{fmt, sync::Arc};

use crate::account::Account;

/// A listener inside this process. Called on the task that read the message, so it must be quick:
/// copy what it needs, hand it to a queue, return.
pub trait Handler: Send + Sync + 'static {
    fn deliver(&self, delivery: &Delivery<'_>);
}

impl<F: Fn(&Delivery<'_>) + Send + Sync + 'static> Handler for F {
    fn deliver(&self, delivery: &Delivery<'_>) {
        self(delivery)
    }
}

/// One message as a [`Handler`] sees it. Everything is borrowed from the reader's buffer.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub account: &'a Arc<Account>,
    pub subject: &'a [u8],
    /// The subject by which it found its way; nearly always the one above.
    pub routed: &'a [u8],
    /// Empty when there is none.
    pub reply: &'a [u8],
    /// The header block and the payload, one after the other.
    pub body: &'a [u8],
    /// Length of the header block at the start of `body`; 0 when there is none.
    pub header_len: usize,
    pub origin: Origin,
}

impl<'a> Delivery<'a> {
    /// The header block with its closing empty line, or nothing.
    pub fn headers(&self) -> &'a [u8] {
        &self.body[..self.header_len]
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.body[self.header_len..]
    }
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("account", &self.account.name())
            .field("subject", &String::from_utf8_lossy(self.subject))
            .field("reply", &String::from_utf8_lossy(self.reply))
            .field("bytes", &self.body.len())
            .field("origin", &self.origin)
            .finish()
    }
}

/// Who sent a message. `Hub::connection` tells more about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub kind: OriginKind,
    /// Connection id; 0 for [`OriginKind::System`].
    pub connection: u64,
}

impl Origin {
    /// Code of this process.
    pub const SYSTEM: Origin = Origin {
        kind: OriginKind::System,
        connection: 0,
    };
}

/// The kind of connection a message came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginKind {
    Client,
    Route,
    System,
}

/// A message published by code of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish<'a> {
    pub subject: &'a [u8],
    /// The subject its receivers are shown; empty for the one above.
    pub shown: &'a [u8],
    /// Empty when there is none.
    pub reply: &'a [u8],
    /// Header block with its closing empty line; empty when there is none.
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

/// Names an internal subscription until it is cancelled with `Hub::unsubscribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// Names an interest watch until it is cancelled with `Hub::unwatch_interest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub u64);
