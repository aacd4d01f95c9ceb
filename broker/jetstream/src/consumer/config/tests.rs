use super::*;

use crate::config::{ConsumerLimits, Retention, StreamConfig};
use crate::error::ApiError;
use crate::json;

fn stream(retention: Retention) -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: vec!["s.>".to_owned()],
        num_replicas: 1,
        max_consumers: -1,
        retention,
        ..StreamConfig::default()
    }
}

/// Reads the JSON of a consumer named `C`, and judges it as a new consumer of the stream.
fn create_on(
    stream: &StreamConfig,
    others: &[&ConsumerConfig],
    text: &str,
) -> Result<ConsumerConfig, ApiError> {
    let mut config: ConsumerConfig = json::parse(text.as_bytes())?;
    if config.consumer_name().is_empty() {
        config.name = "C".to_owned();
    }
    let facts = StreamFacts {
        config: stream,
        consumer_count: others.len() as u64,
        others,
    };
    validate_create(config, &facts, &CreateLimits::default())
}

fn create(text: &str) -> Result<ConsumerConfig, ApiError> {
    create_on(&stream(Retention::Limits), &[], text)
}

#[test]
fn defaults_are_those_that_clients_read_back() {
    let cases = [
        (
            r#"{"durable_name":"D1","ack_policy":"explicit"}"#,
            concat!(
                r#"{"durable_name":"D1","name":"D1","deliver_policy":"all","ack_policy":"explicit","#,
                r#""ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","#,
                r#""max_waiting":512,"max_ack_pending":1000,"num_replicas":0,"#,
                r#""metadata":{"_nats.level":"5","_nats.req.level":"0","_nats.ver":"2.15.2"}}"#,
            ),
        ),
        (
            r#"{"name":"E1","ack_policy":"none"}"#,
            concat!(
                r#"{"name":"E1","deliver_policy":"all","ack_policy":"none","max_deliver":-1,"#,
                r#""replay_policy":"instant","max_waiting":512,"inactive_threshold":5000000000,"#,
                r#""num_replicas":0,"#,
                r#""metadata":{"_nats.level":"5","_nats.req.level":"0","_nats.ver":"2.15.2"}}"#,
            ),
        ),
        (
            concat!(
                r#"{"name":"E2","ack_policy":"all","deliver_subject":"x.y","#,
                r#""deliver_policy":"last_per_subject","filter_subject":"s.*"}"#,
            ),
            concat!(
                r#"{"name":"E2","deliver_policy":"last_per_subject","ack_policy":"all","#,
                r#""ack_wait":30000000000,"max_deliver":-1,"filter_subject":"s.*","#,
                r#""replay_policy":"instant","max_ack_pending":1000,"deliver_subject":"x.y","#,
                r#""inactive_threshold":5000000000,"num_replicas":0,"#,
                r#""metadata":{"_nats.level":"5","_nats.req.level":"0","_nats.ver":"2.15.2"}}"#,
            ),
        ),
        (
            concat!(
                r#"{"name":"E3","ack_policy":"explicit","backoff":[1000000000,2000000000],"#,
                r#""max_deliver":5,"pause_until":"2030-01-01T00:00:00Z","#,
                r#""metadata":{"a":"b","_nats.ver":"9","_nats.req.level":"7"}}"#,
            ),
            concat!(
                r#"{"name":"E3","deliver_policy":"all","ack_policy":"explicit","#,
                r#""ack_wait":1000000000,"max_deliver":5,"backoff":[1000000000,2000000000],"#,
                r#""replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"#,
                r#""inactive_threshold":5000000000,"num_replicas":0,"metadata":{"_nats.level":"5","#,
                r#""_nats.req.level":"1","_nats.ver":"2.15.2","a":"b"},"#,
                r#""pause_until":"2030-01-01T00:00:00Z"}"#,
            ),
        ),
    ];
    for (request, expected) in cases {
        let shown = create(request).unwrap().with_server_metadata("2.15.2");
        assert_eq!(serde_json::to_string(&shown).unwrap(), expected);
    }
}

