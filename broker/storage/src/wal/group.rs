//! What is kept in memory about one group: where its entries are, its recent entries, its values.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::segment::Release;

/// A queue shrinks when it has room for this many times what it holds.
const SPARE_ROOM_FACTOR: usize = 4;
/// A queue with less room than this is left alone.
const SHRINK_ABOVE: usize = 1024;

/// Where a record is. Twelve bytes, because there is one for every entry of every log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    offset: u32,
    body_len: u32,
}

/// In the place of a segment number: still queued, with its ticket for an offset.
const QUEUED: u32 = u32::MAX;
/// In the place of a segment number: lost to damage.
const LOST: u32 = u32::MAX - 1;
/// Segments with greater numbers are refused.
pub(super) const MAX_SEGMENT: u32 = u32::MAX - 2;

impl Place {
    pub(super) fn queued(ticket: u32, body_len: usize) -> Place {
        Place {
            segment: QUEUED,
            offset: ticket,
            body_len: body_len as u32,
        }
    }

    pub(super) fn written(segment: u32, offset: u32, body_len: u32) -> Place {
        Place {
            segment,
            offset,
            body_len,
        }
    }

    pub(super) fn lost() -> Place {
        Place {
            segment: LOST,
            offset: 0,
            body_len: 0,
        }
    }

    pub(super) fn is_queued(self) -> bool {
        self.segment == QUEUED
    }

    pub(super) fn is_lost(self) -> bool {
        self.segment == LOST
    }

    /// The segment that holds it, if it was written.
    pub(super) fn segment(self) -> Option<u32> {
        (self.segment < LOST).then_some(self.segment)
    }

    pub(super) fn offset(self) -> u32 {
        self.offset
    }

    pub(super) fn body_len(self) -> usize {
        self.body_len as usize
    }

    fn is_ticket(self, ticket: u32) -> bool {
        self.is_queued() && self.offset == ticket
    }
}

/// What a change made superfluous; takes effect when the change is durable.
#[derive(Default)]
pub(super) struct Releases(pub Vec<Release>);

impl Releases {
    fn entry(&mut self, place: Place) {
        self.add(place, 1, 0);
    }

    pub(super) fn value(&mut self, place: Place) {
        self.add(place, 0, 1);
    }

    fn add(&mut self, place: Place, entries: u64, values: u64) {
        let Some(segment) = place.segment() else {
            return;
        };
        match self.0.last_mut() {
            Some(last) if last.segment == segment => {
                last.entries += entries;
                last.values += values;
            }
            _ => self.0.push(Release {
                segment,
                entries,
                values,
            }),
        }
    }
}

pub(super) struct Value {
    /// `None` when it was lost to damage.
    pub bytes: Option<Bytes>,
    pub place: Place,
}

#[derive(Default)]
pub(super) struct Group {
    first: u64,
    /// Where `first` is recorded; `None` in a log that never held anything.
    floor: Option<Place>,
    entries: VecDeque<Place>,
    /// Length of the bodies of all entries.
    entry_bytes: u64,
    /// The bytes of the last few entries; the last one here is the last one there.
    recent: VecDeque<Bytes>,
    pub values: BTreeMap<u8, Value>,
}

impl Group {
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Length of the bodies of all entries.
    pub(super) fn entry_bytes(&self) -> u64 {
        self.entry_bytes
    }

    /// Whether the log never held anything, so that it may start anywhere.
    pub(super) fn is_fresh(&self) -> bool {
        self.floor.is_none() && self.entries.is_empty()
    }

    pub(super) fn has_floor(&self) -> bool {
        self.floor.is_some()
    }

    /// Whether nothing would be forgotten by dropping the group.
    pub(super) fn is_vacant(&self) -> bool {
        self.is_fresh() && self.values.is_empty()
    }

