//! One message to everyone who wants it.

use std::{cell::RefCell, sync::Arc, time::Instant};

use smallvec::SmallVec;
use subject::{Matches, QueueMatch};
use wire::{CloseReason, encode};

use crate::{
    account::Account,
    batch::{self, Lag},
    connection::{Connection, traits},
    delivery::{Delivery, Origin, OriginKind},
    outbound::{Outbound, Writer},
    sharing,
    subscription::{Counted, Sub, Target},
};

/// Room for verb, sizes and separators of one encoded message besides its variable parts.
const LINE_OVERHEAD_BYTES: usize = 48;
/// A publisher is slowed down a little when a target has more than this part of its allowed backlog,
const BEHIND_SHARE: usize = 32;
/// and a lot when it has three quarters of it.
const CRITICAL_SHARE: (usize, usize) = (3, 4);

/// A message on its way through an account.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub account: &'a Arc<Account>,
    /// Decides who gets it.
    pub subject: &'a [u8],
    /// The subject receivers are shown; nearly always the one above.
    pub shown: &'a [u8],
    pub reply: Option<&'a [u8]>,
    pub header_len: usize,
    /// Header block and payload.
    pub body: &'a [u8],
    pub origin: Origin,
    /// Accounts it has been imported into on its way here.
    pub hops: u8,
}

thread_local! {
    static MATCHES: RefCell<Matches<Sub>> = RefCell::default();
    static RANDOM: RefCell<u64> = const { RefCell::new(0) };
}

/// Another server that gets the message, and for which of its queue groups.
struct Remote<'a> {
    route: &'a Arc<Connection>,
    queues: SmallVec<[&'a [u8]; 2]>,
}

/// Few clusters have more servers, so the list of those that get a message is rarely allocated.
type Remotes<'a> = SmallVec<[Remote<'a>; 4]>;

/// Delivers to all plain subscriptions and to one member of each queue group of `matches`.
/// Returns whether anybody got it.
pub(crate) fn deliver(message: &Message<'_>, matches: &Matches<Sub>) -> bool {
    let mut delivered = false;
    let mut remote = Remotes::new();
    for sub in matches.plain() {
        match &sub.target {
            Target::Client(target) => delivered |= to_client(message, sub, target),
            Target::Handler(_) => delivered |= to_handler(message, sub),
            Target::Route(route) => add_remote(&mut remote, route, None),
            Target::Service(_) | Target::Shadow(_) => delivered |= to_other_account(message, sub),
        }
    }
    for queue in matches.queues() {
        delivered |= to_queue(message, queue, &mut remote);
    }
    if !remote.is_empty() {
        delivered |= to_remotes(message, &remote);
    }
    delivered
}

/// [`deliver`] for publishers without a cache of matches.
pub(crate) fn deliver_uncached(message: &Message<'_>) -> bool {
    // Taken, not borrowed: a handler may publish from inside its delivery.
    let mut matches = MATCHES.take();
    message.account.match_into(message.subject, &mut matches);
    let delivered = deliver(message, &matches);
    matches.clear();
    MATCHES.set(matches);
    delivered
}

/// Delivers what another server sent: to its plain local interest and to the queue groups it chose
/// this server for, and never to a route.
pub(crate) fn deliver_routed<'q>(
    message: &Message<'_>,
    matches: &Matches<Sub>,
    queues: impl Iterator<Item = &'q [u8]>,
) {
    for sub in matches.plain() {
        to_local(message, sub);
    }
    for name in queues {
        if let Some(queue) = matches.queues().iter().find(|queue| queue.name == name) {
            to_local_member(message, queue);
        }
    }
}

/// Gives the message to one subscription of this server.
pub(crate) fn to_local(message: &Message<'_>, sub: &Sub) -> bool {
    match &sub.target {
        Target::Client(target) => to_client(message, sub, target),
        Target::Handler(_) => to_handler(message, sub),
        Target::Service(_) | Target::Shadow(_) => to_other_account(message, sub),
        Target::Route(_) => false,
    }
}

/// Out of line: few accounts import anything.
#[cold]
fn to_other_account(message: &Message<'_>, sub: &Sub) -> bool {
    if sub.is_closed() {
        return false;
    }
    match &sub.target {
        Target::Service(link) => sharing::request(message, link),
        Target::Shadow(shadow) => sharing::to_importer(message, shadow),
        Target::Client(_) | Target::Handler(_) | Target::Route(_) => false,
    }
}

fn to_queue<'a>(
    message: &Message<'_>,
    queue: &'a QueueMatch<Sub>,
    remote: &mut Remotes<'a>,
) -> bool {
    if to_local_member(message, queue) {
        return true;
    }
    if message.origin.kind == OriginKind::Route {
        return false;
    }
    let weights = || {
        queue.members.iter().filter_map(|sub| match &sub.target {
            Target::Route(route) if !route.is_closed() => Some((route, u64::from(sub.weight))),
            _ => None,
        })
    };
    let total: u64 = weights().map(|(_, weight)| weight).sum();
    if total == 0 {
        return false;
    }
    let mut ticket = random_below(total);
    for (route, weight) in weights() {
        if ticket < weight {
            add_remote(remote, route, Some(&queue.name));
            return true;
        }
        ticket -= weight;
    }
    false
}

/// Tries the members of this server, starting anywhere, until one takes the message.
fn to_local_member(message: &Message<'_>, queue: &QueueMatch<Sub>) -> bool {
    let members = &queue.members;
    if members.is_empty() {
        return false;
    }
    let start = random_below(members.len() as u64) as usize;
    let (later, earlier) = members.split_at(start);
    earlier
        .iter()
        .chain(later)
        .any(|sub| to_local(message, sub))
}

