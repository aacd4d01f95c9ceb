//! Files of any size, kept in parts.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stream::{Compression, Placement, Storage};
use crate::{
    AccountRef, AdoptionPolicy, Connection, DeletionPolicy, Duration, ManagementPolicy, Policies,
    Quantity, SyncStatus,
};

/// An object store of an account.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ObjectStore",
    namespaced,
    cel,
    doc = "An object store, usable by the object store API of every NATS client.",
    status = "ObjectStoreStatus",
    derive = "PartialEq",
    shortname = "wobj",
    category = "weir",
    printcolumn(name = "Bucket", type_ = "string", json_path = ".spec.bucket"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".status.bytes"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("has(self.bucket) == has(oldSelf.bucket) && (!has(self.bucket) || self.bucket == oldSelf.bucket)").message(
    "bucket is fixed: servers can not rename an object store; create another ObjectStore with the new name instead"
))]
#[x_kube(validation = Rule::new("has(self.accountRef) != has(self.connection)").message(
    "set exactly one of accountRef, which names an Account, and connection, which names servers"
))]
#[x_kube(validation = Rule::new(
    "has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || self.accountRef == oldSelf.accountRef)"
).message(
    "accountRef is fixed: an object store can not move between accounts; create another ObjectStore instead"
))]
#[x_kube(validation = Rule::new("has(self.domain) == has(oldSelf.domain) && (!has(self.domain) || self.domain == oldSelf.domain)").message(
    "domain is fixed: an object store can not move between domains; create another ObjectStore instead"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStoreSpec {
    /// The account the object store belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Servers that no Cluster describes, instead of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// JetStream domain. Default: that of the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>]+$"))]
    pub domain: Option<String>,
    /// The store's name on the server. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub bucket: Option<String>,
    /// What the store is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Age at which objects expire. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Bytes of one copy of the store; beyond it new objects are refused. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Where objects are kept.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "storage is fixed; create another ObjectStore with a new name and copy the objects"
    ))]
    pub storage: Storage,
    /// How many servers keep a copy. An odd number; 3 survives the loss of one server.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// Which servers may keep copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How objects are stored.
    #[serde(default)]
    pub compression: Compression,
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
    /// What happens when the server already has a store of that name that nobody manages.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
}

/// What is known about an object store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStoreStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Bytes of one copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Name of the server that leads the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

impl ObjectStoreSpec {
    pub fn policies(&self) -> Policies {
        Policies {
            management: self.management_policy,
            deletion: self.deletion_policy,
            adoption: self.adoption_policy,
        }
    }
}

impl ObjectStore {
    /// The store's name on the server.
    pub fn bucket_name(&self) -> String {
        self.spec.bucket.clone().unwrap_or_else(|| self.name_any())
    }

    /// The name of the stream that holds the store.
    pub fn stream_name(&self) -> String {
        format!("OBJ_{}", self.bucket_name())
    }
}

fn one() -> u8 {
    1
}
