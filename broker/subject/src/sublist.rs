//! The interest index: which subscriptions want a given subject.
//!
//! Most subscriptions are literal, and one hash lookup of the whole subject finds them, however
//! many there are. Subscriptions with wildcards live apart in a trie of tokens, so that the walk
//! through it stays short.

mod interest;
mod literals;
mod matches;
#[cfg(test)]
mod tests;
mod wildcards;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

use crate::is_literal;
use literals::Literals;
pub use matches::{Matches, QueueMatch};
use wildcards::Wildcards;

/// Counts the changes of a [`Sublist`]. It can be read without holding the list's lock, so that a
/// cached answer is checked without touching the list.
#[derive(Clone, Debug, Default)]
pub struct Generation(Arc<AtomicU64>);

impl Generation {
    /// The number of changes so far.
    #[inline]
    pub fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn bump(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// The interest index of one account.
///
/// Answers come in an order that depends on the changes made to the list and on nothing else.
#[derive(Debug)]
pub struct Sublist<T> {
    literals: Literals<T>,
    wildcards: Wildcards<T>,
    /// Keyed per list, so that nobody can choose subjects that collide.
    hasher: RandomState,
    count: usize,
    generation: Generation,
}

impl<T> Default for Sublist<T> {
    fn default() -> Sublist<T> {
        Sublist {
            literals: Literals::default(),
            wildcards: Wildcards::default(),
            hasher: RandomState::new(),
            count: 0,
            generation: Generation::default(),
        }
    }
}

impl<T: Clone + PartialEq> Sublist<T> {
    pub fn new() -> Sublist<T> {
        Sublist::default()
    }

    /// Adds a subscription. The same value may be added for several subjects, and more than once.
    ///
    /// The subject should be valid, see [`crate::is_valid_subscribe`]; others match what
    /// [`crate::matches`] says.
    pub fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, value: T) {
        let interest = if is_literal(subject) {
            self.literals.get_or_insert(&self.hasher, subject)
        } else {
            self.wildcards.get_or_insert(&self.hasher, subject)
        };
        interest.add(queue, value);
        self.count += 1;
        self.generation.bump();
    }

    /// Removes one subscription equal to `value`. Returns whether there was one.
    pub fn remove(&mut self, subject: &[u8], queue: Option<&[u8]>, value: &T) -> bool {
        let removed = if is_literal(subject) {
            self.literals.remove(&self.hasher, subject, queue, value)
        } else {
            self.wildcards.remove(&self.hasher, subject, queue, value)
        };
        if removed {
            self.count -= 1;
            self.generation.bump();
        }
        removed
    }

    /// Replaces the content of `out` with everyone interested in the literal `subject`.
    #[inline]
    pub fn match_into(&self, subject: &[u8], out: &mut Matches<T>) {
        out.clear();
        if let Some(interest) = self.literals.get(&self.hasher, subject) {
            out.add(interest);
        }
        self.wildcards.visit(&self.hasher, subject, |interest| {
            out.add(interest);
            true
        });
    }

    /// Whether anybody is interested in the literal `subject`.
    #[inline]
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        if self.literals.get(&self.hasher, subject).is_some() {
            return true;
        }
        let mut found = false;
        self.wildcards.visit(&self.hasher, subject, |_| {
            found = true;
            false
        });
        found
    }

    /// Whether anybody subscribed to exactly this literal `subject`.
    pub fn has_literal_interest(&self, subject: &[u8]) -> bool {
        self.literals.get(&self.hasher, subject).is_some()
    }

    /// Calls `visit` with subject, queue and value of every subscription, in a stable order.
    pub fn for_each(&self, mut visit: impl FnMut(&[u8], Option<&[u8]>, &T)) {
        self.literals.for_each(|subject, interest| {
            interest.for_each(|queue, value| visit(subject, queue, value));
        });
        self.wildcards.for_each(|subject, interest| {
            interest.for_each(|queue, value| visit(subject, queue, value));
        });
    }

    /// The number of subscriptions.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes cached answers invalid although the list has not changed: what is done with them has.
    pub fn invalidate(&mut self) {
        self.generation.bump();
    }

    /// The number of changes so far.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.current()
    }

    /// A handle that reads [`Sublist::generation`] without the list.
    pub fn generation_handle(&self) -> Generation {
        self.generation.clone()
    }
}

/// Hash tables here store half a hash beside each index: growing a table then needs no key, and
/// looking up a wrong key is rare. Both halves of the word that the table sees must vary.
fn widen(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
