//! What the API tells of a mirror's or source's origin.

use serde::Serialize;

use super::is_default;
use crate::config::{External, SubjectTransform};
use crate::error::ApiError;

/// How far an origin has been copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceInfo {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// Messages of the origin that are not here yet.
    pub lag: u64,
    /// The origin's last sequence that is here; 0 for a mirror, whose own sequence says it.
    #[serde(skip_serializing_if = "is_default")]
    pub seq: u64,
    /// When the origin was last heard of, nanoseconds ago; -1 for never.
    #[serde(rename = "active")]
    pub active_ns: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
}
