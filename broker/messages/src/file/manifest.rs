//! What a checkpoint says: which segments there are, how far they are valid and what lives in them.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BufMut;
use storage::fs::{FileSystem, read_file, write_file_atomic};

use crate::Error;

use super::Erasure;
use super::codec::{Decoder, checked, put_bytes, put_checksum, put_varint};
use super::segment::SegmentName;

const MAGIC: &[u8; 8] = b"weirmsg1";

/// Far above what the manifest of any store that fits on a disk takes.
const MANIFEST_SIZE_BYTES_MAX: u64 = 1 << 30;

/// A checkpoint. Written to two files in turns, so that the previous one is there if the last one
/// turns out to be damaged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) generation: u64,
    pub(super) seal: Vec<u8>,
    pub(super) last_seq: u64,
    pub(super) last_time_ns: i64,
    pub(super) bytes: u64,
    pub(super) next_block_id: u64,
    /// In order; the last one may take more records unless it is finished.
    pub(super) segments: Vec<ManifestSegment>,
    pub(super) damaged: Vec<u64>,
    /// To be carried out after this checkpoint, again if need be.
    pub(super) erasures: Vec<Erasure>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ManifestSegment {
    pub(super) name: SegmentName,
    /// Valid bytes at the start of the file.
    pub(super) size_bytes: u32,
    pub(super) is_finished: bool,
    /// Accounted size of the live messages, damaged ones included.
    pub(super) live_bytes: u64,
    /// See [`super::live_runs`].
    pub(super) live_runs: Vec<u8>,
}

/// The manifests found in a directory.
pub(super) struct Found {
    /// The newest readable one.
    pub(super) manifest: Option<Manifest>,
    /// The one before, which may name other files.
    pub(super) previous: Option<Manifest>,
    /// One of the two files is there but not readable. It may have been the newest.
    pub(super) one_is_damaged: bool,
}

impl Manifest {
    pub(super) fn write(&self, fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
        write_file_atomic(fs, &path(dir, self.generation), &self.encode())
    }

    pub(super) fn find(fs: &dyn FileSystem, dir: &Path) -> Result<Found, Error> {
        let mut readable = Vec::new();
        let mut damaged = 0;
        for turn in 0..2 {
            match read_file(fs, &path(dir, turn), MANIFEST_SIZE_BYTES_MAX) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                    return Err(error.into());
                }
                Err(_) => damaged += 1,
                Ok(bytes) => match Manifest::decode(&bytes) {
                    Some(manifest) => readable.push(manifest),
                    None => damaged += 1,
                },
            }
        }
        if readable.is_empty() && damaged > 0 {
            let reason = format!("no manifest in {} is readable", dir.display());
            return Err(Error::Manifest { reason });
        }
        readable.sort_by_key(|manifest| manifest.generation);
        let manifest = readable.pop();
        Ok(Found {
            manifest,
            previous: readable.pop(),
            one_is_damaged: damaged > 0,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(MAGIC);
        out.put_u64_le(self.generation);
        put_bytes(&mut out, &self.seal);
        out.put_u64_le(self.last_seq);
        out.put_u64_le(self.last_time_ns as u64);
        out.put_u64_le(self.bytes);
        out.put_u64_le(self.next_block_id);
        put_varint(&mut out, self.segments.len() as u64);
        for segment in &self.segments {
            put_name(&mut out, segment.name);
            put_varint(&mut out, u64::from(segment.size_bytes));
            out.push(u8::from(segment.is_finished));
            put_varint(&mut out, segment.live_bytes);
            put_bytes(&mut out, &segment.live_runs);
        }
        put_varint(&mut out, self.damaged.len() as u64);
        self.damaged
            .iter()
            .for_each(|seq| put_varint(&mut out, *seq));
        put_varint(&mut out, self.erasures.len() as u64);
        for erasure in &self.erasures {
            put_name(&mut out, erasure.segment);
            put_varint(&mut out, u64::from(erasure.offset));
            put_varint(&mut out, u64::from(erasure.size_bytes));
        }
        put_checksum(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Manifest> {
        let mut from = Decoder {
            rest: checked(bytes)?,
        };
        if from.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let mut manifest = Manifest {
            generation: from.u64()?,
            seal: from.bytes()?.to_vec(),
            last_seq: from.u64()?,
            last_time_ns: from.u64()? as i64,
            bytes: from.u64()?,
            next_block_id: from.u64()?,
            ..Manifest::default()
        };
        for _ in 0..from.varint()? {
            manifest.segments.push(ManifestSegment {
                name: name(&mut from)?,
                size_bytes: from.varint_u32()?,
                is_finished: from.take(1)?[0] != 0,
                live_bytes: from.varint()?,
                live_runs: from.bytes()?.to_vec(),
            });
        }
        for _ in 0..from.varint()? {
            manifest.damaged.push(from.varint()?);
        }
        for _ in 0..from.varint()? {
            manifest.erasures.push(Erasure {
                segment: name(&mut from)?,
                offset: from.varint_u32()?,
                size_bytes: from.varint_u32()?,
            });
        }
        Some(manifest)
    }
}

fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("manifest.{}", generation % 2))
}

fn put_name(out: &mut Vec<u8>, name: SegmentName) {
    put_varint(out, name.base_seq);
    put_varint(out, name.block_id);
}

fn name(from: &mut Decoder<'_>) -> Option<SegmentName> {
    Some(SegmentName {
        base_seq: from.varint()?,
        block_id: from.varint()?,
    })
}
