//! What happened to a consumer, as facts in the order in which they happened.

use bytes::Bytes;

use crate::codec::{Damaged, Reader, Writer};

/// Most messages one fact may cover, so that no input makes a reader work without end.
pub const MAX_RUN: u64 = 4096;
/// Most facts in one progress.
pub const MAX_FACTS: usize = 16_384;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `count` messages were delivered for the first time, with consecutive sequences.
    Delivered {
        stream_seq: u64,
        consumer_seq: u64,
        count: u64,
        time_ns: i64,
    },
    /// A message was delivered again; `deliveries` counts all of its deliveries.
    Redelivered {
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u32,
        time_ns: i64,
    },
    /// `count` consecutive messages are done: acknowledged, terminated, or gone from the stream.
    Acked { stream_seq: u64, count: u64 },
    /// Every message up to this one is done.
    AckedThrough { stream_seq: u64 },
    /// The ack wait of a pending message counts from `time_ns` (in progress, or refused for now).
    Rescheduled { stream_seq: u64, time_ns: i64 },
    /// A delivery reached nobody and does not count.
    Undelivered { stream_seq: u64 },
    /// A pending message was delivered as often as allowed and waits no longer.
    Exhausted { stream_seq: u64 },
    /// There is nothing for this consumer up to `stream_seq`.
    Skipped { stream_seq: u64 },
    /// Everything below `first_seq` has left the stream.
    Purged { first_seq: u64 },
    /// The consumer starts again after `stream_seq`, as if it had just been created.
    Reset { stream_seq: u64 },
}

/// A batch of facts for one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    facts: Vec<Fact>,
}

impl Progress {
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Number of facts, after neighbours were joined.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Takes up to `limit` facts from the front.
    pub(super) fn take(&mut self, limit: usize) -> Progress {
        let rest = self.facts.split_off(limit.min(self.facts.len()));
        Progress {
            facts: std::mem::replace(&mut self.facts, rest),
        }
    }

    /// Adds a fact, joining it with the one before where both together say the same.
    pub fn push(&mut self, fact: Fact) {
        if let Some(last) = self.facts.last_mut()
            && join(last, &fact)
        {
            return;
        }
        self.facts.push(fact);
    }

    /// The binary form for the stream's log.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(16 * self.facts.len());
        for fact in &self.facts {
            encode_fact(&mut out, fact);
        }
        out.finish()
    }

    /// Reads what [`encode`](Progress::encode) wrote. Costs at most [`MAX_FACTS`] facts.
    pub fn decode(input: Bytes) -> Result<Progress, Damaged> {
        let mut input = Reader::new(input);
        let mut facts = Vec::new();
        while input.remaining() > 0 {
            if facts.len() == MAX_FACTS {
                return Err(input.damaged("progress facts"));
            }
            facts.push(decode_fact(&mut input)?);
        }
        Ok(Progress { facts })
    }
}

fn join(last: &mut Fact, next: &Fact) -> bool {
    match (last, *next) {
        (
            Fact::Delivered {
                stream_seq,
                consumer_seq,
                count,
                time_ns,
            },
            Fact::Delivered {
                stream_seq: seq,
                consumer_seq: cseq,
                count: more,
                time_ns: time,
            },
        ) if seq == *stream_seq + *count
            && cseq == *consumer_seq + *count
            && time == *time_ns
            && *count + more <= MAX_RUN =>
        {
            *count += more;
            true
        }
        (
            Fact::Acked { stream_seq, count },
            Fact::Acked {
                stream_seq: seq,
                count: more,
            },
        ) if seq == *stream_seq + *count && *count + more <= MAX_RUN => {
            *count += more;
            true
        }
        (Fact::Skipped { stream_seq }, Fact::Skipped { stream_seq: seq }) => {
            *stream_seq = seq.max(*stream_seq);
            true
        }
        _ => false,
    }
}

