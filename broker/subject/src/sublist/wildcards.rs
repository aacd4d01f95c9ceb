//! Subscriptions with wildcards: a trie of tokens.
//!
//! The edges of all nodes share one hash table keyed by parent and token, which costs a few bytes
//! per edge whether a node has one child or a hundred thousand.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::interest::Interest;
use super::widen;
use crate::tokens;

const ROOT: u32 = 0;
/// No node is a child of itself, so the root's number is free to mean none.
const NONE: u32 = ROOT;

/// Subjects with more tokens than this still work; they only cost an allocation.
const USUAL_TOKENS: usize = 16;

/// Subscriptions with wildcards.
#[derive(Debug)]
pub(super) struct Wildcards<T> {
    /// The first node is the root. Empty until the first insertion.
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    edges: HashTable<Edge>,
}

#[derive(Debug)]
struct Node<T> {
    parent: u32,
    token: SmallVec<[u8; 16]>,
    /// Children with an ordinary token; they are found through the edges.
    children: u32,
    /// The child for `*`.
    star: u32,
    /// The child for a final `>`.
    rest: u32,
    interest: Interest<T>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    hash: u32,
    child: u32,
}

/// How a token of a filter leads from a node to a child.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Star,
    Rest,
    Token,
}

impl<T> Default for Wildcards<T> {
    fn default() -> Wildcards<T> {
        Wildcards {
            nodes: Vec::new(),
            free: Vec::new(),
            edges: HashTable::new(),
        }
    }
}

impl<T: PartialEq> Wildcards<T> {
    /// Calls `visit` for the interest of every filter that matches, until it returns false.
    #[inline]
    pub(super) fn visit<'a>(
        &'a self,
        hasher: &RandomState,
        subject: &[u8],
        visit: impl FnMut(&'a Interest<T>) -> bool,
    ) {
        // An empty trie has at most the root.
        if self.nodes.len() - self.free.len() > 1 {
            self.walk(hasher, subject, visit);
        }
    }

    fn walk<'a>(
        &'a self,
        hasher: &RandomState,
        subject: &[u8],
        mut visit: impl FnMut(&'a Interest<T>) -> bool,
    ) {
        let tokens: SmallVec<[&[u8]; USUAL_TOKENS]> = tokens(subject).collect();
        // Nodes still to look at, with the number of tokens that lead to them.
        let mut pending: SmallVec<[(u32, u32); USUAL_TOKENS]> = SmallVec::new();
        pending.push((ROOT, 0));
        while let Some((id, depth)) = pending.pop() {
            let node = &self.nodes[id as usize];
            let Some(token) = tokens.get(depth as usize) else {
                if !node.interest.is_empty() && !visit(&node.interest) {
                    return;
                }
                continue;
            };
            if node.rest != NONE && !visit(&self.nodes[node.rest as usize].interest) {
                return;
            }
            if node.star != NONE {
                pending.push((node.star, depth + 1));
            }
            if node.children > 0
                && let Some(child) = self.child(edge_hash(hasher, id, token), id, token)
            {
                pending.push((child, depth + 1));
            }
        }
    }

