//! What accounts let each other use, and how subjects are mapped.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountRef, Duration};

/// Whether messages flow from the exporting account, or requests to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExchangeType {
    /// Messages that the exporting account publishes.
    #[default]
    Stream,
    /// Requests that the exporting account answers.
    Service,
}

/// Subjects that other accounts may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.type == 'Service' || (!has(self.responseType) && !has(self.responseThreshold) && !has(self.latency))").message(
    "responseType, responseThreshold and latency are about answers; set type: Service or remove them"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Export {
    /// What the export is called. Default: its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// The subjects; wildcards are allowed.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))]
    pub subject: String,
    /// Whether messages flow out or requests flow in.
    #[serde(rename = "type", default)]
    pub type_: ExchangeType,
    /// How many messages answer a request. Default: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<ResponseType>,
    /// How long answers may take. Default: `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_threshold: Option<Duration>,
    /// Measures how long answers take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Which token of the subject must be the importing account's key, counted from 1. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub account_token_position: Option<u8>,
    /// Whether traces of messages go on into this account.
    #[serde(default)]
    pub allow_trace: bool,
    /// What is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
}

/// How many messages answer a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResponseType {
    /// One.
    #[default]
    Singleton,
    /// Several.
    Stream,
    /// One in parts.
    Chunked,
}

/// A measurement of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// Share of requests that are measured, in percent. Default: those whose headers ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub sampling: Option<u8>,
    /// The subject of the measurements.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[^\s.*>]+(\.[^\s.*>]+)*$")
    )]
    pub results: String,
}

/// Subjects of another account that this one uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.accountRef) != has(self.accountKey)").message(
    "set exactly one of accountRef, which names an Account, and accountKey, an account's public key"
))]
#[x_kube(validation = Rule::new("self.type == 'Service' || !self.share").message(
    "share tells who asks; set type: Service or remove it"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Import {
    /// What the import is called. Default: its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// The exporting Account. One of another namespace must allow this one in `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Public key of an exporting account that has no resource here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 56, max = 56), regex(pattern = "^A[A-Z2-7]{55}$"))]
    pub account_key: Option<String>,
    /// The subject, as the other account exports it or narrower.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))]
    pub subject: String,
    /// As the other account exports it.
    #[serde(rename = "type", default)]
    pub type_: ExchangeType,
    /// The subject in this account, which may name wildcards as `$1`. Default: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))]
    pub local_subject: Option<String>,
    /// Whether the other account may see who asks.
    #[serde(default)]
    pub share: bool,
    /// Whether traces of messages go on into the other account.
    #[serde(default)]
    pub allow_trace: bool,
}

/// Where messages of a subject go instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    /// The subject that is published to; wildcards are allowed.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))]
    pub subject: String,
    /// Where its messages go, by weight.
    #[schemars(length(min = 1, max = 64))]
    pub destinations: Vec<Destination>,
}

/// One of the subjects that messages go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// The subject, which may name wildcards as `$1` or `{{wildcard(1)}}`.
    #[schemars(length(min = 1, max = 1024))]
    pub subject: String,
    /// Share of the messages, in percent. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<u8>,
    /// Counts only for clients of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub cluster: Option<String>,
}
