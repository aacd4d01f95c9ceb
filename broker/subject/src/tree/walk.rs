//! The walk through the subjects that a filter matches, in byte order.

use super::arena::Arena;
use super::filter::{Expected, Filter, Progress};
use super::node::{Branch, Leaf, Node};

/// A walk through the subjects that a filter matches, in byte order. It borrows nothing, so that
/// values can be changed between two steps; the tree itself must stay the same.
pub(super) struct Walk {
    /// The last node is the next to look at.
    pending: Vec<Pending>,
    subject: Vec<u8>,
}

struct Pending {
    node: Node,
    /// How much of the subject leads to the node.
    depth: usize,
    /// How far that part agrees with the filter; `None` before the first node.
    progress: Option<Progress>,
}

impl Walk {
    pub(super) fn new(root: Option<Node>) -> Walk {
        let pending = root
            .map(|node| Pending {
                node,
                depth: 0,
                progress: None,
            })
            .into_iter()
            .collect();
        Walk {
            pending,
            subject: Vec::new(),
        }
    }

    /// The subject of the leaf that [`Walk::next`] returned.
    pub(super) fn subject(&self) -> &[u8] {
        &self.subject
    }

    pub(super) fn next<V, B: AsRef<[u8]>>(
        &mut self,
        branches: &Arena<Branch>,
        leaves: &Arena<Leaf<V>>,
        filter: &Filter<B>,
    ) -> Option<u32> {
        while let Some(Pending {
            node,
            depth,
            progress,
        }) = self.pending.pop()
        {
            let progress = progress.unwrap_or_else(|| filter.start());
            self.subject.truncate(depth);
            let Some(id) = node.branch() else {
                let leaf = node.number();
                let suffix = leaves[leaf].suffix.as_slice();
                let matched = filter
                    .advance(progress, suffix)
                    .is_some_and(|progress| filter.accepts(progress));
                if matched {
                    self.subject.extend_from_slice(suffix);
                    return Some(leaf);
                }
                continue;
            };
            let branch = &branches[id];
            if let Some(progress) = filter.advance(progress, &branch.prefix) {
                self.subject.extend_from_slice(&branch.prefix);
                self.descend(branch, progress, filter.expected(progress));
            }
        }
        None
    }

    fn descend(&mut self, branch: &Branch, progress: Progress, expected: Expected) {
        let depth = self.subject.len();
        let pending = |node| Pending {
            node,
            depth,
            progress: Some(progress),
        };
        let only = match expected {
            Expected::Anything => {
                self.pending
                    .extend(branch.slots.iter().rev().map(|slot| pending(slot.node)));
                return;
            }
            Expected::Byte(byte) => branch.search(&[byte]),
            Expected::End => branch.search(&[]),
        };
        self.pending
            .extend(only.ok().map(|slot| pending(branch.slots[slot].node)));
    }
}
