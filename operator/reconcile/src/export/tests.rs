use std::time::Duration as StdDuration;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{BoxFuture, ready};

use super::*;

/// Answers lists with what it is given.
struct Lists {
    streams: Vec<Value>,
    consumers: Vec<Value>,
}

impl Broker for Lists {
    fn request<'a>(
        &'a self,
        _caller: &'a Caller,
        subject: &'a str,
        payload: Vec<u8>,
        _timeout: StdDuration,
    ) -> BoxFuture<'a, Result<Vec<u8>, RequestError>> {
        let body: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let offset = body["offset"].as_u64().unwrap_or_default() as usize;
        let page = |field: &str, all: &[Value]| {
            let infos = all.iter().map(|config| json!({ "config": config }));
            let page: Vec<Value> = infos.skip(offset).take(2).collect();
            json!({ "total": all.len(), field: page })
        };
        let answer = match subject.trim_start_matches("$JS.API.") {
            "STREAM.LIST" => page("streams", &self.streams),
            "CONSUMER.LIST.ORDERS" => page("consumers", &self.consumers),
            request if request.starts_with("CONSUMER.LIST") => page("consumers", &[]),
            _ => json!({ "config": self.streams[0] }),
        };
        ready(Ok(answer.to_string().into_bytes())).boxed()
    }

    fn forget<'a>(&'a self, _caller: &'a Caller) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

fn exported(streams: Vec<Value>, consumers: Vec<Value>) -> Vec<Exported> {
    let broker = Lists { streams, consumers };
    let export = Export {
        target: Target::Account(AccountRef {
            name: "shop".to_owned(),
            namespace: None,
        }),
        namespace: Some("default".to_owned()),
        domain: None,
    };
    let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    block_on(super::export(&broker, &Caller::Anonymous, &export, now)).expect("it answers")
}

/// As servers answer for a stream with nothing but a name.
fn plain(name: &str, changes: Value) -> Value {
    let mut config = json!({
        "name": name, "subjects": [name], "retention": "limits", "max_consumers": -1,
        "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1,
        "max_msg_size": -1, "discard": "old", "storage": "file", "num_replicas": 1,
        "duplicate_window": 120_000_000_000_u64, "compression": "none", "allow_direct": false,
        "mirror_direct": false, "sealed": false, "deny_delete": false, "deny_purge": false,
        "allow_rollup_hdrs": false, "consumer_limits": {}, "allow_msg_ttl": false,
        "metadata": {"_nats.ver": "2.15.2"},
    });
    for (field, value) in changes.as_object().expect("an object") {
        config[field] = value.clone();
    }
    config
}

fn bucket(name: &str) -> Value {
    let subjects = format!("$KV.{}.>", name.trim_start_matches("KV_"));
    plain(
        name,
        json!({
            "subjects": [subjects], "max_msgs_per_subject": 5, "discard": "new",
            "deny_delete": true, "allow_direct": true, "allow_rollup_hdrs": true,
        }),
    )
}

#[test]
fn streams_and_consumers_come_back_as_they_are() {
    let orders = plain(
        "ORDERS",
        json!({
            "subjects": ["orders.>"], "max_age": 3_600_000_000_000_u64, "num_replicas": 3,
            "duplicate_window": 60_000_000_000_u64, "allow_direct": true,
            "sources": [{"name": "B", "opt_start_time": "2030-01-01T00:00:00Z"}],
            "republish": {"src": ">", "dest": "again.>"},
            "metadata": {"_nats.ver": "2.15.2", "team": "shop"},
        }),
    );
    let consumer = |changes: Value| {
        let mut config = json!({
            "durable_name": "shipping", "name": "shipping", "deliver_policy": "all",
            "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64, "max_deliver": -1,
            "replay_policy": "instant", "max_waiting": 512, "max_ack_pending": 1000,
            "num_replicas": 0, "filter_subject": "orders.placed",
        });
        for (field, value) in changes.as_object().expect("an object") {
            config[field] = value.clone();
        }
        config
    };
    let consumers = vec![
        consumer(json!({})),
        consumer(json!({
            "durable_name": "push", "name": "push", "deliver_subject": "to", "max_waiting": 0,
            "deliver_policy": "by_start_sequence", "opt_start_seq": 5,
            "backoff": [1_000_000_000_u64, 5_000_000_000_u64], "ack_wait": 1_000_000_000_u64,
        })),
        consumer(json!({"durable_name": "", "name": "ephemeral"})),
    ];
    let found = exported(vec![orders], consumers);
    let lost: Vec<&String> = found.iter().flat_map(|found| &found.lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let kinds: Vec<(Kind, &str)> = found
        .iter()
        .map(|one| (one.kind, one.found.as_str()))
        .collect();
    let consumer = Kind::Consumer;
    assert_eq!(
        kinds,
        [
            (Kind::Stream, "ORDERS"),
            (consumer, "shipping"),
            (consumer, "push")
        ]
    );
    let stream = &found[0].document;
    assert_eq!(
        stream["metadata"],
        json!({"name": "orders", "namespace": "default"})
    );
    let spec = &stream["spec"];
    assert_eq!(spec["limits"], json!({"maxAge": "1h"}));
    assert_eq!(spec["metadata"], json!({"team": "shop"}));
    assert!(spec.get("retention").is_none());
    assert_eq!(found[1].document["spec"]["streamRef"]["name"], "orders");
}

#[test]
fn buckets_are_told_from_streams_that_are_only_called_so() {
    let store = plain(
        "OBJ_files",
        json!({
            "subjects": ["$O.files.C.>", "$O.files.M.>"], "discard": "new",
            "allow_direct": true, "allow_rollup_hdrs": true,
        }),
    );
    let found = exported(
        vec![bucket("KV_a"), store, plain("KV_b", json!({}))],
        Vec::new(),
    );
    let kinds: Vec<Kind> = found.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::KVBucket, Kind::ObjectStore, Kind::Stream]);
    assert_eq!(found[0].document["spec"]["history"], 5);
    assert!(found.iter().all(|found| found.lost.is_empty()), "{found:?}");
}

#[test]
fn names_fit_and_differ() {
    let found = exported(
        vec![
            plain("a_b", json!({})),
            plain("A-B", json!({})),
            plain("___", json!({})),
        ],
        Vec::new(),
    );
    let names: Vec<&Value> = found
        .iter()
        .map(|one| &one.document["metadata"]["name"])
        .collect();
    assert_eq!(names, ["a-b", "a-b-2", "unnamed"]);
    assert_eq!(found[1].document["spec"]["name"], "A-B");
}

#[test]
fn what_a_resource_can_not_say_is_told() {
    let odd = plain(
        "odd",
        json!({"placement": {"cluster": "c", "preferred": "server"}}),
    );
    let found = exported(vec![odd], Vec::new());
    assert_eq!(found[0].lost, ["placement"]);
}
