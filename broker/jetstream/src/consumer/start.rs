//! Where a new consumer starts.

use messages::Error;

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
