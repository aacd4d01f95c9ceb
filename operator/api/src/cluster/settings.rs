//! What brokers are told in their configuration.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Quantity};

/// Tags of servers, by which streams are placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerTags {
    /// Tags that every server has.
    #[serde(rename = "static", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 128), regex(pattern = r#"^[^\s"\\]+$"#))
    )]
    pub fixed: Vec<String>,
    /// Tags from labels of the node that a server runs on: `zone: topology.kubernetes.io/zone` gives the
    /// tag `zone:eu-1` where the label's value is `eu-1`. A changed label reaches the running server.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub from_node_labels: BTreeMap<String, String>,
}

/// What streams may use on one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JetStream {
    /// Bytes of streams in files. Default: nine tenths of the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store: Option<Quantity>,
    /// Bytes of streams in memory. Default: servers take three quarters of their memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_store: Option<Quantity>,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[-_A-Za-z0-9]+$"))]
    pub domain: Option<String>,
    /// Replicas of one stream are put on servers that differ in tags with this beginning, such as
    /// `zone:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r#"^[^\s"\\]+$"#))]
    pub unique_tag: Option<String>,
    /// How often data are made durable. Default: before every acknowledgement. With a time, a crash
    /// of a node can lose what was acknowledged since, unless the stream has replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<Duration>,
    /// Ceilings for streams and consumers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JetStreamCeilings>,
}

/// Ceilings for streams and consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JetStreamCeilings {
    /// Largest `ack.maxPending` of a consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_ack_pending: Option<u32>,
    /// Largest number of replicas on one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replicas_per_server: Option<u32>,
    /// Largest batch of one request for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_request_batch: Option<u32>,
    /// Longest `duplicateWindow` of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_window: Option<Duration>,
}

/// Where connections are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listeners {
    /// Clients, on port 4222.
    pub client: ClientListener,
    /// Other servers of the cluster, on port 6222.
    pub cluster: RouteListener,
    /// Clients that speak WebSocket, such as browsers, on port 8080. Default: none are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocketListener>,
}

/// The clients' listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientListener {
    /// Encrypts connections. Default: they are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
    /// Whether servers do not tell clients the names of the others. For clients outside Kubernetes,
    /// which can not use them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_advertise: bool,
}

/// The listener for clients that speak WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WebSocketListener {
    /// Encrypts connections. Default: they are not encrypted, for an Ingress or a gateway that does
    /// so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
    /// Origins of the pages that may connect, such as `https://shop.example`. Default: all, as far as
    /// `sameOrigin` does not forbid it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 256), regex(pattern = r#"^https?://[^\s"\\/]+$"#))
    )]
    pub allowed_origins: Vec<String>,
    /// Whether pages may connect only to the host that they came from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub same_origin: bool,
    /// Whether messages are compressed for clients that ask for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compression: bool,
}

/// Certificates for clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTls {
    /// Name of a Secret in the same namespace with `tls.crt`, `tls.key` and, if clients show
    /// certificates, `ca.crt`. When it changes, servers use the new one without a restart. What they could
    /// not use is reported, and they keep the one they have.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Whether clients must show a certificate that `ca.crt` signed.
    #[serde(default)]
    pub verify: bool,
}

/// The servers' listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.tls) == has(oldSelf.tls)").message(
    "encryption between servers can not be switched in a running cluster: they would not find each other; create another Cluster instead"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteListener {
    /// Encrypts connections between servers. Default: they are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouteTls>,
}

/// Certificates between servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteTls {
    /// Name of a Secret in the same namespace with `tls.crt`, `tls.key` and `ca.crt`, for the names
    /// `*.CLUSTER-servers.NAMESPACE.svc`. Each server shows it and demands one that `ca.crt` signed. What
    /// servers could not use is reported, and they keep the one they have.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// Limits of one server's connections. What is left out is as in nats-server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections. Default: 65536.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// Size of one message. Default: 1Mi, at most 64Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_payload: Option<Quantity>,
    /// Bytes that wait for one slow connection. Default: 64Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending: Option<Quantity>,
    /// Subscriptions of one connection. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_subscriptions: Option<u32>,
    /// How long a write may wait before a connection counts as slow. Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_deadline: Option<Duration>,
}

/// What servers log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    /// What people should know.
    #[default]
    Info,
    /// More, to find out what happens.
    Debug,
    /// Every operation of the protocol.
    Trace,
}
