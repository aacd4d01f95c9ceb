//! The message bus as JetStream sees it: subscribe, publish, ask for interest. The server joins it
//! to live connections; the simulation joins it to a queue in memory.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

/// Names one subscription of [`Bus::subscribe`] until it is given back to [`Bus::unsubscribe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// Names one watch of [`Bus::watch_interest`] until it is given back to [`Bus::unwatch_interest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub u64);

/// Called on the task that read the subscription from its connection, so it only queues work.
pub type InterestWatcher = Arc<dyn Fn() + Send + Sync>;

/// A message that reached a subscription. Borrowed: a handler copies what it keeps.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub account: &'a str,
    pub subject: &'a [u8],
    pub reply: Option<&'a [u8]>,
    /// The header block with its closing empty line, or nothing.
    pub headers: &'a [u8],
    pub payload: &'a [u8],
    /// The client of this server that sent it; 0 if it came from elsewhere.
    pub connection: u64,
}

/// A message that JetStream sends.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where it goes.
    pub subject: Bytes,
    /// The subject the receiver sees; `None` if it is the one above. A consumer sends a message to
    /// its reader's inbox under the subject it was stored with.
    pub shown: Option<Bytes>,
    pub reply: Option<Bytes>,
    pub headers: Bytes,
    pub payload: Bytes,
}

impl Outgoing {
    /// A message without reply subject and headers.
    pub fn new(subject: impl Into<Bytes>, payload: impl Into<Bytes>) -> Self {
        Outgoing {
            subject: subject.into(),
            shown: None,
            reply: None,
            headers: Bytes::new(),
            payload: payload.into(),
        }
    }
}

/// Receives the messages of one subscription.
///
/// It is called on the task that read the message from its connection, so it only queues work.
pub trait Handler: Send + Sync {
    fn deliver(&self, message: &Incoming<'_>);
}

/// What JetStream needs from the connected world.
pub trait Bus: Send + Sync {
    /// Subscribes in `account`; the interest is visible in the whole cluster.
    fn subscribe(&self, account: &str, subject: &str, handler: Arc<dyn Handler>) -> SubscriptionId;
    /// Subscribes as one of a queue group: each message reaches one member. A bus that knows no groups
    /// gives it to all.
    fn subscribe_in_group(
        &self,
        account: &str,
        subject: &str,
        _group: &str,
        handler: Arc<dyn Handler>,
    ) -> SubscriptionId {
        self.subscribe(account, subject, handler)
    }
    fn unsubscribe(&self, id: SubscriptionId);
    /// Sends the messages in order.
    fn publish(&self, account: &str, messages: &[Outgoing]);
    /// Whether any client of the cluster subscribes to `subject` (with `queue`, in that group).
    fn has_interest(&self, account: &str, subject: &str) -> bool;
    /// Whether any client subscribes to exactly `subject`, not to a wildcard. A bus that cannot tell
    /// counts wildcards.
    fn has_literal_interest(&self, account: &str, subject: &str) -> bool {
        self.has_interest(account, subject)
    }
    /// What is known of a client of this server, as the server describes clients; null if it is gone.
    fn client(&self, _connection: u64) -> Value {
        Value::Null
    }
    /// Calls `watcher` whenever the answer of [`Bus::has_interest`] may have changed. A bus that
    /// cannot tell is asked again now and then instead.
    fn watch_interest(&self, _: &str, _: &str, _: InterestWatcher) -> Option<WatchId> {
        None
    }
    fn unwatch_interest(&self, _: WatchId) {}
}
