//! The bytes of one record.
//!
//! ```text
//! 0  u32 checksum of bytes 4..40      16 u64 group
//! 4  u32 length of the body           24 u64 index
//! 8  u32 checksum of the body         32 u32 synced_to
//! 12 u8  kind                         36 u32 zero
//! 13 u8  key                          40 body, then zeros up to a multiple of 8
//! 14 u16 zero
//! ```
//!
//! Numbers are little endian. Both checksums (CRC-32) start from a seed made of the store and the
//! segment, so a record that a reused file still holds from an earlier life never passes. The
//! header has its own checksum so that a damaged body still tells whose it was, and how far it is
//! to the next record.

use super::GroupId;

pub(super) const HEADER_LEN: usize = 40;

/// Records start at multiples of this.
pub(super) const ALIGN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The entry `index`; the body is its bytes.
    Entry = 1,
    /// Entries from `index` on are gone.
    Truncate = 2,
    /// `index` is now the first of the log; entries before it are gone.
    First = 3,
    /// The value of `key`; the body is its bytes.
    Value = 4,
    /// The group is gone.
    Remove = 5,
    /// Nothing but `synced_to`; the next record is written over it. `key` is an [`Ending`].
    Mark = 6,
}

/// What a mark behind the last record says of the rest of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing followed when it was written.
    Open = 0,
    /// Nothing will follow: the file was shortened to end with this mark.
    Closed = 1,
    /// The log goes on in the next segment.
    Continued = 2,
}

/// What the checksums of one segment start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub key: u8,
    pub group: GroupId,
    pub index: u64,
    pub body_len: u32,
    pub body_crc: u32,
    /// When this record was written, every byte of the segment before this offset was durable.
    pub synced_to: u32,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        let kinds = [
            Kind::Entry,
            Kind::Truncate,
            Kind::First,
            Kind::Value,
            Kind::Remove,
            Kind::Mark,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl Ending {
    pub(super) fn from_byte(byte: u8) -> Option<Ending> {
        let endings = [Ending::Open, Ending::Closed, Ending::Continued];
        endings.into_iter().find(|ending| *ending as u8 == byte)
    }
}

impl Seed {
    pub(super) fn new(store_id: u64, segment: u64) -> Seed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&store_id.to_le_bytes());
        hasher.update(&segment.to_le_bytes());
        Seed(hasher.finalize())
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// Bytes of a record with a body of this length, padding included.
pub(super) fn record_len(body_len: usize) -> usize {
    (HEADER_LEN + body_len).next_multiple_of(ALIGN)
}

/// Appends a record to `out`, whose length must be a multiple of [`ALIGN`]. The checksum of the
/// body in `header` is computed here.
pub(super) fn encode(out: &mut Vec<u8>, seed: Seed, header: &Header, body: &[u8]) {
    let start = out.len();
    let mut bytes = [0; HEADER_LEN];
    bytes[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    bytes[8..12].copy_from_slice(&seed.checksum(body).to_le_bytes());
    bytes[12] = header.kind as u8;
    bytes[13] = header.key;
    bytes[16..24].copy_from_slice(&header.group.0.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.index.to_le_bytes());
    bytes[32..36].copy_from_slice(&header.synced_to.to_le_bytes());
    let checksum = seed.checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(body);
    out.resize(start + record_len(body.len()), 0);
}

/// The header at the start of `bytes`, if one is there. Cheap when it is not.
pub(super) fn decode(seed: Seed, bytes: &[u8]) -> Option<Header> {
    let bytes = bytes.get(..HEADER_LEN)?;
    let kind = Kind::from_byte(bytes[12])?;
    if bytes[14..16] != [0; 2] || bytes[36..40] != [0; 4] {
        return None;
    }
    if seed.checksum(&bytes[4..]) != u32_at(bytes, 0) {
        return None;
    }
    Some(Header {
        kind,
        key: bytes[13],
        group: GroupId(u64_at(bytes, 16)),
        index: u64_at(bytes, 24),
        body_len: u32_at(bytes, 4),
        body_crc: u32_at(bytes, 8),
        synced_to: u32_at(bytes, 32),
    })
}

/// The header at the start of `bytes` if exactly one of its bits is wrong. It tells whose record
/// was damaged and how long it is; what it stood for counts as lost.
pub(super) fn decode_one_bit_off(seed: Seed, bytes: &[u8]) -> Option<Header> {
    let mut header: [u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
    if header == [0; HEADER_LEN] {
        return None;
    }
    for bit in 0..HEADER_LEN * 8 {
        header[bit / 8] ^= 1 << (bit % 8);
        if let Some(found) = decode(seed, &header) {
            return Some(found);
        }
        header[bit / 8] ^= 1 << (bit % 8);
    }
    None
}

/// A mark with room for nothing else, to be written at `end`.
pub(super) fn mark(seed: Seed, end: u32, ending: Ending) -> Vec<u8> {
    let header = Header {
        kind: Kind::Mark,
        key: ending as u8,
        group: GroupId(0),
        index: 0,
        body_len: 0,
        body_crc: 0,
        synced_to: end,
    };
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    encode(&mut bytes, seed, &header, &[]);
    bytes
}

/// The `u32` at an offset that the caller knows to be inside.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The `u64` at an offset that the caller knows to be inside.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> Header {
        let group = GroupId(7);
        Header {
            kind,
            key: 3,
            group,
            index: 9,
            body_len: 5,
            body_crc: 0,
            synced_to: 4096,
        }
    }

    #[test]
    fn a_record_reads_back() {
        let seed = Seed::new(1, 2);
        let mut out = Vec::new();
        encode(&mut out, seed, &header(Kind::Entry), b"hello");
        assert_eq!(out.len(), record_len(5));
        let read = decode(seed, &out).unwrap();
        let body_crc = seed.checksum(b"hello");
        assert_eq!(
            read,
            Header {
                body_crc,
                ..header(Kind::Entry)
            }
        );
    }

    #[test]
    fn a_record_of_another_segment_or_store_does_not_pass() {
        let mut out = Vec::new();
        encode(&mut out, Seed::new(1, 2), &header(Kind::Value), b"hello");
        assert_eq!(decode(Seed::new(1, 3), &out), None);
        assert_eq!(decode(Seed::new(2, 2), &out), None);
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let seed = Seed::new(1, 2);
        let mut out = Vec::new();
        encode(&mut out, seed, &header(Kind::First), b"");
        for bit in 0..HEADER_LEN * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(seed, &out), None, "bit={bit}");
            let found = decode_one_bit_off(seed, &out).unwrap();
            assert_eq!(
                (found.kind, found.group, found.index),
                (Kind::First, GroupId(7), 9)
            );
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn more_than_one_flipped_bit_names_nobody() {
        let seed = Seed::new(1, 2);
        let mut out = Vec::new();
        encode(&mut out, seed, &header(Kind::First), b"");
        for bit in 1..HEADER_LEN * 8 {
            out[0] ^= 1;
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_one_bit_off(seed, &out), None, "bit={bit}");
            out[bit / 8] ^= 1 << (bit % 8);
            out[0] ^= 1;
        }
    }
}
