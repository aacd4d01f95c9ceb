//! What the server fills in where a configuration says nothing.

use super::{AckPolicy, ConsumerConfig, PriorityPolicy};
use crate::error::ApiError;

use super::validate::{CreateLimits, StreamFacts};

/// How long a delivery may stay unacknowledged: 30 s.
pub const DEFAULT_ACK_WAIT_NS: i64 = 30_000_000_000;
/// How many messages may be unacknowledged.
pub const DEFAULT_MAX_ACK_PENDING: i64 = 1000;
/// How many pull requests may wait.
pub const DEFAULT_MAX_WAITING: i64 = 512;
/// How long an unused ephemeral consumer lives: 5 s.
pub const DEFAULT_INACTIVE_THRESHOLD_NS: i64 = 5_000_000_000;

/// How long a pinned client may be silent: 2 min.
const DEFAULT_PRIORITY_TIMEOUT_NS: i64 = 120_000_000_000;

/// Whether the server may correct a request silently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Correct {
    Silently,
    /// Pedantic mode: a correction is an error.
    Never,
}

impl Correct {
    /// Allows a correction, or refuses it with `error`.
    pub(super) fn or(self, error: ApiError) -> Result<(), ApiError> {
        match self {
            Correct::Silently => Ok(()),
            Correct::Never => Err(error),
        }
    }

    /// Allows a correction, or refuses it with `reason`.
    fn allow(self, reason: &str) -> Result<(), ApiError> {
        self.or(ApiError::pedantic(reason))
    }

    /// Brings a value that is below `floor` to `instead`.
    fn raise(
        self,
        value: &mut i64,
        floor: i64,
        instead: i64,
        reason: &str,
    ) -> Result<(), ApiError> {
        if *value < floor {
            self.allow(reason)?;
            *value = instead;
        }
        Ok(())
    }
}

/// Completes a configuration the way clients expect to read it back.
pub(super) fn complete(
    config: &mut ConsumerConfig,
    stream: &StreamFacts<'_>,
    limits: &CreateLimits,
    correct: Correct,
) -> Result<(), ApiError> {
    correct_negatives(config, correct)?;
    complete_acks(config, stream, limits, correct)?;
    let ceiling_ns = stream.config.consumer_limits.inactive_threshold_ns;
    if config.inactive_threshold_ns == 0 && ceiling_ns > 0 {
        correct.allow("inactive_threshold must be set if it's configured in stream limits")?;
        config.inactive_threshold_ns = ceiling_ns;
    }
    if !config.is_push() {
        if config.max_waiting == 0 {
            config.max_waiting = DEFAULT_MAX_WAITING;
        }
        if config.max_batch == 0 && limits.max_request_batch > 0 {
            correct.allow("max_request_batch must be set if it's JetStream limits are set")?;
            config.max_batch = limits.max_request_batch;
        }
    }
    Ok(())
}

fn correct_negatives(config: &mut ConsumerConfig, correct: Correct) -> Result<(), ApiError> {
    correct.raise(
        &mut config.max_deliver,
        -1,
        -1,
        "max_deliver must be set to -1",
    )?;
    if config.max_deliver == 0 {
        config.max_deliver = -1;
    }
    correct.raise(
        &mut config.max_waiting,
        0,
        0,
        "max_waiting must not be negative",
    )?;
    correct.raise(
        &mut config.max_ack_pending,
        -1,
        -1,
        "max_ack_pending must be set to -1",
    )?;
    correct.raise(
        &mut config.max_batch,
        0,
        0,
        "max_batch must not be negative",
    )?;
    correct.raise(
        &mut config.max_expires_ns,
        0,
        0,
        "max_expires must not be negative",
    )?;
    correct.raise(
        &mut config.max_bytes,
        0,
        0,
        "max_bytes must not be negative",
    )?;
    correct.raise(
        &mut config.idle_heartbeat_ns,
        0,
        0,
        "idle_heartbeat must not be negative",
    )?;
    let threshold = &mut config.inactive_threshold_ns;
    correct.raise(threshold, 0, 0, "inactive_threshold must not be negative")?;
    let timeout = &mut config.priority_timeout_ns;
    correct.raise(timeout, 0, 0, "priority_timeout must not be negative")?;
    if config.priority_policy == PriorityPolicy::PinnedClient && config.priority_timeout_ns == 0 {
        config.priority_timeout_ns = DEFAULT_PRIORITY_TIMEOUT_NS;
    }
    Ok(())
}

fn complete_acks(
    config: &mut ConsumerConfig,
    stream: &StreamFacts<'_>,
    limits: &CreateLimits,
    correct: Correct,
) -> Result<(), ApiError> {
    let waits = matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::All);
    if config.ack_wait_ns == 0 && waits {
        config.ack_wait_ns = DEFAULT_ACK_WAIT_NS;
    }
    if let Some(&first_ns) = config.backoff_ns.first() {
        if config.ack_wait_ns != first_ns {
            correct.allow("first backoff value has to equal batch AckWait")?;
        }
        config.ack_wait_ns = first_ns;
    }
    let ceiling = stream.config.consumer_limits.max_ack_pending;
    if config.max_ack_pending == 0 && ceiling > 0 {
        correct.allow("max_ack_pending must be set if it's configured in stream limits")?;
        config.max_ack_pending = ceiling;
    }
    if config.max_ack_pending == 0 && config.ack_policy != AckPolicy::None {
        config.max_ack_pending = [
            limits.server_max_ack_pending,
            limits.account_max_ack_pending,
        ]
        .into_iter()
        .filter(|&limit| limit > 0)
        .fold(DEFAULT_MAX_ACK_PENDING, i64::min);
    }
    Ok(())
}
