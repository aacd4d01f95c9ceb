//! The subscriptions of one connection, found by sid.

use crate::subscription::Sub;

/// Sorted by length of the sid, then by the sid itself: clients count upwards, so a new
/// subscription nearly always goes to the end, and four of them cost four pointers.
#[derive(Default)]
pub(crate) struct SubTable {
    sorted: Vec<Sub>,
}

impl SubTable {
    fn position(&self, sid: &[u8]) -> Result<usize, usize> {
        let wanted = (sid.len(), sid);
        if let Some(last) = self.sorted.last() {
            if (last.sid().len(), last.sid()) < wanted {
                return Err(self.sorted.len());
            }
        }
        self.sorted
            .binary_search_by(|sub| (sub.sid().len(), sub.sid()).cmp(&wanted))
    }

    pub fn get(&self, sid: &[u8]) -> Option<&Sub> {
        self.position(sid).ok().map(|at| &self.sorted[at])
    }

    /// Adds a subscription unless its sid is taken. Returns whether it was added.
    pub fn insert(&mut self, sub: Sub) -> bool {
        match self.position(sub.sid()) {
            Ok(_) => false,
            Err(at) => {
                self.sorted.insert(at, sub);
                true
            }
        }
    }

    pub fn remove(&mut self, sid: &[u8]) -> Option<Sub> {
        let at = self.position(sid).ok()?;
        let sub = self.sorted.remove(at);
        if self.sorted.is_empty() {
            self.sorted = Vec::new();
        }
        Some(sub)
    }

    pub fn take_all(&mut self) -> Vec<Sub> {
        std::mem::take(&mut self.sorted)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Sub> {
        self.sorted.iter()
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }
}