    pub(super) fn get_or_insert(
        &mut self,
        hasher: &RandomState,
        filter: &[u8],
    ) -> &mut Interest<T> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(NONE, &[]));
        }
        let mut id = ROOT;
        for (step, token) in steps(filter) {
            id = match self.next(hasher, id, step, token) {
                Some(child) => child,
                None => self.add_child(hasher, id, step, token),
            };
        }
        &mut self.nodes[id as usize].interest
    }

    pub(super) fn remove(
        &mut self,
        hasher: &RandomState,
        filter: &[u8],
        queue: Option<&[u8]>,
        value: &T,
    ) -> bool {
        if self.nodes.is_empty() {
            return false;
        }
        let mut id = ROOT;
        for (step, token) in steps(filter) {
            let Some(child) = self.next(hasher, id, step, token) else {
                return false;
            };
            id = child;
        }
        let removed = self.nodes[id as usize].interest.remove(queue, value);
        self.prune(hasher, id);
        removed
    }

    /// Calls `visit` with every filter that has subscriptions.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&[u8], &Interest<T>)) {
        for node in self.nodes.iter().filter(|node| !node.interest.is_empty()) {
            visit(&self.filter_of(node), &node.interest);
        }
    }

    fn filter_of(&self, node: &Node<T>) -> Vec<u8> {
        let mut path = vec![&node.token];
        let mut parent = node.parent;
        while parent != ROOT {
            let node = &self.nodes[parent as usize];
            path.push(&node.token);
            parent = node.parent;
        }
        path.reverse();
        path.iter()
            .map(|token| token.as_slice())
            .collect::<Vec<_>>()
            .join(&b'.')
    }

    fn next(&self, hasher: &RandomState, id: u32, step: Step, token: &[u8]) -> Option<u32> {
        let node = &self.nodes[id as usize];
        match step {
            Step::Star => Some(node.star).filter(|child| *child != NONE),
            Step::Rest => Some(node.rest).filter(|child| *child != NONE),
            Step::Token => self.child(edge_hash(hasher, id, token), id, token),
        }
    }

    #[inline]
    fn child(&self, hash: u32, parent: u32, token: &[u8]) -> Option<u32> {
        let same = |edge: &Edge| {
            if edge.hash != hash {
                return false;
            }
            let node = &self.nodes[edge.child as usize];
            node.parent == parent && node.token.as_slice() == token
        };
        self.edges.find(widen(hash), same).map(|edge| edge.child)
    }

    fn add_child(&mut self, hasher: &RandomState, parent: u32, step: Step, token: &[u8]) -> u32 {
        let node = Node::new(parent, token);
        let child = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        let above = &mut self.nodes[parent as usize];
        match step {
            Step::Star => above.star = child,
            Step::Rest => above.rest = child,
            Step::Token => {
                above.children += 1;
                let hash = edge_hash(hasher, parent, token);
                let edge = Edge { hash, child };
                self.edges
                    .insert_unique(widen(hash), edge, |edge| widen(edge.hash));
            }
        }
        child
    }

    /// Removes a node that has become useless, and then its parents.
    fn prune(&mut self, hasher: &RandomState, mut id: u32) {
        while id != ROOT && self.nodes[id as usize].is_useless() {
            let node = std::mem::replace(&mut self.nodes[id as usize], Node::new(NONE, &[]));
            self.free.push(id);
            let above = &mut self.nodes[node.parent as usize];
            if above.star == id {
                above.star = NONE;
            } else if above.rest == id {
                above.rest = NONE;
            } else {
                above.children -= 1;
                let hash = edge_hash(hasher, node.parent, &node.token);
                if let Ok(edge) = self.edges.find_entry(widen(hash), |edge| edge.child == id) {
                    edge.remove();
                }
            }
            id = node.parent;
        }
        if self.free.len() + 1 == self.nodes.len() {
            *self = Wildcards::default();
        }
    }
}

impl<T> Node<T> {
    fn new(parent: u32, token: &[u8]) -> Node<T> {
        Node {
            parent,
            token: SmallVec::from_slice(token),
            children: 0,
            star: NONE,
            rest: NONE,
            interest: Interest::default(),
        }
    }

    fn is_useless(&self) -> bool {
        self.interest.is_empty() && self.children == 0 && self.star == NONE && self.rest == NONE
    }
}

/// The way of a filter through the trie. A `>` before the end is an ordinary token, as it is for
/// [`crate::matches`].
fn steps(filter: &[u8]) -> impl Iterator<Item = (Step, &[u8])> {
    let mut tokens = tokens(filter).peekable();
    std::iter::from_fn(move || {
        let token = tokens.next()?;
        let step = match token {
            b"*" => Step::Star,
            b">" if tokens.peek().is_none() => Step::Rest,
            _ => Step::Token,
        };
        Some((step, token))
    })
}

#[inline]
fn edge_hash(hasher: &RandomState, parent: u32, token: &[u8]) -> u32 {
    let mut state = hasher.build_hasher();
    state.write_u32(parent);
    state.write(token);
    state.finish() as u32
}
