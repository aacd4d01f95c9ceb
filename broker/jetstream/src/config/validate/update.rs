//! The rules for changing a configuration.

use super::create::complete;
use super::*;
use crate::config::{ConsumerLimits, Discard, Retention};
use crate::consumer::ConsumerConfig;

/// Checks a configuration that is to replace `old`, and returns it with its defaults filled in.
///
/// # Errors
/// The API error a client gets, [`ApiError::stream_invalid_config`] for most of them.
pub fn validate_update(
    old: &StreamConfig,
    new: &StreamConfig,
    context: &Context,
) -> Result<StreamConfig, ApiError> {
    let mut new = new.clone();
    if old.mirror.is_some() && new.mirror.is_none() {
        // The mirror becomes a stream of its own.
        new.mirror_direct = false;
    }
    let mut config = complete(&new, context)?;
    if config.name != old.name {
        refuse("stream configuration name must match original")?;
    }
    if config.num_replicas > 1 && !context.clustered {
        return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
    }
    check_fixed(old, &config)?;
    if config.sealed {
        config.max_age_ns = 0;
        config.discard = Discard::New;
        config.deny_delete = true;
        config.deny_purge = true;
        config.allow_rollup_hdrs = false;
    }
    check_overlap(&config, context)?;
    Ok(config)
}

/// Refuses limits for consumers that existing consumers already exceed.
///
/// # Errors
/// [`ApiError::stream_update`] with the names of those consumers.
pub fn check_consumers<'a>(
    limits: &ConsumerLimits,
    consumers: impl Iterator<Item = (&'a str, &'a ConsumerConfig)>,
) -> Result<(), ApiError> {
    let exceeds = |limit: i64, value: i64| limit > 0 && value > limit;
    let violated: Vec<&str> = consumers
        .filter(|(_, consumer)| {
            exceeds(limits.max_ack_pending, consumer.max_ack_pending)
                || exceeds(limits.inactive_threshold_ns, consumer.inactive_threshold_ns)
        })
        .map(|(name, _)| name)
        .collect();
    if violated.is_empty() {
        return Ok(());
    }
    let names = violated.join(", ");
    Err(ApiError::stream_update(format_args!(
        "change to limits violates consumers: {names}"
    )))
}

/// What can not be changed at all, or not be taken back.
fn check_fixed(old: &StreamConfig, new: &StreamConfig) -> Result<(), ApiError> {
    if new.storage != old.storage {
        return refuse("stream configuration update can not change storage type");
    }
    let work_queue = [old.retention, new.retention].contains(&Retention::WorkQueue);
    if new.retention != old.retention && work_queue {
        return refuse(
            "stream configuration update can not change retention policy to/from workqueue",
        );
    }
    if new.mirror.is_some() && new.mirror != old.mirror {
        return Err(ApiError::STREAM_MIRROR_NOT_UPDATABLE);
    }
    if new.persist_mode != old.persist_mode {
        return refuse("stream configuration update can not change persist mode");
    }
    if new.allow_msg_counter != old.allow_msg_counter {
        return refuse("stream configuration update can not change message counter setting");
    }
    if old.allow_msg_schedules && !new.allow_msg_schedules {
        return refuse("message schedules can not be disabled");
    }
    if old.sealed && !new.sealed {
        return refuse("stream configuration update can not unseal a sealed stream");
    }
    if old.deny_delete && !new.deny_delete {
        return refuse("stream configuration update can not cancel deny message deletes");
    }
    if old.deny_purge && !new.deny_purge {
        return refuse("stream configuration update can not cancel deny purge");
    }
    if old.allow_msg_ttl && !new.allow_msg_ttl {
        return refuse("message TTL status can not be disabled");
    }
    Ok(())
}
