//! An account at run time: its interest index, its limits and its counters.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use subject::{Generation, Matches, Sublist};

use crate::{
    delivery::WatchId,
    mappings::Mappings,
    route::Gossip,
    sharing::{Links, Shadows, responses::Responses},
    subscription::Sub,
};

/// No limit, in the fields of [`AccountLimits`].
pub const UNLIMITED: i64 = -1;

/// What an account's connections may do. Negative = no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    pub max_connections: i64,
    /// Subscriptions of one connection.
    pub max_subscriptions: i64,
    /// Bytes of headers plus payload.
    pub max_payload: i64,
}

impl Default for AccountLimits {
    fn default() -> AccountLimits {
        AccountLimits {
            max_connections: UNLIMITED,
            max_subscriptions: UNLIMITED,
            max_payload: UNLIMITED,
        }
    }
}

/// Called when somebody may have started or stopped to be interested in a watched subject. Ask
/// `Hub::has_interest` for the present answer.
pub type InterestWatcher = Arc<dyn Fn() + Send + Sync>;

/// One account. Subjects of different accounts never meet.
pub struct Account {
    name: String,
    index: RwLock<Index>,
    generation: Generation,
    gossip: Arc<Gossip>,
    watches: Mutex<Watches>,
    /// Removed, and kept because other servers' interest in it still lives here.
    removed: AtomicBool,
    limits: [AtomicI64; 3],
    /// Imports that are allowed.
    /// What people call it, where that is not its name.
    tag: Mutex<Option<Box<str>>>,
    pub(crate) links: Mutex<Links>,
    pub(crate) shadows: Shadows,
    pub(crate) mappings: Mappings,
    /// Answers to requests of other accounts, once there was one.
    pub(crate) owed: OnceLock<Arc<Responses>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) subscriptions: AtomicUsize,
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    /// Counters of connections that are gone.
    pub(crate) past_out_messages: AtomicU64,
    pub(crate) past_out_bytes: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
}

struct Index {
    list: Sublist<Sub>,
    /// Local subscriptions per subject and queue, as the other servers know them. Empty without
    /// a cluster.
    told: BTreeMap<Box<[u8]>, u32>,
}

#[derive(Default)]
struct Watches {
    by_subject: HashMap<Vec<u8>, Vec<(WatchId, InterestWatcher)>>,
    subjects: HashMap<WatchId, Vec<u8>>,
}

