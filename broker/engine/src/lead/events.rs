//! What the log changed, as far as live deliveries care.

use std::ops::RangeInclusive;

use jetstream::{ApiError, Effect};

/// A change that live deliveries have to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEvent {
    NewMessages {
        first_seq: u64,
        last_seq: u64,
    },
    Removed(RangeInclusive<u64>),
    ConsumerChanged(String),
    ConsumerDeleted(String),
    ConfigUpdated,
    /// A stretch of this source came through the log; `stalled` tells why the stream could not
    /// take all of it.
    Copied {
        source: String,
        stalled: Option<ApiError>,
    },
    /// Somebody may have started or stopped to listen where this consumer delivers.
    InterestChanged(String),
}

impl LiveEvent {
    /// The live side of an effect; `None` for effects that answer clients.
    pub fn from_effect(effect: Effect) -> Option<LiveEvent> {
        Some(match effect {
            Effect::NewMessages {
                first_seq,
                last_seq,
            } => LiveEvent::NewMessages {
                first_seq,
                last_seq,
            },
            Effect::Removed(range) => LiveEvent::Removed(range),
            Effect::ConsumerCreated { name } | Effect::ConsumerUpdated { name } => {
                LiveEvent::ConsumerChanged(name)
            }
            Effect::ConsumerDeleted { name } => LiveEvent::ConsumerDeleted(name),
            Effect::ConfigUpdated => LiveEvent::ConfigUpdated,
            Effect::Copied { source, stalled } => LiveEvent::Copied { source, stalled },
            Effect::Published { .. } | Effect::Answered(_) | Effect::Republish { .. } => {
                return None;
            }
        })
    }
}
