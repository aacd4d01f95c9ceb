//! Wrong specs are refused at apply, with a sentence that says what to write.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Outcome;
use crate::objects::{ACCOUNT, CLUSTER, CONSUMER, KV_BUCKET, Kind, STREAM, USER};
use crate::programs::kubectl;
use crate::world::World;

/// A wrong resource: its kind, its name, its spec, and what its author is told.
type Wrong = (&'static str, &'static str, &'static str, &'static str);

const WRONG: &[Wrong] = &[
    (
        "Stream",
        "bad",
        "{accountRef: {name: shop}, subjects: [bad], discard: {policy: new, perSubject: true}}",
        "discard.perSubject needs limits.maxMessagesPerSubject; set that limit or remove perSubject",
    ),
    (
        "Stream",
        "bad",
        "{subjects: [bad]}",
        "set exactly one of accountRef, which names an Account, and connection, which names servers",
    ),
    (
        "Cluster",
        "main.eu",
        "{replicas: 3}",
        "the name becomes part of pod and DNS names: use at most 36 lower case letters, digits and dashes, and begin with a letter",
    ),
    (
        "Cluster",
        "bad",
        "{replicas: 0}",
        "a cluster needs servers: set replicas or pools; to stop all of them and keep their data, set hibernated: true",
    ),
    (
        "Account",
        "bad",
        "{jetstreamLimits: {}}",
        "set fileStore or memoryStore, such as fileStore: 1Gi; leave jetstreamLimits out for an account without JetStream",
    ),
    (
        "User",
        "bad",
        "{accountRef: {name: shop}, rotateBefore: 1d}",
        "rotateBefore needs expiresAfter: credentials that never expire are never renewed; set expiresAfter or remove rotateBefore",
    ),
    (
        "Consumer",
        "bad",
        "{accountRef: {name: shop}, streamName: ORDERS, ack: {policy: none, wait: 30s}}",
        "with ack.policy: none nothing waits for an acknowledgement; remove wait, maxPending, maxDeliver and backoff",
    ),
    (
        "KVBucket",
        "bad",
        "{bucket: bad}",
        "set exactly one of accountRef, which names an Account, and connection, which names servers",
    ),
];

pub async fn at_apply(_world: &mut World) -> anyhow::Result<Outcome> {
    for (kind, name, spec, advice) in WRONG {
        let mut file = tempfile::NamedTempFile::new()?;
        write!(
            file,
            "{{apiVersion: weir.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}"
        )?;
        let path = file.path().display().to_string();
        let refused = kubectl(&["apply", "--dry-run=server", "-f", &path]).await;
        let refusal = refused.err();
        let refusal = refusal.with_context(|| format!("{kind} {spec} was accepted"))?;
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains(advice), "{kind} {spec}: {refusal}");
    }
    let (.., advice) = WRONG[0];
    Ok(Outcome::Passed(format!(
        "{} wrong resources are each refused with advice, such as: {advice}",
        WRONG.len()
    )))
}

/// What may not change in a resource that is there.
pub async fn of_changes(world: &mut World) -> anyhow::Result<Outcome> {
    let changes: &[(Kind, &str, Value, &str)] = &[
        (
            CLUSTER,
            "main",
            json!({"storage": {"size": "1Gi"}}),
            "volumes can not shrink; add a pool with smaller volumes, and scale the old one down",
        ),
        (
            CLUSTER,
            "main",
            json!({"listeners": {"cluster": {"tls": {"secretName": "any"}}}}),
            "encryption between servers can not be switched in a running cluster: they would not find each other; create another Cluster instead",
        ),
        (
            ACCOUNT,
            "shop",
            json!({"keySecretRef": {"name": "any", "key": "seed"}}),
            "keySecretRef is fixed: the key is the account's identity; create another Account instead",
        ),
        (
            USER,
            "clerk",
            json!({"accountRef": {"name": "other"}}),
            "accountRef is fixed: credentials belong to one account; create another User instead",
        ),
        (
            STREAM,
            "orders",
            json!({"storage": "memory"}),
            "storage is fixed; create another Stream with a new name and move the messages",
        ),
        (
            CONSUMER,
            "shipping",
            json!({"ack": {"policy": "all"}}),
            "ack.policy is fixed; create another Consumer with a new name instead",
        ),
        (
            KV_BUCKET,
            "settings",
            json!({"bucket": "other"}),
            "bucket is fixed: servers can not rename a bucket; create another KVBucket with the new name instead",
        ),
    ];
    for (kind, name, spec, advice) in changes {
        let refused = world
            .objects(*kind)
            .patch(name, json!({ "spec": spec }))
            .await;
        let refusal = refused.err();
        let refusal = refusal.with_context(|| format!("{name} became {spec}"))?;
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains(advice), "{name}, {spec}: {refusal}");
    }
    let (.., advice) = &changes[0];
    Ok(Outcome::Passed(format!(
        "{} changes of resources that are there are each refused with what to do instead, such as: {advice}",
        changes.len()
    )))
}