const DELIVERED: u8 = 1;
const REDELIVERED: u8 = 2;
const ACKED: u8 = 3;
const ACKED_THROUGH: u8 = 4;
const RESCHEDULED: u8 = 5;
const UNDELIVERED: u8 = 6;
const EXHAUSTED: u8 = 7;
const SKIPPED: u8 = 8;
const PURGED: u8 = 9;
const RESET: u8 = 10;

fn encode_fact(out: &mut Writer, fact: &Fact) {
    let (kind, seq) = match *fact {
        Fact::Delivered { stream_seq, .. } => (DELIVERED, stream_seq),
        Fact::Redelivered { stream_seq, .. } => (REDELIVERED, stream_seq),
        Fact::Acked { stream_seq, .. } => (ACKED, stream_seq),
        Fact::AckedThrough { stream_seq } => (ACKED_THROUGH, stream_seq),
        Fact::Rescheduled { stream_seq, .. } => (RESCHEDULED, stream_seq),
        Fact::Undelivered { stream_seq } => (UNDELIVERED, stream_seq),
        Fact::Exhausted { stream_seq } => (EXHAUSTED, stream_seq),
        Fact::Skipped { stream_seq } => (SKIPPED, stream_seq),
        Fact::Purged { first_seq } => (PURGED, first_seq),
        Fact::Reset { stream_seq } => (RESET, stream_seq),
    };
    out.u8(kind);
    out.u64(seq);
    match *fact {
        Fact::Delivered {
            consumer_seq,
            count,
            time_ns,
            ..
        } => {
            out.u64(consumer_seq);
            out.u64(count);
            out.i64(time_ns);
        }
        Fact::Redelivered {
            consumer_seq,
            deliveries,
            time_ns,
            ..
        } => {
            out.u64(consumer_seq);
            out.u64(u64::from(deliveries));
            out.i64(time_ns);
        }
        Fact::Acked { count, .. } => out.u64(count),
        Fact::Rescheduled { time_ns, .. } => out.i64(time_ns),
        _ => {}
    }
}

fn decode_fact(input: &mut Reader) -> Result<Fact, Damaged> {
    let kind = input.u8("fact kind")?;
    let stream_seq = sequence(input)?;
    Ok(match kind {
        DELIVERED => Fact::Delivered {
            stream_seq,
            consumer_seq: sequence(input)?,
            count: run(input)?,
            time_ns: input.i64("delivery time")?,
        },
        REDELIVERED => Fact::Redelivered {
            stream_seq,
            consumer_seq: sequence(input)?,
            deliveries: deliveries(input)?,
            time_ns: input.i64("delivery time")?,
        },
        ACKED => Fact::Acked {
            stream_seq,
            count: run(input)?,
        },
        ACKED_THROUGH => Fact::AckedThrough { stream_seq },
        RESCHEDULED => Fact::Rescheduled {
            stream_seq,
            time_ns: input.i64("ack wait start")?,
        },
        UNDELIVERED => Fact::Undelivered { stream_seq },
        EXHAUSTED => Fact::Exhausted { stream_seq },
        SKIPPED => Fact::Skipped { stream_seq },
        PURGED => Fact::Purged {
            first_seq: stream_seq,
        },
        RESET => Fact::Reset { stream_seq },
        _ => return Err(input.damaged("fact kind")),
    })
}

/// Sequences stay far below `u64::MAX`, so that adding a run to one cannot overflow.
pub(super) const MAX_SEQ: u64 = u64::MAX / 2;

pub(super) fn sequence(input: &mut Reader) -> Result<u64, Damaged> {
    match input.u64("sequence")? {
        seq if seq <= MAX_SEQ => Ok(seq),
        _ => Err(input.damaged("sequence")),
    }
}

pub(super) fn deliveries(input: &mut Reader) -> Result<u32, Damaged> {
    match u32::try_from(input.u64("deliveries")?) {
        Ok(deliveries) if deliveries > 0 => Ok(deliveries),
        _ => Err(input.damaged("deliveries")),
    }
}

fn run(input: &mut Reader) -> Result<u64, Damaged> {
    match input.u64("run length")? {
        count @ 1..=MAX_RUN => Ok(count),
        _ => Err(input.damaged("run length")),
    }
}
