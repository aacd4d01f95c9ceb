//! Messages kept by subject.

mod source;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::ReplicaStatus;
use crate::{
    AccountRef, AdoptionPolicy, Connection, DeletionPolicy, Duration, ManagementPolicy, Policies,
    Quantity, SyncStatus,
};

pub use source::{External, StreamSource};

/// A stream of an account.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Stream",
    namespaced,
    cel,
    doc = "A stream: messages of some subjects, kept within limits and replicated.",
    status = "StreamStatus",
    derive = "PartialEq",
    shortname = "wstr",
    category = "weir",
    printcolumn(name = "Stream", type_ = "string", json_path = ".spec.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Messages", type_ = "integer", json_path = ".status.messages"),
    printcolumn(
        name = "Leader",
        type_ = "string",
        json_path = ".status.leader",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)").message(
    "name is fixed: servers can not rename a stream; create another Stream with the new name instead"
))]
#[x_kube(validation = Rule::new(
    "!has(self.discard) || !self.discard.perSubject || (has(self.limits) && has(self.limits.maxMessagesPerSubject))"
).message(
    "discard.perSubject needs limits.maxMessagesPerSubject; set that limit or remove perSubject"
))]
#[x_kube(validation = Rule::new("!self.denyPurge || !has(self.allow) || !self.allow.rollup").message(
    "allow.rollup needs purging; remove denyPurge or allow.rollup"
))]
#[x_kube(validation = Rule::new("!has(self.subjectDeleteMarkerTTL) || (has(self.allow) && self.allow.messageTTL && self.allow.rollup)").message(
    "subjectDeleteMarkerTTL needs allow.messageTTL and allow.rollup; set both to true or remove it"
))]
#[x_kube(validation = Rule::new("!has(oldSelf.allow) || !oldSelf.allow.messageTTL || (has(self.allow) && self.allow.messageTTL)").message(
    "allow.messageTTL can not be taken back; create another Stream with a new name instead"
))]
#[x_kube(validation = Rule::new("has(self.firstSequence) == has(oldSelf.firstSequence) && (!has(self.firstSequence) || self.firstSequence == oldSelf.firstSequence)").message(
    "firstSequence counts for a new stream only; create another Stream with a new name instead"
))]
#[x_kube(validation = Rule::new("has(self.accountRef) != has(self.connection)").message(
    "set exactly one of accountRef, which names an Account, and connection, which names servers"
))]
#[x_kube(validation = Rule::new(
    "has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || self.accountRef == oldSelf.accountRef)"
).message(
    "accountRef is fixed: a stream can not move between accounts; create another Stream instead"
))]
#[x_kube(validation = Rule::new("has(self.domain) == has(oldSelf.domain) && (!has(self.domain) || self.domain == oldSelf.domain)").message(
    "domain is fixed: a stream can not move between domains; create another Stream instead"
))]
#[x_kube(validation = Rule::new("has(oldSelf.mirror) ? !has(self.mirror) || self.mirror == oldSelf.mirror : !has(self.mirror)").message(
    "mirror can only be removed, which makes the copy a stream of its own; create another Stream instead"
))]
#[x_kube(validation = Rule::new("!has(self.mirror) || (!has(self.subjects) && !has(self.sources))").message(
    "a mirror holds what the other stream holds; remove subjects and sources, or mirror"
))]
#[x_kube(validation = Rule::new(
    "(has(self.allow) && self.allow.counters) == (has(oldSelf.allow) && oldSelf.allow.counters)"
).message(
    "allow.counters is fixed; create another Stream with a new name instead"
))]
#[x_kube(validation = Rule::new("!has(oldSelf.allow) || !oldSelf.allow.schedules || (has(self.allow) && self.allow.schedules)").message(
    "allow.schedules can not be taken back; create another Stream with a new name instead"
))]
#[x_kube(validation = Rule::new("!has(self.allow) || !self.allow.schedules || self.allow.rollup").message(
    "allow.schedules needs allow.rollup; set that too or remove schedules"
))]
#[x_kube(validation = Rule::new(
    "self.persistMode != 'async' || (self.replicas == 1 && self.storage == 'file' && (!has(self.allow) || !self.allow.atomicPublish))"
).message(
    "persistMode: async needs one replica, storage: file and no allow.atomicPublish; change these or remove persistMode"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamSpec {
    /// The account the stream belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Servers that no Cluster describes, instead of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// JetStream domain. Default: that of the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>]+$"))]
    pub domain: Option<String>,
    /// The stream's name on the server. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>/\\]+$"))]
    pub name: Option<String>,
    /// What the stream is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Subjects whose messages are kept; wildcards are allowed. Default: the stream's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))
    )]
    pub subjects: Vec<String>,
    /// How long messages are kept within the limits.
    #[serde(default)]
    #[x_kube(validation = Rule::new("(self == 'workqueue') == (oldSelf == 'workqueue')").message(
        "retention can not change to or from workqueue; create another Stream with a new name and move the messages"
    ))]
    pub retention: Retention,
    /// Where messages are kept.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "storage is fixed; create another Stream with a new name and move the messages"
    ))]
    pub storage: Storage,
    /// How many servers keep a copy. An odd number; 3 survives the loss of one server.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// Which servers may keep copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How much is kept. What is left out is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StreamLimits>,
    /// What happens when a limit is reached. Default: the oldest messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard: Option<Discard>,
    /// How long message ids are remembered to drop duplicates. Default: `2m`, or `maxAge` if that is
    /// shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_window: Option<Duration>,
    /// How messages are stored.
    #[serde(default)]
    pub compression: Compression,
    /// When messages count as stored.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "persistMode is fixed; create another Stream with a new name and move the messages"
    ))]
    pub persist_mode: PersistMode,
    /// Whether publishers learn that their messages are kept.
    #[serde(default = "yes")]
    pub acknowledge_publishes: bool,
    /// The sequence of the first message, for a new stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first_sequence: Option<u64>,
    /// Whether the stream is closed for ever: no message is added or removed.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!oldSelf || self").message(
        "sealed can not be taken back; create another Stream with a new name instead"
    ))]
    pub sealed: bool,
    /// Whether clients may not delete single messages.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!oldSelf || self").message(
        "denyDelete can not be taken back; create another Stream with a new name instead"
    ))]
    pub deny_delete: bool,
    /// Whether clients may not purge messages.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!oldSelf || self").message(
        "denyPurge can not be taken back; create another Stream with a new name instead"
    ))]
    pub deny_purge: bool,
    /// What clients may do with the stream beyond publishing and consuming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// Leaves a marker for this long where the last message of a subject expires.
    #[serde(
        rename = "subjectDeleteMarkerTTL",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub subject_delete_marker_ttl: Option<Duration>,
    /// Rewrites subjects before messages are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    /// The one stream that this one is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    /// Streams whose messages are copied into this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub sources: Vec<StreamSource>,
    /// Publishes kept messages again under another subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    /// Defaults and ceilings for the stream's consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_limits: Option<ConsumerLimits>,
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
    /// What happens when the server already has a stream of that name that nobody manages.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
}

