//! Rebuilds the groups from the segment files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::group::{Group, MAX_SEGMENT, Place, Releases, Value};
use super::record::{Ending, Header, Kind, Seed};
use super::scan::{Item, Known, Scan, scan};
use super::segment::{FIRST_RECORD, Segment, SegmentHeader, Segments, Store, io};
use super::{Damage, Error, GroupId, record, sync_mark};
use crate::fs::{File, OpenMode, read_exact_at};

/// Segment files longer than this are not read: the log never writes them.
const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// Most lost entries one record may reveal; past it the log is taken to begin anew.
const MAX_LOST_ENTRIES: u64 = 1 << 20;

/// What the files said.
#[derive(Default)]
pub(super) struct Recovered {
    pub groups: BTreeMap<GroupId, Group>,
    pub segments: Segments,
    pub damage: Vec<Damage>,
    /// Number of the last segment, 0 if there is none.
    pub last: u32,
    /// Where the last segment ends, or ended before it was cut short.
    pub last_end: u32,
    /// What was read from it but may never have been durable, and where it starts.
    pub doubtful: (u32, Vec<u8>),
    /// Whether the last segment is as it was left, so that it may be shortened to what it holds.
    pub may_close: bool,
}

/// A segment file that was opened but not scanned.
struct Found {
    number: u32,
    file: Arc<dyn File>,
    size: u64,
    header: Option<SegmentHeader>,
}

/// Reads all segments of `store`, whose `store_id` becomes that of the files if there are any.
pub(super) fn recover(store: &mut Store) -> Result<Recovered, Error> {
    let found = find(store)?;
    adopt_store_id(store, &found)?;
    let note = sync_mark::read(store).unwrap_or_default();
    let mut recovered = Recovered::default();
    // One for all: they are long, and what an allocator is given back may stay resident for a while.
    let mut bytes = Vec::new();
    for (i, segment) in found.iter().enumerate() {
        recovered.note_gap(segment.number);
        let next = found.get(i + 1);
        let known_end = next
            .filter(|next| next.number == segment.number + 1)
            .and_then(|next| next.header)
            .map(|header| header.previous_end);
        let known = Known {
            end: known_end,
            is_last: next.is_none(),
            synced_to: if note.segment == segment.number {
                note.offset
            } else {
                0
            },
        };
        recovered.read_segment(store, segment, known, &mut bytes)?;
    }
    if note.segment > recovered.last {
        recovered.note_missing_last();
    }
    recovered.note_lost_beginnings();
    for damage in &recovered.damage {
        let Damage {
            segment,
            offset,
            len,
            groups,
            ..
        } = damage;
        tracing::warn!(
            segment,
            offset,
            len,
            ?groups,
            "the write-ahead log is damaged"
        );
    }
    Ok(recovered)
}

fn find(store: &Store) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for number in store.list()? {
        let path = store.path(number);
        if number == 0 || number > MAX_SEGMENT {
            return Err(Error::Unusable {
                path,
                reason: "its number is out of range".into(),
            });
        }
        let file = store
            .fs
            .open(&path, OpenMode::Write)
            .map_err(io("open", &path))?;
        let size = file.len().map_err(io("read", &path))?;
        if size > MAX_SEGMENT_BYTES {
            return Err(Error::Unusable {
                path,
                reason: format!("it has {size} bytes"),
            });
        }
        let mut start = vec![0; size.min(u64::from(FIRST_RECORD)) as usize];
        read_exact_at(&*file, &mut start, 0).map_err(io("read", &path))?;
        let header = SegmentHeader::decode(&start, &path)?;
        found.push(Found {
            number,
            file,
            size,
            header,
        });
    }
    Ok(found)
}

fn adopt_store_id(store: &mut Store, found: &[Found]) -> Result<(), Error> {
    if let Some(header) = found.iter().find_map(|segment| segment.header) {
        store.store_id = header.store_id;
    }
    for segment in found {
        let Some(header) = segment.header else {
            continue;
        };
        if header.store_id != store.store_id || header.number != u64::from(segment.number) {
            let reason = "it belongs to another log or was renamed".into();
            return Err(Error::Unusable {
                path: store.path(segment.number),
                reason,
            });
        }
    }
    Ok(())
}

impl Recovered {
    /// A missing file between two others was deleted by somebody.
    fn note_gap(&mut self, number: u32) {
        if self.last == 0 {
            return;
        }
        for missing in self.last + 1..number {
            self.note_damage(missing, 0, 0, None);
        }
    }

    /// The last segment is not there.
    fn note_missing_last(&mut self) {
        // The number stays free, so that the gap is found again.
        self.last += 1;
        self.may_close = false;
        self.note_damage(self.last, 0, 0, None);
    }

    /// Only damage can have taken the record of where a log begins: what came before the first
    /// entry that is left may be missing.
    fn note_lost_beginnings(&mut self) {
        let lost = |(id, group): (&GroupId, &Group)| {
            (!group.is_fresh() && !group.has_floor()).then_some(*id)
        };
        let lost: Vec<GroupId> = self.groups.iter().filter_map(lost).collect();
        let oldest = self.segments.0.keys().next().copied().unwrap_or_default();
        for group in lost {
            self.note_damage(oldest, 0, 0, Some(group));
        }
    }