    pub(super) fn place(&self, index: u64) -> Option<Place> {
        let at = index.checked_sub(self.first)?;
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    pub(super) fn recent(&self, index: u64) -> Option<&Bytes> {
        let at = index.checked_sub(self.first_recent())?;
        self.recent.get(usize::try_from(at).ok()?)
    }

    /// Index of the oldest entry whose bytes are in memory.
    pub(super) fn first_recent(&self) -> u64 {
        self.next() - self.recent.len() as u64
    }

    /// The segment that holds the oldest entry, if any was written.
    pub(super) fn oldest_segment(&self) -> Option<u32> {
        self.entries
            .iter()
            .find(|place| !place.is_lost())
            .and_then(|place| place.segment())
    }

    /// Whether an entry or a value was lost to damage.
    pub(super) fn misses_some(&self) -> bool {
        let value_is_lost = self.values.values().any(|value| value.bytes.is_none());
        value_is_lost || self.entries.iter().any(|place| place.is_lost())
    }

    /// Appends an entry with its bytes.
    pub(super) fn push(&mut self, place: Place, bytes: Bytes) {
        self.entry_bytes += place.body_len() as u64;
        self.entries.push_back(place);
        self.recent.push_back(bytes);
    }

    /// Appends an entry found on disk.
    pub(super) fn push_stored(&mut self, place: Place) {
        self.recent.clear();
        self.entry_bytes += place.body_len() as u64;
        self.entries.push_back(place);
    }

    /// Puts lost entries before the first, which becomes `first`.
    pub(super) fn prepend_lost(&mut self, first: u64) {
        for _ in first..self.first {
            self.entries.push_front(Place::lost());
        }
        self.first = first;
    }

    /// Sets where an empty log starts.
    pub(super) fn start_at(&mut self, first: u64) {
        self.first = first;
    }

    /// Drops entries from the end until `index` is the next; the bytes this freed in memory.
    pub(super) fn truncate_from(&mut self, index: u64, releases: &mut Releases) -> u64 {
        let mut freed = 0;
        while self.next() > index.max(self.first) {
            freed += self.recent.pop_back().map_or(0, |bytes| bytes.len() as u64);
            if let Some(place) = self.entries.pop_back() {
                self.entry_bytes -= place.body_len() as u64;
                releases.entry(place);
            }
        }
        freed
    }

    /// Drops entries before `first`, which becomes the first; the bytes this freed in memory.
    pub(super) fn purge_below(&mut self, first: u64, releases: &mut Releases) -> u64 {
        let mut freed = 0;
        while self.first < first {
            if self.recent.len() == self.entries.len() {
                freed += self.evict_first();
            }
            match self.entries.pop_front() {
                Some(place) => {
                    self.entry_bytes -= place.body_len() as u64;
                    releases.entry(place);
                }
                None => break,
            }
            self.first += 1;
        }
        self.first = self.first.max(first);
        shrink(&mut self.entries);
        shrink(&mut self.recent);
        freed
    }

    /// Lets go of the oldest entry in memory; its length.
    pub(super) fn evict_first(&mut self) -> u64 {
        self.recent
            .pop_front()
            .map_or(0, |bytes| bytes.len() as u64)
    }

    /// Remembers where the first index is recorded.
    pub(super) fn set_floor(&mut self, place: Place, releases: &mut Releases) {
        if let Some(old) = self.floor.replace(place) {
            releases.value(old);
        }
    }

    pub(super) fn set_value(&mut self, key: u8, value: Value, releases: &mut Releases) {
        if let Some(old) = self.values.insert(key, value) {
            releases.value(old.place);
        }
    }

    /// Drops everything; the bytes this freed in memory.
    pub(super) fn clear(&mut self, releases: &mut Releases) -> u64 {
        let freed = self.truncate_from(self.first, releases);
        if let Some(floor) = self.floor.take() {
            releases.value(floor);
        }
        for value in std::mem::take(&mut self.values).into_values() {
            releases.value(value.place);
        }
        freed
    }

    /// A queued entry was written; `true` if it is still part of the log.
    pub(super) fn entry_written(&mut self, index: u64, ticket: u32, place: Place) -> bool {
        let at = index
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        written(at.and_then(|at| self.entries.get_mut(at)), ticket, place)
    }

    /// A queued first index was written; `true` if it is still the latest.
    pub(super) fn floor_written(&mut self, ticket: u32, place: Place) -> bool {
        written(self.floor.as_mut(), ticket, place)
    }

    /// A queued value was written; `true` if it is still the latest.
    pub(super) fn value_written(&mut self, key: u8, ticket: u32, place: Place) -> bool {
        written(
            self.values.get_mut(&key).map(|value| &mut value.place),
            ticket,
            place,
        )
    }

    /// Whether the first index is recorded in this segment.
    pub(super) fn floor_is_in(&self, segment: u32) -> bool {
        self.floor.and_then(Place::segment) == Some(segment)
    }

    /// The keys whose values are in this segment.
    pub(super) fn keys_in(&self, segment: u32) -> Vec<u8> {
        let here = self
            .values
            .iter()
            .filter(|(_, value)| value.place.segment() == Some(segment));
        here.map(|(key, _)| *key).collect()
    }
}

fn written(slot: Option<&mut Place>, ticket: u32, place: Place) -> bool {
    match slot {
        Some(slot) if slot.is_ticket(ticket) => {
            *slot = place;
            true
        }
        _ => false,
    }
}

fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > SHRINK_ABOVE && queue.len() * SPARE_ROOM_FACTOR < queue.capacity() {
        queue.shrink_to(queue.len() * 2);
    }
}