impl Account {
    pub(crate) fn new(name: &str, gossip: Arc<Gossip>) -> Arc<Account> {
        let list = Sublist::new();
        let generation = list.generation_handle();
        Arc::new(Account {
            name: name.to_owned(),
            index: RwLock::new(Index {
                list,
                told: BTreeMap::new(),
            }),
            generation,
            gossip,
            watches: Mutex::default(),
            removed: AtomicBool::new(false),
            limits: [UNLIMITED; 3].map(AtomicI64::new),
            tag: Mutex::default(),
            links: Mutex::default(),
            shadows: Shadows::default(),
            mappings: Mappings::default(),
            owed: OnceLock::new(),
            connections: AtomicUsize::new(0),
            subscriptions: AtomicUsize::new(0),
            in_messages: AtomicU64::new(0),
            in_bytes: AtomicU64::new(0),
            past_out_messages: AtomicU64::new(0),
            past_out_bytes: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people call the account: the name in its claims, or else its name.
    pub fn tag(&self) -> String {
        let tag = self.tag.lock();
        tag.as_deref().unwrap_or(&self.name).to_owned()
    }

    /// See [`Account::tag`]; an empty one is none.
    pub fn set_tag(&self, tag: &str) {
        *self.tag.lock() = (!tag.is_empty()).then(|| tag.into());
    }

    pub(crate) fn set_removed(&self, removed: bool) {
        self.removed.store(removed, Ordering::Relaxed);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub fn limits(&self) -> AccountLimits {
        let [connections, subscriptions, payload] = &self.limits;
        AccountLimits {
            max_connections: connections.load(Ordering::Relaxed),
            max_subscriptions: subscriptions.load(Ordering::Relaxed),
            max_payload: payload.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set_limits(&self, limits: &AccountLimits) {
        let [connections, subscriptions, payload] = &self.limits;
        connections.store(limits.max_connections, Ordering::Relaxed);
        subscriptions.store(limits.max_subscriptions, Ordering::Relaxed);
        payload.store(limits.max_payload, Ordering::Relaxed);
    }

    /// Changes whenever the answer to a match may have changed.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.current()
    }

    pub(crate) fn insert(&self, sub: &Sub) {
        let mut index = self.index.write();
        index.list.insert(sub.subject(), sub.queue(), sub.clone());
        if sub.gossip && self.gossip.is_enabled() {
            let count = index.count_told(sub, 1);
            self.gossip
                .interest(&self.name, sub.subject(), sub.queue(), count, Change::Added);
        }
        drop(index);
        if sub.is_local() {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
            self.cast_shadows(sub);
        }
        self.notify_watchers(sub.subject());
    }

    /// Returns whether the subscription was there.
    pub(crate) fn remove(&self, sub: &Sub) -> bool {
        let mut index = self.index.write();
        if !index.list.remove(sub.subject(), sub.queue(), sub) {
            return false;
        }
        if sub.gossip && self.gossip.is_enabled() {
            let count = index.count_told(sub, -1);
            self.gossip.interest(
                &self.name,
                sub.subject(),
                sub.queue(),
                count,
                Change::Removed,
            );
        }
        drop(index);
        if sub.is_local() {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
            self.drop_shadows(sub);
        }
        self.notify_watchers(sub.subject());
        true
    }

    /// Makes every connection look up anew who is interested.
    pub(crate) fn forget_matches(&self) {
        self.index.write().list.invalidate();
    }

    pub(crate) fn match_into(&self, subject: &[u8], out: &mut Matches<Sub>) {
        self.index.read().list.match_into(subject, out);
    }

    /// Runs `f` with the list, which does not change meanwhile.
    pub(crate) fn with_list<R>(&self, f: impl FnOnce(&Sublist<Sub>) -> R) -> R {
        f(&self.index.read().list)
    }

    /// Calls `tell` with everything other servers should know of this account's interest, while no
    /// change can overtake it.
    pub(crate) fn tell_all(&self, mut tell: impl FnMut(&[u8], Option<&[u8]>, u32)) {
        let index = self.index.read();
        for (key, count) in &index.told {
            let (subject, queue) = split_key(key);
            tell(subject, queue, *count);
        }
    }

    pub(crate) fn has_interest(&self, subject: &[u8]) -> bool {
        self.index.read().list.has_interest(subject)
    }

    pub(crate) fn has_literal_interest(&self, subject: &[u8]) -> bool {
        self.index.read().list.has_literal_interest(subject)
    }

    pub(crate) fn watch(&self, id: WatchId, subject: &[u8], watcher: InterestWatcher) {
        let mut watches = self.watches.lock();
        watches.subjects.insert(id, subject.to_vec());
        watches
            .by_subject
            .entry(subject.to_vec())
            .or_default()
            .push((id, watcher));
    }

    pub(crate) fn unwatch(&self, id: WatchId) -> bool {
        let mut watches = self.watches.lock();
        let Some(subject) = watches.subjects.remove(&id) else {
            return false;
        };
        if let Some(watchers) = watches.by_subject.get_mut(&subject) {
            watchers.retain(|(watch, _)| *watch != id);
            if watchers.is_empty() {
                watches.by_subject.remove(&subject);
            }
        }
        true
    }

    fn notify_watchers(&self, filter: &[u8]) {
        let watches = self.watches.lock();
        if watches.by_subject.is_empty() {
            return;
        }
        let mut concerned: Vec<InterestWatcher> = Vec::new();
        if subject::is_literal(filter) {
            let found = watches.by_subject.get(filter).into_iter().flatten();
            concerned.extend(found.map(|(_, watcher)| watcher.clone()));
        } else {
            for (subject, watchers) in &watches.by_subject {
                if subject::matches(filter, subject) {
                    concerned.extend(watchers.iter().map(|(_, watcher)| watcher.clone()));
                }
            }
        }
        drop(watches);
        for watcher in concerned {
            watcher();
        }
    }
}

/// What happened to the number of local subscriptions of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Added,
    Removed,
}

impl Index {
    /// Counts a subscription other servers are told about, and returns the new number of its kind.
    fn count_told(&mut self, sub: &Sub, change: i32) -> u32 {
        let key = key(sub.subject(), sub.queue());
        let count = self.told.entry(key).or_insert(0);
        *count = count.saturating_add_signed(change);
        let now = *count;
        if now == 0 {
            self.told.remove(&self::key(sub.subject(), sub.queue()));
        }
        now
    }
}

/// Subject and queue in one piece: neither can contain a space.
fn key(subject: &[u8], queue: Option<&[u8]>) -> Box<[u8]> {
    let mut key = Vec::with_capacity(subject.len() + 1 + queue.map_or(0, <[u8]>::len));
    key.extend_from_slice(subject);
    if let Some(queue) = queue {
        key.push(b' ');
        key.extend_from_slice(queue);
    }
    key.into_boxed_slice()
}

fn split_key(key: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', key) {
        Some(space) => (&key[..space], Some(&key[space + 1..])),
        None => (key, None),
    }
}
