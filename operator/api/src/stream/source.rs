//! Streams that a stream copies.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SubjectTransform;

/// A stream to copy from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.startSequence) || !has(self.startTime)").message(
    "set startSequence or startTime, not both"
))]
#[x_kube(validation = Rule::new("!has(self.filterSubject) || !has(self.subjectTransforms)").message(
    "subjectTransforms filter by their source; remove filterSubject"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamSource {
    /// The stream's name on its server.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s.*>/\\]+$"))]
    pub name: String,
    /// The first message to copy. Default: the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub start_sequence: Option<u64>,
    /// Copies messages that were kept at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Subjects to copy. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s.]+(\.[^\s.]+)*$"))]
    pub filter_subject: Option<String>,
    /// Copies only subjects that one of these names as its source, and rewrites them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subject_transforms: Vec<SubjectTransform>,
    /// For a stream of another account or domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// How another account or domain is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct External {
    /// Prefix of its JetStream API, such as `$JS.hub.API`.
    #[schemars(length(min = 1, max = 1024))]
    pub api_prefix: String,
    /// Prefix of the subjects it delivers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub deliver_prefix: Option<String>,
}
