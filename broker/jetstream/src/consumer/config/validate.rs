//! Which configurations a consumer may have, and which changes.

use crate::config::{Retention, StreamConfig};
use crate::error::ApiError;

use super::defaults::{Correct, DEFAULT_INACTIVE_THRESHOLD_NS, complete};
use super::{AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy};

mod flow_control;
mod mode;
mod start;

/// Longest name of a consumer, bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest description, bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Most metadata, keys and values together, bytes.
pub const MAX_METADATA_BYTES: usize = 128 * 1024;

/// Longest name of a priority group, bytes.
const MAX_GROUP_BYTES: usize = 16;

/// What the rules need to know of the stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamFacts<'a> {
    pub config: &'a StreamConfig,
    /// How many consumers the stream has.
    pub consumer_count: u64,
    /// The stream's other consumers. Read only if the stream is a work queue.
    pub others: &'a [&'a ConsumerConfig],
}

/// Limits of the server and the account. Zero means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateLimits {
    pub server_max_ack_pending: i64,
    pub account_max_ack_pending: i64,
    pub max_request_batch: i64,
    /// Most consumers of one stream by the account's limits.
    pub account_max_consumers: i64,
    /// Most consumers of one stream if neither the stream nor the account sets a limit.
    pub default_max_consumers: i64,
    /// Whether this server belongs to a cluster, so that consumers can have replicas.
    pub clustered: bool,
    /// Refuse what would be corrected silently otherwise.
    pub pedantic: bool,
}

/// Judges the configuration of a new consumer and completes it with defaults.
///
/// The caller has already made sure that no consumer has this name.
pub fn validate_create(
    config: ConsumerConfig,
    stream: &StreamFacts<'_>,
    limits: &CreateLimits,
) -> Result<ConsumerConfig, ApiError> {
    let mut config = checked(config, stream, limits)?;
    if !config.direct {
        check_room(stream, limits)?;
    }
    if stream.config.retention == Retention::WorkQueue && !config.direct {
        check_work_queue(&config, stream)?;
    }
    if !config.is_durable() && config.inactive_threshold_ns == 0 {
        config.inactive_threshold_ns = DEFAULT_INACTIVE_THRESHOLD_NS;
    }
    Ok(config)
}

/// Judges a change of configuration and completes the new one with defaults.
///
/// `bound` tells whether somebody listens on the old deliver subject. An unchanged configuration
/// is accepted.
pub fn validate_update(
    old: &ConsumerConfig,
    new: ConsumerConfig,
    stream: &StreamFacts<'_>,
    limits: &CreateLimits,
    bound: bool,
) -> Result<ConsumerConfig, ApiError> {
    let mut new = checked(new, stream, limits)?;
    if stream.config.retention == Retention::WorkQueue {
        check_filters_unique(&new, stream)?;
    }
    check_immutable(old, &new)?;
    if old.deliver_subject != new.deliver_subject {
        let refusal = match (old.is_push(), new.is_push()) {
            (false, _) => "can not update pull consumer to push based",
            (_, false) => "can not update push consumer to pull based",
            _ if bound => return Err(ApiError::CONSUMER_NAME_EXIST),
            _ => "",
        };
        refuse_if(!refusal.is_empty(), refusal)?;
    }
    refuse_if(
        old.max_waiting != new.max_waiting,
        "max waiting can not be updated",
    )?;
    if !old.is_durable() && new.inactive_threshold_ns == 0 {
        new.inactive_threshold_ns = DEFAULT_INACTIVE_THRESHOLD_NS;
    }
    Ok(new)
}

fn check_immutable(old: &ConsumerConfig, new: &ConsumerConfig) -> Result<(), ApiError> {
    let fixed = [
        ("deliver policy", old.deliver_policy != new.deliver_policy),
        ("storage type", old.mem_storage != new.mem_storage),
        ("direct", old.direct != new.direct),
        ("sourcing", old.sourcing != new.sourcing),
        ("start sequence", old.opt_start_seq != new.opt_start_seq),
        ("start time", old.opt_start_time != new.opt_start_time),
        ("ack policy", old.ack_policy != new.ack_policy),
        ("replay policy", old.replay_policy != new.replay_policy),
    ];
    for (what, changed) in fixed {
        refuse_if(changed, format_args!("{what} can not be updated"))?;
    }
    let beat = old.idle_heartbeat_ns != new.idle_heartbeat_ns;
    refuse_if(beat, "heart beats can not be updated")?;
    refuse_if(
        old.flow_control != new.flow_control,
        "flow control can not be updated",
    )
}

fn refuse_if(refused: bool, why: impl std::fmt::Display) -> Result<(), ApiError> {
    if refused {
        Err(ApiError::consumer_create(why))
    } else {
        Ok(())
    }
}

