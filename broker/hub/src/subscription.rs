//! One entry of an account's interest index, and where its messages go.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use identity::Permissions;
use parking_lot::Mutex;

use crate::{
    connection::Connection,
    delivery::Handler,
    sharing::{ServiceLink, Shadow},
};

/// Shared handle of a [`Subscription`]. Two handles are equal when they are the same subscription.
#[derive(Clone)]
pub(crate) struct Sub(Arc<Subscription>);

impl Deref for Sub {
    type Target = Subscription;

    fn deref(&self) -> &Subscription {
        &self.0
    }
}

impl PartialEq for Sub {
    fn eq(&self, other: &Sub) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Where the messages of a subscription go.
pub(crate) enum Target {
    Client(Arc<Connection>),
    /// Interest of another server; it fans out to its own clients.
    Route(Arc<Connection>),
    Handler(Arc<dyn Handler>),
    /// An imported service: messages are requests to another account.
    Service(Arc<ServiceLink>),
    /// A subscription of another account, which imports this one's stream.
    Shadow(Shadow),
}

pub(crate) struct Subscription {
    pub target: Target,
    /// Subject, queue and sid, one after the other: one small allocation where three would cost
    /// more than the bytes themselves.
    text: Box<[u8]>,
    subject_len: u32,
    queue_len: u32,
    /// Messages delivered so far. Written under the target's outbound lock only.
    delivered: AtomicU64,
    /// Ends by itself after this many messages; 0 = never.
    max: AtomicU64,
    closed: AtomicBool,
    filter: Filter,
    /// Members behind a route's queue subscription; 1 elsewhere.
    pub weight: u32,
    /// Other servers are told about this subscription.
    pub gossip: bool,
}

/// Whether some subjects that a subscription matches must not reach its owner, and which. Asked for
/// every delivery, changed only when permissions change.
#[derive(Default)]
struct Filter {
    is_set: AtomicBool,
    permissions: Mutex<Option<Permissions>>,
}

/// What a new subscription is made of.
pub(crate) struct NewSub<'a> {
    pub target: Target,
    pub subject: &'a [u8],
    pub queue: &'a [u8],
    pub sid: &'a [u8],
    /// Present when some subjects this subscription matches must not reach its owner.
    pub deny: Option<Permissions>,
    pub weight: u32,
    pub gossip: bool,
}

impl Sub {
    pub fn new(new: NewSub<'_>) -> Sub {
        let mut text = Vec::with_capacity(new.subject.len() + new.queue.len() + new.sid.len());
        text.extend_from_slice(new.subject);
        text.extend_from_slice(new.queue);
        text.extend_from_slice(new.sid);
        Sub(Arc::new(Subscription {
            target: new.target,
            text: text.into_boxed_slice(),
            subject_len: new.subject.len() as u32,
            queue_len: new.queue.len() as u32,
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            filter: Filter {
                is_set: AtomicBool::new(new.deny.is_some()),
                permissions: Mutex::new(new.deny),
            },
            weight: new.weight,
            gossip: new.gossip,
        }))
    }
}

impl Sub {
    /// Tells this subscription from every other that lives.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Subscription {
    /// Whether somebody of this account and server made it.
    pub fn is_local(&self) -> bool {
        matches!(self.target, Target::Client(_) | Target::Handler(_))
    }

    pub fn subject(&self) -> &[u8] {
        &self.text[..self.subject_len as usize]
    }

    /// The queue group's name, if the subscription is a member of one.
    pub fn queue(&self) -> Option<&[u8]> {
        let start = self.subject_len as usize;
        let queue = &self.text[start..start + self.queue_len as usize];
        (!queue.is_empty()).then_some(queue)
    }

    pub fn sid(&self) -> &[u8] {
        &self.text[(self.subject_len + self.queue_len) as usize..]
    }

    /// Whether a message on this subject must not reach the owner.
    #[inline]
    pub fn denies(&self, subject: &[u8]) -> bool {
        self.filter.is_set.load(Ordering::Relaxed) && self.filter_denies(subject)
    }

    #[cold]
    fn filter_denies(&self, subject: &[u8]) -> bool {
        let permissions = self.filter.permissions.lock().clone();
        permissions.is_some_and(|permissions| !permissions.can_deliver(subject, self.queue()))
    }

    /// Sets what must not reach the owner; see [`NewSub::deny`].
    pub fn set_deny(&self, deny: Option<Permissions>) {
        let is_set = deny.is_some();
        *self.filter.permissions.lock() = deny;
        self.filter.is_set.store(is_set, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Marks the subscription as ended. Returns whether this call ended it.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::Relaxed)
    }

    /// The total number of messages after which the subscription ends; 0 = never.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Counts one delivery. The caller holds the target's outbound lock, so the counter needs no
    /// atomic addition. `None` = the limit was reached before this message.
    pub fn count_delivery(&self) -> Option<Counted> {
        let delivered = self.delivered() + 1;
        let max = self.max();
        if max > 0 && delivered > max {
            return None;
        }
        self.delivered.store(delivered, Ordering::Relaxed);
        Some(if delivered == max {
            Counted::Last
        } else {
            Counted::More
        })
    }
}

/// What a delivery was for its subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    More,
    /// The subscription asked for no message after this one.
    Last,
}
