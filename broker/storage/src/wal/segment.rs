//! Segment files: their names, their first block and their life from spare to spare.
//!
//! A segment is a file of fixed size, `<16 hex digits>.log`, whose space is reserved before its
//! first record. One more is always kept ready as `spare.tmp`; a segment nobody needs any more
//! becomes the next spare, because writing over old blocks makes a sync cheaper than filling new
//! ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::record::{self, Ending, Seed, u32_at, u64_at};
use crate::fs::{File, FileSystem, OpenMode};

/// Records start here: the header has the first block for itself, so no later write touches it.
pub(super) const FIRST_RECORD: u32 = 4096;

const MAGIC: &[u8; 8] = b"weir wal";
const VERSION: u32 = 2;
/// The format before segments knew their own size.
const VERSION_WITHOUT_SIZE: u32 = 1;
const HEADER_LEN: usize = 40;
const SPARE_NAME: &str = "spare.tmp";

/// The directory of a log, and who it belongs to.
pub(super) struct Store {
    pub fs: Arc<dyn FileSystem>,
    pub dir: PathBuf,
    pub store_id: u64,
    pub segment_size: u32,
}

/// The first bytes of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub store_id: u64,
    pub number: u64,
    /// Where the last record of the segment before this one ends.
    pub previous_end: u32,
    /// Length of the file as it was reserved, in bytes; 0 if that was not written down.
    pub size: u32,
}

/// What keeps a segment file from being reused.
pub(super) struct Segment {
    pub file: Arc<dyn File>,
    pub size: u64,
    /// Entries in it that belong to a log.
    pub entries: u64,
    /// Values and first indexes in it that are the latest.
    pub values: u64,
    /// Whether its values were queued again to be written elsewhere.
    pub moving: bool,
}

/// The segment files by number.
#[derive(Default)]
pub(super) struct Segments(pub BTreeMap<u32, Segment>);

/// Something in a segment that is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub segment: u32,
    pub entries: u64,
    pub values: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.size.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..36]);
        bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `Ok(None)` when the block is damaged.
    pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Option<SegmentHeader>, Error> {
        let Some(bytes) = bytes.get(..HEADER_LEN) else {
            return Ok(None);
        };
        let version = u32_at(bytes, 8);
        let fields = if version == VERSION_WITHOUT_SIZE {
            32
        } else {
            36
        };
        if &bytes[..8] != MAGIC || crc32fast::hash(&bytes[..fields]) != u32_at(bytes, fields) {
            return Ok(None);
        }
        if version != VERSION && version != VERSION_WITHOUT_SIZE {
            let reason = format!("format version {version}, this program knows {VERSION}");
            return Err(Error::Unusable {
                path: path.to_owned(),
                reason,
            });
        }
        Ok(Some(SegmentHeader {
            store_id: u64_at(bytes, 16),
            number: u64_at(bytes, 24),
            previous_end: u32_at(bytes, 12),
            size: if version == VERSION {
                u32_at(bytes, 32)
            } else {
                0
            },
        }))
    }
}

