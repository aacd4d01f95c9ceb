//! Values by key, with history.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stream::{Compression, External, Placement, Republish, Storage};
use crate::{
    AccountRef, AdoptionPolicy, Connection, DeletionPolicy, Duration, ManagementPolicy, Policies,
    Quantity, SyncStatus,
};

/// A key-value bucket of an account.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "KVBucket",
    plural = "kvbuckets",
    namespaced,
    cel,
    doc = "A key-value bucket, usable by the key-value API of every NATS client.",
    status = "KVBucketStatus",
    derive = "PartialEq",
    shortname = "wkv",
    category = "weir",
    printcolumn(name = "Bucket", type_ = "string", json_path = ".spec.bucket"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Values", type_ = "integer", json_path = ".status.values"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("has(self.bucket) == has(oldSelf.bucket) && (!has(self.bucket) || self.bucket == oldSelf.bucket)").message(
    "bucket is fixed: servers can not rename a bucket; create another KVBucket with the new name instead"
))]
#[x_kube(validation = Rule::new("!has(oldSelf.limitMarkerTTL) || has(self.limitMarkerTTL)").message(
    "limitMarkerTTL can be changed but not removed; create another KVBucket with a new name instead"
))]
#[x_kube(validation = Rule::new("has(self.accountRef) != has(self.connection)").message(
    "set exactly one of accountRef, which names an Account, and connection, which names servers"
))]
#[x_kube(validation = Rule::new(
    "has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || self.accountRef == oldSelf.accountRef)"
).message(
    "accountRef is fixed: a bucket can not move between accounts; create another KVBucket instead"
))]
#[x_kube(validation = Rule::new("has(self.domain) == has(oldSelf.domain) && (!has(self.domain) || self.domain == oldSelf.domain)").message(
    "domain is fixed: a bucket can not move between domains; create another KVBucket instead"
))]
#[x_kube(validation = Rule::new("has(oldSelf.mirror) ? !has(self.mirror) || self.mirror == oldSelf.mirror : !has(self.mirror)").message(
    "mirror can only be removed, which makes the copy a bucket of its own; create another KVBucket instead"
))]
#[x_kube(validation = Rule::new("!has(self.mirror) || !has(self.sources)").message(
    "a mirror holds what the other bucket holds; remove sources or mirror"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KVBucketSpec {
    /// The account the bucket belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Servers that no Cluster describes, instead of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// JetStream domain. Default: that of the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>]+$"))]
    pub domain: Option<String>,
    /// The bucket's name on the server. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub bucket: Option<String>,
    /// What the bucket is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// How many values of a key are kept.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub history: u8,
    /// Size of one value. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value_size: Option<Quantity>,
    /// Bytes of one copy of the bucket; beyond it new values are refused. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Age at which values expire. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Leaves a marker for this long where a value expires, and lets values bring their own time
    /// to live.
    #[serde(
        rename = "limitMarkerTTL",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub limit_marker_ttl: Option<Duration>,
    /// Where values are kept.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "storage is fixed; create another KVBucket with a new name and copy the values"
    ))]
    pub storage: Storage,
    /// How many servers keep a copy. An odd number; 3 survives the loss of one server.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// Which servers may keep copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How values are stored.
    #[serde(default)]
    pub compression: Compression,
    /// The one bucket that this one is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<BucketSource>,
    /// Buckets whose values are copied into this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub sources: Vec<BucketSource>,
    /// Publishes new values again under another subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    /// Free labels on the server. Keys that start with `_nats.` or `weir.dev/` are not for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('_nats') && !key.startsWith('weir.dev/'))").message(
        "keys that start with _nats or weir.dev/ are written by servers and by Weir; choose another key"
    ))]
    pub metadata: BTreeMap<String, String>,
    /// Which changes are made on the server.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What happens on the server when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What happens when the server already has a bucket of that name that nobody manages.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
}

/// A bucket to copy from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketSource {
    /// The bucket's name on its server.
    #[schemars(length(min = 1, max = 250), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub bucket: String,
    /// For a bucket of another account or domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// What is known about a bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KVBucketStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Values it holds, history and markers of deletion included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<u64>,
    /// Bytes of one copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Name of the server that leads the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

impl KVBucketSpec {
    pub fn policies(&self) -> Policies {
        Policies {
            management: self.management_policy,
            deletion: self.deletion_policy,
            adoption: self.adoption_policy,
        }
    }
}

impl KVBucket {
    /// The bucket's name on the server.
    pub fn bucket_name(&self) -> String {
        self.spec.bucket.clone().unwrap_or_else(|| self.name_any())
    }

    /// The name of the stream that holds the bucket.
    pub fn stream_name(&self) -> String {
        format!("KV_{}", self.bucket_name())
    }
}

fn one() -> u8 {
    1
}
