//! The archive inside the compression: a mark, then entries.
//!
//! An entry is the length of its name, its time, its sequence, the lengths of its headers and its payload
//! (all as variable-length numbers, the time zigzag), then name, headers and payload. An entry of which
//! everything is zero ends the archive.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::Error;
use crate::s2::{Compressor, Decompressor};

/// What every archive begins with.
const MARK: &[u8] = b"NATSARC1";
/// Longest name of an entry, in bytes; longer than any subject.
const NAME_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the longest variable-length number.
const NUMBER_BYTES_MAX: usize = 10;

/// One part of a backup: a message, or a file that describes the stream or a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// A message's subject, or a path.
    pub name: Bytes,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// A message's sequence; 0 for what is no message.
    pub seq: u64,
    pub headers: Bytes,
    pub payload: Bytes,
}

/// Turns entries into a compressed archive.
pub struct BackupWriter {
    out: Compressor,
}

impl Default for BackupWriter {
    fn default() -> Self {
        let mut out = Compressor::new();
        out.write(MARK);
        BackupWriter { out }
    }
}

impl BackupWriter {
    pub fn add(&mut self, entry: &Entry) {
        let mut head = Vec::with_capacity(5 * NUMBER_BYTES_MAX);
        put_number(&mut head, entry.name.len() as u64);
        put_number(&mut head, zigzag(entry.time_ns));
        put_number(&mut head, entry.seq);
        put_number(&mut head, entry.headers.len() as u64);
        put_number(&mut head, entry.payload.len() as u64);
        for part in [&head[..], &entry.name, &entry.headers, &entry.payload] {
            self.out.write(part);
        }
    }

    /// Marks the end, so that what is cut off is noticed, and makes all bytes ready.
    pub fn finish(&mut self) {
        self.add(&Entry::default());
        self.out.flush();
    }

    /// How many bytes of the backup are ready to be taken.
    pub fn ready_bytes(&self) -> usize {
        self.out.ready_bytes()
    }

    /// Takes at most `bytes_max` bytes of the backup; none if nothing is ready.
    pub fn take(&mut self, bytes_max: usize) -> Bytes {
        self.out.take(bytes_max)
    }
}

/// Reads entries of a compressed archive as it arrives.
pub struct BackupReader {
    input: Decompressor,
    waiting: BytesMut,
    has_begun: bool,
    has_ended: bool,
    entry_bytes_max: u64,
}

impl BackupReader {
    /// Entries with more than `entry_bytes_max` bytes of headers and payload are refused.
    pub fn new(entry_bytes_max: u64) -> Self {
        BackupReader {
            input: Decompressor::default(),
            waiting: BytesMut::new(),
            has_begun: false,
            has_ended: false,
            entry_bytes_max,
        }
    }

    /// Adds bytes of the backup. They are kept until the entries in them are taken.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The next entry, if all of it is here.
    ///
    /// # Errors
    /// The backup is damaged or of another kind. Nothing more can be read from it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        while !self.has_ended {
            if let Some(entry) = self.take_entry()? {
                self.has_ended = entry == Entry::default();
                return Ok((!self.has_ended).then_some(entry));
            }
            match self.input.next_block()? {
                Some(block) => self.waiting.extend_from_slice(&block),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Whether the end of the archive has been read, and nothing after it.
    pub fn is_complete(&self) -> bool {
        self.has_ended && self.waiting.is_empty() && self.input.is_empty()
    }

    fn take_entry(&mut self) -> Result<Option<Entry>, Error> {
        if !self.has_begun {
            let seen = self.waiting.len().min(MARK.len());
            if self.waiting[..seen] != MARK[..seen] {
                return Err(Error::NotAnArchive);
            }
            if seen < MARK.len() {
                return Ok(None);
            }
            self.waiting.advance(MARK.len());
            self.has_begun = true;
        }
        let Some(head) = Head::read(&self.waiting)? else {
            return Ok(None);
        };
        head.check(self.entry_bytes_max)?;
        let [name, headers, payload] = head.lengths.map(|length| length as usize);
        let length = head.bytes + name + headers + payload;
        if self.waiting.len() < length {
            return Ok(None);
        }
        let mut entry = self.waiting.split_to(length).freeze();
        entry.advance(head.bytes);
        Ok(Some(Entry {
            name: entry.split_to(name),
            time_ns: head.time_ns,
            seq: head.seq,
            headers: entry.split_to(headers),
            payload: entry,
        }))
    }
}

/// The numbers that an entry begins with.
struct Head {
    /// How many bytes they take.
    bytes: usize,
    time_ns: i64,
    seq: u64,
    /// Of name, headers and payload.
    lengths: [u64; 3],
}

impl Head {
    fn read(input: &[u8]) -> Result<Option<Head>, Error> {
        let mut rest = input;
        let mut numbers = [0; 5];
        for number in &mut numbers {
            match take_number(&mut rest)? {
                Some(value) => *number = value,
                None => return Ok(None),
            }
        }
        let [name, time, seq, headers, payload] = numbers;
        Ok(Some(Head {
            bytes: input.len() - rest.len(),
            time_ns: unzigzag(time),
            seq,
            lengths: [name, headers, payload],
        }))
    }

