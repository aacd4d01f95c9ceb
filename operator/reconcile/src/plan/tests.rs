use api::Resource;
use serde_json::{Value, json};

use super::*;
use crate::dereference::{Place, References};
use crate::owner::OwnerId;
use crate::validate::{Validated, complete_consumer, validate};

const NOW_NS: i128 = 1_800_000_000_000_000_000;

/// A validated asset out of a document with these lines of spec.
fn asset(kind: &str, metadata: &str, spec: &str) -> ValidatedAsset {
    let spec = spec.replace('\n', "\n  ");
    let yaml = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: s{metadata}}}\nspec:\n  \
         accountRef: {{name: shop}}\n  {spec}\n"
    );
    let mut resources =
        api::parse_documents(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let resource: Resource = resources.remove(0).value;
    let references = References {
        place: Place::Connection,
        stream: Some("S".to_owned()),
        exporters: Vec::new(),
        max_ack_pending: None,
    };
    let Ok(Validated::Asset(mut asset)) = validate(&resource, references) else {
        panic!("{yaml}");
    };
    if kind == "Consumer" {
        complete_consumer(&mut asset, &Config::default());
    }
    asset
}

fn stream(spec: &str) -> ValidatedAsset {
    asset("Stream", "", spec)
}

fn consumer(spec: &str) -> ValidatedAsset {
    asset("Consumer", "", &format!("streamName: S\n{spec}"))
}

fn mark_of(wanted: &ValidatedAsset) -> Mark {
    OwnerId::new("here").mark(&wanted.id)
}

/// What the server has after an asset was applied, with some fields changed behind its back.
fn applied(wanted: &ValidatedAsset, change: Value) -> Observed {
    let mut sent = wanted.config.marked(None, &mark_of(wanted), wanted.fields);
    let change = change.as_object().expect("an object").clone();
    for (name, value) in change {
        if name == "metadata" {
            sent.remove("metadata");
        }
        sent.insert(name, value);
    }
    Observed {
        config: Config::from_map(&sent),
        contents: Contents::default(),
    }
}

fn decide(wanted: &ValidatedAsset, observed: &Observed) -> Plan {
    plan(wanted, Some(observed), &mark_of(wanted), NOW_NS)
}

