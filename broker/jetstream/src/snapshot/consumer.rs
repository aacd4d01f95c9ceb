//! A consumer in a backup: its configuration, and what it has delivered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::consumer::{ConsumerConfig, State, state};

/// The file of one consumer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ConsumerFile {
    pub(super) config: ConsumerConfig,
    pub(super) state: Delivered,
}

/// What a consumer has delivered.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Delivered {
    delivered: SequencePair,
    ack_floor: SequencePair,
    /// Messages that are not acknowledged, by sequence.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_null"
    )]
    pending: BTreeMap<u64, Pending>,
    /// How often messages were delivered again. One that is not pending will not be delivered any more.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_null"
    )]
    redelivered: BTreeMap<u64, u64>,
    /// Up to here only the newest message of each subject is delivered. Only Weir writes this.
    #[serde(skip_serializing_if = "crate::api::is_default")]
    last_per_subject_until: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SequencePair {
    consumer_seq: u64,
    stream_seq: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Pending {
    /// Consumer sequence of the delivery.
    sequence: u64,
    /// When it was delivered, nanoseconds since 1970.
    timestamp: i64,
}

impl ConsumerFile {
    /// What a consumer has done of the messages up to `last_seq`.
    pub(super) fn of(config: &ConsumerConfig, state: &State, last_seq: u64) -> ConsumerFile {
        let pair = |pair: state::SequencePair, stream_seq: u64| SequencePair {
            consumer_seq: pair.consumer_seq,
            stream_seq: stream_seq.min(last_seq),
        };
        let delivered_seq = state.next_seq() - 1;
        let pending = state.pending().range(..=last_seq);
        let again = pending
            .clone()
            .map(|(seq, pending)| (seq, pending.deliveries));
        let again = again.chain(
            state
                .exhausted()
                .range(..=last_seq)
                .map(|(seq, deliveries)| (seq, *deliveries)),
        );
        let is_exhausted = |seq: &u64| state.exhausted().contains_key(seq);
        ConsumerFile {
            config: config.clone(),
            state: Delivered {
                delivered: pair(state.delivered(), delivered_seq),
                ack_floor: pair(state.ack_floor(), state.ack_floor().stream_seq),
                redelivered: again
                    .filter(|(seq, deliveries)| *deliveries > 1 || is_exhausted(seq))
                    .map(|(seq, deliveries)| (*seq, u64::from(deliveries) - 1))
                    .collect(),
                pending: pending
                    .map(|(seq, pending)| {
                        let pending = Pending {
                            sequence: pending.consumer_seq,
                            timestamp: pending.time_ns,
                        };
                        (*seq, pending)
                    })
                    .collect(),
                last_per_subject_until: state.last_per_subject_until().min(last_seq),
            },
        }
    }
}

impl Delivered {
    /// The consumer's state; `None` if no consumer can be in it.
    pub(super) fn state(self) -> Option<State> {
        let again = |seq: &u64| self.redelivered.get(seq).copied().unwrap_or(0);
        let deliveries = |again: u64| u32::try_from(again.saturating_add(1)).unwrap_or(u32::MAX);
        let pending = self.pending.iter().map(|(seq, pending)| {
            let pending = state::Pending {
                consumer_seq: pending.sequence,
                time_ns: pending.timestamp,
                deliveries: deliveries(again(seq)),
            };
            (*seq, pending)
        });
        let exhausted = self.redelivered.iter();
        let exhausted = exhausted.filter(|(seq, _)| !self.pending.contains_key(seq));
        State::restored(state::Restored {
            delivered: self.delivered.into(),
            ack_floor: self.ack_floor.into(),
            last_per_subject_until: self.last_per_subject_until,
            pending: pending.collect(),
            exhausted: exhausted
                .map(|(seq, again)| (*seq, deliveries(*again)))
                .collect(),
        })
    }
}

impl From<SequencePair> for state::SequencePair {
    fn from(pair: SequencePair) -> Self {
        state::SequencePair {
            consumer_seq: pair.consumer_seq,
            stream_seq: pair.stream_seq,
        }
    }
}

/// A map that may be written as `null`.
fn or_null<'de, D, V>(deserializer: D) -> Result<BTreeMap<u64, V>, D::Error>
where
    D: serde::Deserializer<'de>,
    V: Deserialize<'de>,
{
    Option::<BTreeMap<u64, V>>::deserialize(deserializer).map(Option::unwrap_or_default)
}
