//! The part of the log that appenders, readers and the writer share under one lock. Nothing here
//! touches a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::cache::Cache;
use super::group::{Group, Place, Releases, Value};
use super::queue::{Done, Pending, Queue};
use super::record::{Kind, record_len};
use super::segment::{Release, Segments};
use super::{Damage, Error, GroupId, Loss, Options, Stats};

/// Kept free for values, truncations and purges when the disk is full: they make room.
const RESERVE_BYTES: u64 = 1 << 20;

/// Damage noted by reads at most: what is known by then has every group concerned rebuilt.
const MAX_DAMAGE: usize = 4096;

pub(super) struct Shared {
    pub options: Arc<Options>,
    pub groups: BTreeMap<GroupId, Group>,
    pub segments: Segments,
    pub damage: Vec<Damage>,
    /// The last segment with damage that was handled: segments up to it should go.
    pub retire_to: u32,
    pub queue: Queue,
    pub cache: Cache,
    pub stats: Stats,
    pub wakeup: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Whether something was written but not synced.
    pub unsynced: bool,
    /// What becomes superfluous when it is.
    pub releases_at_sync: Vec<Release>,
    /// Bytes left in the segment being written.
    pub room: u64,
    /// Whether there is no spare segment behind it.
    pub full: bool,
    /// Whether an append was refused since the writer last looked for room.
    pub wants_room: bool,
    pub closed: bool,
    pub failed: Option<Error>,
}