impl Store {
    pub(super) fn seed(&self, number: u32) -> Seed {
        Seed::new(self.store_id, u64::from(number))
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:016x}.log"))
    }

    /// A file of this size to become the next segment; `None` when the disk is full.
    pub(super) fn make_spare(&self, size: u32) -> Result<Option<Arc<dyn File>>, Error> {
        let path = self.dir.join(SPARE_NAME);
        let open = || {
            let file = self.fs.open(&path, OpenMode::Write)?;
            if file.len()? != u64::from(size) {
                file.set_len(0)?;
                file.allocate(u64::from(size))?;
                file.sync_data()?;
            }
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_full(&error) => {
                // The part that could be reserved is of more use to others.
                self.fs
                    .remove_file(&path)
                    .or_else(ignore_missing)
                    .map_err(io("remove", &path))?;
                Ok(None)
            }
            Err(error) => Err(Error::io("allocate", &path, error)),
        }
    }

    /// Turns the spare into a segment; durable, and in the directory, when it returns.
    pub(super) fn start_segment(
        &self,
        spare: &dyn File,
        number: u32,
        size: u32,
        previous_end: u32,
    ) -> Result<(), Error> {
        let (from, to) = (self.dir.join(SPARE_NAME), self.path(number));
        let header = SegmentHeader {
            store_id: self.store_id,
            number: u64::from(number),
            previous_end,
            size,
        };
        spare
            .write_all_at(&header.encode(), 0)
            .map_err(io("write", &from))?;
        spare.sync_data().map_err(io("sync", &from))?;
        self.fs.rename(&from, &to).map_err(io("rename", &from))?;
        self.sync_dir()
    }

    /// Writes durably behind the last record of a segment how it ends.
    pub(super) fn end_segment(
        &self,
        file: &dyn File,
        number: u32,
        end: u32,
        ending: Ending,
    ) -> Result<(), Error> {
        let path = self.path(number);
        let mark = record::mark(self.seed(number), end, ending);
        file.write_all_at(&mark, u64::from(end))
            .map_err(io("write", &path))?;
        file.sync_data().map_err(io("sync", &path))
    }

    /// Makes a segment nobody needs the spare.
    pub(super) fn recycle(&self, number: u32) -> Result<(), Error> {
        let path = self.path(number);
        self.fs
            .rename(&path, &self.dir.join(SPARE_NAME))
            .map_err(io("rename", &path))?;
        // Before the file is written over, its old name must be gone for good.
        self.sync_dir()
    }

    pub(super) fn remove(&self, number: u32) -> Result<(), Error> {
        let path = self.path(number);
        self.fs.remove_file(&path).map_err(io("remove", &path))?;
        // One by one, so that after a crash the segments left have no gap between them.
        self.sync_dir()
    }

    /// The numbers of the segment files present, in order.
    pub(super) fn list(&self) -> Result<Vec<u32>, Error> {
        let entries = self.fs.read_dir(&self.dir).map_err(io("list", &self.dir))?;
        let number = |name: &str| {
            let digits = name
                .strip_suffix(".log")
                .filter(|digits| digits.len() == 16)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let Some(number) = number(&entry.name) else {
                continue;
            };
            let path = self.dir.join(&entry.name);
            let unusable = |_| Error::Unusable {
                path,
                reason: "its number is too large".into(),
            };
            numbers.push(u32::try_from(number).map_err(unusable)?);
        }
        Ok(numbers)
    }

    fn sync_dir(&self) -> Result<(), Error> {
        self.fs.sync_dir(&self.dir).map_err(io("sync", &self.dir))
    }
}

impl Segments {
    pub(super) fn file(&self, number: u32) -> Option<Arc<dyn File>> {
        self.0.get(&number).map(|segment| segment.file.clone())
    }

    pub(super) fn add_entry(&mut self, number: u32) {
        if let Some(segment) = self.0.get_mut(&number) {
            segment.entries += 1;
        }
    }

    pub(super) fn add_value(&mut self, number: u32) {
        if let Some(segment) = self.0.get_mut(&number) {
            segment.values += 1;
        }
    }

    pub(super) fn release(&mut self, releases: impl IntoIterator<Item = Release>) {
        for release in releases {
            if let Some(segment) = self.0.get_mut(&release.segment) {
                segment.entries -= release.entries;
                segment.values -= release.values;
            }
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.0.values().map(|segment| segment.size).sum()
    }
}

/// Whether an error says that there is no room, which passes, as opposed to a broken disk.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// For `map_err`: names what was tried on which path.
pub(super) fn io(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::io(operation, path, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_notices_every_flipped_bit() {
        let header = SegmentHeader {
            store_id: 5,
            number: 6,
            previous_end: 7,
            size: 8,
        };
        let mut bytes = header.encode();
        let path = Path::new("x.log");
        assert_eq!(SegmentHeader::decode(&bytes, path).unwrap(), Some(header));
        for bit in 0..40 * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&bytes, path).unwrap(),
                None,
                "bit={bit}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_later_format_is_refused_and_not_taken_for_damage() {
        let mut bytes = SegmentHeader {
            store_id: 5,
            number: 6,
            previous_end: 7,
            size: 8,
        }
        .encode();
        bytes[8] = 3;
        let checksum = crc32fast::hash(&bytes[..36]);
        bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
        let error = SegmentHeader::decode(&bytes, Path::new("x.log")).unwrap_err();
        assert!(error.to_string().contains("format version 3"), "{error}");
    }

    #[test]
    fn a_header_that_does_not_know_its_size_is_read() {
        let header = SegmentHeader {
            store_id: 5,
            number: 6,
            previous_end: 7,
            size: 0,
        };
        let mut bytes = header.encode();
        bytes[8] = 1;
        let checksum = crc32fast::hash(&bytes[..32]);
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        bytes[36..40].fill(0);
        let read = SegmentHeader::decode(&bytes, Path::new("x.log")).unwrap();
        assert_eq!(read, Some(header));
    }
}
