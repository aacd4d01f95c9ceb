//! Subscriptions to imported streams.
//!
//! For every subscription that overlaps an imported stream, the exporting account gets a shadow of
//! it. Routes tell other servers about shadows as about any interest, so a message crosses into
//! the importing account on the server where its subscriber is.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use subject::Renaming;

use crate::{
    account::Account,
    deliver::{self, Message},
    subscription::{NewSub, Sub, Target},
};

/// An imported stream.
pub(crate) struct StreamLink {
    importer: Weak<Account>,
    exporter: Arc<Account>,
    /// The filter by which the importing account names it.
    local: Vec<u8>,
    /// From the exporter's names to the importer's.
    renaming: Option<Renaming>,
}

impl StreamLink {
    pub fn new(
        importer: &Arc<Account>,
        exporter: Arc<Account>,
        local: Vec<u8>,
        renaming: Option<Renaming>,
    ) -> StreamLink {
        StreamLink {
            importer: Arc::downgrade(importer),
            exporter,
            local,
            renaming,
        }
    }

    /// The part of a subscription that is about this stream, as the exporting account names it.
    fn part_of(&self, filter: &[u8]) -> Option<Vec<u8>> {
        let common = subject::intersection(filter, &self.local)?;
        match &self.renaming {
            None => Some(common),
            Some(renaming) => renaming.undo(&common),
        }
    }
}

/// What a subscription in the exporting account stands for.
pub(crate) struct Shadow {
    of: Sub,
    link: Arc<StreamLink>,
}

/// The shadows of one account's subscriptions, which are in other accounts.
#[derive(Default)]
pub(crate) struct Shadows {
    /// Whether there can be any; looked at without the lock.
    any: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    links: Vec<Arc<StreamLink>>,
    /// By the address of the subscription that casts them.
    cast: HashMap<usize, Vec<Cast>>,
}

struct Cast {
    account: Arc<Account>,
    sub: Sub,
}

impl Account {
    /// A subscription was entered: it gets its shadows.
    #[inline]
    pub(crate) fn cast_shadows(&self, sub: &Sub) {
        if self.shadows.any.load(Ordering::Acquire) && has_shadows(sub) {
            self.shadows.table.lock().cast(sub);
        }
    }

    /// A subscription was taken out: its shadows go, too.
    #[inline]
    pub(crate) fn drop_shadows(&self, sub: &Sub) {
        if !self.shadows.any.load(Ordering::Acquire) {
            return;
        }
        let cast = self.shadows.table.lock().cast.remove(&sub.address());
        end(cast.into_iter().flatten());
    }

    /// Replaces the imported streams.
    pub(crate) fn set_stream_links(&self, links: Vec<Arc<StreamLink>>) {
        let mut table = self.shadows.table.lock();
        let old = std::mem::take(&mut table.cast);
        // Before the subscriptions are listed: one that is entered later sees it.
        self.shadows.any.store(!links.is_empty(), Ordering::Release);
        table.links = links;
        let mut subs = Vec::new();
        self.with_list(|list| {
            list.for_each(|_, _, sub| {
                if has_shadows(sub) {
                    subs.push(sub.clone());
                }
            });
        });
        for sub in &subs {
            table.cast(sub);
        }
        drop(table);
        // The new ones first, so that no message is missed.
        end(old.into_values().flatten());
    }
}

impl Table {
    fn cast(&mut self, sub: &Sub) {
        if self.cast.contains_key(&sub.address()) || sub.is_closed() {
            return;
        }
        let mut cast = Vec::new();
        for link in &self.links {
            let Some(subject) = link.part_of(sub.subject()) else {
                continue;
            };
            let shadow = Sub::new(NewSub {
                target: Target::Shadow(Shadow {
                    of: sub.clone(),
                    link: link.clone(),
                }),
                subject: &subject,
                queue: sub.queue().unwrap_or_default(),
                sid: b"",
                deny: None,
                weight: 1,
                gossip: true,
            });
            link.exporter.insert(&shadow);
            cast.push(Cast {
                account: link.exporter.clone(),
                sub: shadow,
            });
        }
        if !cast.is_empty() {
            self.cast.insert(sub.address(), cast);
        }
    }
}

fn end(cast: impl Iterator<Item = Cast>) {
    for Cast { account, sub } in cast {
        sub.close();
        account.remove(&sub);
    }
}

/// Whether a subscription hears imported streams. Services of this process answer their own
/// account only, and what was imported is not passed on.
fn has_shadows(sub: &Sub) -> bool {
    match &sub.target {
        Target::Client(_) => true,
        Target::Handler(_) => {
            !sub.subject().starts_with(b"$") && !sub.subject().starts_with(b"_R_.")
        }
        Target::Route(_) | Target::Shadow(_) | Target::Service(_) => false,
    }
}

/// Gives a message of the exporting account to the subscription that cast the shadow.
pub(crate) fn deliver(message: &Message<'_>, shadow: &Shadow) -> bool {
    // What came in through an import is a request: not something to be passed on.
    if message.hops > 0 {
        return false;
    }
    let Some(importer) = shadow.link.importer.upgrade() else {
        return false;
    };
    let renamed;
    let subject = match &shadow.link.renaming {
        None => message.subject,
        Some(renaming) => match renaming.rename(message.subject) {
            Some(local) => {
                renamed = local;
                &renamed[..]
            }
            None => return false,
        },
    };
    let local = Message {
        account: &importer,
        subject,
        // Readers of a stream are shown the subject it was stored with.
        shown: match message.shown == message.subject {
            true => subject,
            false => message.shown,
        },
        ..*message
    };
    deliver::to_local(&local, &shadow.of)
}
