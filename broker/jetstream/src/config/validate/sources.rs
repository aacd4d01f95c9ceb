//! The rules for mirrors and sources.

use super::*;
use crate::config::StreamSource;
use subject::Transform;

/// The prefix of the API that every account has, without its last dot.
const API_PREFIX: &str = "$JS.API";

/// Checks where the stream's messages are copied from, and fills in what a mirror inherits.
pub(super) fn complete(config: &mut StreamConfig, context: &Context) -> Result<(), ApiError> {
    if let Some(mirror) = &config.mirror {
        check_mirror(config, mirror, context)?;
        if mirror.external.is_none()
            && let Some(origin) = find(&mirror.name, context)
        {
            if context.pedantic && config.mirror_direct != origin.allow_direct {
                return Err(ApiError::pedantic(
                    "mirror direct configuration must match origin stream",
                ));
            }
            config.mirror_direct = origin.allow_direct;
        }
    }
    for source in &config.sources {
        check_source(config, source, context)?;
    }
    check_distinct(&config.sources)?;
    for origin in config.mirror.iter().chain(&config.sources) {
        check_external(origin)?;
    }
    check_cycles(config, context)
}

fn find<'a>(name: &str, context: &'a Context) -> Option<&'a StreamSubjects> {
    context.streams.iter().find(|stream| stream.name == name)
}

fn check_mirror(
    config: &StreamConfig,
    mirror: &StreamSource,
    context: &Context,
) -> Result<(), ApiError> {
    let excluded = [
        (config.first_seq > 0, ApiError::MIRROR_WITH_FIRST_SEQ),
        (!config.subjects.is_empty(), ApiError::MIRROR_WITH_SUBJECTS),
        (!config.sources.is_empty(), ApiError::MIRROR_WITH_SOURCES),
        (config.allow_msg_counter, ApiError::MIRROR_WITH_COUNTERS),
        (config.allow_atomic, ApiError::MIRROR_WITH_ATOMIC_PUBLISH),
        (config.allow_batched, ApiError::MIRROR_WITH_BATCH_PUBLISH),
        (
            config.allow_msg_schedules,
            ApiError::MIRROR_WITH_MSG_SCHEDULES,
        ),
    ];
    if let Some((_, error)) = excluded.into_iter().find(|(is_set, _)| *is_set) {
        return Err(error);
    }
    if config.subject_delete_marker_ttl_ns > 0 {
        return refuse("subject delete markers forbidden on mirrors");
    }
    if !mirror.filter_subject.is_empty() && !mirror.subject_transforms.is_empty() {
        return Err(ApiError::MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED);
    }
    if !has_valid_consumer(mirror) {
        return Err(ApiError::MIRROR_DURABLE_CONSUMER_CFG_INVALID);
    }
    check_rewrites(
        mirror,
        ApiError::mirror_invalid_subject_filter,
        ApiError::mirror_invalid_transform_destination,
        ApiError::MIRROR_OVERLAPPING_SUBJECT_FILTERS,
    )?;
    if mirror.external.is_none() {
        if !is_valid_name(&mirror.name) {
            return Err(ApiError::MIRROR_INVALID_STREAM_NAME);
        }
        if has_smaller_messages(config, mirror, context) {
            return Err(ApiError::MIRROR_MAX_MESSAGE_SIZE_TOO_BIG);
        }
    }
    if !is_valid_filter(&mirror.filter_subject) {
        let filter = &mirror.filter_subject;
        return Err(ApiError::stream_create(format_args!(
            "subject filter '{filter}' for the mirror invalid subject"
        )));
    }
    Ok(())
}

fn check_source(
    config: &StreamConfig,
    source: &StreamSource,
    context: &Context,
) -> Result<(), ApiError> {
    if config.allow_msg_schedules {
        return Err(ApiError::SOURCE_WITH_MSG_SCHEDULES);
    }
    if source.external.is_none() {
        if !is_valid_name(&source.name) {
            return Err(ApiError::SOURCE_INVALID_STREAM_NAME);
        }
        if has_smaller_messages(config, source, context) {
            return Err(ApiError::SOURCE_MAX_MESSAGE_SIZE_TOO_BIG);
        }
    }
    if !source.filter_subject.is_empty() && !source.subject_transforms.is_empty() {
        return Err(ApiError::SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED);
    }
    if !has_valid_consumer(source) {
        return Err(ApiError::SOURCE_DURABLE_CONSUMER_CFG_INVALID);
    }
    check_rewrites(
        source,
        ApiError::source_invalid_subject_filter,
        ApiError::source_invalid_transform_destination,
        ApiError::SOURCE_OVERLAPPING_SUBJECT_FILTERS,
    )?;
    if !is_valid_filter(&source.filter_subject) {
        let filter = &source.filter_subject;
        return Err(ApiError::stream_create(format_args!(
            "subject filter '{filter}' for the source: invalid subject"
        )));
    }
    Ok(())
}

