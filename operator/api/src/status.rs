//! What is reported back about a resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server holds what the resource says, and it works.
pub const READY: &str = "Ready";
/// Work goes on, or is tried again.
pub const RECONCILING: &str = "Reconciling";
/// Nothing more happens until a person changes something.
pub const STALLED: &str = "Stalled";
/// The server holds what the resource says.
pub const SYNCED: &str = "Synced";
/// Somebody changed the server behind the resource.
pub const DRIFTED: &str = "Drifted";
/// Something of that name exists and is not this resource's.
pub const CONFLICT: &str = "Conflict";

/// The part of the status that every kind has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncStatus {
    /// The generation of the resource that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Synced`, `Drifted` and `Conflict`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What on the server differs from the resource: found and not yet corrected, or held back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<FieldDiff>,
    /// When the server was last brought to hold what the resource says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
}

/// One field that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldDiff {
    /// The field, by the name it has in the resource, such as `limits.maxAge`.
    pub field: String,
    /// What the server has.
    pub observed: String,
    /// What the resource says.
    pub desired: String,
}

/// One replica of a stream or consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaStatus {
    /// Name of the server.
    pub name: String,
    /// Whether it has everything the leader has.
    pub current: bool,
    /// How many operations it is behind.
    pub lag: u64,
}

impl SyncStatus {
    /// Whether the condition is there and true.
    pub fn is_true(&self, condition: &str) -> bool {
        self.conditions
            .iter()
            .any(|found| found.type_ == condition && found.status == "True")
    }
}