#[test]
fn every_mistake_has_its_error() {
    let cases = [
        (
            r#"{"deliver_subject":"x.*"}"#,
            10079,
            "consumer deliver subject has wildcards",
        ),
        (
            r#"{"deliver_subject":"x..y"}"#,
            10112,
            "invalid push consumer deliver subject",
        ),
        (
            r#"{"deliver_subject":"x y"}"#,
            10112,
            "invalid push consumer deliver subject",
        ),
        (
            r#"{"deliver_subject":"s.a"}"#,
            10081,
            "consumer deliver subject forms a cycle",
        ),
        (
            r#"{"deliver_subject":"x","max_waiting":3}"#,
            10080,
            "consumer in push mode can not set max waiting",
        ),
        (
            r#"{"deliver_subject":"x","max_ack_pending":3}"#,
            10082,
            "consumer requires ack policy for max ack pending",
        ),
        (
            r#"{"deliver_subject":"x","idle_heartbeat":5}"#,
            10083,
            "consumer idle heartbeat needs to be >= 100ms",
        ),
        (
            r#"{"deliver_subject":"x","flow_control":true}"#,
            10108,
            "consumer with flow control also needs heartbeats",
        ),
        (
            r#"{"rate_limit_bps":4}"#,
            10086,
            "consumer in pull mode can not have rate limit set",
        ),
        (
            r#"{"idle_heartbeat":1000000000}"#,
            10088,
            "consumer idle heartbeat requires a push based consumer",
        ),
        (
            r#"{"flow_control":true}"#,
            10089,
            "consumer flow control requires a push based consumer",
        ),
        (
            r#"{"max_expires":5}"#,
            10115,
            "consumer max request expires needs to be >= 1ms",
        ),
        (
            r#"{"num_replicas":3}"#,
            10074,
            "replicas > 1 not supported in non-clustered mode",
        ),
        (
            r#"{"num_replicas":-1}"#,
            10133,
            "replicas count cannot be negative",
        ),
        (
            r#"{"backoff":[-1]}"#,
            10184,
            "consumer backoff needs to be positive",
        ),
        (
            r#"{"ack_wait":-1}"#,
            10183,
            "consumer ack wait needs to be positive",
        ),
        (
            r#"{"ack_policy":"explicit","backoff":[1,2,3],"max_deliver":2}"#,
            10116,
            "max deliver is required to be > length of backoff values",
        ),
        (
            r#"{"opt_start_seq":3}"#,
            10094,
            "consumer delivery policy is deliver all, but optional start sequence is also set",
        ),
        (
            r#"{"deliver_policy":"last","opt_start_time":"2020-01-01T00:00:00Z"}"#,
            10094,
            "consumer delivery policy is deliver last, but optional start time is also set",
        ),
        (
            r#"{"deliver_policy":"by_start_sequence"}"#,
            10094,
            "consumer delivery policy is deliver by start sequence, but optional start sequence \
             is not set",
        ),
        (
            r#"{"deliver_policy":"by_start_time","opt_start_time":"2020-01-01T00:00:00Z","opt_start_seq":3}"#,
            10094,
            "consumer delivery policy is deliver by start time, but optional start start sequence \
             is also set",
        ),
        (
            r#"{"deliver_policy":"last_per_subject"}"#,
            10094,
            "consumer delivery policy is deliver last per subject, but optional filter subject \
             is not set",
        ),
        (
            r#"{"sample_freq":"x%"}"#,
            10095,
            "failed to parse consumer sampling configuration: strconv.Atoi: parsing \"x\": \
             invalid syntax",
        ),
        (
            r#"{"filter_subject":"a","filter_subjects":["b"]}"#,
            10136,
            "consumer cannot have both FilterSubject and FilterSubjects specified",
        ),
        (
            r#"{"filter_subjects":["s.a",""]}"#,
            10139,
            "consumer filter in FilterSubjects cannot be empty",
        ),
        (
            r#"{"filter_subjects":["s.*","s.a"]}"#,
            10138,
            "consumer subject filters cannot overlap",
        ),
        (r#"{"filter_subject":"s..a"}"#, 10052, "invalid subject"),
        (
            r#"{"priority_groups":["a"]}"#,
            10196,
            "consumer can not have priority groups when policy is none",
        ),
        (
            r#"{"priority_timeout":5}"#,
            10197,
            "PinnedTTL cannot be set when PriorityPolicy is none",
        ),
        (
            r#"{"priority_policy":"overflow"}"#,
            10159,
            "Setting PriorityPolicy requires at least one PriorityGroup to be set",
        ),
        (
            r#"{"priority_policy":"overflow","priority_groups":["a b"]}"#,
            10162,
            "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters",
        ),
        (
            r#"{"priority_policy":"overflow","priority_groups":[""]}"#,
            10161,
            "Group name cannot be an empty string",
        ),
        (
            r#"{"durable_name":"D","name":"E"}"#,
            10132,
            "Consumer Durable and Name have to be equal if both are provided",
        ),
        (
            r#"{"name":"a.b"}"#,
            10052,
            r"consumer name can not contain '.', '*', '>', '\', '/'",
        ),
        (
            r#"{"ack_policy":"flow_control"}"#,
            10218,
            "flow control ack policy requires a push based consumer",
        ),
        (
            r#"{"ack_policy":"flow_control","deliver_subject":"d","max_ack_pending":-1,"ack_wait":1}"#,
            10220,
            "flow control ack policy requires max ack pending",
        ),
        (
            r#"{"ack_policy":"flow_control","deliver_subject":"d","ack_wait":1,"max_deliver":1}"#,
            10221,
            "flow control ack policy requires unset ack wait",
        ),
        (
            r#"{"ack_policy":"flow_control","deliver_subject":"d","backoff":[1,2],"max_deliver":1}"#,
            10221,
            "flow control ack policy requires unset ack wait",
        ),
        (
            r#"{"ack_policy":"flow_control","deliver_subject":"d","max_deliver":3}"#,
            10222,
            "flow control ack policy requires unset max deliver",
        ),
    ];
    for (request, err_code, description) in cases {
        let error = create(request).expect_err(request);
        assert_eq!(
            (error.err_code, &*error.description),
            (err_code, description),
            "{request}"
        );
    }
}

#[test]
fn whoever_acknowledges_by_flow_control_gets_what_that_needs() {
    let bare = r#"{"ack_policy":"flow_control","deliver_subject":"d"}"#;
    let config = create_on(&stream(Retention::WorkQueue), &[], bare).unwrap();
    assert!(config.flow_control);
    assert_eq!(config.idle_heartbeat_ns, 1_000_000_000);
    assert_eq!((config.ack_wait_ns, config.max_ack_pending), (0, 1000));
    assert_eq!(config.metadata["_nats.req.level"], "4");
    let pedantic = |text: &str| {
        let stream = stream(Retention::Limits);
        let facts = StreamFacts {
            config: &stream,
            consumer_count: 0,
            others: &[],
        };
        let limits = CreateLimits {
            pedantic: true,
            ..CreateLimits::default()
        };
        let config = json::parse(text.as_bytes()).unwrap();
        validate_create(config, &facts, &limits).map_err(|error| error.err_code)
    };
    assert_eq!(pedantic(bare).unwrap_err(), 10219);
    let slow = r#"{"ack_policy":"flow_control","deliver_subject":"d","flow_control":true,"idle_heartbeat":2000000000}"#;
    assert_eq!(pedantic(slow).unwrap_err(), 10052);
}

#[test]
fn a_work_queue_has_one_consumer_for_each_message() {
    let stream = stream(Retention::WorkQueue);
    let filtered = r#"{"ack_policy":"explicit","filter_subject":"s.a"}"#;
    let first = create_on(&stream, &[], filtered).unwrap();
    let cases = [
        (r#"{"ack_policy":"none"}"#, 10084),
        (r#"{"ack_policy":"none","deliver_subject":"x"}"#, 10098),
        (r#"{"ack_policy":"all"}"#, 10098),
        (r#"{"ack_policy":"explicit","deliver_policy":"new"}"#, 10101),
        (r#"{"ack_policy":"explicit"}"#, 10099),
        (r#"{"ack_policy":"explicit","filter_subject":"s.*"}"#, 10100),
    ];
    for (request, err_code) in cases {
        let error = create_on(&stream, &[&first], request).expect_err(request);
        assert_eq!(error.err_code, err_code, "{request}");
    }
    let other = r#"{"ack_policy":"explicit","filter_subject":"s.b"}"#;
    create_on(&stream, &[&first], other).unwrap();
}

#[test]
fn the_stream_limits_its_consumers() {
    let mut stream = stream(Retention::Limits);
    stream.consumer_limits = ConsumerLimits {
        max_ack_pending: 5,
        inactive_threshold_ns: 7_000_000_000,
    };
    let config = create_on(&stream, &[], r#"{"ack_policy":"explicit"}"#).unwrap();
    assert_eq!(
        (config.max_ack_pending, config.inactive_threshold_ns),
        (5, 7_000_000_000)
    );
    for (request, description) in [
        (
            r#"{"ack_policy":"explicit","max_ack_pending":6}"#,
            "consumer max ack pending exceeds system limit of 5",
        ),
        (
            r#"{"ack_policy":"explicit","inactive_threshold":8000000000}"#,
            "consumer inactive threshold exceeds system limit of 7s",
        ),
    ] {
        let error = create_on(&stream, &[], request).unwrap_err();
        assert_eq!(error.description, description);
    }
    stream.max_consumers = 1;
    let error = create_on(&stream, &[&config], "{}").unwrap_err();
    assert_eq!(error, ApiError::MAXIMUM_CONSUMERS_LIMIT);
}

#[test]
fn pedantic_mode_refuses_corrections() {
    let stream = stream(Retention::Limits);
    let facts = StreamFacts {
        config: &stream,
        consumer_count: 0,
        others: &[],
    };
    let limits = CreateLimits {
        pedantic: true,
        ..CreateLimits::default()
    };
    let config = ConsumerConfig {
        max_waiting: -1,
        ..ConsumerConfig::default()
    };
    let error = validate_create(config, &facts, &limits).unwrap_err();
    assert_eq!(
        error.description,
        "pedantic mode: max_waiting must not be negative"
    );
}

#[test]
fn some_things_stay_as_they_were_created() {
    let stream = stream(Retention::Limits);
    let facts = StreamFacts {
        config: &stream,
        consumer_count: 1,
        others: &[],
    };
    let update = |old: &str, new: &str, bound| {
        let new = json::parse(new.as_bytes()).unwrap();
        validate_update(
            &create(old).unwrap(),
            new,
            &facts,
            &CreateLimits::default(),
            bound,
        )
    };
    let old = r#"{"name":"C","ack_policy":"explicit","deliver_policy":"by_start_sequence","opt_start_seq":2}"#;
    let with = |change: &str| old.replace('}', &format!(",{change}}}"));
    for (new, description) in [
        (
            r#"{"name":"C","ack_policy":"explicit"}"#.to_owned(),
            "deliver policy can not be updated",
        ),
        (
            old.replace("explicit", "all"),
            "ack policy can not be updated",
        ),
        (
            old.replace(":2}", ":3}"),
            "start sequence can not be updated",
        ),
        (with(r#""max_waiting":3"#), "max waiting can not be updated"),
        (
            with(r#""mem_storage":true"#),
            "storage type can not be updated",
        ),
        (
            with(r#""deliver_subject":"zz""#),
            "can not update pull consumer to push based",
        ),
        (
            with(r#""replay_policy":"original""#),
            "replay policy can not be updated",
        ),
    ] {
        let error = update(old, &new, false).expect_err(&new);
        assert_eq!((error.err_code, &*error.description), (10012, description));
    }
    let changed = update(
        old,
        &with(r#""max_deliver":7,"filter_subject":"s.b""#),
        false,
    )
    .unwrap();
    assert_eq!((changed.max_deliver, &*changed.filter_subject), (7, "s.b"));

    let push = r#"{"name":"C","deliver_subject":"x"}"#;
    let moved = r#"{"name":"C","deliver_subject":"y"}"#;
    assert_eq!(
        update(push, moved, true),
        Err(ApiError::CONSUMER_NAME_EXIST)
    );
    assert_eq!(update(push, moved, false).unwrap().deliver_subject, "y");
    let error = update(push, r#"{"name":"C"}"#, false).unwrap_err();
    assert_eq!(
        error.description,
        "can not update push consumer to pull based"
    );
}
