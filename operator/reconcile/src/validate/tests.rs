use serde_json::{Value, json};

use super::*;
use crate::dereference::AccountPlace;
use crate::keys::Entry;

fn read(kind: &str, name: &str, spec: &str) -> Result<Validated, Invalid> {
    let spec = spec.replace('\n', "\n  ");
    let yaml = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  \
         accountRef: {{name: shop}}\n  {spec}\n"
    );
    let mut found = api::parse_documents(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let resource = found.remove(0).value;
    let references = References {
        place: Place::Account(AccountPlace {
            id: resource.id(),
            key: Entry::OperatorSeed,
        }),
        stream: Some("S".to_owned()),
        exporters: Vec::new(),
        max_ack_pending: Some(40),
    };
    validate(&resource, references)
}

fn asset(kind: &str, spec: &str) -> ValidatedAsset {
    match read(kind, "a", spec) {
        Ok(Validated::Asset(asset)) => asset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_only_servers_would_refuse_is_refused_early() {
    let check = |kind: &str, name: &str, spec: &str, field: &str| {
        let error = read(kind, name, spec).expect_err(spec);
        assert_eq!(error.field, field, "{error}");
    };
    check(
        "Stream",
        "a",
        "duplicateWindow: 2h\nlimits: {maxAge: 1h}",
        "duplicateWindow",
    );
    check("Stream", "a", "limits: {maxAge: 99ms}", "limits.maxAge");
    check(
        "Stream",
        "a",
        "limits: {maxMessageSize: 2Gi}",
        "limits.maxMessageSize",
    );
    let marker = "allow: {messageTTL: true, rollup: true}\nsubjectDeleteMarkerTTL: 999ms";
    check("Stream", "a", marker, "subjectDeleteMarkerTTL");
    check("KVBucket", "a.b", "history: 1", "bucket");
    check("KVBucket", "a", "limitMarkerTTL: 10ms", "limitMarkerTTL");
    check("Consumer", "a.b", "streamName: S", "name");
    check(
        "Consumer",
        "a",
        "streamName: S\nack: {wait: 0s}",
        "ack.wait",
    );
    check("User", "a", "expiresAfter: 59s", "expiresAfter");
    check(
        "User",
        "a",
        "expiresAfter: 1h\nrotateBefore: 1h",
        "rotateBefore",
    );
}

/// Clients of NATS make just this.
#[test]
fn buckets_are_configured_as_clients_do() {
    let spec = "history: 5\nttl: 1m\nmaxBytes: 1Mi\nmaxValueSize: 2Ki\nlimitMarkerTTL: 30s";
    let bucket = asset("KVBucket", &format!("{spec}\nreplicas: 3"));
    let expected = json!({
        "name": "KV_a", "subjects": ["$KV.a.>"], "description": "", "retention": "limits",
        "storage": "file", "num_replicas": 3, "placement": null, "max_consumers": -1,
        "max_msgs": -1, "max_bytes": 1 << 20, "max_age": 60_000_000_000_u64,
        "max_msg_size": 2048, "max_msgs_per_subject": 5, "discard": "new",
        "duplicate_window": 60_000_000_000_u64, "deny_delete": true, "deny_purge": false,
        "allow_direct": true, "allow_rollup_hdrs": true, "allow_msg_ttl": true,
        "subject_delete_marker_ttl": 30_000_000_000_u64, "republish": null, "metadata": {},
        "compression": null, "mirror": null, "mirror_direct": false, "sources": [],
    });
    assert_eq!(json!(bucket.config.0), expected);
}

/// Clients of NATS make just this.
#[test]
fn copies_of_buckets_are_configured_as_clients_do() {
    let mirror = asset(
        "KVBucket",
        "mirror: {bucket: b, external: {apiPrefix: $JS.hub.API}}",
    )
    .config;
    assert_eq!(mirror.0["subjects"], json!([]));
    assert_eq!(mirror.0["mirror_direct"], true);
    assert_eq!(mirror.0["mirror"]["name"], "KV_b");
    assert_eq!(mirror.0["mirror"]["external"]["api"], "$JS.hub.API");
    let copy = asset("KVBucket", "sources: [{bucket: b}]").config;
    assert_eq!(copy.0["subjects"], json!(["$KV.a.>"]));
    let transforms = json!([{"src": "$KV.b.>", "dest": "$KV.a.>"}]);
    assert_eq!(copy.0["sources"][0]["subject_transforms"], transforms);
}

/// Clients of NATS make just this.
#[test]
fn object_stores_are_configured_as_clients_do() {
    let store = asset("ObjectStore", "ttl: 1h\nmaxBytes: 1Mi\ncompression: s2").config;
    let expected = json!({
        "name": "OBJ_a", "subjects": ["$O.a.C.>", "$O.a.M.>"], "description": "",
        "retention": "limits", "storage": "file", "num_replicas": 1, "placement": null,
        "max_msgs": -1, "max_bytes": 1 << 20, "max_age": 3_600_000_000_000_u64, "discard": "new",
        "deny_delete": false, "deny_purge": false, "allow_direct": true,
        "allow_rollup_hdrs": true, "compression": "s2", "metadata": {},
    });
    assert_eq!(json!(store.0), expected);
}

#[test]
fn every_field_that_is_compared_is_decided() {
    for (kind, spec) in [
        ("Stream", "replicas: 1"),
        ("KVBucket", "replicas: 1"),
        ("ObjectStore", "replicas: 1"),
        ("Consumer", "streamName: S"),
    ] {
        let mut asset = asset(kind, spec);
        complete_consumer(&mut asset, &Config::default());
        for field in asset.fields {
            assert!(
                asset.config.0.contains_key(field.api),
                "{kind} {}",
                field.api
            );
        }
    }
}

#[test]
fn consumers_inherit_ceilings() {
    let check = |spec: &str, stream: Value, pending: u64, threshold: u64| {
        let mut consumer = asset("Consumer", &format!("streamName: S\n{spec}"));
        let stream = stream.as_object().expect("an object").clone();
        complete_consumer(&mut consumer, &Config::from_map(&stream));
        let config = &consumer.config.0;
        assert_eq!(config["max_ack_pending"], pending, "{spec}");
        assert_eq!(config["inactive_threshold"], threshold, "{spec}");
    };
    let limits = json!({"consumer_limits": {"max_ack_pending": 7, "inactive_threshold": 9}});
    check("replicas: 1", json!({}), 40, 0);
    check("replicas: 1", limits.clone(), 7, 9);
    check(
        "ack: {maxPending: 5}\ninactiveThreshold: 3ns",
        limits.clone(),
        5,
        3,
    );
    check("ack: {policy: none}", limits, 0, 9);
}
