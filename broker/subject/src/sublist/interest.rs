//! The subscriptions of one exact subject or filter.

use smallvec::SmallVec;

/// The subscriptions of one exact subject or filter. Sized for the usual case: one subscription,
/// no queue group.
#[derive(Debug)]
pub(super) struct Interest<T> {
    pub(super) plain: SmallVec<[T; 1]>,
    groups: Option<Box<Groups<T>>>,
}

#[derive(Debug)]
struct Groups<T>(Vec<Group<T>>);

/// A queue group.
#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) name: Box<[u8]>,
    pub(super) members: SmallVec<[T; 1]>,
}

impl<T> Default for Interest<T> {
    fn default() -> Interest<T> {
        Interest {
            plain: SmallVec::new(),
            groups: None,
        }
    }
}

impl<T> Interest<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_none()
    }

    pub(super) fn groups(&self) -> &[Group<T>] {
        self.groups.as_deref().map_or(&[], |groups| &groups.0)
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(Option<&[u8]>, &T)) {
        for value in &self.plain {
            visit(None, value);
        }
        for group in self.groups() {
            for value in &group.members {
                visit(Some(&group.name), value);
            }
        }
    }
}

impl<T: PartialEq> Interest<T> {
    pub(super) fn add(&mut self, queue: Option<&[u8]>, value: T) {
        let Some(queue) = queue else {
            self.plain.push(value);
            return;
        };
        let groups = &mut self
            .groups
            .get_or_insert_with(|| Box::new(Groups(Vec::new())))
            .0;
        match groups.iter_mut().find(|group| &*group.name == queue) {
            Some(group) => group.members.push(value),
            None => {
                let members = std::iter::once(value).collect();
                groups.push(Group {
                    name: queue.into(),
                    members,
                });
            }
        }
    }

    pub(super) fn remove(&mut self, queue: Option<&[u8]>, value: &T) -> bool {
        let Some(queue) = queue else {
            return remove_one(&mut self.plain, value);
        };
        let Some(groups) = &mut self.groups else {
            return false;
        };
        let Some(index) = groups.0.iter().position(|group| &*group.name == queue) else {
            return false;
        };
        let group = &mut groups.0[index];
        let removed = remove_one(&mut group.members, value);
        if group.members.is_empty() {
            groups.0.swap_remove(index);
        }
        if groups.0.is_empty() {
            self.groups = None;
        }
        removed
    }
}

fn remove_one<T: PartialEq>(values: &mut SmallVec<[T; 1]>, value: &T) -> bool {
    let Some(index) = values.iter().position(|other| other == value) else {
        return false;
    };
    values.swap_remove(index);
    if values.len() * 4 < values.capacity() {
        values.shrink_to_fit();
    }
    true
}
