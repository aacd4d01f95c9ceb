//! The index of a finished segment in a file of its own, so that opening does not read the segment.
//!
//! A sidecar is never synced: if a crash leaves nonsense, its checksum tells and the segment is
//! scanned. It is written after the manifest, so what it leaves out as dead was dead at the
//! checkpoint that a reopened store returns to.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bytes::BufMut;
use storage::fs::{FileSystem, OpenMode, read_file};

use crate::index::{Block, Subjects, UNKNOWN_SUBJECT};

use super::codec::{Decoder, checked, put_bytes, put_checksum, put_varint};
use super::segment::{Segment, SegmentName};

const MAGIC: &[u8; 8] = b"weiridx1";
const SIDECAR_SIZE_BYTES_MAX: u64 = 1 << 30;

/// The records of a segment in order.
pub(super) struct Sidecar {
    bytes: Vec<u8>,
}

/// One record as the sidecar tells it.
pub(super) struct SidecarRecord {
    pub(super) seq: u64,
    pub(super) size_bytes: u32,
    /// Place in the list of subjects; `None` if the message was removed.
    pub(super) subject: Option<usize>,
}

/// Writes the sidecar of a block. False if it can have none, because of records whose subject is
/// not known.
pub(super) fn write(
    fs: &dyn FileSystem,
    dir: &Path,
    block: &Block<Segment>,
    subjects: &Subjects,
) -> io::Result<bool> {
    let Some(bytes) = encode(block, subjects) else {
        return Ok(false);
    };
    let path = dir.join(SegmentName::of(block).sidecar_file());
    let file = fs.open(&path, OpenMode::Write)?;
    file.set_len(0)?;
    file.write_all_at(&bytes, 0)?;
    Ok(true)
}

fn encode(block: &Block<Segment>, subjects: &Subjects) -> Option<Vec<u8>> {
    let mut names = Vec::new();
    let mut places = HashMap::new();
    let mut records = Vec::with_capacity(block.entries.len() * 4);
    let mut previous = block.base_seq;
    for (at, entry) in block.entries.iter().enumerate() {
        let place = if !entry.is_live() {
            0
        } else if entry.subject_id() == UNKNOWN_SUBJECT {
            return None;
        } else {
            *places.entry(entry.subject_id()).or_insert_with(|| {
                names.push(&*subjects.get(entry.subject_id()).name);
                names.len() as u64
            })
        };
        put_varint(&mut records, block.seq_of(at) - previous);
        put_varint(&mut records, u64::from(block.size_of(at)));
        put_varint(&mut records, place);
        previous = block.seq_of(at);
    }
    let mut out = MAGIC.to_vec();
    out.put_u64_le(block.id);
    out.put_u64_le(u64::from(block.end_offset));
    put_varint(&mut out, names.len() as u64);
    names.into_iter().for_each(|name| put_bytes(&mut out, name));
    out.extend_from_slice(&records);
    put_checksum(&mut out);
    Some(out)
}

impl Sidecar {
    /// Reads a sidecar; `None` unless it is sound.
    pub(super) fn read(fs: &dyn FileSystem, dir: &Path, name: SegmentName) -> Option<Sidecar> {
        let path = dir.join(name.sidecar_file());
        let mut bytes = read_file(fs, &path, SIDECAR_SIZE_BYTES_MAX).ok()?;
        let content = checked(&bytes)?.len();
        bytes.truncate(content);
        Some(Sidecar { bytes })
    }

    /// The names of the subjects and the records, if they are those of this segment.
    pub(super) fn decode(
        &self,
        name: SegmentName,
        size_bytes: u32,
    ) -> Option<(Vec<&[u8]>, Vec<SidecarRecord>)> {
        let mut from = Decoder { rest: &self.bytes };
        let is_of_segment = from.take(MAGIC.len())? == MAGIC
            && from.u64()? == name.block_id
            && from.u64()? == u64::from(size_bytes);
        if !is_of_segment {
            return None;
        }
        let mut names = Vec::new();
        for _ in 0..from.varint()? {
            names.push(from.bytes()?);
        }
        let (mut records, mut seq, mut offset) = (Vec::new(), name.base_seq, 0u64);
        while !from.rest.is_empty() {
            let gap = from.varint()?;
            seq = seq.checked_add(gap)?;
            let size_bytes = from.varint_u32()?;
            let subject = from.varint()?.checked_sub(1).map(|place| place as usize);
            let is_sound = (gap > 0 || records.is_empty())
                && subject.is_none_or(|place| place < names.len())
                && seq - name.base_seq <= u64::from(u32::MAX);
            if !is_sound {
                return None;
            }
            offset += u64::from(size_bytes);
            records.push(SidecarRecord {
                seq,
                size_bytes,
                subject,
            });
        }
        (offset == u64::from(size_bytes)).then_some((names, records))
    }
}
