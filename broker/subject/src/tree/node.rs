//! The nodes of the tree.

use smallvec::SmallVec;

/// A piece of a subject.
pub(super) type Fragment = SmallVec<[u8; 16]>;

/// The number of a leaf or of a branch, with a bit that tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(u32);

const BRANCH_BIT: u32 = 1 << 31;

impl Node {
    pub(super) fn of_leaf(number: u32) -> Node {
        assert!(
            number & BRANCH_BIT == 0,
            "a subject tree holds at most 2^31 subjects"
        );
        Node(number)
    }

    pub(super) fn of_branch(number: u32) -> Node {
        Node(number | BRANCH_BIT)
    }

    #[inline]
    pub(super) fn branch(self) -> Option<u32> {
        (self.0 & BRANCH_BIT != 0).then_some(self.0 & !BRANCH_BIT)
    }

    #[inline]
    pub(super) fn leaf(self) -> Option<u32> {
        (self.0 & BRANCH_BIT == 0).then_some(self.0)
    }

    pub(super) fn number(self) -> u32 {
        self.0 & !BRANCH_BIT
    }
}

/// Where a node hangs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    Root,
    /// A slot of a branch.
    Slot(u32, usize),
}

/// The end of one subject.
#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    /// What the branches above do not say. Starts with the byte of its slot.
    pub(super) suffix: Fragment,
    pub(super) value: V,
}

/// What several subjects share.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) prefix: Fragment,
    /// In order of their first byte. Always at least two.
    pub(super) slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The first byte of the node; `None` for the subject that ends with the branch itself.
    pub(super) first: Option<u8>,
    pub(super) node: Node,
}

impl Branch {
    /// The slot for what follows the prefix, or where it belongs.
    #[inline]
    pub(super) fn search(&self, rest: &[u8]) -> Result<usize, usize> {
        let wanted = rest.first().copied();
        self.slots.binary_search_by(|slot| slot.first.cmp(&wanted))
    }

    #[inline]
    pub(super) fn position_of(&self, rest: &[u8]) -> Option<usize> {
        self.search(rest).ok()
    }

    /// Adds a node whose first byte has no slot yet.
    pub(super) fn add(&mut self, first: Option<u8>, node: Node) {
        let at = self.slots.partition_point(|slot| slot.first < first);
        if self.slots.len() == self.slots.capacity() {
            // Branches are many and mostly narrow: grow by half rather than double.
            self.slots.reserve_exact((self.slots.len() / 2).max(2));
        }
        self.slots.insert(at, Slot { first, node });
    }
}
