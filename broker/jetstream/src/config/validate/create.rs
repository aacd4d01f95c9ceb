//! The rules for a configuration on its own, and the defaults it gets.

use super::*;
use crate::config::{Discard, PersistMode, Retention, Storage, level};

/// Checks a configuration for a new stream and returns it with its defaults filled in.
///
/// # Errors
/// The API error a client gets, [`ApiError::stream_invalid_config`] for most of them.
pub fn validate_create(config: &StreamConfig, context: &Context) -> Result<StreamConfig, ApiError> {
    if config.sealed {
        refuse("stream configuration for create can not be sealed")?;
    }
    if config.mirror_direct && config.mirror.is_none() {
        refuse("stream has no mirror but does have mirror direct")?;
    }
    let config = complete(config, context)?;
    if config.num_replicas > 1 && !context.clustered {
        return Err(ApiError::STREAM_REPLICAS_NOT_SUPPORTED);
    }
    check_overlap(&config, context)?;
    Ok(config)
}

/// The checks that create and update share.
pub(super) fn complete(config: &StreamConfig, context: &Context) -> Result<StreamConfig, ApiError> {
    check_texts(config)?;
    let mut config = config.clone();
    complete_limits(&mut config, context)?;
    complete_duplicate_window(&mut config, context)?;
    complete_policies(&mut config, context)?;
    complete_features(&mut config, context)?;
    sources::complete(&mut config, context)?;
    complete_subjects(&mut config)?;
    check_bytes(&config, context)?;
    complete_rewrites(&mut config, context)?;
    complete_placement(&mut config)?;
    level::stamp(&mut config);
    Ok(config)
}

fn check_texts(config: &StreamConfig) -> Result<(), ApiError> {
    if config.name.contains(['/', '\\']) {
        return Err(ApiError::STREAM_NAME_CONTAINS_PATH_SEPARATORS);
    }
    if !is_valid_name(&config.name) {
        return refuse("stream name is required and can not contain '.', '*', '>', '\\', '/'");
    }
    if config.name.len() > MAX_NAME_BYTES {
        return refuse(format_args!(
            "stream name is too long, maximum allowed is {MAX_NAME_BYTES}"
        ));
    }
    if config.description.len() > MAX_DESCRIPTION_BYTES {
        return refuse(format_args!(
            "stream description is too long, maximum allowed is {MAX_DESCRIPTION_BYTES}"
        ));
    }
    let metadata: usize = config
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if metadata > MAX_METADATA_BYTES {
        return refuse(format_args!(
            "stream metadata exceeds maximum size of {MAX_METADATA_BYTES} bytes"
        ));
    }
    Ok(())
}

fn complete_limits(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    match config.num_replicas {
        0 => config.num_replicas = 1,
        1..=MAX_REPLICAS => {}
        i64::MIN..0 => return Err(ApiError::REPLICAS_COUNT_CANNOT_BE_NEGATIVE),
        _ => return refuse(format_args!("maximum replicas is {MAX_REPLICAS}")),
    }
    let mut max_msg_size = i64::from(config.max_msg_size);
    let limits = [
        ("max_msgs", &mut config.max_msgs),
        ("max_msgs_per_subject", &mut config.max_msgs_per_subject),
        ("max_bytes", &mut config.max_bytes),
        ("max_msg_size", &mut max_msg_size),
        ("max_consumers", &mut config.max_consumers),
    ];
    for (name, limit) in limits {
        if *limit < -1 && context.pedantic {
            return Err(ApiError::pedantic(format_args!("{name} must be set to -1")));
        }
        if *limit < 1 {
            *limit = -1;
        }
    }
    if max_msg_size == -1 {
        config.max_msg_size = -1;
    }
    if config.max_age_ns < 0 {
        return refuse("max age can not be negative");
    }
    if config.max_age_ns != 0 && config.max_age_ns < MIN_AGE_NS {
        return refuse("max age needs to be >= 100ms");
    }
    Ok(())
}

