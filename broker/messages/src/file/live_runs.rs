//! Which sequences of a segment have a message, in few bytes.

use std::ops::Range;

use crate::index::Block;

use super::codec::{Decoder, put_varint};
use super::segment::Segment;

const AS_RUNS: u8 = 0;
const AS_BITS: u8 = 1;

/// Encodes the live sequences of a block, relative to its base, as runs or as bits, whichever is
/// smaller.
pub(super) fn encode(block: &Block<Segment>) -> Vec<u8> {
    let runs = runs_of(block);
    let mut out = vec![AS_RUNS];
    let mut end = 0;
    for run in &runs {
        put_varint(&mut out, run.start - end);
        put_varint(&mut out, run.end - run.start);
        end = run.end;
    }
    let bits_len = end.div_ceil(8);
    if (out.len() as u64) <= bits_len + 1 {
        return out;
    }
    let mut bits = vec![0; bits_len as usize + 1];
    bits[0] = AS_BITS;
    for at in runs.into_iter().flatten() {
        bits[1 + at as usize / 8] |= 1 << (at % 8);
    }
    bits
}

fn runs_of(block: &Block<Segment>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let live = (0..block.entries.len()).filter(|entry| block.entries[*entry].is_live());
    for entry in live {
        let at = block.seq_of(entry) - block.base_seq;
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// The live sequences, as ascending ranges that do not touch. At most `live_max` sequences, none
/// further than 32 bits from `base_seq`.
pub(super) fn decode(bytes: &[u8], base_seq: u64, live_max: u64) -> Option<Vec<Range<u64>>> {
    let (kind, rest) = bytes.split_first()?;
    let runs = match *kind {
        AS_RUNS => runs_from_runs(rest)?,
        AS_BITS => runs_from_bits(rest),
        _ => return None,
    };
    let live: u64 = runs.iter().map(|run| run.end - run.start).sum();
    let fits = live <= live_max && runs.last().is_none_or(|run| run.end <= 1 << 32);
    let absolute = |run: Range<u64>| base_seq + run.start..base_seq + run.end;
    fits.then(|| runs.into_iter().map(absolute).collect())
}

fn runs_from_runs(bytes: &[u8]) -> Option<Vec<Range<u64>>> {
    let mut decoder = Decoder { rest: bytes };
    let mut runs = Vec::new();
    let mut end = 0u64;
    while !decoder.rest.is_empty() {
        let start = end + u64::from(decoder.varint_u32()?);
        end = start + decoder.varint()?.min(1 << 33);
        runs.push(start..end);
        if end > 1 << 33 {
            return None;
        }
    }
    Some(runs)
}

fn runs_from_bits(bytes: &[u8]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let is_set = |at: &u64| bytes[*at as usize / 8] & (1 << (at % 8)) != 0;
    for at in (0..bytes.len() as u64 * 8).filter(is_set) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}
