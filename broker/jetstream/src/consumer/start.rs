//! Where a new consumer starts.

use messages::Error;

use crate::error::ApiError;

use super::config::{ConsumerConfig, DeliverPolicy};
use super::source::MessageSource;
use super::state::State;

impl State {
    /// The state of a consumer that is created now. Deterministic, so every replica may call it
    /// when it applies the creation.
    pub fn start(config: &ConsumerConfig, source: &dyn MessageSource) -> Result<State, Error> {
        let (first_seq, last_seq) = (source.first_seq(), source.last_seq());
        let next_seq = match config.deliver_policy {
            DeliverPolicy::All => first_seq,
            DeliverPolicy::New => last_seq + 1,
            DeliverPolicy::Last => source.last_matching().unwrap_or(first_seq),
            DeliverPolicy::ByStartSequence => {
                return Ok(State::starting_at(config.opt_start_seq.max(first_seq)));
            }
            DeliverPolicy::ByStartTime => match config.opt_start_time {
                Some(time) => source.seq_at_time(time.0)?,
                None => first_seq,
            },
            DeliverPolicy::LastPerSubject => {
                let first_last = source.last_per_subject(last_seq).first().copied();
                let start = first_last
                    .unwrap_or(last_seq)
                    .clamp(first_seq, last_seq + 1);
                return Ok(State::starting_with_last_per_subject(start, last_seq));
            }
        };
        Ok(State::starting_at(
            next_seq.min(last_seq + 1).max(first_seq),
        ))
    }
}

/// Judges a request to start again at `seq`, or after the ack floor if it is 0. Returns where the
/// consumer starts, for [`Delivery::reset`](super::Delivery::reset).
pub fn validate_reset(
    config: &ConsumerConfig,
    state: &State,
    seq: u64,
    source: &dyn MessageSource,
) -> Result<u64, ApiError> {
    let refusal = match config.deliver_policy {
        _ if seq == 0 => return Ok(state.ack_floor().stream_seq + 1),
        DeliverPolicy::All => None,
        DeliverPolicy::ByStartSequence => (seq < config.opt_start_seq).then_some("below start seq"),
        DeliverPolicy::ByStartTime => {
            let time_ns = config.opt_start_time.map_or(i64::MIN, |time| time.0);
            let first_seq = source
                .seq_at_time(time_ns)
                .map_err(ApiError::consumer_invalid_reset)?;
            (seq < first_seq).then_some("below start time")
        }
        _ => Some("not allowed"),
    };
    match refusal {
        None => Ok(seq),
        Some(why) => Err(ApiError::consumer_invalid_reset(why)),
    }
}
