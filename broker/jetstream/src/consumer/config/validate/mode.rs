//! Rules that differ between push and pull consumers.

use crate::config::{Retention, StreamConfig};
use crate::error::ApiError;

use super::super::{AckPolicy, ConsumerConfig};
use super::CreateLimits;

/// Shortest heartbeat of a push consumer: 100 ms.
const MIN_HEARTBEAT_NS: i64 = 100_000_000;
/// Shortest limit on the expiry of pull requests: 1 ms.
const MIN_MAX_EXPIRES_NS: i64 = 1_000_000;

pub(super) fn check(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &CreateLimits,
) -> Result<(), ApiError> {
    if config.is_push() {
        check_push(config, stream)
    } else {
        check_pull(config, stream, limits)
    }
}

fn check_push(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    let deliver = config.deliver_subject.as_bytes();
    if subject::tokens(deliver).any(|token| token == b"*" || token == b">") {
        return Err(ApiError::CONSUMER_DELIVER_TO_WILDCARDS);
    }
    if !subject::is_valid_subscribe(deliver) {
        return Err(ApiError::CONSUMER_INVALID_DELIVER_SUBJECT);
    }
    if stream
        .subjects
        .iter()
        .any(|filter| subject::is_subset(deliver, filter.as_bytes()))
    {
        return Err(ApiError::CONSUMER_DELIVER_CYCLE);
    }
    if config.max_waiting != 0 {
        return Err(ApiError::CONSUMER_PUSH_MAX_WAITING);
    }
    if config.max_ack_pending > 0 && config.ack_policy == AckPolicy::None {
        return Err(ApiError::CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED);
    }
    if config.idle_heartbeat_ns > 0 && config.idle_heartbeat_ns < MIN_HEARTBEAT_NS {
        return Err(ApiError::CONSUMER_SMALL_HEARTBEAT);
    }
    Ok(())
}

fn check_pull(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &CreateLimits,
) -> Result<(), ApiError> {
    if config.ack_policy == AckPolicy::None && stream.retention == Retention::WorkQueue {
        return Err(ApiError::CONSUMER_PULL_REQUIRES_ACK);
    }
    if config.rate_limit_bps > 0 {
        return Err(ApiError::CONSUMER_PULL_WITH_RATE_LIMIT);
    }
    if config.idle_heartbeat_ns > 0 {
        return Err(ApiError::CONSUMER_HB_REQUIRES_PUSH);
    }
    if config.flow_control {
        return Err(ApiError::CONSUMER_FC_REQUIRES_PUSH);
    }
    if config.max_expires_ns != 0 && config.max_expires_ns < MIN_MAX_EXPIRES_NS {
        return Err(ApiError::CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL);
    }
    if limits.max_request_batch > 0 && config.max_batch > limits.max_request_batch {
        return Err(ApiError::consumer_max_request_batch_exceeded(
            limits.max_request_batch,
        ));
    }
    Ok(())
}
