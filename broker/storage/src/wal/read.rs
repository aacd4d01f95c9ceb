//! Reading entries back, from memory or from the segment files.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::group::Place;
use super::record::record_len;
use super::recovery::entry_body;
use super::segment::io;
use super::shared::Shared;
use super::writer::Core;
use super::{Error, GroupId};
use crate::fs::{File, read_exact_at};

/// Records of one group are fetched together while they span no more than this.
const MAX_SPAN_BYTES: u64 = 1 << 20;
/// And while no more than this of other groups lies between two of them.
const MAX_BETWEEN_BYTES: u64 = 64 << 10;

/// How often a read starts again because the entries moved under it.
const MAX_ATTEMPTS: usize = 8;

/// Where the bytes of an entry are to be had.
enum Source {
    Memory(Bytes),
    File {
        place: Place,
        segment: u32,
        file: Arc<dyn File>,
    },
}

/// Records close to each other in one file.
struct Span {
    segment: u32,
    file: Arc<dyn File>,
    start: u64,
    end: u64,
    places: Vec<Place>,
}

pub(super) fn read(
    core: &Core,
    group: GroupId,
    range: Range<u64>,
    max_bytes: u64,
) -> Result<Vec<Bytes>, Error> {
    for _ in 0..MAX_ATTEMPTS {
        let sources = core
            .shared
            .lock()
            .sources(group, range.clone(), max_bytes)?;
        let places: Vec<Option<Place>> = sources.iter().map(Source::place).collect();
        let mut entries = Vec::with_capacity(sources.len());
        match fetch(core, group, range.start, sources, &mut entries) {
            // What comes before the damage is good.
            Err(Error::Damaged { .. }) if !entries.is_empty() => return Ok(entries),
            Err(Error::Damaged { .. }) => {}
            result => return result.map(|()| entries),
        }
        // A segment may be reused while it is read, but then the entry is not there any more.
        let mut shared = core.shared.lock();
        let now = shared
            .groups
            .get(&group)
            .and_then(|group| group.place(range.start));
        if places.first().is_some_and(|place| *place == now) {
            if let Some((place, segment)) = now.and_then(|at| Some((at, at.segment()?))) {
                let len = record_len(place.body_len()) as u64;
                shared.note_damage(group, segment, place.offset(), len);
            }
            break;
        }
    }
    Err(Error::Damaged {
        group,
        index: range.start,
    })
}

/// Appends the entries to `entries`, as far as they can be had.
fn fetch(
    core: &Core,
    group: GroupId,
    start: u64,
    sources: Vec<Source>,
    entries: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut span: Option<Span> = None;
    for source in sources {
        let extended = match (&source, &mut span) {
            (Source::File { place, segment, .. }, Some(span)) => span.extend(*segment, *place),
            _ => false,
        };
        if extended {
            continue;
        }
        if let Some(span) = span.take() {
            fetch_span(core, group, start, span, entries)?;
        }
        match source {
            Source::Memory(bytes) => entries.push(bytes),
            Source::File {
                place,
                segment,
                file,
            } => {
                span = Some(Span::new(segment, file, place));
            }
        }
    }
    match span {
        Some(span) => fetch_span(core, group, start, span, entries),
        None => Ok(()),
    }
}

fn fetch_span(
    core: &Core,
    group: GroupId,
    first: u64,
    span: Span,
    entries: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut bytes = vec![0; (span.end - span.start) as usize];
    let damaged = |at: usize| Error::Damaged {
        group,
        index: first + at as u64,
    };
    let path = core.store.path(span.segment);
    if let Err(error) = read_exact_at(&*span.file, &mut bytes, span.start) {
        let short = error.kind() == std::io::ErrorKind::UnexpectedEof;
        return Err(if short {
            damaged(entries.len())
        } else {
            io("read", &path)(error)
        });
    }
    core.shared.lock().stats.file_reads += 1;
    let bytes = Bytes::from(bytes);
    let seed = core.store.seed(span.segment);
    for place in span.places {
        let at = (u64::from(place.offset()) - span.start) as usize;
        let index = first + entries.len() as u64;
        let Some(body) = entry_body(&bytes[at..], seed, group, index) else {
            return Err(damaged(entries.len()));
        };
        entries.push(bytes.slice(at + body.start..at + body.end));
    }
    Ok(())
}

impl Shared {
    /// Where to get the entries of a range, as far as `max_bytes` and damage allow.
    fn sources(
        &self,
        id: GroupId,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<Source>, Error> {
        let (first, next) = self.bounds(id);
        if range.start < first || range.end > next {
            let index = if range.start < first {
                range.start
            } else {
                next
            };
            return Err(Error::NotFound {
                group: id,
                index,
                first,
                next,
            });
        }
        let mut sources = Vec::new();
        let mut bytes = 0;
        for index in range {
            let source = match self.source(id, index) {
                Ok(source) => source,
                Err(error) if sources.is_empty() => return Err(error),
                Err(_) => break,
            };
            bytes += source.len() as u64;
            if bytes > max_bytes && !sources.is_empty() {
                break;
            }
            sources.push(source);
        }
        Ok(sources)
    }

    fn source(&self, id: GroupId, index: u64) -> Result<Source, Error> {
        let damaged = Error::Damaged { group: id, index };
        let Some(group) = self.groups.get(&id) else {
            return Err(damaged);
        };
        if let Some(bytes) = group.recent(index) {
            return Ok(Source::Memory(bytes.clone()));
        }
        let place = group.place(index).ok_or_else(|| damaged.clone())?;
        let segment = place.segment().ok_or_else(|| damaged.clone())?;
        let file = self.segments.file(segment).ok_or(damaged)?;
        Ok(Source::File {
            place,
            segment,
            file,
        })
    }
}

impl Span {
    fn new(segment: u32, file: Arc<dyn File>, place: Place) -> Span {
        let start = u64::from(place.offset());
        Span {
            segment,
            file,
            start,
            end: end(place),
            places: vec![place],
        }
    }

    /// Takes in the next record, if it is near.
    fn extend(&mut self, segment: u32, place: Place) -> bool {
        let offset = u64::from(place.offset());
        let near = segment == self.segment
            && offset >= self.end
            && offset - self.end <= MAX_BETWEEN_BYTES
            && end(place) - self.start <= MAX_SPAN_BYTES;
        if near {
            self.end = end(place);
            self.places.push(place);
        }
        near
    }
}

fn end(place: Place) -> u64 {
    u64::from(place.offset()) + record_len(place.body_len()) as u64
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Source::Memory(bytes) => bytes.len(),
            Source::File { place, .. } => place.body_len(),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Source::Memory(_) => None,
            Source::File { place, .. } => Some(*place),
        }
    }
}
