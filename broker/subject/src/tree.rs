//! A compact map from literal subjects to values that can be searched by filter.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A map from literal subjects to `V`, in byte order of the subjects.
#[derive(Clone, Debug)]
pub struct SubjectTree<V> {
    entries: BTreeMap<Vec<u8>, V>,
}

impl<V> Default for SubjectTree<V> {
    fn default() -> SubjectTree<V> {
        SubjectTree {
            entries: BTreeMap::new(),
        }
    }
}

impl<V> SubjectTree<V> {
    pub fn new() -> SubjectTree<V> {
        SubjectTree::default()
    }

    pub fn get(&self, subject: &[u8]) -> Option<&V> {
        self.entries.get(subject)
    }

    pub fn get_mut(&mut self, subject: &[u8]) -> Option<&mut V> {
        self.entries.get_mut(subject)
    }

    /// Sets the value of a subject and returns the one it had before.
    pub fn insert(&mut self, subject: &[u8], value: V) -> Option<V> {
        self.entries.insert(subject.to_vec(), value)
    }

    /// The value of a subject, made by `make` if it had none.
    pub fn get_or_insert_with(&mut self, subject: &[u8], make: impl FnOnce() -> V) -> &mut V {
        self.entries.entry(subject.to_vec()).or_insert_with(make)
    }

    pub fn remove(&mut self, subject: &[u8]) -> Option<V> {
        self.entries.remove(subject)
    }

    /// The number of subjects.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Every subject with its value, in byte order. Each subject is a fresh copy; use
    /// [`SubjectTree::visit`] on long walks.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &V)> {
        self.iter_matching(b">")
    }

    /// The subjects that `filter` matches, with their values, in byte order.
    pub fn iter_matching(&self, filter: &[u8]) -> impl Iterator<Item = (Vec<u8>, &V)> {
        let filter = filter.to_vec();
        self.entries
            .iter()
            .filter(move |(subject, _)| crate::matches(&filter, subject))
            .map(|(subject, value)| (subject.clone(), value))
    }

    /// Visits the subjects that `filter` matches in byte order, without copying them, until the
    /// visitor breaks.
    pub fn visit<B>(
        &self,
        filter: &[u8],
        mut visitor: impl FnMut(&[u8], &V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (subject, value) in &self.entries {
            if crate::matches(filter, subject) {
                visitor(subject, value)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// [`SubjectTree::visit`] with values that can be changed.
    pub fn visit_mut<B>(
        &mut self,
        filter: &[u8],
        mut visitor: impl FnMut(&[u8], &mut V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (subject, value) in &mut self.entries {
            if crate::matches(filter, subject) {
                visitor(subject, value)?;
            }
        }
        ControlFlow::Continue(())
    }
}
