//! How resources point to each other, and to servers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Points to an Account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountRef {
    /// Name of the Account.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Account, if it is another one. The Account must allow it in
    /// `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Points to a Stream in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRef {
    /// Name of the Stream resource, which may differ from the stream's name on the server.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Points to a Cluster of brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRef {
    /// Name of the Cluster.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Cluster, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Points to one entry of a Secret in the same namespace.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The entry in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Any NATS servers, run by whomever.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// URLs of servers of one cluster, such as `nats://nats.example:4222` or `tls://nats:4222`.
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 1024),
            regex(pattern = r"^(nats|tls|ws|wss)://[^\s/@]+(:[0-9]{1,5})?/?$")
        )
    )]
    pub servers: Vec<String>,
    /// A credentials file, as `nats` and `nsc` write it. Default: no credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creds_secret_ref: Option<SecretKeyRef>,
    /// How the servers prove who they are, and this client to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ConnectionTls>,
}

/// Certificates of a connection.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionTls {
    /// Name of a Secret in the same namespace: `ca.crt` signs the servers' certificates; `tls.crt` and
    /// `tls.key`, where they are there, are shown to the servers.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}
