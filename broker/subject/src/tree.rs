//! A compact map from literal subjects to values that can be searched by filter.
//!
//! A radix tree: subjects share the memory of what they have in common, and no subject is stored
//! whole. Nodes live in arenas and point to each other by number.

mod arena;
mod filter;
mod node;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::ControlFlow;

use arena::Arena;
use filter::Filter;
use node::{Branch, Fragment, Leaf, Link, Node};
use walk::Walk;

/// A map from literal subjects to `V`, walked in byte order of the subjects.
///
/// Holds up to 2^31 subjects. A subject costs what it does not share with others, plus about fifty
/// bytes, plus its value.
#[derive(Clone, Debug)]
pub struct SubjectTree<V> {
    leaves: Arena<Leaf<V>>,
    branches: Arena<Branch>,
    root: Option<Node>,
}

impl<V> Default for SubjectTree<V> {
    fn default() -> SubjectTree<V> {
        SubjectTree {
            leaves: Arena::default(),
            branches: Arena::default(),
            root: None,
        }
    }
}

impl<V> SubjectTree<V> {
    pub fn new() -> SubjectTree<V> {
        SubjectTree::default()
    }

    pub fn get(&self, subject: &[u8]) -> Option<&V> {
        let leaf = self.find(subject)?;
        Some(&self.leaves[leaf].value)
    }

    pub fn get_mut(&mut self, subject: &[u8]) -> Option<&mut V> {
        let leaf = self.find(subject)?;
        Some(&mut self.leaves[leaf].value)
    }