fn to_handler(message: &Message<'_>, sub: &Sub) -> bool {
    let Target::Handler(handler) = &sub.target else {
        return false;
    };
    if sub.is_closed() {
        return false;
    }
    handler.deliver(&Delivery {
        account: message.account,
        subject: message.shown,
        routed: message.subject,
        reply: message.reply.unwrap_or_default(),
        body: message.body,
        header_len: message.header_len,
        origin: message.origin,
    });
    true
}

#[inline]
fn to_client(message: &Message<'_>, sub: &Sub, target: &Arc<Connection>) -> bool {
    if sub.is_closed() || target.is_closed() || !may_receive(message, sub, target) {
        return false;
    }
    let with_headers = message.header_len > 0 && target.has_trait(traits::HEADERS);
    let body = if with_headers {
        message.body
    } else {
        &message.body[message.header_len..]
    };
    let mut out = target.out.lock();
    let Some(counted) = sub.count_delivery() else {
        return false;
    };
    let size = line_size(message, sub.sid().len()) + body.len();
    out.append(size, |buf| {
        let (subject, sid) = (message.shown, sub.sid());
        if with_headers {
            encode::hmsg(buf, subject, sid, message.reply, message.header_len, body);
        } else {
            encode::msg(buf, subject, sid, message.reply, body);
        }
    });
    out.messages += 1;
    out.bytes += body.len() as u64;
    let promised = settle(&mut out, target);
    drop(out);
    if promised {
        batch::promise(target);
    }
    if counted == Counted::Last {
        finish(message.account, sub, target);
    }
    if let (Some(reply), true) = (message.reply, target.has_trait(traits::REPLIES)) {
        target.grant_reply(reply);
    }
    true
}

/// `echo`, and denied subjects inside a wildcard subscription.
#[inline]
fn may_receive(message: &Message<'_>, sub: &Sub, target: &Connection) -> bool {
    if message.origin.connection == target.id
        && message.origin.kind == OriginKind::Client
        && !target.has_trait(traits::ECHO)
    {
        return false;
    }
    !sub.denies(message.subject)
}

/// After an append: who writes it, and is the target too far behind? Returns whether the caller
/// must put the target on its batch's list.
#[inline]
pub(crate) fn settle(out: &mut Outbound, target: &Connection) -> bool {
    let pending = out.pending();
    if pending > target.max_pending / BEHIND_SHARE {
        let critical = pending > target.max_pending / CRITICAL_SHARE.1 * CRITICAL_SHARE.0;
        batch::note_lag(if critical { Lag::Critical } else { Lag::Behind });
        if pending > target.max_pending {
            out.clear();
            target.close(CloseReason::SlowConsumerPendingBytes);
            return false;
        }
    }
    if out.writer != Writer::Nobody {
        return false;
    }
    out.writer = Writer::Promised;
    true
}

/// The subscription has had all the messages it asked for.
#[cold]
fn finish(account: &Account, sub: &Sub, target: &Connection) {
    if sub.close() {
        target.forget(sub);
        account.remove(sub);
    }
}

fn line_size(message: &Message<'_>, sid: usize) -> usize {
    LINE_OVERHEAD_BYTES
        + message.subject.len().max(message.shown.len())
        + message.reply.map_or(0, <[u8]>::len)
        + sid
}

fn add_remote<'a>(remote: &mut Remotes<'a>, route: &'a Arc<Connection>, queue: Option<&'a [u8]>) {
    match remote
        .iter_mut()
        .find(|known| Arc::ptr_eq(known.route, route))
    {
        Some(known) => known.queues.extend(queue),
        None => remote.push(Remote {
            route,
            queues: queue.into_iter().collect(),
        }),
    }
}

fn to_remotes(message: &Message<'_>, remote: &Remotes<'_>) -> bool {
    if message.origin.kind == OriginKind::Route {
        return false;
    }
    let mut delivered = false;
    for Remote { route, queues } in remote {
        if route.is_closed() {
            continue;
        }
        let mut out = route.out.lock();
        let size = line_size(message, message.account.name().len())
            + queues.iter().map(|queue| queue.len() + 1).sum::<usize>()
            + message.body.len();
        out.append(size, |buf| {
            crate::route::encode_message(buf, message, queues)
        });
        out.messages += 1;
        out.bytes += message.body.len() as u64;
        let promised = settle(&mut out, route);
        drop(out);
        if promised {
            batch::promise(route);
        }
        delivered = true;
    }
    delivered
}

/// A number below `bound`, which is not 0. Spreads load; not for secrets.
fn random_below(bound: u64) -> u64 {
    RANDOM.with_borrow_mut(|state| {
        if *state == 0 {
            *state = rand::random::<u64>() | 1;
        }
        // xorshift64*: one multiplication, no lock, no allocation.
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        let mixed = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    })
}

impl Connection {
    /// Appends control bytes (`+OK`, `PONG`, `-ERR`, `INFO` …) behind what already waits.
    pub fn send(self: &Arc<Connection>, size: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.out.lock();
        out.append(size, encode);
        let promised = settle(&mut out, self);
        drop(out);
        if promised {
            batch::promise(self);
        }
    }

    /// Whether this connection was asked for an answer on `subject`; if so it is counted.
    pub fn may_reply(&self, subject: &[u8]) -> bool {
        self.has_trait(traits::REPLIES)
            && self
                .replies
                .lock()
                .as_mut()
                .is_some_and(|grants| grants.take(subject, Instant::now()))
    }

    #[cold]
    fn grant_reply(&self, reply: &[u8]) {
        if let Some(grants) = self.replies.lock().as_mut() {
            grants.grant(reply, Instant::now());
        }
    }
}
