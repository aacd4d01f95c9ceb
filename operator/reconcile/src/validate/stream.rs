//! Streams.

use api::stream::{
    Compression, DiscardPolicy, External, PersistMode, Placement, Republish, Retention, Storage,
    StreamSource, SubjectTransform,
};
use api::{Duration, Resource, Stream};
use serde_json::{Value, json};

use super::{
    Address, Approval, Invalid, ValidatedAsset, bytes, default_duplicate_window, invalid, limit,
    long_enough, message_bytes, nanos,
};
use crate::config::{Config, STREAM_FIELDS};
use crate::dereference::References;

pub(super) fn validate(stream: &Stream, to: References) -> Result<ValidatedAsset, Invalid> {
    let resource = Resource::Stream(Box::new(stream.clone()));
    Ok(ValidatedAsset {
        id: resource.id(),
        place: to.place,
        domain: stream.spec.domain.clone(),
        address: Address::Stream(stream.stream_name()),
        config: config(stream)?,
        fields: STREAM_FIELDS,
        policies: stream.spec.policies(),
        approval: Approval::of(&resource),
        max_ack_pending: None,
    })
}

fn config(stream: &Stream) -> Result<Config, Invalid> {
    let spec = &stream.spec;
    let mut config = Config::default();
    let name = stream.stream_name();
    let subjects = match spec.subjects.as_slice() {
        // A mirror has those of its stream, and a stream of copies needs none.
        [] if spec.mirror.is_some() || !spec.sources.is_empty() => Vec::new(),
        [] => vec![name.clone()],
        subjects => subjects.to_vec(),
    };
    config.set("name", name);
    config.set("subjects", subjects);
    config.set("description", spec.description.clone().unwrap_or_default());
    config.set("retention", retention(spec.retention));
    config.set("storage", storage(spec.storage));
    config.set("num_replicas", spec.replicas);
    config.set("placement", placement(spec.placement.as_ref()));
    config.set("no_ack", !spec.acknowledge_publishes);
    config.set("first_seq", spec.first_sequence.unwrap_or_default());
    config.set("sealed", spec.sealed);
    config.set("deny_delete", spec.deny_delete);
    config.set("deny_purge", spec.deny_purge);
    config.set("metadata", json!(spec.metadata));
    set_limits(&mut config, stream)?;
    set_permissions(&mut config, stream)?;
    set_rewrites(&mut config, stream);
    config.set("compression", compression(spec.compression));
    config.set("persist_mode", persist_mode(spec.persist_mode));
    config.set("mirror", spec.mirror.as_ref().map(source));
    config.set(
        "sources",
        spec.sources.iter().map(source).collect::<Vec<Value>>(),
    );
    if spec.sealed {
        // Sealing does this on the server.
        config.set("max_age", 0);
        config.set("discard", "new");
        config.set("deny_delete", true);
        config.set("deny_purge", true);
        config.set("allow_rollup_hdrs", false);
    }
    Ok(config)
}

fn set_limits(config: &mut Config, stream: &Stream) -> Result<(), Invalid> {
    let spec = &stream.spec;
    let limits = spec.limits.clone().unwrap_or_default();
    long_enough("limits.maxAge", limits.max_age)?;
    long_enough("duplicateWindow", spec.duplicate_window)?;
    let max_age = limits.max_age.filter(|age| !age.is_zero());
    let window = spec
        .duplicate_window
        .unwrap_or_else(|| default_duplicate_window(max_age));
    if max_age.is_some_and(|age| window > age) {
        let message = "is longer than limits.maxAge; shorten it or keep messages longer";
        return Err(invalid("duplicateWindow", message));
    }
    let discard = spec.discard.clone().unwrap_or_default();
    config.set("max_consumers", limit(limits.max_consumers));
    config.set("max_msgs", limit(limits.max_messages));
    config.set("max_bytes", bytes(limits.max_bytes));
    config.set("max_age", nanos(limits.max_age));
    config.set(
        "max_msg_size",
        message_bytes("limits.maxMessageSize", limits.max_message_size)?,
    );
    config.set(
        "max_msgs_per_subject",
        limit(limits.max_messages_per_subject),
    );
    let policy = match discard.policy {
        DiscardPolicy::Old => "old",
        DiscardPolicy::New => "new",
    };
    config.set("discard", policy);
    config.set("discard_new_per_subject", discard.per_subject);
    config.set("duplicate_window", window.as_nanos());
    let consumers = spec.consumer_limits.clone().unwrap_or_default();
    config.set(
        "consumer_limits",
        json!({
            "inactive_threshold": nanos(consumers.inactive_threshold),
            "max_ack_pending": consumers.max_ack_pending.unwrap_or_default(),
        }),
    );
    Ok(())
}