    /// Sets the value of a subject and returns the one it had before.
    pub fn insert(&mut self, subject: &[u8], value: V) -> Option<V> {
        match self.get_mut(subject) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.insert_new(subject, value);
                None
            }
        }
    }

    /// The value of a subject, made by `make` if it had none.
    pub fn get_or_insert_with(&mut self, subject: &[u8], make: impl FnOnce() -> V) -> &mut V {
        let leaf = match self.find(subject) {
            Some(leaf) => leaf,
            None => self.insert_new(subject, make()),
        };
        &mut self.leaves[leaf].value
    }

    pub fn remove(&mut self, subject: &[u8]) -> Option<V> {
        // The links to the node at hand, and to the branch that link belongs to.
        let mut link = Link::Root;
        let mut above = None;
        let mut node = self.root?;
        let mut rest = subject;
        while let Some(id) = node.branch() {
            let branch = &self.branches[id];
            rest = rest.strip_prefix(branch.prefix.as_slice())?;
            let next = branch.position_of(rest)?;
            above = Some((link, id));
            (link, node) = (Link::Slot(id, next), branch.slots[next].node);
        }
        let leaf = node.leaf()?;
        if self.leaves[leaf].suffix.as_slice() != rest {
            return None;
        }
        self.unlink(link, above);
        Some(self.leaves.remove(leaf).value)
    }

    /// The number of subjects.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    pub fn clear(&mut self) {
        *self = SubjectTree::default();
    }

    /// Every subject with its value, in byte order. Each subject is a fresh copy; use
    /// [`SubjectTree::visit`] on long walks.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &V)> {
        self.iter_matching(b">")
    }

    /// The subjects that `filter` matches, with their values, in byte order. Each subject is a
    /// fresh copy.
    pub fn iter_matching(&self, filter: &[u8]) -> impl Iterator<Item = (Vec<u8>, &V)> {
        let filter = Filter::new(filter.to_vec());
        let mut walk = Walk::new(self.root);
        std::iter::from_fn(move || {
            let leaf = walk.next(&self.branches, &self.leaves, &filter)?;
            Some((walk.subject().to_vec(), &self.leaves[leaf].value))
        })
    }

    /// Visits the subjects that `filter` matches in byte order, without copying them, until the
    /// visitor breaks.
    pub fn visit<B>(
        &self,
        filter: &[u8],
        mut visitor: impl FnMut(&[u8], &V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let filter = Filter::new(filter);
        let mut walk = Walk::new(self.root);
        while let Some(leaf) = walk.next(&self.branches, &self.leaves, &filter) {
            visitor(walk.subject(), &self.leaves[leaf].value)?;
        }
        ControlFlow::Continue(())
    }

    /// [`SubjectTree::visit`] with values that can be changed.
    pub fn visit_mut<B>(
        &mut self,
        filter: &[u8],
        mut visitor: impl FnMut(&[u8], &mut V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let filter = Filter::new(filter);
        let mut walk = Walk::new(self.root);
        while let Some(leaf) = walk.next(&self.branches, &self.leaves, &filter) {
            visitor(walk.subject(), &mut self.leaves[leaf].value)?;
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn find(&self, subject: &[u8]) -> Option<u32> {
        let mut node = self.root?;
        let mut rest = subject;
        while let Some(id) = node.branch() {
            let branch = &self.branches[id];
            rest = rest.strip_prefix(branch.prefix.as_slice())?;
            node = branch.slots[branch.position_of(rest)?].node;
        }
        let leaf = node.leaf()?;
        (self.leaves[leaf].suffix.as_slice() == rest).then_some(leaf)
    }

    /// Inserts a subject that is not there yet, and returns its leaf.
    fn insert_new(&mut self, subject: &[u8], value: V) -> u32 {
        let Some(mut node) = self.root else {
            let leaf = self.new_leaf(subject, value);
            self.root = Some(Node::of_leaf(leaf));
            return leaf;
        };
        let mut link = Link::Root;
        let mut rest = subject;
        while let Some(id) = node.branch() {
            let branch = &self.branches[id];
            let Some(below) = rest.strip_prefix(branch.prefix.as_slice()) else {
                break;
            };
            rest = below;
            match branch.search(rest) {
                Ok(slot) => (link, node) = (Link::Slot(id, slot), branch.slots[slot].node),
                Err(_) => {
                    let leaf = self.new_leaf(rest, value);
                    self.branches[id].add(rest.first().copied(), Node::of_leaf(leaf));
                    return leaf;
                }
            }
        }
        let leaf = self.new_leaf(rest, value);
        self.split(link, node, leaf);
        leaf
    }

    fn new_leaf(&mut self, suffix: &[u8], value: V) -> u32 {
        self.leaves.insert(Leaf {
            suffix: Fragment::from_slice(suffix),
            value,
        })
    }

    /// Puts a branch where `node` was, with `node` and the new leaf below it.
    fn split(&mut self, link: Link, node: Node, leaf: u32) {
        let old = self.fragment(node);
        let new = &self.leaves[leaf].suffix;
        let shared = old
            .iter()
            .zip(new.iter())
            .take_while(|(a, b)| a == b)
            .count();
        let mut branch = Branch {
            prefix: Fragment::from_slice(&new[..shared]),
            slots: Vec::new(),
        };
        let old = Fragment::from_slice(&old[shared..]);
        let new = Fragment::from_slice(&new[shared..]);
        branch.add(old.first().copied(), node);
        branch.add(new.first().copied(), Node::of_leaf(leaf));
        *self.fragment_mut(node) = old;
        self.leaves[leaf].suffix = new;
        let branch = Node::of_branch(self.branches.insert(branch));
        self.set_link(link, branch);
    }

    /// Removes what `link` points to from the tree; a branch left with one slot is merged with it.
    fn unlink(&mut self, link: Link, above: Option<(Link, u32)>) {
        let (Link::Slot(_, slot), Some((link_to_branch, id))) = (link, above) else {
            self.root = None;
            return;
        };
        let branch = &mut self.branches[id];
        branch.slots.remove(slot);
        if let [only] = branch.slots.as_slice() {
            let only = only.node;
            let mut merged = self.branches.remove(id).prefix;
            merged.extend_from_slice(self.fragment(only));
            merged.shrink_to_fit();
            *self.fragment_mut(only) = merged;
            self.set_link(link_to_branch, only);
        }
    }

    fn set_link(&mut self, link: Link, node: Node) {
        match link {
            Link::Root => self.root = Some(node),
            Link::Slot(branch, slot) => self.branches[branch].slots[slot].node = node,
        }
    }

    fn fragment(&self, node: Node) -> &[u8] {
        match node.branch() {
            Some(id) => &self.branches[id].prefix,
            None => &self.leaves[node.number()].suffix,
        }
    }

    fn fragment_mut(&mut self, node: Node) -> &mut Fragment {
        match node.branch() {
            Some(id) => &mut self.branches[id].prefix,
            None => &mut self.leaves[node.number()].suffix,
        }
    }
}
