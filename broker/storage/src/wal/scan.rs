//! Finds the records of a segment, and tells a torn end from damage.
//!
//! Every record says up to where the segment was durable when it was written. What does not read
//! back before the largest such offset was durable once, so it is damage. What does not read back
//! after it was being written when the machine stopped; it was never acknowledged, and the
//! segment ends there.

use super::record::{self, ALIGN, Ending, HEADER_LEN, Header, Kind, Seed};
use super::segment::FIRST_RECORD;

/// No record starts where this many zeros are, nor shortly before their end: most of the unused
/// part of a file is skipped at this pace.
const ZEROS: [u8; 1024] = [0; 1024];

/// A stretch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Record {
        offset: u32,
        header: Header,
    },
    /// The header tells whose record it is; the rest cannot be trusted.
    BadBody {
        offset: u32,
        header: Header,
    },
    /// No record can be made out.
    Bad {
        offset: u32,
        len: u32,
    },
}

pub(super) struct Scan {
    /// In the order of the file; what lies after a torn end is left out.
    pub items: Vec<Item>,
    /// Up to where the records themselves vouch that the bytes were durable.
    pub synced_to: u32,
    /// Where the last record ends.
    pub end: u32,
    /// What the mark right behind the last record says. Such a mark is gone as soon as anything
    /// is written behind that record, so nothing durable is missing there.
    pub ending: Option<Ending>,
}

impl Item {
    fn offset(&self) -> u32 {
        match *self {
            Item::Record { offset, .. }
            | Item::BadBody { offset, .. }
            | Item::Bad { offset, .. } => offset,
        }
    }

    fn end(&self) -> u32 {
        match *self {
            Item::Record { offset, header } | Item::BadBody { offset, header } => {
                offset + record::record_len(header.body_len as usize) as u32
            }
            Item::Bad { offset, len } => offset + len,
        }
    }
}

/// What others than the segment itself know of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Where it ends, if the segment after it tells.
    pub end: Option<u32>,
    /// Whether it is the last one written.
    pub is_last: bool,
    /// Up to where it was durable at least.
    pub synced_to: u32,
}

/// Scans a segment.
pub(super) fn scan(bytes: &[u8], seed: Seed, known: Known) -> Scan {
    let limit = known.end.unwrap_or(u32::MAX).min(bytes.len() as u32);
    let Found {
        mut items,
        mut synced_to,
        mark,
    } = find_records(&bytes[..limit as usize], seed);
    if let Some(end) = known.end {
        // What the file itself is too short for is missing as well.
        if end > limit {
            items.push(Item::Bad {
                offset: limit.max(FIRST_RECORD),
                len: end - limit,
            });
        }
        return Scan {
            items,
            synced_to: end,
            end,
            ending: None,
        };
    }
    if known.is_last {
        synced_to = synced_to.max(known.synced_to);
        let torn = |item: &Item| !matches!(item, Item::Record { .. }) && item.end() > synced_to;
        if let Some(first_torn) = items.iter().position(torn) {
            cut(&mut items, first_torn, synced_to);
        }
        let end = items.last().map_or(FIRST_RECORD, Item::end);
        if end < synced_to {
            items.push(Item::Bad {
                offset: end,
                len: synced_to - end,
            });
        }
    } else if let Some(Item::Bad { .. }) = items.last() {
        // The unused rest of a segment whose successor cannot tell its end.
        items.pop();
    }
    let end = items.last().map_or(FIRST_RECORD, Item::end);
    let ending = mark.and_then(|(at, ending)| (at == end).then_some(ending));
    Scan {
        items,
        synced_to,
        end,
        ending,
    }
}

/// Drops everything from a torn item on, but keeps the part of it that was durable as damage.
fn cut(items: &mut Vec<Item>, first_torn: usize, synced_to: u32) {
    let offset = items[first_torn].offset();
    items.truncate(first_torn);
    if offset < synced_to {
        items.push(Item::Bad {
            offset,
            len: synced_to - offset,
        });
    }
}

/// All stretches in order.
struct Found {
    items: Vec<Item>,
    /// The largest durable offset that any record vouches for.
    synced_to: u32,
    /// The last mark.
    mark: Option<(u32, Ending)>,
}

fn find_records(bytes: &[u8], seed: Seed) -> Found {
    let mut items = Vec::new();
    let mut synced_to = FIRST_RECORD;
    let mut mark = None;
    let mut at = FIRST_RECORD as usize;
    while at < bytes.len() {
        match header_at(bytes, seed, at) {
            Some(header) if header.kind != Kind::Mark => {
                synced_to = synced_to.max(header.synced_to);
                items.push(record_item(bytes, seed, at, header));
                at += record::record_len(header.body_len as usize);
            }
            other => {
                synced_to = synced_to.max(other.map_or(0, |mark| mark.synced_to));
                let here = other.filter(|mark| mark.synced_to as usize == at);
                if let Some(ending) = here.and_then(|mark| Ending::from_byte(mark.key)) {
                    mark = Some((at as u32, ending));
                } else if other.is_none()
                    && let Some(header) = damaged_header_at(bytes, seed, at)
                {
                    let offset = at as u32;
                    items.push(Item::BadBody { offset, header });
                    at += record::record_len(header.body_len as usize);
                    continue;
                }
                let next = next_record(bytes, seed, at);
                items.push(Item::Bad {
                    offset: at as u32,
                    len: (next - at) as u32,
                });
                at = next;
            }
        }
    }
    Found {
        items,
        synced_to,
        mark,
    }
}

fn record_item(bytes: &[u8], seed: Seed, at: usize, header: Header) -> Item {
    let body = &bytes[at + record::HEADER_LEN..][..header.body_len as usize];
    let offset = at as u32;
    match seed.checksum(body) == header.body_crc {
        true => Item::Record { offset, header },
        false => Item::BadBody { offset, header },
    }
}

/// Where the next readable header is, or the end.
fn next_record(bytes: &[u8], seed: Seed, at: usize) -> usize {
    let mut at = at + ALIGN;
    while at < bytes.len() {
        if header_at(bytes, seed, at).is_some() {
            return at;
        }
        at += if bytes[at..].starts_with(&ZEROS) {
            ZEROS.len() - HEADER_LEN
        } else {
            ALIGN
        };
    }
    bytes.len()
}

/// The header at `at`, if it makes sense there.
fn header_at(bytes: &[u8], seed: Seed, at: usize) -> Option<Header> {
    let header = record::decode(seed, &bytes[at..])?;
    let fits = record::record_len(header.body_len as usize) <= bytes.len() - at;
    (fits && header.synced_to as usize <= at).then_some(header)
}

/// What the header at `at` was before one of its bits flipped. Only believed where another record
/// or the unused rest begins right behind it.
fn damaged_header_at(bytes: &[u8], seed: Seed, at: usize) -> Option<Header> {
    let header = record::decode_one_bit_off(seed, &bytes[at..])?;
    let len = record::record_len(header.body_len as usize);
    let fits = len <= bytes.len() - at && header.synced_to as usize <= at;
    if !fits || header.kind == Kind::Mark {
        return None;
    }
    let next = &bytes[at + len..];
    let goes_on = header_at(bytes, seed, at + len).is_some();
    (goes_on || next.iter().take(HEADER_LEN).all(|byte| *byte == 0)).then_some(header)
}

#[cfg(test)]
mod tests;
