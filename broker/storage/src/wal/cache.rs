//! Which entries in memory are the oldest, over all groups.

use std::collections::{BTreeMap, VecDeque};

use super::GroupId;
use super::group::Group;

/// Charged for every entry in memory besides its bytes.
const ENTRY_COST_BYTES: u64 = 64;

/// Appended together, so evicted together.
struct Run {
    group: GroupId,
    first: u64,
    count: u64,
}

/// The order in which entries leave the memory: first come, first gone.
#[derive(Default)]
pub(super) struct Cache {
    runs: VecDeque<Run>,
    bytes: u64,
}

impl Cache {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, group: GroupId, first: u64, count: u64, bytes: u64) {
        self.bytes += bytes;
        self.runs.push_back(Run {
            group,
            first,
            count,
        });
    }

    /// Entries of this many bytes left the memory in another way.
    pub(super) fn forget(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// Evicts the oldest runs while there is too much, but never an entry not yet in a file.
    pub(super) fn shrink_to(&mut self, limit: u64, groups: &mut BTreeMap<GroupId, Group>) {
        while let Some(run) = self.runs.front() {
            let cost = self.bytes + self.runs.len() as u64 * ENTRY_COST_BYTES;
            if cost <= limit {
                break;
            }
            if let Some(group) = groups.get_mut(&run.group) {
                let (freed, all) = evict(group, run.first + run.count);
                self.bytes -= freed;
                if !all {
                    break;
                }
            }
            self.runs.pop_front();
        }
    }
}

/// Evicts the entries before `end`; the bytes freed, and whether none was left.
fn evict(group: &mut Group, end: u64) -> (u64, bool) {
    let mut freed = 0;
    while group.first_recent() < end.min(group.next()) {
        if group
            .place(group.first_recent())
            .is_some_and(|place| place.is_queued())
        {
            return (freed, false);
        }
        freed += group.evict_first();
    }
    (freed, true)
}
