use super::*;
use crate::{Duration, Quantity};

const ACCOUNT: &str = "apiVersion: weir.dev/v1alpha1\nkind: Account\nmetadata: {name: shop}\n";

/// A document of one kind with these lines of spec.
fn document(kind: &str, spec: &str) -> String {
    let spec = spec.trim_matches('\n').replace('\n', "\n  ");
    format!("apiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {spec}\n")
}

fn stream(spec: &str) -> String {
    document("Stream", &format!("accountRef: {{name: shop}}\n{spec}"))
}

fn consumer(spec: &str) -> String {
    document(
        "Consumer",
        &format!("accountRef: {{name: shop}}\nstreamName: S\n{spec}"),
    )
}

fn read_one(yaml: &str) -> Resource {
    let mut resources = parse_documents(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(resources.len(), 1);
    resources.remove(0).value
}

/// The file is refused for this one reason, at this line.
fn refused(yaml: &str, line: usize, field: &str, message: &str) {
    let problems = parse_documents(yaml).expect_err(yaml);
    let problem = &problems[0];
    let shown = format!("{problem}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        (problem.position.line, problem.field.as_str()),
        (line, field),
        "{shown}"
    );
    assert!(problem.message.contains(message), "{shown}");
}

#[test]
fn example_files_are_valid() {
    let orders = include_str!("../../../../examples/orders.yaml");
    let resources = parse_documents(orders).unwrap_or_else(|problems| panic!("{problems:?}"));
    let ids: Vec<String> = resources
        .iter()
        .map(|found| found.value.id().to_string())
        .collect();
    assert_eq!(ids.len(), 6);
    assert_eq!(ids[0], "Account/default/shop");
    assert_eq!(resources[0].position.line, 3);
    let stream = resources.iter().find_map(|found| match &found.value {
        Resource::Stream(stream) => Some(stream),
        _ => None,
    });
    let stream = stream.expect("a stream");
    let limits = stream.spec.limits.clone().unwrap_or_default();
    assert_eq!(stream.stream_name(), "ORDERS");
    assert_eq!(limits.max_age, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(limits.max_bytes, Some(Quantity::from_bytes(256 << 20)));
}

#[test]
fn defaults_are_filled_in() {
    let Resource::Consumer(consumer) = read_one(&consumer("")) else {
        panic!("a consumer");
    };
    assert_eq!(
        consumer.spec.ack.policy,
        crate::consumer::AckPolicy::Explicit
    );
    assert_eq!(consumer.consumer_name(), "a");
    let Resource::Stream(stream) = read_one(&stream("")) else {
        panic!("a stream");
    };
    assert_eq!(
        (stream.spec.replicas, stream.spec.acknowledge_publishes),
        (1, true)
    );
    assert_eq!(stream.stream_name(), "a");
}

#[test]
fn files_may_have_comments_and_empty_documents() {
    let yaml = format!("# a file\n---\n---\n# one\n{ACCOUNT}spec: {{}}\n---\n");
    let resources = parse_documents(&yaml).expect("a valid file");
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0].position.line, 5);
    assert!(parse_documents("").expect("an empty file").is_empty());
}

#[test]
fn faults_of_form_are_placed() {
    refused("a: [", 2, "", "did not find expected node content");
    refused(
        &format!("{ACCOUNT}spec: {{}}\n---\na: b: c\n"),
        6,
        "",
        "mapping values are not allowed",
    );
    refused("- a", 1, "", "starts with apiVersion");
    refused(
        "apiVersion: v1\nkind: Pod",
        1,
        "apiVersion",
        "write weir.dev/v1alpha1",
    );
    refused("kind: Stream", 1, "apiVersion", "is missing");
    let kind = ACCOUNT.replace("Account", "Acount");
    refused(&kind, 2, "kind", "did you mean \"Account\"?");
    refused(ACCOUNT, 1, "spec", "is missing");
    let twice = format!("{ACCOUNT}spec: {{}}\n---\n{ACCOUNT}spec: {{}}\n");
    refused(
        &twice,
        8,
        "metadata.name",
        "line 1 already has this resource",
    );
    let name = ACCOUNT.replace("shop", "My_Shop");
    refused(
        &format!("{name}spec: {{}}"),
        3,
        "metadata.name",
        "small letters",
    );
}

