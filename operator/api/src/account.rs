//! A tenant: users and streams of one account never see those of another.

mod exchange;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::user::Permissions;
use crate::{
    AdoptionPolicy, ClusterRef, DeletionPolicy, Duration, ManagementPolicy, Policies, Quantity,
    SecretKeyRef, SyncStatus,
};

pub use exchange::{Destination, ExchangeType, Export, Import, Latency, Mapping, ResponseType};

/// What an account may use.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Account",
    namespaced,
    cel,
    doc = "A tenant of the broker cluster: its users and streams are invisible to other accounts.",
    status = "AccountStatus",
    derive = "PartialEq",
    shortname = "wacc",
    category = "weir",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Key",
        type_ = "string",
        json_path = ".status.publicKey",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new(
    "!has(oldSelf.clusterRef) || (has(self.clusterRef) && self.clusterRef == oldSelf.clusterRef)"
).message(
    "clusterRef is fixed: an account can not move between clusters; create another Account instead"
))]
#[x_kube(validation = Rule::new(
    "has(self.keySecretRef) == has(oldSelf.keySecretRef) && (!has(self.keySecretRef) || self.keySecretRef == oldSelf.keySecretRef)"
).message(
    "keySecretRef is fixed: the key is the account's identity; create another Account instead"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountSpec {
    /// The Cluster whose brokers serve the account. Default: the only Cluster of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<ClusterRef>,
    /// An account seed (`SA…`) that exists already. Default: the operator makes one and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeyRef>,
    /// Keys that sign the account's users, so that its own key signs nothing that can be stolen. Default: its own
    /// key signs them. Once there are such keys, the last one goes on signing although this is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<SigningKeys>,
    /// The name that servers show. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// What the account is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Limits on connections and messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<AccountLimits>,
    /// What streams and consumers may use. Without it, the account has no JetStream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jetstream_limits: Option<JetStreamLimits>,
    /// For users that say nothing about permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_permissions: Option<Permissions>,
    /// Subjects that other accounts may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exports: Vec<Export>,
    /// Subjects of other accounts that this one uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub imports: Vec<Import>,
    /// Where messages of some subjects go instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["subject"]))]
    pub mappings: Vec<Mapping>,
    /// Other namespaces whose resources may belong to the account. `*` stands for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub allowed_namespaces: Vec<String>,
    /// Which changes are made on the server.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What happens on the server when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Keys that sign users, made and kept by the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SigningKeys {
    /// When a new key takes the place of the last one, and users get new credentials. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyRotation>,
}

/// How keys take turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRotation {
    /// How long a key signs.
    pub every: Duration,
    /// How long credentials that the key before signed are still accepted: until then clients must have read
    /// the new ones in their Secret. At most `every`. Default: `1d`.
    #[serde(default = "one_day")]
    pub overlap: Duration,
}

/// Limits on connections and messages. What is left out is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountLimits {
    /// Client connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<u32>,
    /// Subscriptions of one connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub subscriptions: Option<u32>,
    /// Size of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload: Option<Quantity>,
}

/// What streams and consumers of the account may use together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.fileStore) || has(self.memoryStore)").message(
    "set fileStore or memoryStore, such as fileStore: 1Gi; leave jetstreamLimits out for an account without JetStream"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JetStreamLimits {
    /// Bytes of streams in files, all replicas counted. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_store: Option<Quantity>,
    /// Bytes of streams in memory, all replicas counted. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_store: Option<Quantity>,
    /// Number of streams, buckets included. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub streams: Option<u32>,
    /// Number of consumers. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub consumers: Option<u32>,
    /// Largest `ack.maxPending` of a consumer. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_ack_pending: Option<u32>,
    /// Largest `limits.maxBytes` of a stream in files. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_max_stream_bytes: Option<Quantity>,
    /// Largest `limits.maxBytes` of a stream in memory. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max_stream_bytes: Option<Quantity>,
    /// Whether every stream must set `limits.maxBytes`.
    #[serde(default)]
    pub max_bytes_required: bool,
}

/// What is known about an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// The account's public key, its id on the servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The public key that signs users, if it is not the account's own one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Tells whether the claims that servers hold are those of this generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims_hash: Option<String>,
}

fn one_day() -> Duration {
    Duration::from_secs(86400)
}

impl AccountSpec {
    pub fn policies(&self) -> Policies {
        Policies {
            management: self.management_policy,
            deletion: self.deletion_policy,
            // Nobody else can sign for the account's key, so there is nothing to adopt.
            adoption: AdoptionPolicy::Always,
        }
    }
}