fn complete_duplicate_window(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    let limit = context.limits.max_duplicate_window_ns;
    if config.duplicate_window_ns == 0 && config.mirror.is_none() && config.sources.is_empty() {
        let mut window = DEFAULT_DUPLICATE_WINDOW_NS;
        if limit > 0 && window > limit {
            if context.pedantic {
                return Err(ApiError::pedantic(
                    "duplicate window limits are higher than current limits",
                ));
            }
            window = limit;
        }
        if config.max_age_ns != 0 && config.max_age_ns < window {
            if context.pedantic {
                return Err(ApiError::pedantic(
                    "duplicate window cannot be bigger than max age",
                ));
            }
            window = config.max_age_ns;
        }
        config.duplicate_window_ns = window;
    }
    let window = config.duplicate_window_ns;
    if window < 0 {
        return refuse("duplicates window can not be negative");
    }
    if config.max_age_ns != 0 && window > config.max_age_ns {
        return refuse("duplicates window can not be larger then max age");
    }
    if limit > 0 && window > limit {
        return refuse(format_args!(
            "duplicates window can not be larger then server limit of {}",
            crate::duration::go_text(limit)
        ));
    }
    if window > 0 && window < MIN_AGE_NS {
        return refuse("duplicates window needs to be >= 100ms");
    }
    Ok(())
}

fn complete_policies(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    if config.deny_purge && config.allow_rollup_hdrs {
        return refuse("roll-ups require the purge permission");
    }
    if config.discard_new_per_subject {
        if config.discard != Discard::New {
            return refuse("discard new per subject requires discard new policy to be set");
        }
        if config.max_msgs_per_subject <= 0 {
            return refuse("discard new per subject requires max msgs per subject > 0");
        }
    }
    match config.subject_delete_marker_ttl_ns {
        0 => return Ok(()),
        i64::MIN..0 => return refuse("subject delete marker TTL must not be negative"),
        1..1_000_000_000 => return refuse("subject delete marker TTL must be at least 1 second"),
        _ => {}
    }
    if context.pedantic && !config.allow_msg_ttl {
        return refuse("subject delete marker cannot be set if message TTLs are disabled");
    }
    if context.pedantic && !config.allow_rollup_hdrs {
        return refuse("subject delete marker cannot be set if roll-ups are disabled");
    }
    config.allow_msg_ttl = true;
    if !config.allow_rollup_hdrs {
        config.allow_rollup_hdrs = true;
        config.deny_purge = false;
    }
    Ok(())
}

/// Fields of the API that this server knows but does not serve.
///
/// `allow_batched` is taken although fast batches are refused one by one: it only permits
/// something, and tools set it on streams that never see a batch.
/// What counters, schedules, batches and asynchronous persistence exclude and need.
fn complete_features(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    if config.allow_msg_counter {
        if config.discard == Discard::New {
            return refuse("counter stream cannot use discard new");
        }
        if config.allow_msg_ttl {
            return refuse("counter stream cannot use message TTLs");
        }
        if config.allow_msg_schedules {
            return refuse("counter stream cannot use message schedules");
        }
        if config.retention != Retention::Limits {
            return refuse("counter stream can only use limits retention");
        }
    }
    if config.allow_msg_schedules && config.mirror.is_none() && config.sources.is_empty() {
        if config.discard == Discard::New {
            return refuse("message scheduling cannot use discard new");
        }
        if context.pedantic && !config.allow_rollup_hdrs {
            return refuse("message scheduling cannot be set if roll-ups are disabled");
        }
        // Schedules replace each other, and are removed when they are over.
        config.allow_rollup_hdrs = true;
        config.deny_purge = false;
    }
    if config.persist_mode == PersistMode::Async {
        if config.storage != Storage::File {
            return refuse("async persist mode is only supported on file storage");
        }
        if config.num_replicas > 1 {
            return refuse("async persist mode is not supported on replicated streams");
        }
        if config.allow_atomic {
            return refuse("async persist mode is not supported with atomic batch publish");
        }
    }
    Ok(())
}

