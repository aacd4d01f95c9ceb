//! Pods and volumes of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Quantity, quantity};

const DEFAULT_VOLUME: Quantity = Quantity::from_bytes(10 << 30);

/// Servers of one cluster that differ from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.name != 'default'").message(
    "the servers that spec.replicas counts are the pool default; choose another name"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// Becomes part of the servers' names. A pool that is renamed is another one.
    #[schemars(
        length(min = 1, max = 15),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Servers of the pool.
    #[schemars(range(min = 0, max = 64))]
    pub replicas: u16,
    /// Tags of its servers, besides those of `serverTags`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 128), regex(pattern = r#"^[^\s"\\]+$"#))
    )]
    pub tags: Vec<String>,
    /// Labels of the nodes that may run them. Default: those of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints they may live with. Default: those of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub tolerations: Option<Vec<Toleration>>,
    /// What each asks of its node. Default: the same as in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The volume of each. Default: the same as in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

/// The volume of each server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)").message(
    "className is fixed for volumes that exist; add a pool with the other class, and scale the old one down"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Size of the volume. It can grow if the storage class allows it.
    #[serde(default = "default_volume")]
    #[schemars(schema_with = "volume_size")]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity(oldSelf)) >= 0").message(
        "volumes can not shrink; add a pool with smaller volumes, and scale the old one down"
    ))]
    pub size: Quantity,
    /// Storage class. Default: the one of the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// What becomes of volumes that no server uses any more.
    #[serde(default)]
    pub retention: VolumeRetention,
}

/// What becomes of volumes that no server uses any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeRetention {
    /// When the Cluster is deleted.
    pub when_deleted: Retention,
    /// When a server is taken away, after its data were moved to others. A volume that stays is emptied
    /// when a server of that name is added again.
    pub when_scaled: Retention,
}

/// Whether a volume stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// It stays, with all data.
    #[default]
    Retain,
    /// It is deleted, with all data.
    Delete,
}

/// What each server asks of its node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What is set aside, such as `cpu: 500m` and `memory: 1Gi`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, IntOrString>,
    /// What is not exceeded. Servers plan with the limit of memory.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, IntOrString>,
}

/// When nodes fetch an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Not at all: the node must have it.
    Never,
}

/// More about the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTemplate {
    /// Labels, besides those that Weir writes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Name of the pods' PriorityClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Seconds that a server has for handing over and writing out before it is killed. Default: 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub termination_grace_period_seconds: Option<u16>,
    /// Whether two servers never share a node. Default: they do so only if there is no other way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub one_per_node: bool,
    /// Node labels over whose values servers are spread. Default: `topology.kubernetes.io/zone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 317)))]
    pub spread_over: Option<Vec<String>>,
}

/// How many servers others, such as a node's drain, may stop at once: one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodDisruptionBudget {
    /// Whether there is a budget.
    pub enabled: bool,
}

/// Who may connect. Servers of the cluster always reach each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkPolicy {
    /// Whether there is a policy.
    pub enabled: bool,
    /// Who may connect as a client. Default: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub clients_from: Vec<NetworkPolicyPeer>,
    /// Who may read monitoring pages and metrics, besides the operator. Default: all pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub monitor_from: Vec<NetworkPolicyPeer>,
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            size: DEFAULT_VOLUME,
            class_name: None,
            retention: VolumeRetention::default(),
        }
    }
}

impl Default for PodDisruptionBudget {
    fn default() -> Self {
        PodDisruptionBudget { enabled: true }
    }
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        NetworkPolicy {
            enabled: true,
            clients_from: Vec::new(),
            monitor_from: Vec::new(),
        }
    }
}

fn default_volume() -> Quantity {
    DEFAULT_VOLUME
}

/// A quantity as a short text. API servers count what a rule may cost at most, and for one that may
/// be a number too they take the longest text there is, which is too long for every pool's volume.
fn volume_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 32, "pattern": quantity::PATTERN })
}
