//! S2 streams: Snappy's framing with larger blocks and one more kind of copy.
//!
//! A stream is a sequence of chunks: a byte for the kind, three for the length, then the content. What is
//! written here are blocks of Snappy, which S2 contains.

mod block;
mod checksum;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::Error;

/// The chunk that every stream begins with.
const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00S2sTwO";
const SNAPPY_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
const IDENTIFIER_KIND: u8 = 0xff;
/// Chunks of this kind and above may be passed over by who does not know them.
const FIRST_SKIPPABLE: u8 = 0x80;

/// Bytes in one block that is written.
const WRITE_BLOCK_BYTES: usize = 64 * 1024;
/// Most bytes in one block that is read, uncompressed: S2's own limit.
const READ_BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of a chunk of data: a block that compression made longer, and its checksum.
const CHUNK_BYTES_MAX: usize = READ_BLOCK_BYTES_MAX + READ_BLOCK_BYTES_MAX / 6 + 64;
const HEAD_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// Compresses what it is given.
pub(crate) struct Compressor {
    encoder: snap::raw::Encoder,
    waiting: BytesMut,
    out: BytesMut,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Compressor {
            encoder: snap::raw::Encoder::new(),
            waiting: BytesMut::new(),
            out: BytesMut::from(IDENTIFIER),
        }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while self.waiting.len() + bytes.len() >= WRITE_BLOCK_BYTES {
            let (now, later) = bytes.split_at(WRITE_BLOCK_BYTES - self.waiting.len());
            self.waiting.extend_from_slice(now);
            self.flush();
            bytes = later;
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// Makes everything written so far part of the output.
    pub(crate) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let block = self.waiting.split();
        let packed = self.encoder.compress_vec(&block).ok();
        let packed = packed.filter(|packed| packed.len() < block.len());
        let (kind, content) = match &packed {
            Some(packed) => (COMPRESSED, &packed[..]),
            None => (UNCOMPRESSED, &block[..]),
        };
        self.out.put_u8(kind);
        self.out
            .put_uint_le((content.len() + CHECKSUM_BYTES) as u64, 3);
        self.out.put_u32_le(checksum::masked(&block));
        self.out.put_slice(content);
    }

    /// How many compressed bytes can be taken.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.out.len()
    }

    /// Takes at most so many compressed bytes.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Bytes {
        let length = self.out.len().min(bytes_max);
        self.out.split_to(length).freeze()
    }
}

/// Reads a compressed stream as it arrives.
#[derive(Default)]
pub(crate) struct Decompressor {
    input: BytesMut,
    /// Bytes of a chunk that is passed over.
    skipping: usize,
    has_begun: bool,
}

impl Decompressor {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The content of the next block, if all of it is here.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let skipped = self.skipping.min(self.input.len());
            self.input.advance(skipped);
            self.skipping -= skipped;
            let Some(&[kind, a, b, c]) = self.input.first_chunk::<HEAD_BYTES>() else {
                return self.has_begun_well().map(|()| None);
            };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if !self.has_begun && kind != IDENTIFIER_KIND {
                return Err(Error::NotCompressed);
            }
            if (FIRST_SKIPPABLE..IDENTIFIER_KIND).contains(&kind) {
                self.skipping = HEAD_BYTES + length;
                continue;
            }
            if length > CHUNK_BYTES_MAX {
                return Err(Error::Damaged("length of a chunk"));
            }
            if self.input.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            let chunk = self.input.split_to(HEAD_BYTES + length);
            match kind {
                IDENTIFIER_KIND if chunk == IDENTIFIER || chunk == SNAPPY_IDENTIFIER => {
                    self.has_begun = true;
                }
                IDENTIFIER_KIND => return Err(Error::NotCompressed),
                COMPRESSED | UNCOMPRESSED => return data(kind, &chunk[HEAD_BYTES..]).map(Some),
                _ => return Err(Error::Damaged("kind of a chunk")),
            }
        }
    }

    /// Whether everything that arrived has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.skipping == 0
    }

    /// What is too short to be judged may still be the beginning of a stream.
    fn has_begun_well(&self) -> Result<(), Error> {
        match self.has_begun || IDENTIFIER.starts_with(&self.input) {
            true => Ok(()),
            false => Err(Error::NotCompressed),
        }
    }
}

fn data(kind: u8, chunk: &[u8]) -> Result<Vec<u8>, Error> {
    let (expected, content) = chunk
        .split_first_chunk::<CHECKSUM_BYTES>()
        .ok_or(Error::Damaged("length of a chunk"))?;
    let block = match kind {
        COMPRESSED => block::decode(content, READ_BLOCK_BYTES_MAX)?,
        _ if content.len() <= READ_BLOCK_BYTES_MAX => content.to_vec(),
        _ => return Err(Error::Damaged("length of a chunk")),
    };
    match checksum::masked(&block) == u32::from_le_bytes(*expected) {
        true => Ok(block),
        false => Err(Error::Damaged("checksum")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compress(pieces: &[&[u8]]) -> Bytes {
        let mut compressor = Compressor::new();
        for piece in pieces {
            compressor.write(piece);
        }
        compressor.flush();
        compressor.take(usize::MAX)
    }

    fn decompress(bytes: &[u8], step: usize) -> Result<Vec<u8>, Error> {
        let mut decompressor = Decompressor::default();
        let mut out = Vec::new();
        for piece in bytes.chunks(step) {
            decompressor.push(piece);
            while let Some(block) = decompressor.next_block()? {
                out.extend(block);
            }
        }
        Ok(out)
    }

    #[test]
    fn what_was_compressed_reads_back_however_it_is_cut() {
        let text = b"orders.placed ".repeat(20_000);
        let packed = compress(&[&text[..100], &text[100..]]);
        assert!(packed.len() < text.len() / 10);
        for step in [1, 7, 4096, usize::MAX] {
            assert_eq!(decompress(&packed, step).unwrap(), text);
        }
    }

    #[test]
    fn damage_is_noticed() {
        let packed = compress(&[b"hello hello hello hello"]).to_vec();
        assert_eq!(decompress(b"hello", 9), Err(Error::NotCompressed));
        assert_eq!(decompress(b"h", 9), Err(Error::NotCompressed));
        for position in IDENTIFIER.len() + HEAD_BYTES..packed.len() {
            let mut damaged = packed.clone();
            damaged[position] ^= 1;
            assert!(decompress(&damaged, 9).is_err(), "byte {position}");
        }
    }

    #[test]
    fn unknown_chunks_are_passed_over_or_refused_by_their_kind() {
        let mut stream = IDENTIFIER.to_vec();
        stream.extend(b"\xfe\x02\x00\x00xx\x99\x01\x00\x00y");
        stream.extend(&compress(&[b"text"])[IDENTIFIER.len()..]);
        assert_eq!(decompress(&stream, 1).unwrap(), b"text");
        let mut stream = IDENTIFIER.to_vec();
        stream.extend(b"\x02\x00\x00\x00");
        assert!(decompress(&stream, 64).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut stream = IDENTIFIER.to_vec();
            stream.extend(bytes);
            decompress(&stream, 16).ok();
        }
    }
}