#[test]
fn unknown_fields_are_refused_with_a_hint() {
    refused(
        &stream("limits: {maxage: 7d}"),
        6,
        "spec.limits.maxage",
        "did you mean \"maxAge\"?",
    );
    refused(
        &stream("subject: [a]"),
        6,
        "spec.subject",
        "did you mean \"subjects\"?",
    );
    refused(
        &format!("{ACCOUNT}spec: {{}}\nspecs: 1\n"),
        5,
        "specs",
        "did you mean \"spec\"?",
    );
    let metadata = ACCOUNT.replace("name: shop", "name: shop, label: {}");
    refused(
        &format!("{metadata}spec: {{}}"),
        3,
        "metadata.label",
        "did you mean \"labels\"?",
    );
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let field = |spec: &str, field: &str, message: &str| {
        refused(&stream(spec), 6, &format!("spec.{field}"), message);
    };
    field("replicas: three", "replicas", "not a whole number");
    field("replicas: 1.5", "replicas", "not a whole number");
    field("replicas: 9", "replicas", "above 5");
    field("replicas: 0", "replicas", "below 1");
    field("limits: {maxAge: 7}", "limits.maxAge", "not a text");
    field("limits: {maxAge: 7 days}", "limits.maxAge", "such as 7d");
    field(
        "limits: {maxBytes: 1GB}",
        "limits.maxBytes",
        "such as 1000, 256Mi",
    );
    field(
        "limits: {maxBytes: -1}",
        "limits.maxBytes",
        "such as 1000, 256Mi",
    );
    field("limits: {maxMessages: 0}", "limits.maxMessages", "below 1");
    field("limits:", "limits", "has no value");
    field("sealed: 1", "sealed", "true or false");
    field("subjects: a", "subjects", "a list");
    field("subjects: [a, 'b c']", "subjects[1]", "pattern");
    field(
        "retention: workQueue",
        "retention",
        "did you mean \"workqueue\"?",
    );
    field("name: a.b", "name", "pattern");
    field("metadata: {a: 1}", "metadata.a", "quotes");
    let time = consumer("pauseUntil: tomorrow");
    refused(&time, 7, "spec.pauseUntil", "2030-01-31T12:00:00Z");
    // The pattern allows what does not fit into 64 bits.
    refused(&stream("limits: {maxAge: 999999d}"), 1, "", "too long");
}

#[test]
fn rules_are_judged_as_api_servers_do() {
    let of_stream = |spec: &str, message: &str| {
        let problems = parse_documents(&stream(spec)).expect_err(spec);
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains(message)),
            "{problems:?}"
        );
    };
    for (kind, also) in [
        ("Stream", ""),
        ("KVBucket", ""),
        ("ObjectStore", ""),
        ("Consumer", "streamName: S"),
    ] {
        let nowhere = document(kind, &format!("description: d\n{also}"));
        refused(&nowhere, 4, "spec", "set exactly one of accountRef");
        let twice =
            format!("accountRef: {{name: a}}\nconnection: {{servers: ['nats://a:4222']}}\n{also}");
        refused(&document(kind, &twice), 4, "spec", "exactly one");
    }
    of_stream("discard: {perSubject: true}", "discard.policy: new");
    of_stream(
        "mirror: {name: A}\nsubjects: [a]",
        "remove subjects and sources",
    );
    of_stream(
        "sources: [{name: A, startSequence: 1, startTime: '2030-01-01T00:00:00Z'}]",
        "startSequence or startTime, not both",
    );
    of_stream("persistMode: async\nreplicas: 3", "needs one replica");
    of_stream("allow: {schedules: true}", "needs allow.rollup");
    of_stream(
        "discard: {perSubject: true, policy: new}",
        "limits.maxMessagesPerSubject",
    );
    of_stream("denyPurge: true\nallow: {rollup: true}", "remove denyPurge");
    of_stream("subjectDeleteMarkerTTL: 1m", "allow.messageTTL");
    of_stream("metadata: {weir.dev/owner: me}", "choose another key");
    let of_consumer = |spec: &str, message: &str| {
        let problems = parse_documents(&consumer(spec)).expect_err(spec);
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains(message)),
            "{problems:?}"
        );
    };
    of_consumer("streamRef: {name: s}", "exactly one of streamRef");
    of_consumer("type: Push", "push.subject");
    of_consumer("push: {subject: a}", "type Pull takes no push");
    of_consumer(
        "type: Push\npush: {subject: a, flowControl: true}",
        "push.heartbeat",
    );
    of_consumer("deliver: {startSequence: 5}", "byStartSequence");
    of_consumer("deliver: {policy: byStartTime}", "startTime");
    of_consumer("ack: {wait: 1s, backoff: [1s]}", "ack.backoff replaces");
    of_consumer("ack: {maxDeliver: 1, backoff: [1s, 2s]}", "ack.maxDeliver");
    of_consumer("ack: {policy: none, wait: 1s}", "ack.policy: none");
    let user = document("User", "accountRef: {name: shop}\nrotateBefore: 1h");
    refused(&user, 4, "spec", "rotateBefore needs expiresAfter");
    let user = document(
        "User",
        "accountRef: {name: shop}\npermissions: {publish: {}}",
    );
    refused(
        &user,
        6,
        "spec.permissions.publish",
        "leave the whole block out",
    );
    let import = document("Account", "imports: [{subject: a}]");
    refused(&import, 5, "spec.imports[0]", "exactly one of accountRef");
    let export = document("Account", "exports: [{subject: a, responseType: Stream}]");
    refused(&export, 5, "spec.exports[0]", "set type: Service");
    let account = document("Account", "jetstreamLimits: {streams: 5}");
    refused(&account, 5, "spec.jetstreamLimits", "fileStore: 1Gi");
}