    /// `bytes` is room for the segment.
    fn read_segment(
        &mut self,
        store: &Store,
        found: &Found,
        known: Known,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let path = store.path(found.number);
        bytes.resize(found.size as usize, 0);
        read_exact_at(&*found.file, bytes, 0).map_err(io("read", &path))?;
        if found.header.is_none() {
            // The block holds no record, so no group lost anything by it.
            self.damage.push(Damage {
                segment: u64::from(found.number),
                offset: 0,
                len: u64::from(FIRST_RECORD),
                groups: Some(Vec::new()),
                repaired: BTreeSet::new(),
            });
        }
        let Scan {
            items,
            synced_to,
            end,
            ending,
        } = scan(bytes, store.seed(found.number), known);
        let (file, size) = (found.file.clone(), found.size);
        let segment = Segment {
            file,
            size,
            entries: 0,
            values: 0,
            moving: false,
        };
        self.segments.0.insert(found.number, segment);
        for item in items {
            self.replay(found.number, item, bytes);
        }
        self.last = found.number;
        self.last_end = end;
        if known.is_last {
            let start = synced_to.min(end);
            let doubtful = bytes.get(start as usize..end as usize);
            self.doubtful = (start, doubtful.unwrap_or_default().to_vec());
            self.note_cut(store, found, ending);
        }
        Ok(())
    }

    /// A torn write leaves a file of its full length, so a shorter one was cut, and what was behind
    /// the cut may have been acknowledged. Not where a mark says that there was nothing.
    fn note_cut(&mut self, store: &Store, found: &Found, ending: Option<Ending>) {
        self.may_close = false;
        if ending == Some(Ending::Continued) {
            return self.note_missing_last();
        }
        let full = match found.header {
            Some(header) => header.size,
            None => store.segment_size,
        };
        if found.size >= u64::from(full) || ending.is_some() {
            self.may_close = true;
            return;
        }
        let len = u64::from(full) - found.size;
        self.note_damage(found.number, found.size as u32, len, None);
        // The next segment says how long this one should be, so that the cut is found again.
        self.last_end = full;
    }

    fn replay(&mut self, segment: u32, item: Item, bytes: &[u8]) {
        match item {
            Item::Record { offset, header } => {
                let start = offset as usize + record::HEADER_LEN;
                let body = &bytes[start..start + header.body_len as usize];
                self.apply(segment, offset, &header, Some(body));
            }
            Item::BadBody { offset, header } => {
                let len = u64::from(header.body_len);
                self.note_damage(segment, offset, len, Some(header.group));
                self.apply(segment, offset, &header, None);
            }
            Item::Bad { offset, len } => self.note_damage(segment, offset, u64::from(len), None),
        }
    }

    fn note_damage(&mut self, segment: u32, offset: u32, len: u64, group: Option<GroupId>) {
        let (segment, offset) = (u64::from(segment), u64::from(offset));
        let groups = group.map(|group| vec![group]);
        self.damage.push(Damage {
            segment,
            offset,
            len,
            groups,
            repaired: BTreeSet::new(),
        });
    }

    /// Applies one record; a body of `None` was lost.
    fn apply(&mut self, segment: u32, offset: u32, header: &Header, body: Option<&[u8]>) {
        let place = Place::written(segment, offset, header.body_len);
        let mut releases = Releases::default();
        let group = self.groups.entry(header.group).or_default();
        match header.kind {
            Kind::Entry => {
                make_next(group, header.index, &mut releases);
                group.push_stored(if body.is_some() { place } else { Place::lost() });
                if body.is_some() {
                    self.segments.add_entry(segment);
                }
            }
            Kind::Truncate => make_next(group, header.index, &mut releases),
            Kind::First => {
                make_first(group, header.index, &mut releases);
                group.set_floor(place, &mut releases);
                self.segments.add_value(segment);
            }
            Kind::Value => {
                let bytes = body.map(Bytes::copy_from_slice);
                group.set_value(header.key, Value { bytes, place }, &mut releases);
                self.segments.add_value(segment);
            }
            Kind::Remove => {
                group.clear(&mut releases);
                self.groups.remove(&header.group);
                // What was lost of it before is not missed any more.
                for damage in &mut self.damage {
                    damage.repaired.insert(header.group);
                }
            }
            // The scan leaves marks out.
            Kind::Mark => {}
        }
        self.segments.release(releases.0);
    }
}

/// Makes `index` the next of the log. Without damage this drops entries, or starts a log whose
/// earlier segments are gone; an index past the end means that entries were lost.
fn make_next(group: &mut Group, index: u64, releases: &mut Releases) {
    if group.is_fresh() {
        group.start_at(index);
    } else if index < group.first() {
        group.truncate_from(0, releases);
        group.start_at(index);
    } else if index <= group.next() {
        group.truncate_from(index, releases);
    } else if index - group.next() <= MAX_LOST_ENTRIES {
        for _ in group.next()..index {
            group.push_stored(Place::lost());
        }
    } else {
        group.purge_below(index, releases);
    }
}

/// Makes `first` the first of the log. One before the present first means that the entries
/// between were lost.
fn make_first(group: &mut Group, first: u64, releases: &mut Releases) {
    if group.is_fresh() {
        group.start_at(first);
    } else if first >= group.first() {
        group.purge_below(first, releases);
    } else if group.first() - first <= MAX_LOST_ENTRIES {
        group.prepend_lost(first);
    }
}

/// Checks a record read back from a file; its body, if it is the entry that was asked for.
pub(super) fn entry_body(
    bytes: &[u8],
    seed: Seed,
    group: GroupId,
    index: u64,
) -> Option<std::ops::Range<usize>> {
    let header = record::decode(seed, bytes)?;
    let range = record::HEADER_LEN..record::HEADER_LEN + header.body_len as usize;
    let body = bytes.get(range.clone())?;
    let asked = header.kind == Kind::Entry && header.group == group && header.index == index;
    (asked && seed.checksum(body) == header.body_crc).then_some(range)
}
