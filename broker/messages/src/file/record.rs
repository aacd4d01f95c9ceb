//! One message in a segment file.
//!
//! ```text
//! crc u32 | size u32 | seq u64 | time_ns i64 | subject size u16 | flags u8 | zero [3]
//! headers size u32, if flag 1 | subject | headers | payload
//! ```
//!
//! Integers are little-endian; `size` is that of the whole record. The checksum covers everything
//! behind itself. It is CRC-32 (the polynomial of Ethernet and gzip) rather than CRC-32C, because
//! the log uses it too, it runs as fast with carry-less multiplication, and finds as many errors in
//! records of this size.
//!
//! The size equals nats-server's accounting of a message in a file store (22 + subject + payload +
//! 8, and 4 + headers if there are any), so that limits in bytes mean the same, and the index knows
//! what a removed message frees without reading it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::StoredMessage;
use crate::store::NewMessage;

pub(super) const FIXED_SIZE_BYTES: usize = 30;
const HEADERS_SIZE_BYTES: usize = 4;
const HAS_HEADERS: u8 = 1;

pub(super) fn size_bytes(subject_len: usize, headers_len: usize, payload_len: usize) -> u64 {
    let headers = if headers_len > 0 {
        HEADERS_SIZE_BYTES + headers_len
    } else {
        0
    };
    (FIXED_SIZE_BYTES + subject_len + headers + payload_len) as u64
}

/// The record of a message.
pub(super) fn encode(message: NewMessage<'_>) -> Bytes {
    let mut buffer = BytesMut::new();
    encode_to(message, &mut buffer);
    buffer.freeze()
}

/// Appends the record of a message to an empty buffer, which may have room.
pub(super) fn encode_to(message: NewMessage<'_>, buffer: &mut BytesMut) {
    let NewMessage {
        seq,
        time_ns,
        subject,
        headers,
        payload,
    } = message;
    assert!(buffer.is_empty());
    let size = size_bytes(subject.len(), headers.len(), payload.len());
    buffer.reserve(size as usize);
    buffer.put_u32_le(0);
    buffer.put_u32_le(size as u32);
    buffer.put_u64_le(seq);
    buffer.put_i64_le(time_ns);
    buffer.put_u16_le(subject.len() as u16);
    buffer.put_u8(if headers.is_empty() { 0 } else { HAS_HEADERS });
    buffer.put_bytes(0, 3);
    if !headers.is_empty() {
        buffer.put_u32_le(headers.len() as u32);
    }
    buffer.put_slice(subject);
    buffer.put_slice(headers);
    buffer.put_slice(payload);
    let crc = crc32fast::hash(&buffer[4..]);
    buffer[..4].copy_from_slice(&crc.to_le_bytes());
}

/// What a record says of itself.
pub(super) struct Head {
    pub(super) size: usize,
    pub(super) seq: u64,
    time_ns: i64,
    subject_at: usize,
    headers_at: usize,
    payload_at: usize,
}

impl Head {
    /// Reads the head of a record at the start of `bytes`, if it makes sense within them.
    pub(super) fn parse(bytes: &[u8]) -> Option<Head> {
        let fixed: &[u8; FIXED_SIZE_BYTES] = bytes.first_chunk()?;
        let size = u32_at(fixed, 4) as usize;
        let subject_len = usize::from(u16::from_le_bytes([fixed[24], fixed[25]]));
        let (subject_at, headers_len) = match fixed[26] {
            0 => (FIXED_SIZE_BYTES, 0),
            HAS_HEADERS => {
                let at = FIXED_SIZE_BYTES + HEADERS_SIZE_BYTES;
                let len: &[u8; 4] = bytes.get(FIXED_SIZE_BYTES..at)?.first_chunk()?;
                (at, u32::from_le_bytes(*len) as usize)
            }
            _ => return None,
        };
        let headers_at = subject_at + subject_len;
        let payload_at = headers_at.checked_add(headers_len)?;
        if size > bytes.len() || payload_at > size {
            return None;
        }
        let seq = u64::from_le_bytes(*fixed[8..].first_chunk()?);
        let time_ns = i64::from_le_bytes(*fixed[16..].first_chunk()?);
        Some(Head {
            size,
            seq,
            time_ns,
            subject_at,
            headers_at,
            payload_at,
        })
    }

    pub(super) fn subject<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        &record[self.subject_at..self.headers_at]
    }
}

/// Whether the checksum of exactly one record is right.
pub(super) fn is_intact(record: &[u8]) -> bool {
    record.len() >= FIXED_SIZE_BYTES
        && u32_at(record, 4) as usize == record.len()
        && crc32fast::hash(&record[4..]) == u32_at(record, 0)
}

/// The message in a record, if it is the one with this sequence.
pub(super) fn decode(record: &Bytes, seq: u64) -> Option<StoredMessage> {
    let head = Head::parse(record).filter(|head| head.size == record.len() && head.seq == seq)?;
    Some(StoredMessage {
        seq,
        time_ns: head.time_ns,
        subject: record.slice(head.subject_at..head.headers_at),
        headers: record.slice(head.headers_at..head.payload_at),
        payload: record.slice(head.payload_at..),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
