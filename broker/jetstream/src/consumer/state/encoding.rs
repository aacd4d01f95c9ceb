//! The binary form of a consumer's state, for checkpoints and snapshots.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::{Damaged, Reader, Writer};

use super::super::progress::{deliveries, sequence};
use super::{MAX_EXHAUSTED, Pending, SequencePair, State};

/// Most pending messages in an encoded state.
const MAX_PENDING: usize = 16 * 1024 * 1024;

impl State {
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(64 + 20 * self.pending.len());
        for pair in [self.delivered, self.ack_floor] {
            out.u64(pair.consumer_seq);
            out.u64(pair.stream_seq);
        }
        out.u64(self.passed);
        out.u64(self.last_per_subject_until);
        out.u64(self.pending.len() as u64);
        for (&stream_seq, pending) in &self.pending {
            out.u64(stream_seq);
            out.u64(pending.consumer_seq);
            out.u64(u64::from(pending.deliveries));
            out.i64(pending.time_ns);
        }
        out.u64(self.exhausted.len() as u64);
        for (&stream_seq, &deliveries) in &self.exhausted {
            out.u64(stream_seq);
            out.u64(u64::from(deliveries));
        }
        out.finish()
    }

    /// Reads what [`encode`](State::encode) wrote. Takes memory in proportion to the input.
    pub fn decode(input: Bytes) -> Result<State, Damaged> {
        let mut input = Reader::new(input);
        let state = State {
            delivered: decode_pair(&mut input)?,
            ack_floor: decode_pair(&mut input)?,
            passed: sequence(&mut input)?,
            last_per_subject_until: sequence(&mut input)?,
            pending: decode_pending(&mut input)?,
            exhausted: decode_exhausted(&mut input)?,
        };
        input.finish("consumer state")?;
        Ok(state)
    }
}

fn decode_pair(input: &mut Reader) -> Result<SequencePair, Damaged> {
    Ok(SequencePair {
        consumer_seq: sequence(input)?,
        stream_seq: sequence(input)?,
    })
}

fn decode_pending(input: &mut Reader) -> Result<BTreeMap<u64, Pending>, Damaged> {
    let mut all = BTreeMap::new();
    for _ in 0..input.count(MAX_PENDING, "pending count")? {
        let stream_seq = sequence(input)?;
        let pending = Pending {
            consumer_seq: sequence(input)?,
            deliveries: deliveries(input)?,
            time_ns: input.i64("ack wait start")?,
        };
        if stream_seq == 0 || all.insert(stream_seq, pending).is_some() {
            return Err(input.damaged("pending message"));
        }
    }
    Ok(all)
}

fn decode_exhausted(input: &mut Reader) -> Result<BTreeMap<u64, u32>, Damaged> {
    let mut all = BTreeMap::new();
    for _ in 0..input.count(MAX_EXHAUSTED, "exhausted count")? {
        all.insert(sequence(input)?, deliveries(input)?);
    }
    Ok(all)
}