fn fields(plan: &Plan) -> Vec<&str> {
    match plan {
        Plan::Update { diff, .. } | Plan::Blocked { diff, .. } => {
            diff.iter().map(|found| found.field.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

/// The plan is blocked for a reason whose text has these words.
fn blocked(plan: &Plan, words: &str) {
    let Plan::Blocked { reason, .. } = plan else {
        panic!("{plan:?}");
    };
    let text = format!("{reason:?}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn what_is_applied_needs_nothing_more() {
    for wanted in [
        stream("replicas: 3\nlimits: {maxAge: 1d}\nmetadata: {a: b}"),
        stream("sealed: true"),
        asset("KVBucket", "", "history: 5\nttl: 1h\nlimitMarkerTTL: 5m"),
        asset("KVBucket", "", "sources: [{bucket: b}]"),
        asset("ObjectStore", "", "compression: s2"),
        stream("mirror: {name: A, startTime: '2030-01-01T00:00:00Z'}"),
        stream("sources: [{name: B}, {name: A, filterSubject: a}]\nallow: {counters: true}"),
        consumer("priority: {policy: pinnedClient, groups: [a]}"),
        consumer("filterSubjects: [a]\nack: {backoff: [1s, 5s]}"),
        consumer("type: Push\npush: {subject: to, heartbeat: 5s, flowControl: true}"),
        consumer("ack: {policy: none}"),
    ] {
        assert_eq!(plan(&wanted, None, &mark_of(&wanted), NOW_NS), Plan::Create);
        assert_eq!(
            decide(&wanted, &applied(&wanted, json!({}))),
            Plan::Nothing,
            "{wanted:?}"
        );
    }
}

#[test]
fn changes_and_drift_are_told_apart() {
    let before = stream("limits: {maxAge: 1d}");
    let after = stream("limits: {maxAge: 2d}");
    let why = |plan: Plan| match plan {
        Plan::Update { why, diff } => (why, diff.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why(decide(&after, &applied(&before, json!({})))),
        (Why::Wanted, 1)
    );
    let drifted = applied(&before, json!({"max_age": 5}));
    assert_eq!(why(decide(&before, &drifted)), (Why::Drift, 1));
    // A field that is gone from the resource goes back to its default.
    let removed = decide(&stream(""), &applied(&before, json!({})));
    assert_eq!(fields(&removed), ["limits.maxAge"]);
}

#[test]
fn what_nobody_manages_is_adopted_by_policy() {
    let unmanaged = json!({"metadata": {}});
    let different = json!({"metadata": {}, "max_age": 5});
    let decide = |policy: &str, change: &Value| {
        let wanted = stream(&format!("adoptionPolicy: {policy}"));
        decide(&wanted, &applied(&wanted, change.clone()))
    };
    let adopts = |plan: Plan| {
        matches!(
            plan,
            Plan::Update {
                why: Why::Adopted,
                ..
            }
        )
    };
    blocked(&decide("Never", &unmanaged), "Conflict");
    assert!(adopts(decide("IfIdentical", &unmanaged)));
    blocked(&decide("IfIdentical", &different), "adoptionPolicy: Always");
    assert!(adopts(decide("Always", &different)));
}

#[test]
fn what_others_manage_is_never_touched() {
    let owned = json!({"metadata": {"weir.dev/owner": "Stream/default/s@elsewhere"}, "max_age": 5});
    for policy in ["Never", "IfIdentical", "Always"] {
        let wanted = stream(&format!("adoptionPolicy: {policy}\ndeletionPolicy: Delete"));
        let observed = applied(&wanted, owned.clone());
        blocked(
            &decide(&wanted, &observed),
            "belongs to Stream/default/s@elsewhere",
        );
        let deletion = plan_deletion(&wanted, Some(&observed), &mark_of(&wanted));
        assert_eq!(deletion, Plan::Nothing);
    }
}

#[test]
fn management_policies_limit_what_is_done() {
    let observe = stream("managementPolicy: Observe\ndeletionPolicy: Delete");
    let mark = mark_of(&observe);
    blocked(&plan(&observe, None, &mark, NOW_NS), "Missing");
    let same = applied(&observe, json!({"metadata": {}}));
    assert_eq!(decide(&observe, &same), Plan::Nothing);
    blocked(
        &decide(&observe, &applied(&observe, json!({"max_age": 5}))),
        "Policy(Observe)",
    );
    assert_eq!(
        plan_deletion(&observe, Some(&applied(&observe, json!({}))), &mark),
        Plan::Nothing
    );
    let once = stream("managementPolicy: CreateOnly");
    assert_eq!(plan(&once, None, &mark_of(&once), NOW_NS), Plan::Create);
    assert_eq!(decide(&once, &applied(&once, json!({}))), Plan::Nothing);
    blocked(
        &decide(&once, &applied(&once, json!({"max_age": 5}))),
        "Policy(CreateOnly)",
    );
}

#[test]
fn deletion_follows_its_policy() {
    let check = |policy: &str, expected: Plan| {
        let wanted = stream(&format!("deletionPolicy: {policy}"));
        let observed = applied(&wanted, json!({}));
        assert_eq!(
            plan_deletion(&wanted, Some(&observed), &mark_of(&wanted)),
            expected
        );
        let unmanaged = applied(&wanted, json!({"metadata": {}}));
        let nothing = plan_deletion(&wanted, Some(&unmanaged), &mark_of(&wanted));
        assert_eq!(nothing, Plan::Nothing);
        assert_eq!(
            plan_deletion(&wanted, None, &mark_of(&wanted)),
            Plan::Nothing
        );
    };
    check("Delete", Plan::Delete);
    check("Retain", Plan::Nothing);
}

#[test]
fn changes_that_servers_refuse_are_not_tried() {
    let illegal = |wanted: &ValidatedAsset, observed: Value, words: &str| {
        let plan = decide(wanted, &applied(wanted, observed));
        blocked(&plan, "Illegal");
        blocked(&plan, words);
    };
    let plain = stream("");
    illegal(
        &plain,
        json!({"storage": "memory"}),
        "storage is memory on the server and can not become file",
    );
    illegal(&plain, json!({"retention": "workqueue"}), "retention");
    illegal(
        &stream("retention: workqueue"),
        json!({"retention": "limits"}),
        "retention",
    );
    illegal(&plain, json!({"sealed": true}), "sealed");
    illegal(&plain, json!({"deny_delete": true}), "denyDelete");
    illegal(&plain, json!({"allow_msg_ttl": true}), "allow.messageTTL");
    let plain_counters = json!({"allow_msg_counter": true});
    illegal(&plain, plain_counters, "allow.counters");
    let mirror = stream("mirror: {name: A}");
    illegal(&mirror, json!({"mirror": {"name": "B"}}), "mirror");
    let freed = decide(
        &stream("subjects: [a]"),
        &applied(&mirror, json!({"subjects": ["a"]})),
    );
    assert_eq!(fields(&freed), ["mirror"]);
    let plain = consumer("");
    illegal(&plain, json!({"ack_policy": "all"}), "ack.policy");
    illegal(&plain, json!({"deliver_policy": "new"}), "deliver.policy");
    illegal(&plain, json!({"deliver_subject": "to"}), "push.subject");
    illegal(&plain, json!({"max_waiting": 5}), "pull.maxWaiting");
    let push = consumer("type: Push\npush: {subject: to}");
    let moved = decide(&push, &applied(&push, json!({"deliver_subject": "from"})));
    assert_eq!(fields(&moved), ["push.subject"]);
    let kept = stream("denyDelete: true");
    let tightened = decide(&kept, &applied(&kept, json!({"deny_delete": false})));
    assert_eq!(fields(&tightened), ["denyDelete"]);
}

#[test]
fn changes_that_lose_data_wait_for_approval() {
    let contents = Contents {
        messages: 100,
        bytes: 5000,
        subjects: 10,
        first_time_ns: Some(NOW_NS - 3600 * 1_000_000_000),
    };
    let decide = |metadata: &str, spec: &str, observed: Value| {
        let wanted = asset("Stream", metadata, spec);
        let mut observed = applied(&wanted, observed);
        observed.contents = contents;
        decide(&wanted, &observed)
    };
    let held = |spec: &str, observed: Value| {
        blocked(&decide("", spec, observed.clone()), "weir.dev/approve");
        let approved = ", annotations: {weir.dev/approve: 'true'}";
        assert!(matches!(
            decide(approved, spec, observed.clone()),
            Plan::Update { .. }
        ));
        let right = ", generation: 7, annotations: {weir.dev/approve: '7'}";
        assert!(matches!(
            decide(right, spec, observed.clone()),
            Plan::Update { .. }
        ));
        let stale = ", generation: 8, annotations: {weir.dev/approve: '7'}";
        blocked(&decide(stale, spec, observed), "LosesData");
    };
    let free = |spec: &str, observed: Value| {
        let plan = decide("", spec, observed);
        assert!(matches!(plan, Plan::Update { .. }), "{plan:?}");
    };
    held("limits: {maxMessages: 99}", json!({"max_msgs": -1}));
    free("limits: {maxMessages: 100}", json!({"max_msgs": -1}));
    held("limits: {maxBytes: 4999}", json!({"max_bytes": 9999}));
    free("limits: {maxBytes: 5000}", json!({"max_bytes": 9999}));
    held("limits: {maxAge: 59m}", json!({"max_age": 0}));
    free("limits: {maxAge: 61m}", json!({"max_age": 0}));
    free("", json!({"max_age": 5}));
    held(
        "limits: {maxMessagesPerSubject: 90}",
        json!({"max_msgs_per_subject": -1}),
    );
    free(
        "limits: {maxMessagesPerSubject: 91}",
        json!({"max_msgs_per_subject": -1}),
    );
    held("retention: interest", json!({"retention": "limits"}));
    free("replicas: 3", json!({"num_replicas": 5}));
}

#[test]
fn what_servers_word_differently_is_the_same() {
    let wanted = stream("sources: [{name: A, startTime: '2030-01-01T00:00:00Z'}, {name: B}]");
    let served = json!({
        "compression": "none", "persist_mode": "default", "allow_msg_counter": false,
        "sources": [{"name": "B"}, {"name": "A", "opt_start_time": "2030-01-01T00:00:00.000000000Z"}],
    });
    assert_eq!(decide(&wanted, &applied(&wanted, served)), Plan::Nothing);
}