/// Completes the configuration and judges all that does not depend on other consumers.
fn checked(
    mut config: ConsumerConfig,
    stream: &StreamFacts<'_>,
    limits: &CreateLimits,
) -> Result<ConsumerConfig, ApiError> {
    let correct = if limits.pedantic {
        Correct::Never
    } else {
        Correct::Silently
    };
    complete(&mut config, stream, limits, correct)?;
    check_names(&config)?;
    if config.num_replicas > 1 && !limits.clustered {
        return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
    }
    check_replicas(&config, stream.config)?;
    check_ack_waits(&config)?;
    if config.ack_policy == AckPolicy::FlowControl {
        flow_control::complete(&mut config, correct)?;
    }
    check_backoff_steps(&config)?;
    if config.description.len() > MAX_DESCRIPTION_BYTES {
        return Err(ApiError::consumer_description_too_long(
            MAX_DESCRIPTION_BYTES,
        ));
    }
    mode::check(&config, stream.config, limits)?;
    check_ceilings(&config, stream.config, limits)?;
    check_filters(&config)?;
    start::check(&config)?;
    check_sampling(&config)?;
    if config.flow_control && config.idle_heartbeat_ns == 0 {
        return Err(ApiError::CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS);
    }
    if config.is_durable() && !config.name.is_empty() && config.name != config.durable_name {
        return Err(ApiError::CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH);
    }
    check_metadata(&config)?;
    check_priorities(&config)?;
    check_direct(&config)?;
    if config.is_durable() {
        config.name.clone_from(&config.durable_name);
    }
    config.state_required_level();
    Ok(config)
}

fn check_names(config: &ConsumerConfig) -> Result<(), ApiError> {
    let invalid = |what| {
        let text = format_args!(r"consumer {what} can not contain '.', '*', '>', '\', '/'");
        Err(ApiError::stream_invalid_config(text))
    };
    if !config.name.is_empty() && !is_valid_name(&config.name) {
        return invalid("name");
    }
    if config.is_durable() && !is_valid_name(&config.durable_name) {
        return invalid("durable name");
    }
    if config.consumer_name().len() > MAX_NAME_BYTES {
        return Err(ApiError::consumer_name_too_long(MAX_NAME_BYTES));
    }
    Ok(())
}

fn is_valid_name(name: &str) -> bool {
    !name.contains([' ', '\t', '\r', '\n', '\x0c', '.', '*', '>', '/', '\\'])
}

fn check_replicas(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    let replicas = config.num_replicas;
    if replicas > stream.num_replicas {
        return Err(ApiError::CONSUMER_REPLICAS_EXCEEDS_STREAM);
    }
    if replicas < 0 {
        return Err(ApiError::REPLICAS_COUNT_CANNOT_BE_NEGATIVE);
    }
    let must_match = stream.retention != Retention::Limits;
    if must_match && replicas != 0 && replicas != stream.num_replicas {
        return Err(ApiError::CONSUMER_REPLICAS_SHOULD_MATCH_STREAM);
    }
    Ok(())
}

fn check_ack_waits(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.backoff_ns.iter().any(|&wait_ns| wait_ns < 0) {
        return Err(ApiError::CONSUMER_BACK_OFF_NEGATIVE);
    }
    if config.ack_wait_ns < 0 {
        return Err(ApiError::CONSUMER_ACK_WAIT_NEGATIVE);
    }
    Ok(())
}

fn check_backoff_steps(config: &ConsumerConfig) -> Result<(), ApiError> {
    let steps = config.backoff_ns.len() as i64;
    if steps > 0 && config.max_deliver != -1 && steps > config.max_deliver {
        return Err(ApiError::CONSUMER_MAX_DELIVER_BACKOFF);
    }
    Ok(())
}

fn check_ceilings(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &CreateLimits,
) -> Result<(), ApiError> {
    let ceilings = [
        limits.server_max_ack_pending,
        limits.account_max_ack_pending,
        stream.consumer_limits.max_ack_pending,
    ];
    for ceiling in ceilings {
        if ceiling > 0 && config.max_ack_pending > ceiling {
            return Err(ApiError::consumer_max_pending_ack_excess(ceiling));
        }
    }
    let ceiling_ns = stream.consumer_limits.inactive_threshold_ns;
    if ceiling_ns > 0 && config.inactive_threshold_ns > ceiling_ns {
        let ceiling = crate::duration::go_text(ceiling_ns);
        return Err(ApiError::consumer_inactive_threshold_excess(ceiling));
    }
    Ok(())
}