/// A consumer that a person made decides itself what is read and from where.
fn has_valid_consumer(origin: &StreamSource) -> bool {
    let Some(consumer) = &origin.consumer else {
        return true;
    };
    is_valid_name(&consumer.name)
        && subject::is_valid_publish(consumer.deliver_subject.as_bytes())
        && origin.filter_subject.is_empty()
        && origin.opt_start_seq == 0
        && origin.opt_start_time.is_none()
}

fn is_valid_filter(filter: &str) -> bool {
    filter.is_empty() || subject::is_valid_subscribe(filter.as_bytes())
}

/// Whether messages of the origin may be too large for the stream.
fn has_smaller_messages(config: &StreamConfig, origin: &StreamSource, context: &Context) -> bool {
    find(&origin.name, context).is_some_and(|stream| {
        config.max_msg_size > 0
            && stream.max_msg_size > 0
            && config.max_msg_size < stream.max_msg_size
    })
}

fn check_rewrites(
    origin: &StreamSource,
    bad_source: impl Fn(String) -> ApiError,
    bad_destination: impl Fn(String) -> ApiError,
    overlapping: ApiError,
) -> Result<(), ApiError> {
    for (index, rewrite) in origin.subject_transforms.iter().enumerate() {
        let source = &rewrite.src;
        if !is_valid_filter(source) {
            return Err(bad_source(format!("invalid subject {source}")));
        }
        Transform::new(source, &rewrite.dest).map_err(|why| bad_destination(why.to_string()))?;
        let overlaps = |other: &str| {
            let all = |text: &str| {
                if text.is_empty() {
                    ">".to_owned()
                } else {
                    text.to_owned()
                }
            };
            subject::overlaps(all(source).as_bytes(), all(other).as_bytes())
        };
        let mut others = origin.subject_transforms[index + 1..].iter();
        if others.any(|other| overlaps(&other.src)) {
            return Err(overlapping);
        }
    }
    Ok(())
}

fn check_distinct(sources: &[StreamSource]) -> Result<(), ApiError> {
    if has_twins(sources.iter().map(StreamSource::key)) {
        return Err(ApiError::SOURCE_DUPLICATE_DETECTED);
    }
    // A consumer has one reader.
    let through_consumers = sources.iter().filter(|source| source.consumer.is_some());
    if has_twins(through_consumers.map(StreamSource::origin)) {
        return Err(ApiError::SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED);
    }
    Ok(())
}

fn has_twins(names: impl Iterator<Item = String>) -> bool {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn check_external(origin: &StreamSource) -> Result<(), ApiError> {
    let Some(external) = &origin.external else {
        return Ok(());
    };
    let (api, deliver) = (&external.api, &external.deliver);
    if !deliver.is_empty() && !subject::is_literal(deliver.as_bytes()) {
        return Err(ApiError::stream_invalid_external_delivery_subj(deliver));
    }
    if api.is_empty() {
        return Ok(());
    }
    if !subject::is_valid_publish(api.as_bytes()) {
        return refuse(format_args!(
            "stream external api prefix {api:?} must be a valid subject without wildcards"
        ));
    }
    match api == API_PREFIX {
        true => Err(ApiError::stream_external_api_overlap(api, API_PREFIX)),
        false => Ok(()),
    }
}

/// Refuses a stream whose messages would come back to it.
fn check_cycles(config: &StreamConfig, context: &Context) -> Result<(), ApiError> {
    let mut to_visit = StreamSubjects::of(config).origins;
    let mut visited: Vec<String> = Vec::new();
    while let Some(name) = to_visit.pop() {
        if name == config.name {
            return refuse("detected cycle");
        }
        if !visited.contains(&name) {
            if let Some(stream) = find(&name, context) {
                to_visit.extend(stream.origins.iter().cloned());
            }
            visited.push(name);
        }
    }
    Ok(())
}