fn set_permissions(config: &mut Config, stream: &Stream) -> Result<(), Invalid> {
    let allow = stream.spec.allow.clone().unwrap_or_default();
    let marker = stream.spec.subject_delete_marker_ttl;
    if marker.is_some_and(|ttl| ttl < Duration::from_secs(1)) {
        return Err(invalid("subjectDeleteMarkerTTL", "must be at least 1s"));
    }
    config.set("allow_direct", allow.direct);
    config.set("allow_rollup_hdrs", allow.rollup);
    config.set("allow_msg_ttl", allow.message_ttl);
    config.set("mirror_direct", allow.mirror_direct);
    // Older servers refuse to hear of these.
    let newer = |is_allowed: bool| is_allowed.then_some(true);
    config.set("allow_msg_counter", newer(allow.counters));
    config.set("allow_atomic", newer(allow.atomic_publish));
    config.set("allow_batched", newer(allow.batch_publish));
    config.set("allow_msg_schedules", newer(allow.schedules));
    config.set("subject_delete_marker_ttl", nanos(marker));
    Ok(())
}

fn set_rewrites(config: &mut Config, stream: &Stream) {
    let transform = stream.spec.subject_transform.as_ref().map(transform);
    config.set("subject_transform", transform);
    config.set("republish", republish(stream.spec.republish.as_ref()));
}

fn transform(transform: &SubjectTransform) -> Value {
    json!({
        "src": transform.source.as_deref().unwrap_or(">"),
        "dest": transform.destination,
    })
}

fn source(source: &StreamSource) -> Value {
    let transforms = source.subject_transforms.iter().map(transform);
    json!({
        "name": source.name,
        "opt_start_seq": source.start_sequence.unwrap_or_default(),
        "opt_start_time": source.start_time.as_ref().map(|time| time.0.to_string()),
        "filter_subject": source.filter_subject.as_deref().unwrap_or_default(),
        "subject_transforms": transforms.collect::<Vec<Value>>(),
        "external": external(source.external.as_ref()),
    })
}

pub(super) fn external(external: Option<&External>) -> Value {
    external.map_or(Value::Null, |external| {
        json!({
            "api": external.api_prefix,
            "deliver": external.deliver_prefix.as_deref().unwrap_or_default(),
        })
    })
}

pub(super) fn republish(republish: Option<&Republish>) -> Value {
    republish.map_or(Value::Null, |republish| {
        json!({
            "src": republish.source.as_deref().unwrap_or(">"),
            "dest": republish.destination,
            "headers_only": republish.headers_only,
        })
    })
}

pub(super) fn placement(placement: Option<&Placement>) -> Value {
    match placement {
        Some(placement) if placement.cluster.is_some() || !placement.tags.is_empty() => json!({
            "cluster": placement.cluster.as_deref().unwrap_or_default(),
            "tags": placement.tags,
        }),
        _ => Value::Null,
    }
}

/// The default is not said: older servers do not know the field.
pub(super) fn compression(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::None => None,
        Compression::S2 => Some("s2"),
    }
}

fn persist_mode(mode: PersistMode) -> Option<&'static str> {
    match mode {
        PersistMode::Default => None,
        PersistMode::Async => Some("async"),
    }
}

pub(super) fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    }
}

fn retention(retention: Retention) -> &'static str {
    match retention {
        Retention::Limits => "limits",
        Retention::Interest => "interest",
        Retention::Workqueue => "workqueue",
    }
}
