use serde_json::json;

use super::*;
use crate::owner::OwnerId;

fn config(value: Value) -> Config {
    Config::from_map(value.as_object().expect("an object"))
}

fn differing(fields: &'static [Field], desired: Value, observed: Value) -> Vec<&'static str> {
    let differences = compare(&config(desired), &config(observed), fields);
    differences.iter().map(|found| found.field.api).collect()
}

#[test]
fn values_that_mean_the_same_do_not_differ() {
    let same = |fields, desired: Value, observed: Value| {
        assert_eq!(differing(fields, desired, observed), Vec::<&str>::new());
    };
    same(
        STREAM_FIELDS,
        json!({"max_msgs": -1}),
        json!({"max_msgs": 0}),
    );
    same(STREAM_FIELDS, json!({"max_bytes": -1}), json!({}));
    same(
        STREAM_FIELDS,
        json!({"subjects": ["a", "b"]}),
        json!({"subjects": ["b", "a"]}),
    );
    same(
        STREAM_FIELDS,
        json!({"placement": null}),
        json!({"placement": {"tags": []}}),
    );
    let limits = json!({"consumer_limits": {"inactive_threshold": 0, "max_ack_pending": 0}});
    same(STREAM_FIELDS, limits, json!({"consumer_limits": {}}));
    same(
        STREAM_FIELDS,
        json!({"metadata": {"a": "b"}}),
        json!({"metadata": {"a": "b", "_nats.ver": "2.15.2", "weir.dev/owner": "x"}}),
    );
    same(
        STREAM_FIELDS,
        json!({"first_seq": 5}),
        json!({"first_seq": 9}),
    );
    same(STREAM_FIELDS, json!({}), json!({"not_known_here": "s2"}));
    same(
        CONSUMER_FIELDS,
        json!({"filter_subjects": ["a"]}),
        json!({"filter_subject": "a"}),
    );
    let time = |text: &str| json!({ "pause_until": text });
    same(
        CONSUMER_FIELDS,
        time("2030-01-01T00:00:00Z"),
        time("2030-01-01T01:00:00+01:00"),
    );
}

#[test]
fn other_values_differ() {
    let differ = |fields, desired: Value, observed: Value, names: &[&str]| {
        assert_eq!(differing(fields, desired, observed), names);
    };
    differ(
        STREAM_FIELDS,
        json!({"max_age": 5}),
        json!({}),
        &["max_age"],
    );
    differ(
        STREAM_FIELDS,
        json!({}),
        json!({"max_age": 5, "no_ack": true}),
        &["max_age", "no_ack"],
    );
    differ(
        STREAM_FIELDS,
        json!({"metadata": {}}),
        json!({"metadata": {"a": "b"}}),
        &["metadata"],
    );
    differ(
        CONSUMER_FIELDS,
        json!({"backoff": [1, 2]}),
        json!({"backoff": [2, 1]}),
        &["backoff"],
    );
    differ(
        CONSUMER_FIELDS,
        json!({}),
        json!({"filter_subject": "a"}),
        &["filter_subjects"],
    );
}

#[test]
fn differences_are_shown_in_the_words_of_resources() {
    let check = |desired: Value, observed: Value, shown: [&str; 3]| {
        let differences = compare(&config(desired), &config(observed), STREAM_FIELDS);
        let diff = differences[0].shown();
        assert_eq!([&*diff.field, &*diff.observed, &*diff.desired], shown);
    };
    check(
        json!({"max_age": 604_800_000_000_000_u64}),
        json!({"max_age": 0}),
        ["limits.maxAge", "none", "7d"],
    );
    check(
        json!({"max_bytes": 1 << 30}),
        json!({"max_bytes": -1}),
        ["limits.maxBytes", "unlimited", "1Gi"],
    );
    check(
        json!({"no_ack": false}),
        json!({"no_ack": true}),
        ["acknowledgePublishes", "false", "true"],
    );
    check(
        json!({"subjects": ["b", "a"]}),
        json!({}),
        ["subjects", "none", r#"["a","b"]"#],
    );
}

#[test]
fn what_is_sent_resets_what_is_known_and_keeps_the_rest() {
    let desired = config(json!({"name": "S", "max_age": 0, "placement": null}));
    let observed = config(json!({
        "name": "S", "max_age": 5, "max_msgs": 9, "not_known_here": "s2",
        "metadata": {"_nats.ver": "1", "theirs": "x"},
    }));
    let id = api::ResourceId {
        kind: api::Kind::Stream,
        namespace: "default".to_owned(),
        name: "s".to_owned(),
    };
    let mark = OwnerId::new("here").mark(&id);
    let sent = desired.marked(Some(&observed), &mark, STREAM_FIELDS);
    let hash = desired.hash(STREAM_FIELDS);
    let expected = json!({
        "name": "S", "max_age": 0, "not_known_here": "s2",
        "metadata": {"weir.dev/owner": "Stream/default/s@here", "weir.dev/applied": hash},
    });
    assert_eq!(Value::from(sent.clone()), expected);
    let read = Config::from_map(&sent);
    assert_eq!(read.mark(), Some(mark));
    assert_eq!(read.applied(), Some(hash.as_str()));
}

#[test]
fn the_hash_follows_the_wish_alone() {
    let hash = |value: Value| config(value).hash(STREAM_FIELDS);
    assert_eq!(hash(json!({"max_msgs": 0})), hash(json!({"max_msgs": -1})));
    assert_ne!(hash(json!({"max_msgs": 1})), hash(json!({"max_msgs": -1})));
}
