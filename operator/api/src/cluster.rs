//! A cluster of brokers.

mod pods;
mod settings;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

pub use pods::{
    NetworkPolicy, PodDisruptionBudget, PodTemplate, Pool, PullPolicy, Resources, Retention,
    Storage, VolumeRetention,
};
pub use settings::{
    ClientListener, ClientTls, JetStream, JetStreamCeilings, Limits, Listeners, LogLevel,
    RouteListener, RouteTls, ServerTags, WebSocketListener,
};
pub use status::{
    CONFIG_APPLIED, CertificateStatus, ClusterStatus, Endpoints, Member, QUORUM_HEALTHY, RESIZING,
    SAFE_TO_RESTART, UPGRADING, UpdateStatus,
};

/// Brokers that form one cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Cluster",
    namespaced,
    cel,
    doc = "A cluster of brokers: pods, their volumes, their configuration, and how they change.",
    status = "ClusterStatus",
    derive = "PartialEq",
    shortname = "wcl",
    category = "weir",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 36").message(
        "the name becomes part of pod and DNS names: use at most 36 lower case letters, digits and dashes, and begin with a letter"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Servers", type_ = "string", json_path = ".status.servers"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Meta leader",
        type_ = "string",
        json_path = ".status.metaLeader",
        priority = "1"
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".status.image",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("oldSelf.pools.all(old, old.replicas == 0 || self.pools.exists(new, new.name == old.name))").message(
    "a pool can only be removed when it has no servers: set its replicas to 0 first, and wait until they are gone"
))]
#[x_kube(validation = Rule::new("self.replicas > 0 || size(self.pools) > 0").message(
    "a cluster needs servers: set replicas or pools; to stop all of them and keep their data, set hibernated: true"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// The brokers' image. Default: the one that belongs to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// When nodes fetch the image. Default: Kubernetes decides by the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of Secrets to fetch the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub image_pull_secrets: Vec<String>,
    /// Servers of the default pool. 3 survive the loss of one, 5 of two. May be 0 if there are `pools`.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 64))]
    pub replicas: u16,
    /// More servers that differ from those of the default pool in what they say here.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<Pool>,
    /// Tags of the servers, by which streams are placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tags: Option<ServerTags>,
    /// What streams may use on one server.
    #[serde(default)]
    pub jetstream: JetStream,
    /// Where connections are accepted.
    #[serde(default)]
    pub listeners: Listeners,
    /// Limits of one server's connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What servers log.
    #[serde(default)]
    pub log_level: LogLevel,
    /// The volume of each server.
    #[serde(default)]
    pub storage: Storage,
    /// What each server asks of its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels of the nodes that may run servers of the default pool, and of pools that name none.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: std::collections::BTreeMap<String, String>,
    /// Taints that servers of the default pool, and of pools that name none, may live with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<k8s_openapi::api::core::v1::Toleration>,
    /// More about the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// How many servers others, such as a node's drain, may stop at once.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudget,
    /// Who may connect.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
    /// How changes that need a restart reach the servers.
    #[serde(default)]
    pub update: Update,
    /// What happens to the data of servers that are taken away.
    #[serde(default)]
    pub scale_down: ScaleDown,
    /// Whether nothing is changed until this is taken back. Servers go on.
    #[serde(default)]
    pub paused: bool,
    /// Whether all servers are stopped. Their volumes stay, and they start again when this is taken
    /// back.
    #[serde(default)]
    pub hibernated: bool,
    /// Whether a deletion waits until this is taken back.
    #[serde(default)]
    pub deletion_protection: bool,
}

/// How changes that need a restart reach the servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Update {
    /// Who restarts servers.
    pub strategy: UpdateStrategy,
    /// Whether a server is restarted only when every replicated stream goes on without it. Streams of
    /// two replicas never do: with one of those, nothing is restarted until this is false.
    pub require_quorum: bool,
    /// A roll that makes no progress for this long is reported as stalled. It goes on by itself when
    /// what held it up is gone.
    pub progress_deadline: Duration,
    /// When a roll may restart servers. Default: always. Configuration that needs no restart, and servers that are
    /// down already, do not wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub maintenance_windows: Vec<MaintenanceWindow>,
}

/// A time of day at which servers may be restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// Days on which it begins. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Weekday>,
    /// When it begins, in UTC, such as `22:30`.
    #[schemars(
        length(min = 5, max = 5),
        regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    )]
    pub start: String,
    /// How long it lasts, at most `24h`.
    pub duration: Duration,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Who restarts servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategy {
    /// The operator, one after the other, each only when every stream goes on without it.
    #[default]
    Rolling,
    /// A person, by deleting pods. Status says which ones wait for it.
    Manual,
}

/// What happens to the data of servers that are taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScaleDown {
    /// What is done with replicas of streams on a server that is to leave.
    pub policy: ScaleDownPolicy,
    /// An evacuation that takes longer is reported as stalled. It goes on.
    pub timeout: Duration,
}

/// What is done with replicas of streams on a server that is to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScaleDownPolicy {
    /// They move to other servers first.
    #[default]
    Evacuate,
    /// A server that has any stays.
    Refuse,
}

impl Default for Update {
    fn default() -> Self {
        Update {
            strategy: UpdateStrategy::default(),
            require_quorum: true,
            progress_deadline: Duration::from_secs(600),
            maintenance_windows: Vec::new(),
        }
    }
}

impl Default for ScaleDown {
    fn default() -> Self {
        ScaleDown {
            policy: ScaleDownPolicy::default(),
            timeout: Duration::from_secs(1800),
        }
    }
}

fn three() -> u16 {
    3
}
