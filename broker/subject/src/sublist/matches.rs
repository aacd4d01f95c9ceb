//! The answer of a [`super::Sublist`].

use super::interest::Interest;

/// The subscriptions interested in one subject. Reused from match to match without allocating.
#[derive(Clone, Debug)]
pub struct Matches<T> {
    plain: Vec<T>,
    /// Groups after the first `used` are kept for their memory.
    groups: Vec<QueueMatch<T>>,
    used: usize,
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
            groups: Vec::new(),
            used: 0,
        }
    }
}

impl<T> Matches<T> {
    /// Subscriptions outside any queue group; every one of them gets the message.
    #[inline]
    pub fn plain(&self) -> &[T] {
        &self.plain
    }

    /// Queue groups, each named once even when its members subscribe with different filters.
    #[inline]
    pub fn queues(&self) -> &[QueueMatch<T>] {
        &self.groups[..self.used]
    }

    /// Whether nobody is interested.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.used == 0
    }

    /// Forgets the matches and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.plain.clear();
        for group in &mut self.groups[..self.used] {
            group.members.clear();
        }
        self.used = 0;
    }
}

impl<T: Clone> Matches<T> {
    #[inline]
    pub(super) fn add(&mut self, interest: &Interest<T>) {
        self.plain.extend_from_slice(&interest.plain);
        if !interest.groups().is_empty() {
            self.add_groups(interest);
        }
    }

    fn add_groups(&mut self, interest: &Interest<T>) {
        // The groups of one filter have different names, so only earlier filters can share one.
        let earlier = self.used;
        for group in interest.groups() {
            let known = self.groups[..earlier]
                .iter()
                .position(|other| *other.name == *group.name);
            let slot = known.unwrap_or_else(|| self.next_group(&group.name));
            self.groups[slot].members.extend_from_slice(&group.members);
        }
    }

    fn next_group(&mut self, name: &[u8]) -> usize {
        let slot = self.used;
        self.used += 1;
        match self.groups.get_mut(slot) {
            Some(group) => {
                group.name.clear();
                group.name.extend_from_slice(name);
            }
            None => self.groups.push(QueueMatch {
                name: name.to_vec(),
                members: Vec::new(),
            }),
        }
        slot
    }
}
