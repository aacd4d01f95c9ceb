//! Rules for consumers whose flow control replies acknowledge.

use crate::error::ApiError;

use super::super::ConsumerConfig;
use super::super::defaults::Correct;

/// How often such a consumer says that it is there: 1 s.
const HEARTBEAT_NS: i64 = 1_000_000_000;

/// Turns on what such a consumer needs, and refuses what it cannot have.
pub(super) fn complete(config: &mut ConsumerConfig, correct: Correct) -> Result<(), ApiError> {
    if !config.is_push() {
        return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_PUSH);
    }
    if !config.flow_control {
        correct.or(ApiError::CONSUMER_ACK_FC_REQUIRES_FC)?;
        config.flow_control = true;
    }
    if config.idle_heartbeat_ns != HEARTBEAT_NS {
        correct.or(ApiError::stream_invalid_config(
            "flow control ack policy heartbeat needs to be 1s",
        ))?;
        config.idle_heartbeat_ns = HEARTBEAT_NS;
    }
    if config.max_ack_pending <= 0 {
        return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING);
    }
    if config.ack_wait_ns != 0 || !config.backoff_ns.is_empty() {
        return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT);
    }
    if config.max_deliver != -1 {
        return Err(ApiError::CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER);
    }
    Ok(())
}