#[test]
fn what_servers_can_not_change_is_refused() {
    let change = |old: &str, new: &str, message: &str| {
        let failures = read_one(new).check_rules(Some(&read_one(old)));
        match message {
            "" => assert_eq!(failures, []),
            message => assert!(failures[0].message.contains(message), "{failures:?}"),
        }
    };
    let of_stream = |old: &str, new: &str, message| change(&stream(old), &stream(new), message);
    of_stream("", "replicas: 3\nlimits: {maxAge: 1d}", "");
    of_stream("retention: limits", "retention: interest", "");
    of_stream(
        "retention: limits",
        "retention: workqueue",
        "move the messages",
    );
    of_stream("storage: file", "storage: memory", "storage is fixed");
    of_stream("name: A", "name: B", "can not rename");
    of_stream("name: A", "", "can not rename");
    of_stream("denyDelete: true", "", "denyDelete can not be taken back");
    of_stream(
        "allow: {messageTTL: true}",
        "",
        "messageTTL can not be taken back",
    );
    of_stream(
        "sealed: true",
        "sealed: false",
        "sealed can not be taken back",
    );
    of_stream("", "firstSequence: 9", "firstSequence counts");
    of_stream("", "mirror: {name: A}", "mirror can only be removed");
    of_stream("mirror: {name: A}", "mirror: {name: B}", "only be removed");
    of_stream("mirror: {name: A}", "", "");
    of_stream("", "persistMode: async", "persistMode is fixed");
    of_stream("", "allow: {counters: true}", "counters is fixed");
    of_stream("", "allow: {direct: true}", "");
    of_stream("", "domain: hub", "domain is fixed");
    change(
        &stream(""),
        &document("Stream", "accountRef: {name: other}"),
        "accountRef is fixed",
    );
    let of_consumer =
        |old: &str, new: &str, message| change(&consumer(old), &consumer(new), message);
    of_consumer("", "ack: {wait: 1m}\nfilterSubjects: [a]", "");
    of_consumer(
        "ack: {policy: explicit}",
        "ack: {policy: all}",
        "ack.policy is fixed",
    );
    of_consumer("", "deliver: {policy: new}", "deliver is fixed");
    of_consumer("", "priority: {policy: overflow, groups: [a]}", "");
    of_consumer("", "pull: {maxBatch: 5}", "");
    of_consumer("", "pull: {maxWaiting: 5}", "pull.maxWaiting is fixed");
    of_consumer("", "pull: {maxWaiting: 512}", "");
    of_consumer("", "type: Push\npush: {subject: a}", "type is fixed");
    of_consumer("", "memoryStorage: true", "memoryStorage is fixed");
    let bucket = |spec: &str| document("KVBucket", &format!("accountRef: {{name: shop}}\n{spec}"));
    change(&bucket("history: 1"), &bucket("history: 9"), "");
    change(
        &bucket("bucket: a"),
        &bucket("bucket: b"),
        "bucket is fixed",
    );
    change(&bucket("limitMarkerTTL: 1m"), &bucket(""), "not removed");
    change(&bucket("mirror: {bucket: a}"), &bucket(""), "");
    change(
        &bucket(""),
        &bucket("mirror: {bucket: a}"),
        "only be removed",
    );
    let store = |spec: &str| {
        document(
            "ObjectStore",
            &format!("accountRef: {{name: shop}}\n{spec}"),
        )
    };
    change(&store("bucket: a"), &store("bucket: b"), "bucket is fixed");
    change(&store("ttl: 1d"), &store("ttl: 2d"), "");
}

#[test]
fn every_pattern_of_a_schema_compiles() {
    fn check(schema: &Value, seen: &mut usize) {
        if let Some(pattern) = schema["pattern"].as_str() {
            *seen += 1;
            assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
        }
        match schema {
            Value::Object(fields) => fields.values().for_each(|field| check(field, seen)),
            Value::Array(items) => items.iter().for_each(|item| check(item, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    for kind in Kind::ALL {
        check(&crds::schema(kind), &mut seen);
    }
    assert!(seen > 20);
}

proptest::proptest! {
    #[test]
    fn no_file_panics(yaml in "[-a-z:{}\\[\\] \n#'\"&*!|>0-9]*") {
        let _ = parse_documents(&yaml);
    }
}
