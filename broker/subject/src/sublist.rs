//! The interest index: which subscriptions want a given subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the changes of a [`Sublist`]. It can be read without holding the list's lock, so that a
/// cached answer is checked without touching the list.
#[derive(Clone, Debug, Default)]
pub struct Generation(Arc<AtomicU64>);

impl Generation {
    /// The number of changes so far.
    pub fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn bump(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// The subscriptions interested in one subject. Reused from match to match without allocating.
#[derive(Clone, Debug)]
pub struct Matches<T> {
    plain: Vec<T>,
    queues: Vec<QueueMatch<T>>,
}

/// The members of one queue group that are interested; exactly one of them gets the message.
#[derive(Clone, Debug)]
pub struct QueueMatch<T> {
    pub name: Vec<u8>,
    pub members: Vec<T>,
}

impl<T> Default for Matches<T> {
    fn default() -> Matches<T> {
        Matches {
            plain: Vec::new(),
            queues: Vec::new(),
        }
    }
}

impl<T> Matches<T> {
    /// Subscriptions outside any queue group; every one of them gets the message.
    pub fn plain(&self) -> &[T] {
        &self.plain
    }

    /// Queue groups, each named once even when its members subscribe with different filters.
    pub fn queues(&self) -> &[QueueMatch<T>] {
        &self.queues
    }

    /// Whether nobody is interested.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    /// Forgets the matches and keeps the memory.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.queues.clear();
    }
}

/// The interest index of one account.
#[derive(Debug)]
pub struct Sublist<T> {
    entries: Vec<(Vec<u8>, Option<Vec<u8>>, T)>,
    generation: Generation,
}

impl<T> Default for Sublist<T> {
    fn default() -> Sublist<T> {
        Sublist {
            entries: Vec::new(),
            generation: Generation::default(),
        }
    }
}

impl<T: Clone + PartialEq> Sublist<T> {
    pub fn new() -> Sublist<T> {
        Sublist::default()
    }

    /// Adds a subscription. The same value may be added for several subjects, and more than once.
    pub fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, value: T) {
        self.entries
            .push((subject.to_vec(), queue.map(<[u8]>::to_vec), value));
        self.generation.bump();
    }

    /// Removes one subscription equal to `value`. Returns whether there was one.
    pub fn remove(&mut self, subject: &[u8], queue: Option<&[u8]>, value: &T) -> bool {
        let found = self
            .entries
            .iter()
            .position(|(s, q, v)| s == subject && q.as_deref() == queue && v == value);
        let Some(index) = found else { return false };
        self.entries.remove(index);
        self.generation.bump();
        true
    }

    /// Replaces the content of `out` with everyone interested in the literal `subject`.
    pub fn match_into(&self, subject: &[u8], out: &mut Matches<T>) {
        out.clear();
        for (filter, queue, value) in &self.entries {
            if !crate::matches(filter, subject) {
                continue;
            }
            let Some(queue) = queue else {
                out.plain.push(value.clone());
                continue;
            };
            match out.queues.iter_mut().find(|group| &group.name == queue) {
                Some(group) => group.members.push(value.clone()),
                None => out.queues.push(QueueMatch {
                    name: queue.clone(),
                    members: vec![value.clone()],
                }),
            }
        }
    }

    /// Whether anybody is interested in the literal `subject`.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        self.entries
            .iter()
            .any(|(filter, _, _)| crate::matches(filter, subject))
    }

    /// Calls `visit` with subject, queue and value of every subscription, in a stable order.
    pub fn for_each(&self, mut visit: impl FnMut(&[u8], Option<&[u8]>, &T)) {
        for (subject, queue, value) in &self.entries {
            visit(subject, queue.as_deref(), value);
        }
    }

    /// The number of subscriptions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of changes so far.
    pub fn generation(&self) -> u64 {
        self.generation.current()
    }

    /// A handle that reads [`Sublist::generation`] without the list.
    pub fn generation_handle(&self) -> Generation {
        self.generation.clone()
    }
}
