//! What is written back to Kubernetes, decided without it: statuses, finalizers, events.

use std::time::Duration;

use api::status::READY;
use api::{DeletionPolicy, Kind, ManagementPolicy, Resource, SyncStatus};
use kube::runtime::events::EventType;
use reconcile::Outcome;
use serde_json::{Map, Value};

/// Holds a resource until what it stands for is cleaned up.
pub const FINALIZER: &str = "weir.dev/cleanup";
/// Numbers that change all the time, and the news of a change, are written this rarely.
const QUIET_FOR: Duration = Duration::from_secs(50);

/// Numbers that say how much servers hold, not how well a resource is.
const STATISTICS: [&str; 13] = [
    "messages",
    "bytes",
    "firstSequence",
    "lastSequence",
    "consumers",
    "values",
    "pending",
    "ackPending",
    "redelivered",
    "waiting",
    "ackFloor",
    "replicas",
    "lastSyncTime",
];
/// Reasons that tell of a change that was made.
const CHANGES: [&str; 5] = ["Created", "Updated", "Corrected", "Adopted", "Renewed"];

/// Whether the deletion of a resource needs a visit to the servers or the key store. What stays as it
/// is needs none, so that it can always be deleted.
pub fn needs_cleanup(resource: &Resource) -> bool {
    let policies = resource.policies();
    match resource.kind() {
        Kind::User => true,
        _ => {
            policies.deletion == DeletionPolicy::Delete
                && policies.management != ManagementPolicy::Observe
        }
    }
}

/// The finalizers a resource should have; `None` if it has them.
pub fn finalizers(resource: &Resource, is_wanted: bool) -> Option<Vec<String>> {
    let found = resource.metadata().finalizers.clone().unwrap_or_default();
    let has = found.iter().any(|name| name == FINALIZER);
    if has == is_wanted {
        return None;
    }
    let others = found.into_iter().filter(|name| name != FINALIZER);
    let ours = is_wanted.then(|| FINALIZER.to_owned());
    Some(others.chain(ours).collect())
}

/// Whether a status is to be written. `written` is how long ago the last one was.
pub fn is_news(old: &Value, new: &Value, written: Option<Duration>) -> bool {
    if old == new {
        return false;
    }
    let is_quiet = written.is_some_and(|ago| ago < QUIET_FOR);
    let is_small = essence(old) == essence(new) || is_afterwards(old, new);
    !(is_quiet && is_small)
}

/// A status without what changes all the time.
fn essence(status: &Value) -> Map<String, Value> {
    let fields = status.as_object().into_iter().flatten();
    let essential = fields.filter(|(name, _)| !STATISTICS.contains(&name.as_str()));
    essential
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether all is well after a change that people should have time to see.
fn is_afterwards(old: &Value, new: &Value) -> bool {
    let ready = |status: &Value, field: &str| {
        let conditions = status["conditions"].as_array();
        let mut ready = conditions.into_iter().flatten();
        let ready = ready.find(|found| found["type"] == READY);
        ready.map(|found| found[field].clone()).unwrap_or_default()
    };
    let reason = ready(old, "reason");
    CHANGES.iter().any(|change| reason == *change)
        && ready(new, "reason") == "Synced"
        && old["observedGeneration"] == new["observedGeneration"]
}

/// What people who look at the resource should be told: a reason and a sentence. Nothing if it was told
/// before.
pub fn event(
    before: Option<&SyncStatus>,
    outcome: &Outcome,
) -> Option<(EventType, String, String)> {
    let ready = |status: &SyncStatus| {
        let found = status.conditions.iter().find(|found| found.type_ == READY);
        found.map(|found| (found.reason.clone(), found.message.clone()))
    };
    let (reason, message) = ready(outcome.sync())?;
    if outcome.action.is_some() {
        let changes = outcome.diff().iter().take(5);
        let changes: Vec<String> = changes
            .map(|diff| format!("{}: {} became {}", diff.field, diff.observed, diff.desired))
            .collect();
        let note = match changes.as_slice() {
            [] => message,
            some => format!("{message}: {}", some.join(", ")),
        };
        return Some((EventType::Normal, reason, note));
    }
    outcome.error.as_ref()?;
    let told = before.and_then(ready);
    let is_known = told == Some((reason.clone(), message.clone()));
    (!is_known).then_some((EventType::Warning, reason, message))
}
