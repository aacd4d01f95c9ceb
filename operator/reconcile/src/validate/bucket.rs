//! Buckets: streams configured just as the clients of NATS configure them.

use api::kv_bucket::BucketSource;
use api::{Duration, KVBucket, Resource};
use serde_json::{Value, json};

use super::stream::{compression, external, placement, republish, storage};
use super::{
    Address, Approval, Invalid, ValidatedAsset, bytes, default_duplicate_window, invalid,
    long_enough, message_bytes, nanos,
};
use crate::config::{BUCKET_FIELDS, Config};
use crate::dereference::References;

pub(super) fn validate(bucket: &KVBucket, to: References) -> Result<ValidatedAsset, Invalid> {
    let resource = Resource::KVBucket(Box::new(bucket.clone()));
    let name = bucket.bucket_name();
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.chars().all(is_valid) {
        let message =
            format!("{name:?} is no name for a bucket; set one of letters, digits, _ and -");
        return Err(invalid("bucket", message));
    }
    Ok(ValidatedAsset {
        id: resource.id(),
        place: to.place,
        domain: bucket.spec.domain.clone(),
        address: Address::Stream(bucket.stream_name()),
        config: config(bucket, &name)?,
        fields: BUCKET_FIELDS,
        policies: bucket.spec.policies(),
        approval: Approval::of(&resource),
        max_ack_pending: None,
    })
}

fn config(bucket: &KVBucket, name: &str) -> Result<Config, Invalid> {
    let spec = &bucket.spec;
    long_enough("ttl", spec.ttl)?;
    if spec
        .limit_marker_ttl
        .is_some_and(|ttl| ttl < Duration::from_secs(1))
    {
        return Err(invalid("limitMarkerTTL", "must be at least 1s"));
    }
    let mut config = Config::default();
    config.set("name", bucket.stream_name());
    // A mirror has the subjects of its bucket.
    let subjects = match spec.mirror {
        Some(_) => Vec::new(),
        None => vec![format!("$KV.{name}.>")],
    };
    config.set("subjects", subjects);
    config.set("description", spec.description.clone().unwrap_or_default());
    config.set("retention", "limits");
    config.set("storage", storage(spec.storage));
    config.set("num_replicas", spec.replicas);
    config.set("placement", placement(spec.placement.as_ref()));
    config.set("max_consumers", -1);
    config.set("max_msgs", -1);
    config.set("max_bytes", bytes(spec.max_bytes));
    config.set("max_age", nanos(spec.ttl));
    config.set(
        "max_msg_size",
        message_bytes("maxValueSize", spec.max_value_size)?,
    );
    config.set("max_msgs_per_subject", spec.history);
    config.set("discard", "new");
    config.set(
        "duplicate_window",
        default_duplicate_window(spec.ttl).as_nanos(),
    );
    config.set("deny_delete", true);
    config.set("deny_purge", false);
    config.set("allow_direct", true);
    config.set("allow_rollup_hdrs", true);
    config.set("allow_msg_ttl", spec.limit_marker_ttl.is_some());
    config.set("subject_delete_marker_ttl", nanos(spec.limit_marker_ttl));
    config.set("compression", compression(spec.compression));
    config.set("mirror_direct", spec.mirror.is_some());
    config.set(
        "mirror",
        spec.mirror.as_ref().map(|from| source(from, None)),
    );
    let sources = spec.sources.iter().map(|from| source(from, Some(name)));
    config.set("sources", sources.collect::<Vec<Value>>());
    config.set("republish", republish(spec.republish.as_ref()));
    config.set("metadata", json!(spec.metadata));
    Ok(config)
}

/// Values that are copied into a bucket of another name get its subjects.
fn source(from: &BucketSource, into: Option<&str>) -> Value {
    let transforms = into.map(|into| {
        let subjects = |bucket: &str| format!("$KV.{bucket}.>");
        json!([{ "src": subjects(&from.bucket), "dest": subjects(into) }])
    });
    json!({
        "name": format!("KV_{}", from.bucket),
        "subject_transforms": transforms,
        "external": external(from.external.as_ref()),
    })
}
