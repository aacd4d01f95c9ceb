//! Raw DEFLATE as permessage-deflate uses it: one message, one stream, none remembers another.
//!
//! Both states are large (up to some hundred KiB), so a thread keeps a few for all its connections.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a sender leaves away at the end of each message (RFC 7692, section 7.2.1).
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// States of one thread that wait to be used again.
const POOLED: usize = 4;
/// The output grows by this much at least.
const ROOM_BYTES: usize = 256;

thread_local! {
    static INFLATERS: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
    static DEFLATERS: RefCell<Vec<Compress>> = const { RefCell::new(Vec::new()) };
}

/// The data were not compressed as they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Decompresses one message, piece by piece.
pub struct Inflate {
    state: Option<Decompress>,
}

impl Inflate {
    pub fn new() -> Inflate {
        let pooled = INFLATERS.with_borrow_mut(Vec::pop);
        Inflate {
            state: Some(pooled.unwrap_or_else(|| Decompress::new(false))),
        }
    }

    /// Returns how much of `input` was read and how much of `output` was filled. Unless `output` is
    /// full, all of the input was read and nothing is left inside.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Broken> {
        let state = self.state.as_mut().ok_or(Broken)?;
        let (mut read, mut filled) = (0, 0);
        loop {
            let (rest, room) = (
                input.get(read..).unwrap_or_default(),
                output.get_mut(filled..).unwrap_or_default(),
            );
            if room.is_empty() {
                return Ok((read, filled));
            }
            let before = (state.total_in(), state.total_out());
            let status = state
                .decompress(rest, room, FlushDecompress::Sync)
                .map_err(|_| Broken)?;
            let moved = (
                (state.total_in() - before.0) as usize,
                (state.total_out() - before.1) as usize,
            );
            read += moved.0;
            filled += moved.1;
            match status {
                // A sender may end its stream within a message; what follows is another.
                Status::StreamEnd => state.reset(false),
                _ if moved == (0, 0) => return Ok((read, filled)),
                _ => {}
            }
        }
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        if let Some(mut state) = self.state.take() {
            state.reset(false);
            keep(&INFLATERS, state);
        }
    }
}

/// Appends `data`, compressed as one message, to `out`.
pub fn compress(data: &[u8], out: &mut Vec<u8>) {
    let pooled = DEFLATERS.with_borrow_mut(Vec::pop);
    let mut state = pooled.unwrap_or_else(|| Compress::new(Compression::fast(), false));
    loop {
        let read = state.total_in() as usize;
        out.reserve(ROOM_BYTES.max(data.len().saturating_sub(read) / 2));
        let room = out.capacity() - out.len();
        let before = state.total_out();
        let rest = data.get(read..).unwrap_or_default();
        // With room in the output a compressor has no way to fail.
        if state.compress_vec(rest, out, FlushCompress::Sync).is_err() {
            break;
        }
        // The flush is complete once it leaves room.
        if ((state.total_out() - before) as usize) < room && state.total_in() as usize == data.len()
        {
            break;
        }
    }
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    state.reset();
    keep(&DEFLATERS, state);
}

fn keep<T>(pool: &'static std::thread::LocalKey<RefCell<Vec<T>>>, state: T) {
    // A thread that ends has no pool any more.
    let _ = pool.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOLED {
            pool.push(state);
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inflate(input: &[u8], step: usize) -> Result<Vec<u8>, Broken> {
        let mut inflate = Inflate::new();
        let whole = [input, &TAIL].concat();
        let (mut read, mut data) = (0, Vec::new());
        loop {
            let mut room = vec![0; step];
            let end = whole.len().min(read + step);
            let (consumed, filled) = inflate.step(&whole[read..end], &mut room)?;
            read += consumed;
            data.extend_from_slice(&room[..filled]);
            if read == whole.len() && filled < step {
                return Ok(data);
            }
        }
    }

    #[test]
    fn examples_of_the_standard() {
        // RFC 7692, sections 7.2.3.1 to 7.2.3.5: fixed, stored, final and several blocks.
        for bytes in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            for step in [1, 2, 3, 64] {
                assert_eq!(
                    inflate(bytes, step).unwrap(),
                    b"Hello",
                    "{bytes:x?} step {step}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_compressed_is_broken() {
        assert_eq!(inflate(b"\xff\xff\xff\xff", 64), Err(Broken));
    }

    proptest! {
        #[test]
        fn data_come_back(data in proptest::collection::vec(0u8..4, 0..5000), step in 1usize..3000) {
            let mut compressed = Vec::new();
            compress(&data, &mut compressed);
            prop_assert_eq!(inflate(&compressed, step).unwrap(), data);
        }

        #[test]
        fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut inflate = Inflate::new();
            inflate.step(&data, &mut [0; 512]).ok();
        }
    }
}
