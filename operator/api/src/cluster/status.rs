//! What is reported about a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most servers answer, and the cluster has a leader.
pub const QUORUM_HEALTHY: &str = "QuorumHealthy";
/// One server can be stopped without anything going away.
pub const SAFE_TO_RESTART: &str = "SafeToRestart";
/// Servers are being restarted.
pub const UPGRADING: &str = "Upgrading";
/// Servers or volumes are being added or taken away.
pub const RESIZING: &str = "Resizing";
/// All servers run with the configuration that the resource says.
pub const CONFIG_APPLIED: &str = "ConfigApplied";

/// What is known about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatus {
    /// The generation of the resource that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `QuorumHealthy`, `SafeToRestart`, `Upgrading`, `Resizing` and
    /// `ConfigApplied`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Servers of the default pool that exist.
    pub replicas: i32,
    /// Servers of all pools that are ready.
    pub ready_replicas: i32,
    /// Ready servers of those that are wanted, such as `3/3`.
    pub servers: String,
    /// Selects the pods of the default pool.
    pub selector: String,
    /// The image that servers should run.
    pub image: String,
    /// The server that leads the meta group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_leader: Option<String>,
    /// Every server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<Member>,
    /// Where to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Certificates in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    /// Tells configurations apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// The roll or evacuation that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateStatus>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Member {
    /// Name of the server and its pod.
    pub name: String,
    /// Its pool.
    pub pool: String,
    /// The node it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Tags that it should have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is ready.
    pub healthy: bool,
    /// Replicas of streams on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
    /// Whether it runs with the wanted image, pod template and configuration.
    pub up_to_date: bool,
    /// Whether its streams are being moved to others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub evacuating: bool,
}

/// Where to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// For clients inside Kubernetes.
    pub client: String,
    /// For clients that speak WebSocket, if they are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
}

/// A certificate in use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// The Secret that holds it.
    pub secret_name: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// A roll or evacuation that goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStatus {
    /// What is left to do: names of servers to restart or to take away.
    pub waiting: Vec<String>,
    /// When the list became shorter last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_progress_time: Option<Time>,
}
