//! Object stores: streams configured just as the clients of NATS configure them.

use api::{ObjectStore, Resource};
use serde_json::json;

use super::stream::{compression, placement, storage};
use super::{Address, Approval, Invalid, ValidatedAsset, bytes, invalid, long_enough, nanos};
use crate::config::{Config, OBJECT_STORE_FIELDS};
use crate::dereference::References;

pub(super) fn validate(store: &ObjectStore, to: References) -> Result<ValidatedAsset, Invalid> {
    let resource = Resource::ObjectStore(Box::new(store.clone()));
    let name = store.bucket_name();
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.chars().all(is_valid) {
        let message =
            format!("{name:?} is no name for a store; set one of letters, digits, _ and -");
        return Err(invalid("bucket", message));
    }
    Ok(ValidatedAsset {
        id: resource.id(),
        place: to.place,
        domain: store.spec.domain.clone(),
        address: Address::Stream(store.stream_name()),
        config: config(store, &name)?,
        fields: OBJECT_STORE_FIELDS,
        policies: store.spec.policies(),
        approval: Approval::of(&resource),
        max_ack_pending: None,
    })
}

fn config(store: &ObjectStore, name: &str) -> Result<Config, Invalid> {
    let spec = &store.spec;
    long_enough("ttl", spec.ttl)?;
    let mut config = Config::default();
    config.set("name", store.stream_name());
    // Parts of objects, and what is known about them.
    let subjects = [format!("$O.{name}.C.>"), format!("$O.{name}.M.>")];
    config.set("subjects", subjects.to_vec());
    config.set("description", spec.description.clone().unwrap_or_default());
    config.set("retention", "limits");
    config.set("storage", storage(spec.storage));
    config.set("num_replicas", spec.replicas);
    config.set("placement", placement(spec.placement.as_ref()));
    config.set("max_msgs", -1);
    config.set("max_bytes", bytes(spec.max_bytes));
    config.set("max_age", nanos(spec.ttl));
    config.set("discard", "new");
    config.set("deny_delete", false);
    config.set("deny_purge", false);
    config.set("allow_direct", true);
    config.set("allow_rollup_hdrs", true);
    config.set("compression", compression(spec.compression));
    config.set("metadata", json!(spec.metadata));
    Ok(config)
}
