mod sources;

use super::*;
use crate::config::{ConsumerLimits, Discard, Retention, Storage};
use crate::consumer::ConsumerConfig;

fn parsed(fields: &str) -> StreamConfig {
    serde_json::from_str(&format!("{{\"name\":\"Z\",{fields}}}")).unwrap()
}

fn create(fields: &str) -> Result<StreamConfig, ApiError> {
    validate_create(&parsed(fields), &Context::default())
}

#[test]
fn an_empty_configuration_gets_the_defaults() {
    let config = create("\"description\":\"\"").unwrap();
    let json = serde_json::to_string(&config).unwrap();
    let expected = concat!(
        r#"{"name":"Z","subjects":["Z"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"#,
        r#""max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"#,
        r#""discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000,"#,
        r#""compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,"#,
        r#""deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"#,
        r#""consumer_limits":{},"allow_msg_ttl":false,"metadata":{"_nats.req.level":"0"}}"#
    );
    assert_eq!(json, expected);
    assert_eq!(
        validate_create(&config, &Context::default()).unwrap(),
        config
    );
}

#[test]
fn wrong_configurations_are_refused_with_the_server_s_words() {
    let cases = [
        (r#""max_age":5"#, 10052, "max age needs to be >= 100ms"),
        (r#""max_age":-5"#, 10052, "max age can not be negative"),
        (
            r#""max_age":1000000000,"duplicate_window":2000000000"#,
            10052,
            "duplicates window can not be larger then max age",
        ),
        (
            r#""duplicate_window":5"#,
            10052,
            "duplicates window needs to be >= 100ms",
        ),
        (
            r#""duplicate_window":-5"#,
            10052,
            "duplicates window can not be negative",
        ),
        (
            r#""subjects":["a.*","a.b"]"#,
            10052,
            r#"subject "a.*" overlaps with "a.b""#,
        ),
        (
            r#""subjects":["zz","zz"]"#,
            10052,
            r#"subject "zz" overlaps with "zz""#,
        ),
        (r#""subjects":["a..b"]"#, 10052, "invalid subject"),
        (
            r#""subjects":[">"]"#,
            10052,
            "capturing all subjects requires no-ack to be true",
        ),
        (
            r#""subjects":["$JS.API.>"]"#,
            10052,
            "subjects that overlap with jetstream api require no-ack to be true",
        ),
        (
            r#""subjects":["$SYS.>"]"#,
            10052,
            "subjects that overlap with system api require no-ack to be true",
        ),
        (r#""num_replicas":7"#, 10052, "maximum replicas is 5"),
        (
            r#""num_replicas":-1"#,
            10133,
            "replicas count cannot be negative",
        ),
        (
            r#""num_replicas":3"#,
            10074,
            "replicas > 1 not supported in non-clustered mode",
        ),
        (
            r#""republish":{"src":"","dest":"Z"}"#,
            10052,
            "stream configuration for republish destination forms a cycle",
        ),
        (
            r#""republish":{"src":">","dest":"x"}"#,
            10052,
            "stream configuration for republish with transform from '>' to 'x' not valid",
        ),
        (
            r#""placement":{"preferred":"n1"}"#,
            10052,
            "preferred server not permitted in placement",
        ),
        (
            r#""discard_new_per_subject":true"#,
            10052,
            "discard new per subject requires discard new policy to be set",
        ),
        (
            r#""discard_new_per_subject":true,"discard":"new""#,
            10052,
            "discard new per subject requires max msgs per subject > 0",
        ),
        (
            r#""deny_purge":true,"allow_rollup_hdrs":true"#,
            10052,
            "roll-ups require the purge permission",
        ),
        (
            r#""subject_delete_marker_ttl":5"#,
            10052,
            "subject delete marker TTL must be at least 1 second",
        ),
        (
            r#""subject_transform":{"src":"a","dest":"b.*"}"#,
            10156,
            "stream transform: invalid subject",
        ),
        (
            r#""subject_transform":{"src":"a..b","dest":"b"}"#,
            10155,
            "stream transform source: invalid subject a..b",
        ),
        (
            r#""subject_transform":{"src":"a.*","dest":"b.{{foo(1)}}"}"#,
            10156,
            "stream transform: invalid mapping destination: unknown function in {{foo(1)}}",
        ),
        (
            r#""subject_transform":{"src":"a.*","dest":"b.{{wildcard(2)}}"}"#,
            10156,
            "stream transform: invalid mapping destination: wildcard index out of range in \
             {{wildcard(2)}}: [2]",
        ),
        (
            r#""mirror_direct":true"#,
            10052,
            "stream has no mirror but does have mirror direct",
        ),
        (
            r#""sealed":true"#,
            10052,
            "stream configuration for create can not be sealed",
        ),
    ];
    for (fields, err_code, description) in cases {
        let error = create(fields).unwrap_err();
        assert_eq!(
            (error.err_code, &*error.description),
            (err_code, description),
            "{fields}"
        );
    }
}

#[test]
fn schedules_bring_rollups_and_purges() {
    let config = create(r#""allow_msg_schedules":true,"deny_purge":true"#).unwrap();
    assert!(config.allow_rollup_hdrs);
    assert!(!config.deny_purge);
    let error = create(r#""allow_msg_schedules":true,"discard":"new""#).unwrap_err();
    assert_eq!(
        &*error.description,
        "message scheduling cannot use discard new"
    );
}

#[test]
fn names_are_checked() {
    let named = |name: &str| {
        let config = StreamConfig {
            name: name.to_owned(),
            ..StreamConfig::default()
        };
        validate_create(&config, &Context::default()).map_err(|error| error.err_code)
    };
    for name in ["", "a.b", "a b", "*", ">", "a\tb"] {
        assert_eq!(named(name), Err(10052), "{name:?}");
    }
    assert_eq!(named("a/b"), Err(10128));
    assert_eq!(named("a\\b"), Err(10128));
    assert_eq!(named(&"x".repeat(256)), Err(10052));
    assert!(named(&"x".repeat(255)).is_ok());
}

#[test]
fn pedantic_requests_are_not_corrected() {
    let context = Context {
        pedantic: true,
        ..Context::default()
    };
    let error = validate_create(&parsed(r#""max_msgs":-7"#), &context).unwrap_err();
    assert_eq!(error, ApiError::pedantic("max_msgs must be set to -1"));
    assert_eq!(create(r#""max_msgs":-7"#).unwrap().max_msgs, -1);
}

#[test]
fn limits_of_the_server_and_the_account_apply() {
    let limits = Limits {
        max_duplicate_window_ns: 1_000_000_000,
        max_bytes_required: true,
        store_max_stream_bytes: 100,
        ..Limits::default()
    };
    let context = Context {
        limits,
        ..Context::default()
    };
    let check = |fields: &str| validate_create(&parsed(fields), &context);
    assert_eq!(
        check(r#""max_msgs":1"#),
        Err(ApiError::STREAM_MAX_BYTES_REQUIRED)
    );
    assert_eq!(
        check(r#""max_bytes":101"#),
        Err(ApiError::STREAM_MAX_STREAM_BYTES_EXCEEDED)
    );
    assert_eq!(
        check(r#""max_bytes":100"#).unwrap().duplicate_window_ns,
        1_000_000_000
    );
    let error = check(r#""max_bytes":1,"duplicate_window":2000000000"#).unwrap_err();
    assert_eq!(
        error.description,
        "duplicates window can not be larger then server limit of 1s"
    );
}

#[test]
fn subjects_of_other_streams_are_taken() {
    let other = StreamSubjects {
        name: "T".to_owned(),
        subjects: vec!["t.*".to_owned()],
        ..StreamSubjects::default()
    };
    let context = Context {
        streams: vec![other],
        ..Context::default()
    };
    let check = |fields: &str| validate_create(&parsed(fields), &context);
    assert_eq!(
        check(r#""subjects":["t.a"]"#),
        Err(ApiError::STREAM_SUBJECT_OVERLAP)
    );
    assert!(check(r#""subjects":["t"]"#).is_ok());
}

#[test]
fn some_things_can_not_be_changed() {
    let old = create(r#""deny_delete":true,"deny_purge":true,"allow_msg_ttl":true"#).unwrap();
    let base = old.clone();
    let cases = [
        (
            StreamConfig {
                name: "Y".to_owned(),
                ..base.clone()
            },
            "stream configuration name must match original",
        ),
        (
            StreamConfig {
                storage: Storage::Memory,
                ..base.clone()
            },
            "stream configuration update can not change storage type",
        ),
        (
            StreamConfig {
                retention: Retention::WorkQueue,
                ..base.clone()
            },
            "stream configuration update can not change retention policy to/from workqueue",
        ),
        (
            StreamConfig {
                deny_delete: false,
                ..base.clone()
            },
            "stream configuration update can not cancel deny message deletes",
        ),
        (
            StreamConfig {
                deny_purge: false,
                ..base.clone()
            },
            "stream configuration update can not cancel deny purge",
        ),
        (
            StreamConfig {
                allow_msg_ttl: false,
                ..base.clone()
            },
            "message TTL status can not be disabled",
        ),
    ];
    for (new, description) in cases {
        let error = validate_update(&old, &new, &Context::default()).unwrap_err();
        assert_eq!(error, ApiError::stream_invalid_config(description));
    }
    let interest = StreamConfig {
        retention: Retention::Interest,
        ..base
    };
    assert!(validate_update(&old, &interest, &Context::default()).is_ok());
}

#[test]
fn sealing_closes_a_stream_for_good() {
    let old = create(r#""max_age":1000000000,"allow_rollup_hdrs":true"#).unwrap();
    let sealing = StreamConfig {
        sealed: true,
        ..old.clone()
    };
    let sealed = validate_update(&old, &sealing, &Context::default()).unwrap();
    assert_eq!((sealed.max_age_ns, sealed.discard), (0, Discard::New));
    assert!(sealed.deny_delete && sealed.deny_purge && !sealed.allow_rollup_hdrs);
    let open = StreamConfig {
        sealed: false,
        ..sealed.clone()
    };
    let error = validate_update(&sealed, &open, &Context::default()).unwrap_err();
    assert_eq!(
        error.description,
        "stream configuration update can not unseal a sealed stream"
    );
}

#[test]
fn limits_for_consumers_may_not_be_below_what_consumers_use() {
    let consumer = |max_ack_pending, inactive_threshold_ns| ConsumerConfig {
        max_ack_pending,
        inactive_threshold_ns,
        ..ConsumerConfig::default()
    };
    let (few, many, brief) = (consumer(10, 0), consumer(1000, 0), consumer(10, 3));
    let consumers = [("few", &few), ("many", &many), ("brief", &brief)];
    let check = |max_ack_pending, inactive_threshold_ns| {
        let limits = ConsumerLimits {
            max_ack_pending,
            inactive_threshold_ns,
        };
        check_consumers(&limits, consumers.into_iter()).map_err(|error| error.description)
    };
    assert_eq!(check(0, 0), Ok(()));
    assert_eq!(check(1000, 3), Ok(()));
    let refusal = |names| Err(format!("change to limits violates consumers: {names}").into());
    assert_eq!(check(10, 0), refusal("many"));
    assert_eq!(check(10, 2), refusal("many, brief"));
}