fn complete_subjects(config: &mut StreamConfig) -> Result<(), ApiError> {
    if config.subjects.is_empty() && config.mirror.is_none() && config.sources.is_empty() {
        config.subjects = vec![config.name.clone()];
        return Ok(());
    }
    for (index, subject) in config.subjects.iter().enumerate() {
        check_subject(subject, config)?;
        let colliding = config.subjects[index + 1..]
            .iter()
            .find(|other| subject::overlaps(other.as_bytes(), subject.as_bytes()));
        if let Some(other) = colliding {
            return refuse(format_args!("subject {subject:?} overlaps with {other:?}"));
        }
    }
    Ok(())
}

fn check_subject(subject: &str, config: &StreamConfig) -> Result<(), ApiError> {
    let bytes = subject.as_bytes();
    if !subject::is_valid_subscribe(bytes) {
        return refuse("invalid subject");
    }
    if subject == ">" {
        if !config.no_ack {
            return refuse("capturing all subjects requires no-ack to be true");
        }
        if config.num_replicas != 1 {
            return refuse("capturing all subjects requires replicas of 1");
        }
    }
    if config.no_ack {
        return Ok(());
    }
    let api = [&b"$JS.>"[..], b"$JSC.>", b"$NRG.>"];
    if api.into_iter().any(|space| subject::overlaps(bytes, space))
        && !subject::is_subset(bytes, b"$JS.EVENT.>")
    {
        return refuse("subjects that overlap with jetstream api require no-ack to be true");
    }
    if subject::overlaps(bytes, b"$SYS.>") && !subject::is_subset(bytes, b"$SYS.ACCOUNT.>") {
        return refuse("subjects that overlap with system api require no-ack to be true");
    }
    Ok(())
}

fn check_bytes(config: &StreamConfig, context: &Context) -> Result<(), ApiError> {
    let limit = match config.storage {
        Storage::File => context.limits.store_max_stream_bytes,
        Storage::Memory => context.limits.memory_max_stream_bytes,
    };
    if context.limits.max_bytes_required && config.max_bytes <= 0 {
        return Err(ApiError::STREAM_MAX_BYTES_REQUIRED);
    }
    if limit > 0 && config.max_bytes > limit {
        return Err(ApiError::STREAM_MAX_STREAM_BYTES_EXCEEDED);
    }
    Ok(())
}

fn complete_rewrites(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    if let Some(rewrite) = &config.subject_transform {
        if !rewrite.src.is_empty() && !subject::is_valid_subscribe(rewrite.src.as_bytes()) {
            return Err(ApiError::stream_transform_invalid_source(format_args!(
                "invalid subject {}",
                rewrite.src
            )));
        }
        subject::Transform::new(&rewrite.src, &rewrite.dest)
            .map_err(ApiError::stream_transform_invalid_destination)?;
    }
    let Some(republish) = &mut config.republish else {
        return Ok(());
    };
    if republish.src.is_empty() {
        if context.pedantic {
            return Err(ApiError::pedantic("republish source can not be empty"));
        }
        republish.src = ">".to_owned();
    }
    let dest = republish.dest.as_bytes();
    if config
        .subjects
        .iter()
        .any(|subject| subject::overlaps(dest, subject.as_bytes()))
    {
        return refuse("stream configuration for republish destination forms a cycle");
    }
    if subject::Transform::new(&republish.src, &republish.dest).is_err() {
        return refuse(format_args!(
            "stream configuration for republish with transform from '{}' to '{}' not valid",
            republish.src, republish.dest
        ));
    }
    Ok(())
}

fn complete_placement(config: &mut StreamConfig) -> Result<(), ApiError> {
    let Some(placement) = &config.placement else {
        return Ok(());
    };
    if !placement.preferred.is_empty() {
        return refuse("preferred server not permitted in placement");
    }
    if placement.cluster.is_empty() && placement.tags.is_empty() {
        config.placement = None;
    }
    Ok(())
}
