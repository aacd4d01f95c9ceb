//! Each deliver policy needs its own start position and no other.

use crate::error::ApiError;

use super::super::{ConsumerConfig, DeliverPolicy};

pub(super) fn check(config: &ConsumerConfig) -> Result<(), ApiError> {
    let (has_seq, has_time) = (config.opt_start_seq > 0, config.opt_start_time.is_some());
    let name = match config.deliver_policy {
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::New => "new",
        DeliverPolicy::LastPerSubject => "last per subject",
        DeliverPolicy::ByStartSequence => "by start sequence",
        DeliverPolicy::ByStartTime => "by start time",
    };
    match config.deliver_policy {
        DeliverPolicy::ByStartSequence => {
            need(name, "start sequence", has_seq)?;
            refuse(name, "time", has_time)
        }
        DeliverPolicy::ByStartTime => {
            need(name, "start time", has_time)?;
            refuse(name, "start sequence", has_seq)
        }
        _ => {
            refuse(name, "sequence", has_seq)?;
            refuse(name, "time", has_time)?;
            let filtered = config.filters().next().is_some();
            let wants_filter = config.deliver_policy == DeliverPolicy::LastPerSubject;
            need(name, "filter subject", filtered || !wants_filter)
        }
    }
}

fn refuse(policy: &str, what: &str, is_set: bool) -> Result<(), ApiError> {
    if !is_set {
        return Ok(());
    }
    Err(ApiError::consumer_invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional start {what} is also set"
    )))
}

fn need(policy: &str, what: &str, is_set: bool) -> Result<(), ApiError> {
    if is_set {
        return Ok(());
    }
    Err(ApiError::consumer_invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional {what} is not set"
    )))
}
