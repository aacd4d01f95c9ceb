//! Requests about consumers, and their responses.

use serde::{Deserialize, Serialize};

use super::{ClusterInfo, Paged, is_default};
use crate::consumer::{ConsumerConfig, ConsumerInfo};
use crate::timestamp::Timestamp;

/// What a create request does with a consumer of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CreateAction {
    /// Create it, or update it if it exists.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// Fail if a different one exists.
    Create,
    /// Fail if none exists.
    Update,
}

/// The body of a create.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateRequest {
    pub stream_name: String,
    pub config: ConsumerConfig,
    pub action: CreateAction,
    /// Refuse what would be corrected silently otherwise.
    pub pedantic: bool,
}

/// The body of a names or list request; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    pub offset: usize,
}

/// The body of a pause; empty to resume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PauseRequest {
    pub pause_until: Option<Timestamp>,
}

/// The body of an unpin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnpinRequest {
    pub group: String,
}

/// The body of a reset; `seq` 0 goes back to the ack floor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResetRequest {
    pub seq: u64,
}

/// The body of a names response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamesResponse {
    #[serde(flatten)]
    pub paged: Paged,
    pub consumers: Vec<String>,
}

/// The body of a list response.
#[derive(Clone, Debug, Serialize)]
pub struct ListResponse {
    #[serde(flatten)]
    pub paged: Paged,
    pub consumers: Vec<ConsumerInfo<ClusterInfo>>,
    /// Consumers whose leader did not answer in time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The body of a pause response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PauseResponse {
    pub paused: bool,
    pub pause_until: Timestamp,
    #[serde(rename = "pause_remaining", skip_serializing_if = "is_default")]
    pub pause_remaining_ns: i64,
}

/// The body of a reset response.
#[derive(Clone, Debug, Serialize)]
pub struct ResetResponse {
    #[serde(flatten)]
    pub info: ConsumerInfo<ClusterInfo>,
    pub reset_seq: u64,
}