    fn check(&self, entry_bytes_max: u64) -> Result<(), Error> {
        let [name, headers, payload] = self.lengths;
        if name > NAME_BYTES_MAX {
            return Err(Error::Entry("name"));
        }
        let size_bytes = headers.saturating_add(payload);
        match size_bytes <= entry_bytes_max {
            true => Ok(()),
            false => Err(Error::TooLarge {
                size_bytes,
                limit_bytes: entry_bytes_max,
            }),
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Seven bits a byte, the lowest first; `None` if it is not all here.
fn take_number(input: &mut &[u8]) -> Result<Option<u64>, Error> {
    let mut value = 0;
    for (position, &byte) in input.iter().enumerate().take(NUMBER_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            input.advance(position + 1);
            return Ok(Some(value));
        }
    }
    match input.len() < NUMBER_BYTES_MAX {
        true => Ok(None),
        false => Err(Error::Entry("number")),
    }
}

/// Small numbers of either sign become small ones without a sign.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str, seq: u64, payload: &[u8]) -> Entry {
        Entry {
            name: Bytes::copy_from_slice(name.as_bytes()),
            time_ns: 1_795_675_941_076_000_000,
            seq,
            headers: Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n"),
            payload: Bytes::copy_from_slice(payload),
        }
    }

    fn archive(entries: &[Entry]) -> Vec<u8> {
        let mut writer = BackupWriter::default();
        entries.iter().for_each(|entry| writer.add(entry));
        writer.finish();
        let mut bytes = Vec::new();
        while writer.ready_bytes() > 0 {
            bytes.extend(writer.take(1000));
        }
        bytes
    }

    fn read(bytes: &[u8], step: usize) -> Result<(Vec<Entry>, bool), Error> {
        let mut reader = BackupReader::new(1 << 20);
        let mut entries = Vec::new();
        for piece in bytes.chunks(step) {
            reader.push(piece);
            while let Some(entry) = reader.next_entry()? {
                entries.push(entry);
            }
        }
        Ok((entries, reader.is_complete()))
    }

    #[test]
    fn what_is_cut_off_or_followed_by_more_is_not_complete() {
        let bytes = archive(&[entry("s", 1, b"one"), entry("s", 2, b"two")]);
        assert!(read(&bytes, 9).unwrap().1);
        for length in 0..bytes.len() {
            if let Ok((_, is_complete)) = read(&bytes[..length], 9) {
                assert!(!is_complete, "cut at {length}");
            }
        }
        let more = [&bytes[..], &bytes[10..]].concat();
        assert!(!read(&more, 9).unwrap().1);
    }

    #[test]
    fn other_archives_and_impossible_entries_are_refused() {
        let mut compressor = Compressor::new();
        compressor.write(b"meta.inf\0\0\0");
        compressor.flush();
        assert_eq!(read(&compressor.take(99), 99), Err(Error::NotAnArchive));
        let large = archive(&[entry("s", 1, &[0; 2 << 20])]);
        assert!(matches!(read(&large, 999), Err(Error::TooLarge { .. })));
        let long = archive(&[entry(&"s".repeat(65_537), 1, b"")]);
        assert_eq!(read(&long, 999), Err(Error::Entry("name")));
        let mut compressor = Compressor::new();
        compressor.write(MARK);
        compressor.write(&[0xff; 11]);
        compressor.flush();
        assert_eq!(read(&compressor.take(99), 99), Err(Error::Entry("number")));
    }

    proptest! {
        #[test]
        fn entries_read_back_as_they_were_written(
            parts in proptest::collection::vec((".{1,40}", any::<i64>(), 1u64.., ".{0,90}"), 0..20),
            step in 1usize..200,
        ) {
            let entries: Vec<Entry> = parts
                .into_iter()
                .map(|(name, time_ns, seq, payload)| Entry { time_ns, ..entry(&name, seq, payload.as_bytes()) })
                .collect();
            prop_assert_eq!(read(&archive(&entries), step).unwrap(), (entries, true));
        }
    }
}
