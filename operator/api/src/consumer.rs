//! A view of a stream that remembers what has been delivered and acknowledged.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountRef, AdoptionPolicy, Connection, DeletionPolicy, Duration, ManagementPolicy, Policies,
    Quantity, StreamRef, SyncStatus,
};

/// A durable consumer of a stream.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Consumer",
    namespaced,
    cel,
    doc = "A durable consumer: it delivers a stream's messages and remembers which are acknowledged.",
    status = "ConsumerStatus",
    derive = "PartialEq",
    shortname = "wcon",
    category = "weir",
    printcolumn(name = "Stream", type_ = "string", json_path = ".spec.streamRef.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pending"),
    printcolumn(name = "Unacked", type_ = "integer", json_path = ".status.ackPending"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("has(self.streamRef) != has(self.streamName)").message(
    "set exactly one of streamRef, which names a Stream resource, and streamName, which names a stream on the server"
))]
#[x_kube(validation = Rule::new(
    "has(self.streamRef) == has(oldSelf.streamRef) && (!has(self.streamRef) || self.streamRef == oldSelf.streamRef) && (!has(self.streamName) || !has(oldSelf.streamName) || self.streamName == oldSelf.streamName)"
).message("the stream is fixed; create another Consumer instead"))]
#[x_kube(validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)").message(
    "name is fixed: servers can not rename a consumer; create another Consumer with the new name instead"
))]
#[x_kube(validation = Rule::new("self.type == 'Push' ? has(self.push) && !has(self.pull) : !has(self.push)").message(
    "type Push needs push.subject and no pull block; type Pull takes no push block"
))]
#[x_kube(validation = Rule::new("!has(self.priority) || self.type == 'Pull'").message(
    "priority is about clients that ask; use type: Pull or remove it"
))]
#[x_kube(validation = Rule::new("!has(self.deliver) == !has(oldSelf.deliver) && (!has(self.deliver) || self.deliver == oldSelf.deliver)").message(
    "deliver is fixed: the consumer has started already; create another Consumer with a new name instead"
))]
#[x_kube(validation = Rule::new(
    "(has(self.pull) && has(self.pull.maxWaiting) ? self.pull.maxWaiting : 512) == (has(oldSelf.pull) && has(oldSelf.pull.maxWaiting) ? oldSelf.pull.maxWaiting : 512)"
).message(
    "pull.maxWaiting is fixed; create another Consumer with a new name instead"
))]
#[x_kube(validation = Rule::new("has(self.accountRef) != has(self.connection)").message(
    "set exactly one of accountRef, which names an Account, and connection, which names servers"
))]
#[x_kube(validation = Rule::new(
    "has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || self.accountRef == oldSelf.accountRef)"
).message(
    "accountRef is fixed: a consumer can not move between accounts; create another Consumer instead"
))]
#[x_kube(validation = Rule::new("has(self.domain) == has(oldSelf.domain) && (!has(self.domain) || self.domain == oldSelf.domain)").message(
    "domain is fixed: a consumer can not move between domains; create another Consumer instead"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerSpec {
    /// The account the consumer belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Servers that no Cluster describes, instead of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// JetStream domain. Default: that of the servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>]+$"))]
    pub domain: Option<String>,
    /// The Stream resource it reads from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_ref: Option<StreamRef>,
    /// The stream it reads from, by its name on the server; for streams without a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>/\\]+$"))]
    pub stream_name: Option<String>,
    /// The consumer's name on the server. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>/\\]+$"))]
    pub name: Option<String>,
    /// What the consumer is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Whether clients ask for messages or get them sent.
    #[serde(rename = "type", default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "type is fixed; create another Consumer with a new name instead"
    ))]
    pub type_: ConsumerType,
    /// Subjects whose messages are delivered. Default: all of the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))
    )]
    pub filter_subjects: Vec<String>,
    /// Which message comes first. Default: the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Deliver>,
    /// How messages are acknowledged.
    #[serde(default)]
    pub ack: Ack,
    /// How fast kept messages are delivered.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "replayPolicy is fixed; create another Consumer with a new name instead"
    ))]
    pub replay_policy: ReplayPolicy,
    /// Where messages are sent to, for type `Push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.flowControl == oldSelf.flowControl && has(self.heartbeat) == has(oldSelf.heartbeat) && (!has(self.heartbeat) || self.heartbeat == oldSelf.heartbeat)").message(
        "push.flowControl and push.heartbeat are fixed; create another Consumer with a new name instead"
    ))]
    pub push: Option<Push>,
    /// What clients may ask for, for type `Pull`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
    /// Whether payloads are left out.
    #[serde(default)]
    pub headers_only: bool,
    /// Share of acknowledgements that are reported, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub sample_frequency: Option<u8>,
    /// After this time without use the server deletes the consumer. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_threshold: Option<Duration>,
    /// How many servers keep its state. Default: as many as keep the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Option<u8>,
    /// Whether its state is kept in memory only.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "memoryStorage is fixed; create another Consumer with a new name instead"
    ))]
    pub memory_storage: bool,
    /// Shares messages among clients by group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Nothing is delivered before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Time>,
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
    /// What happens when the stream already has a consumer of that name that nobody manages.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
}