impl Shared {
    /// Fails once the log is closed or broken.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    pub(super) fn append(
        &mut self,
        id: GroupId,
        first_index: u64,
        entries: Vec<Bytes>,
        done: Done,
    ) -> Result<(), Error> {
        self.check_open()?;
        let need = self.check_sizes(entries.iter().map(Bytes::len))?;
        self.check_room(need)?;
        let group = self.groups.entry(id).or_default();
        if group.is_fresh() {
            group.start_at(first_index);
            self.queue_floor(id);
        } else if group.next() != first_index {
            let (expected, got) = (group.next(), first_index);
            return Err(Error::OutOfOrder {
                group: id,
                expected,
                got,
            });
        }
        self.queue_entries(id, first_index, entries, done);
        Ok(())
    }

    /// Refuses what can never be written; the encoded size of the rest.
    fn check_sizes(&self, lens: impl Iterator<Item = usize>) -> Result<u64, Error> {
        let limit_bytes = self.options.segment_size_bytes / 2;
        let mut need = 0;
        for len in lens {
            let bytes = record_len(len) as u64;
            if bytes > limit_bytes {
                return Err(Error::TooLarge { bytes, limit_bytes });
            }
            need += bytes;
        }
        Ok(need)
    }

    fn check_room(&mut self, need: u64) -> Result<(), Error> {
        let queued_bytes = self.queue.bytes();
        let reserve = RESERVE_BYTES.min(self.options.segment_size_bytes / 8);
        if self.full && queued_bytes + need + reserve > self.room {
            self.stats.appends_refused_full += 1;
            self.wants_room = true;
            return Err(Error::Full);
        }
        if queued_bytes > 0 && queued_bytes + need > self.options.queue_limit_bytes {
            self.stats.appends_refused_busy += 1;
            return Err(Error::Busy { queued_bytes });
        }
        Ok(())
    }

    fn queue_entries(&mut self, id: GroupId, first_index: u64, entries: Vec<Bytes>, done: Done) {
        let count = entries.len() as u64;
        if count == 0 {
            // Nothing to write, but the answer must come in its turn: truncating at the end
            // changes nothing.
            self.push(Pending {
                done: Some(done),
                ..Pending::new(Kind::Truncate, id, first_index)
            });
            return;
        }
        let mut bytes = 0;
        let mut done = Some(done);
        for (index, body) in (first_index..).zip(entries) {
            let ticket = self.queue.ticket();
            bytes += body.len() as u64;
            let group = self.groups.entry(id).or_default();
            group.push(Place::queued(ticket, body.len()), body.clone());
            let last = index + 1 == first_index + count;
            let done = if last { done.take() } else { None };
            self.push(Pending {
                body,
                ticket,
                done,
                ..Pending::new(Kind::Entry, id, index)
            });
        }
        self.cache.add(id, first_index, count, bytes);
        self.cache
            .shrink_to(self.options.cache_limit_bytes, &mut self.groups);
    }

    pub(super) fn truncate_from(
        &mut self,
        id: GroupId,
        index: u64,
        done: Done,
    ) -> Result<(), Error> {
        self.check_open()?;
        let group = self.groups.entry(id).or_default();
        if index < group.first() || index > group.next() {
            return Err(Error::OutOfOrder {
                group: id,
                expected: group.next(),
                got: index,
            });
        }
        let mut releases = Releases::default();
        self.cache.forget(group.truncate_from(index, &mut releases));
        let done = Some(done);
        self.push(Pending {
            releases,
            done,
            ..Pending::new(Kind::Truncate, id, index)
        });
        Ok(())
    }

    pub(super) fn purge_below(&mut self, id: GroupId, first: u64) -> Result<(), Error> {
        self.check_open()?;
        let group = self.groups.entry(id).or_default();
        if first <= group.first() && !group.is_fresh() {
            return Ok(());
        }
        let mut releases = Releases::default();
        self.cache.forget(group.purge_below(first, &mut releases));
        self.queue_floor_with(id, releases);
        Ok(())
    }

    pub(super) fn set_value(
        &mut self,
        id: GroupId,
        key: u8,
        bytes: Bytes,
        done: Option<Done>,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_sizes([bytes.len()].into_iter())?;
        self.queue_value(id, key, bytes, done);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: GroupId) -> Result<(), Error> {
        self.check_open()?;
        let Some(mut group) = self.groups.remove(&id) else {
            // Perhaps all of it was lost.
            if self.damage.iter().any(|damage| damage.affects(id)) {
                self.queue_removal(id, Releases::default());
            }
            return Ok(());
        };
        let mut releases = Releases::default();
        self.cache.forget(group.clear(&mut releases));
        self.queue_removal(id, releases);
        Ok(())
    }

    fn queue_removal(&mut self, id: GroupId, releases: Releases) {
        self.push(Pending {
            releases,
            ..Pending::new(Kind::Remove, id, 0)
        });
        for damage in &mut self.damage {
            damage.repaired.insert(id);
        }
        self.damage.retain(Damage::is_open);
    }

    /// Queues everything in a segment that is still the latest, so that the file can go.
    pub(super) fn move_values(&mut self, segment: u32) {
        let ids: Vec<GroupId> = self.groups.keys().copied().collect();
        for id in ids {
            let group = &self.groups[&id];
            let (floor, keys) = (group.floor_is_in(segment), group.keys_in(segment));
            if floor {
                self.queue_floor(id);
            }
            for key in keys {
                if let Some(bytes) = self.value(id, key) {
                    self.queue_value(id, key, bytes, None);
                } else {
                    self.drop_lost_value(id, key);
                }
            }
        }
    }

    /// A value that was lost to damage has nothing to move: only its place is given up.
    fn drop_lost_value(&mut self, id: GroupId, key: u8) {
        let mut releases = Releases::default();
        let values = self.groups.get_mut(&id).map(|group| &mut group.values);
        if let Some(value) = values.and_then(|values| values.remove(&key)) {
            releases.value(value.place);
        }
        self.segments.release(releases.0);
    }

    fn queue_value(&mut self, id: GroupId, key: u8, bytes: Bytes, done: Option<Done>) {
        let ticket = self.queue.ticket();
        let place = Place::queued(ticket, bytes.len());
        let mut releases = Releases::default();
        let value = Value {
            bytes: Some(bytes.clone()),
            place,
        };
        self.groups
            .entry(id)
            .or_default()
            .set_value(key, value, &mut releases);
        let record = Pending::new(Kind::Value, id, 0);
        self.push(Pending {
            key,
            body: bytes,
            ticket,
            releases,
            done,
            ..record
        });
    }

    /// Queues a record of the first index of a log.
    pub(super) fn queue_floor(&mut self, id: GroupId) {
        self.queue_floor_with(id, Releases::default());
    }

    fn queue_floor_with(&mut self, id: GroupId, mut releases: Releases) {
        let ticket = self.queue.ticket();
        let group = self.groups.entry(id).or_default();
        group.set_floor(Place::queued(ticket, 0), &mut releases);
        let index = group.first();
        self.push(Pending {
            ticket,
            releases,
            ..Pending::new(Kind::First, id, index)
        });
    }

    fn push(&mut self, record: Pending) {
        let options = &self.options;
        self.queue.push(record, || (options.now)());
    }

    /// A record of the queue is in a segment now.
    pub(super) fn record_written(&mut self, record: &Pending, segment: u32, offset: u32) {
        let Some(group) = self.groups.get_mut(&record.group) else {
            return;
        };
        let place = Place::written(segment, offset, record.body.len() as u32);
        match record.kind {
            Kind::Entry if group.entry_written(record.index, record.ticket, place) => {
                self.segments.add_entry(segment);
            }
            Kind::First if group.floor_written(record.ticket, place) => {
                self.segments.add_value(segment);
            }
            Kind::Value if group.value_written(record.key, record.ticket, place) => {
                self.segments.add_value(segment);
            }
            _ => {}
        }
    }

    pub(super) fn value(&self, id: GroupId, key: u8) -> Option<Bytes> {
        self.groups.get(&id)?.values.get(&key)?.bytes.clone()
    }

    /// First and next index of a log.
    pub(super) fn bounds(&self, id: GroupId) -> (u64, u64) {
        self.groups
            .get(&id)
            .map_or((0, 0), |group| (group.first(), group.next()))
    }

    pub(super) fn loss(&self, id: GroupId) -> Loss {
        let mut affecting = self.damage.iter().filter(|damage| damage.affects(id));
        if affecting.clone().any(|damage| damage.groups.is_some()) {
            return Loss::Certain;
        }
        let misses_some = || self.groups.get(&id).is_some_and(Group::misses_some);
        match affecting.next() {
            Some(_) if misses_some() => Loss::Certain,
            Some(_) => Loss::Possible,
            None => Loss::Nothing,
        }
    }

    /// Damage seen by a read.
    pub(super) fn note_damage(&mut self, id: GroupId, segment: u32, offset: u32, len: u64) {
        let (segment, offset) = (u64::from(segment), u64::from(offset));
        let known = |damage: &Damage| (damage.segment, damage.offset) == (segment, offset);
        if self.damage.iter().any(known) || self.damage.len() >= MAX_DAMAGE {
            return;
        }
        tracing::error!(group = %id, segment, offset, "the write-ahead log is damaged");
        self.damage.push(Damage {
            segment,
            offset,
            len,
            groups: Some(vec![id]),
            repaired: BTreeSet::new(),
        });
    }

    pub(super) fn retire_damage(&mut self) {
        let damaged = self.damage.drain(..).map(|damage| damage.segment as u32);
        self.retire_to = damaged.fold(self.retire_to, u32::max);
    }

    /// The groups with entries in the oldest segment, when it should be given up.
    pub(super) fn groups_to_checkpoint(&self) -> Vec<GroupId> {
        let oldest = self.segments.0.keys().next().copied().unwrap_or(u32::MAX);
        let pressed = self.full || self.segments.size() > self.options.size_limit_bytes;
        if !pressed && oldest > self.retire_to {
            return Vec::new();
        }
        let holds = |group: &Group| group.oldest_segment() == Some(oldest);
        self.groups
            .iter()
            .filter(|(_, group)| holds(group))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn groups_above(&self, bytes: u64) -> Vec<GroupId> {
        self.groups
            .iter()
            .filter(|(_, group)| group.entry_bytes() > bytes)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            segments: self.segments.0.len() as u64,
            size_bytes: self.segments.size(),
            queued_bytes: self.queue.bytes(),
            cached_bytes: self.cache.bytes(),
            groups: self.groups.len() as u64,
            full: self.full,
            ..self.stats
        }
    }
}
