//! Requests about streams, and their responses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::source::SourceInfo;
use super::{ClusterInfo, Paged, is_default};
use crate::config::StreamConfig;
use crate::error::ApiError;
use crate::timestamp::Timestamp;

/// The body of a create or update: a configuration, and whether to be strict about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigRequest {
    pub config: StreamConfig,
    /// Refuse what would be corrected silently otherwise.
    pub pedantic: bool,
}

impl ConfigRequest {
    /// Reads the body of a create or update.
    pub fn parse(text: &[u8]) -> Result<ConfigRequest, ApiError> {
        let text = if text.is_empty() { b"{}" } else { text };
        let mut fields: serde_json::Map<String, serde_json::Value> = crate::json::parse(text)?;
        let pedantic = fields.remove("pedantic").is_some_and(|value| value == true);
        let config = crate::json::parse(&crate::json::to_vec(&fields))?;
        Ok(ConfigRequest { config, pedantic })
    }
}

/// The body of a names or list request; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    pub offset: usize,
    /// Only streams that listen to this subject.
    pub subject: String,
}

/// The body of an info request; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfoRequest {
    pub offset: usize,
    pub deleted_details: bool,
    /// Counts messages of each subject that matches.
    pub subjects_filter: String,
}

/// The body of a purge; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeRequest {
    pub seq: u64,
    pub filter: String,
    pub keep: u64,
}

impl PurgeRequest {
    /// The command to propose.
    ///
    /// # Errors
    /// Both `seq` and `keep` are given.
    pub fn command(self) -> Result<crate::command::Purge, ApiError> {
        if self.seq > 0 && self.keep > 0 {
            return Err(ApiError::BAD_REQUEST);
        }
        let (upto_seq, keep) = (self.seq, self.keep);
        Ok(crate::command::Purge {
            filter: self.filter.into(),
            upto_seq,
            keep,
        })
    }
}

/// The body of a message delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MsgDeleteRequest {
    pub seq: u64,
    pub no_erase: bool,
}

/// The body of a message get or direct get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MsgGetRequest {
    pub seq: u64,
    pub last_by_subj: String,
    pub next_by_subj: String,
    /// Most messages to send; 0 for a single one.
    pub batch: i64,
    /// Most bytes to send; 0 for the server's limit.
    pub max_bytes: i64,
    pub start_time: Option<Timestamp>,
    /// The last message of each matching subject.
    pub multi_last: Vec<String>,
    pub up_to_seq: u64,
    pub up_to_time: Option<Timestamp>,
    /// Leave the headers out.
    pub no_hdr: bool,
}

/// The body of a snapshot request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotRequest {
    pub deliver_subject: String,
    pub no_consumers: bool,
    /// Bytes; 0 for the default.
    pub chunk_size: i64,
    /// Bytes; 0 for the default.
    pub window_size: i64,
    pub jsck: bool,
}

/// The body of a snapshot response; the backup follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotResponse {
    pub config: StreamConfig,
    pub state: StreamState,
}

/// The body of a restore request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreRequest {
    pub config: StreamConfig,
    pub state: BackupState,
}

/// What a backup holds, as far as it matters before it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BackupState {
    pub bytes: u64,
}

/// The body of a restore response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreResponse {
    /// Where the chunks of the backup go.
    pub deliver_subject: String,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamState {
    pub messages: u64,
    pub bytes: u64,
    pub first_seq: u64,
    pub first_ts: Timestamp,
    pub last_seq: u64,
    pub last_ts: Timestamp,
    #[serde(skip_serializing_if = "is_default")]
    pub num_subjects: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub subjects: Vec<(String, u64)>,
    #[serde(skip_serializing_if = "is_default")]
    pub num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<u64>,
    pub consumer_count: usize,
}

fn as_map<S: Serializer>(pairs: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(subject, count)| (subject, count)))
}

/// Everything the API tells about a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamInfo {
    pub config: StreamConfig,
    pub created: Timestamp,
    pub state: StreamState,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceInfo>,
    /// When this was gathered.
    pub ts: Timestamp,
}

/// The body of a create response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CreateResponse {
    #[serde(flatten)]
    pub info: StreamInfo,
    /// False if an equal stream existed before.
    #[serde(skip_serializing_if = "is_default")]
    pub did_create: bool,
}

/// The body of an info response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InfoResponse {
    #[serde(flatten)]
    pub paged: Paged,
    #[serde(flatten)]
    pub info: StreamInfo,
}

/// The body of a names response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamesResponse {
    #[serde(flatten)]
    pub paged: Paged,
    pub streams: Vec<String>,
}

/// The body of a list response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListResponse {
    #[serde(flatten)]
    pub paged: Paged,
    pub streams: Vec<StreamInfo>,
    /// Streams whose leader did not answer in time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Streams that can not be served, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<String, String>,
}

/// The body of a purge response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeResponse {
    pub success: bool,
    pub purged: u64,
}

/// A stored message in a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoredMsg {
    pub subject: String,
    pub seq: u64,
    /// The header block in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hdrs: String,
    /// The payload in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    pub time: Timestamp,
}

/// The body of a message get response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MsgGetResponse {
    pub message: StoredMsg,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_may_come_with_pedantic() {
        let request = ConfigRequest::parse(br#"{"name":"S","pedantic":true}"#).unwrap();
        assert!(request.pedantic);
        assert_eq!(request.config.name, "S");
        assert_eq!(ConfigRequest::parse(b"").unwrap(), ConfigRequest::default());
        let error = ConfigRequest::parse(br#"{"name":"S","colour":1}"#).unwrap_err();
        assert_eq!(
            error,
            ApiError::invalid_json("json: unknown field \"colour\"")
        );
    }

    #[test]
    fn an_empty_state_has_the_api_s_empty_times() {
        let json = serde_json::to_string(&StreamState::default()).unwrap();
        let expected = concat!(
            r#"{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","#,
            r#""last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#
        );
        assert_eq!(json, expected);
    }
}