/// How long messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Retention {
    /// Until a limit removes them.
    #[default]
    Limits,
    /// Until every consumer that wants them has acknowledged them.
    Interest,
    /// Until one consumer has acknowledged them.
    Workqueue,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Storage {
    #[default]
    File,
    /// Lost when the servers that keep them stop.
    Memory,
}

/// How messages are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// As they came.
    #[default]
    None,
    /// Compressed.
    S2,
}

/// When messages count as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PersistMode {
    /// When the servers are sure to have them.
    #[default]
    Default,
    /// When they are received: a crash may lose the latest.
    Async,
}

/// What happens when a limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DiscardPolicy {
    /// The oldest messages are removed.
    #[default]
    Old,
    /// New messages are refused.
    New,
}

/// Which servers may keep copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// Name of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub cluster: Option<String>,
    /// Tags that servers must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub tags: Vec<String>,
}

/// How much is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamLimits {
    /// Number of consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_consumers: Option<u32>,
    /// Number of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_messages: Option<u64>,
    /// Bytes of one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Age of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Size of one message with its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<Quantity>,
    /// Number of messages of each subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_messages_per_subject: Option<u64>,
}

/// What happens when a limit is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!self.perSubject || self.policy == 'new'").message(
    "discard.perSubject refuses new messages, so it needs discard.policy: new; set that or remove perSubject"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Discard {
    /// Which messages go.
    #[serde(default)]
    pub policy: DiscardPolicy,
    /// Whether the limit of messages per subject refuses new messages too.
    #[serde(default)]
    pub per_subject: bool,
}

/// What clients may do with the stream beyond publishing and consuming.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    /// Every replica answers requests for single messages.
    #[serde(default)]
    pub direct: bool,
    /// Messages may replace all earlier ones.
    #[serde(default)]
    pub rollup: bool,
    /// Messages may bring their own time to live.
    #[serde(rename = "messageTTL", default)]
    pub message_ttl: bool,
    /// Mirrors of the stream answer requests for single messages too.
    #[serde(default)]
    pub mirror_direct: bool,
    /// Messages add to a number kept by subject.
    #[serde(default)]
    pub counters: bool,
    /// Several messages may be published as one, all or none.
    #[serde(default)]
    pub atomic_publish: bool,
    /// Messages may be published in fast batches.
    #[serde(default)]
    pub batch_publish: bool,
    /// Messages may ask to be published at a later time.
    #[serde(default)]
    pub schedules: bool,
}

/// A rewrite of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectTransform {
    /// Subjects that are rewritten. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub source: Option<String>,
    /// What they become, such as `archive.{{wildcard(1)}}`.
    #[schemars(length(min = 1, max = 1024))]
    pub destination: String,
}

/// Publishing of kept messages under another subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Republish {
    /// Subjects whose messages are published again. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub source: Option<String>,
    /// The subject they are published to.
    #[schemars(length(min = 1, max = 1024))]
    pub destination: String,
    /// Whether payloads are left out.
    #[serde(default)]
    pub headers_only: bool,
}

/// Defaults and ceilings for the stream's consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerLimits {
    /// After this time without use a consumer is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_threshold: Option<Duration>,
    /// How many messages of one consumer may be unacknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_ack_pending: Option<u32>,
}

/// What is known about a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Messages it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Bytes of one copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Sequence of the oldest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Sequence of the newest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
    /// Number of consumers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// Name of the server that leads the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The other servers that keep copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaStatus>,
    /// When the server created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
}

impl StreamSpec {
    pub fn policies(&self) -> Policies {
        Policies {
            management: self.management_policy,
            deletion: self.deletion_policy,
            adoption: self.adoption_policy,
        }
    }
}

impl Stream {
    /// The stream's name on the server.
    pub fn stream_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }
}

fn one() -> u8 {
    1
}

fn yes() -> bool {
    true
}