/// Whether clients ask for messages or get them sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConsumerType {
    #[default]
    Pull,
    Push,
}

/// Which message comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.startSequence) == (self.policy == 'byStartSequence')").message(
    "startSequence belongs to deliver.policy: byStartSequence; set both or neither"
))]
#[x_kube(validation = Rule::new("has(self.startTime) == (self.policy == 'byStartTime')").message(
    "startTime belongs to deliver.policy: byStartTime; set both or neither"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deliver {
    /// Which message comes first.
    #[serde(default)]
    pub policy: DeliverPolicy,
    /// For policy `byStartSequence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub start_sequence: Option<u64>,
    /// For policy `byStartTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
}

/// Which message comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeliverPolicy {
    /// The oldest.
    #[default]
    All,
    /// The newest that matches.
    Last,
    /// The first that is kept after the consumer was created.
    New,
    ByStartSequence,
    ByStartTime,
    /// The newest of each subject, then everything kept later.
    LastPerSubject,
}

/// How messages are acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.backoff) || !has(self.wait)").message(
    "ack.backoff replaces ack.wait: its first step is the wait after the first delivery; remove one of them"
))]
#[x_kube(validation = Rule::new("!has(self.backoff) || !has(self.maxDeliver) || self.maxDeliver >= size(self.backoff)").message(
    "ack.maxDeliver must be at least the number of steps in ack.backoff; raise it or remove steps"
))]
#[x_kube(validation = Rule::new("self.policy != 'none' || (!has(self.wait) && !has(self.maxDeliver) && !has(self.backoff) && !has(self.maxPending))").message(
    "with ack.policy: none nothing waits for an acknowledgement; remove wait, maxPending, maxDeliver and backoff"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ack {
    /// What an acknowledgement means.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "ack.policy is fixed; create another Consumer with a new name instead"
    ))]
    pub policy: AckPolicy,
    /// After this time without acknowledgement a message is delivered again. Default: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Duration>,
    /// How many messages may be unacknowledged. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_pending: Option<u32>,
    /// How often a message is delivered at most. Default: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_deliver: Option<u32>,
    /// Waits after the first, second, … delivery; the last one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub backoff: Option<Vec<Duration>>,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AckPolicy {
    /// Each message is acknowledged on its own.
    #[default]
    Explicit,
    /// An acknowledgement covers every earlier message too.
    All,
    /// Delivered is done.
    None,
}

/// How fast kept messages are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReplayPolicy {
    #[default]
    Instant,
    /// With the pauses with which they were kept.
    Original,
}

/// Where messages are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!self.flowControl || has(self.heartbeat)").message(
    "push.flowControl needs push.heartbeat; set it, such as heartbeat: 5s"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Push {
    /// The subject messages are sent to.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[^\s.*>]+(\.[^\s.*>]+)*$")
    )]
    pub subject: String,
    /// Subscribers in this queue share the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s]+$"))]
    pub group: Option<String>,
    /// Whether slow subscribers slow delivery down.
    #[serde(default)]
    pub flow_control: bool,
    /// After this time without messages subscribers get a sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// Bits per second at most. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate_limit: Option<u64>,
}

/// What clients may ask for. What is left out is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pull {
    /// How many requests may wait. Default: 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_waiting: Option<u32>,
    /// Messages of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_batch: Option<u32>,
    /// How long one request may wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_expires: Option<Duration>,
    /// Bytes of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
}

/// How messages are shared among clients that ask for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.pinnedTTL) || self.policy == 'pinnedClient'").message(
    "priority.pinnedTTL belongs to policy: pinnedClient; set that or remove pinnedTTL"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Priority {
    /// Which client gets the next message.
    pub policy: PriorityPolicy,
    /// Names of groups, one of which a client names when it asks.
    #[schemars(
        length(min = 1, max = 1),
        inner(length(min = 1, max = 16), regex(pattern = r"^[A-Za-z0-9/_=-]+$"))
    )]
    pub groups: Vec<String>,
    /// After this time without asking a pinned client loses its place. Default: `2m`.
    #[serde(rename = "pinnedTTL", default, skip_serializing_if = "Option::is_none")]
    pub pinned_ttl: Option<Duration>,
}

/// Which client gets the next message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PriorityPolicy {
    /// Clients say from how many waiting messages on they help.
    #[default]
    Overflow,
    /// One client gets all, until it stops asking.
    PinnedClient,
    /// Those that ask with the lowest number first.
    Prioritized,
}

/// What is known about a consumer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Messages that are still to be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Messages that are delivered and not acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_pending: Option<u64>,
    /// Messages that were delivered more than once and are not acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<u64>,
    /// Requests of clients that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Everything up to this sequence of the stream is acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_floor: Option<u64>,
    /// Whether it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Name of the server that leads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

impl ConsumerSpec {
    pub fn policies(&self) -> Policies {
        Policies {
            management: self.management_policy,
            deletion: self.deletion_policy,
            adoption: self.adoption_policy,
        }
    }
}

impl Consumer {
    /// The consumer's name on the server.
    pub fn consumer_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }
}
