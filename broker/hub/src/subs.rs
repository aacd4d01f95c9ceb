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
        if self
            .sorted
            .last()
            .is_none_or(|last| (last.sid().len(), last.sid()) < wanted)
        {
            return Err(self.sorted.len());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        delivery::Delivery,
        subscription::{NewSub, Target},
    };

    fn sub(sid: &str) -> Sub {
        Sub::new(NewSub {
            target: Target::Handler(Arc::new(|_: &Delivery<'_>| {})),
            subject: b"a.b",
            queue: b"q",
            sid: sid.as_bytes(),
            deny: None,
            weight: 1,
            gossip: false,
        })
    }

    #[test]
    fn subscriptions_are_found_by_sid_whatever_the_order() {
        let mut table = SubTable::default();
        let sids = ["10", "9", "1", "abc", "2", "100", "z"];
        for sid in sids {
            assert!(table.insert(sub(sid)));
            assert!(!table.insert(sub(sid)), "{sid} is taken");
        }
        for sid in sids {
            let found = table.get(sid.as_bytes()).unwrap();
            assert_eq!(
                (found.sid(), found.subject()),
                (sid.as_bytes(), &b"a.b"[..])
            );
            assert_eq!(found.queue(), Some(&b"q"[..]));
        }
        assert!(table.get(b"3").is_none());
        assert!(table.remove(b"9").is_some());
        assert!(table.remove(b"9").is_none());
        assert_eq!(table.len(), sids.len() - 1);
        assert_eq!(table.take_all().len(), sids.len() - 1);
        assert_eq!(table.len(), 0);
    }
}