fn check_filters(config: &ConsumerConfig) -> Result<(), ApiError> {
    if !config.filter_subject.is_empty() && !config.filter_subjects.is_empty() {
        return Err(ApiError::CONSUMER_DUPLICATE_FILTER_SUBJECTS);
    }
    if config.filter_subjects.iter().any(String::is_empty) {
        return Err(ApiError::CONSUMER_EMPTY_FILTER);
    }
    let filters: Vec<&[u8]> = config.filters().map(str::as_bytes).collect();
    for (index, filter) in filters.iter().enumerate() {
        if !subject::is_valid_subscribe(filter) {
            return Err(ApiError::stream_invalid_config("invalid subject"));
        }
        let contains =
            |other: &&[u8]| subject::is_subset(filter, other) || subject::is_subset(other, filter);
        if filters[..index].iter().any(contains) {
            return Err(ApiError::CONSUMER_OVERLAPPING_SUBJECT_FILTERS);
        }
    }
    Ok(())
}

fn check_sampling(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.sample_freq.is_empty() {
        return Ok(());
    }
    let number = config
        .sample_freq
        .strip_suffix('%')
        .unwrap_or(&config.sample_freq);
    match number.parse::<i64>() {
        Ok(percent) if percent >= 0 => Ok(()),
        Ok(_) => Err(ApiError::consumer_invalid_sampling("<nil>")),
        Err(_) => Err(ApiError::consumer_invalid_sampling(format_args!(
            "strconv.Atoi: parsing {number:?}: invalid syntax"
        ))),
    }
}

fn check_metadata(config: &ConsumerConfig) -> Result<(), ApiError> {
    let bytes: usize = config
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > MAX_METADATA_BYTES {
        let limit = format_args!("{}KB", MAX_METADATA_BYTES / 1024);
        return Err(ApiError::consumer_metadata_length(limit));
    }
    Ok(())
}

fn check_priorities(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.priority_policy == PriorityPolicy::None {
        if !config.priority_groups.is_empty() {
            return Err(ApiError::CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE);
        }
        if config.priority_timeout_ns > 0 {
            return Err(ApiError::CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE);
        }
    } else if config.is_push() {
        return Err(ApiError::CONSUMER_PUSH_WITH_PRIORITY_GROUP);
    } else if config.priority_groups.is_empty() {
        return Err(ApiError::CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP);
    }
    config
        .priority_groups
        .iter()
        .try_for_each(|group| check_group(group))
}

fn check_group(group: &str) -> Result<(), ApiError> {
    let is_allowed = |letter: u8| letter.is_ascii_alphanumeric() || b"-_/=".contains(&letter);
    if group.is_empty() {
        return Err(ApiError::CONSUMER_EMPTY_GROUP_NAME);
    }
    match group.len() <= MAX_GROUP_BYTES && group.bytes().all(is_allowed) {
        true => Ok(()),
        false => Err(ApiError::CONSUMER_INVALID_GROUP_NAME),
    }
}

/// Refuses what this server does not serve, rather than ignoring it.
/// A direct consumer reads for another stream.
fn check_direct(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.direct && !config.is_push() {
        return Err(ApiError::CONSUMER_DIRECT_REQUIRES_PUSH);
    }
    if config.direct && config.is_durable() {
        return Err(ApiError::CONSUMER_DIRECT_REQUIRES_EPHEMERAL);
    }
    Ok(())
}

fn check_room(stream: &StreamFacts<'_>, limits: &CreateLimits) -> Result<(), ApiError> {
    let mut most = stream.config.max_consumers;
    let account = limits.account_max_consumers;
    if most <= 0 || (account > 0 && account < most) {
        most = account;
    }
    if most <= 0 {
        most = limits.default_max_consumers;
    }
    match u64::try_from(most) {
        Ok(most) if most > 0 && stream.consumer_count >= most => {
            Err(ApiError::MAXIMUM_CONSUMERS_LIMIT)
        }
        _ => Ok(()),
    }
}

fn check_work_queue(config: &ConsumerConfig, stream: &StreamFacts<'_>) -> Result<(), ApiError> {
    if !matches!(
        config.ack_policy,
        AckPolicy::Explicit | AckPolicy::FlowControl
    ) {
        return Err(ApiError::CONSUMER_WQ_REQUIRES_EXPLICIT_ACK);
    }
    if config.deliver_policy != DeliverPolicy::All {
        return Err(ApiError::CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL);
    }
    if stream.consumer_count > 0 && config.filters().next().is_none() {
        return Err(ApiError::CONSUMER_WQ_MULTIPLE_UNFILTERED);
    }
    check_filters_unique(config, stream)
}

/// Two consumers of a work queue may not want the same message.
fn check_filters_unique(config: &ConsumerConfig, stream: &StreamFacts<'_>) -> Result<(), ApiError> {
    for other in stream.others {
        let everything = other.filters().next().is_none();
        let shared = config.filters().any(|ours| {
            other
                .filters()
                .any(|theirs| subject::overlaps(ours.as_bytes(), theirs.as_bytes()))
        });
        if everything || shared {
            return Err(ApiError::CONSUMER_WQ_CONSUMER_NOT_UNIQUE);
        }
    }
    Ok(())
}
