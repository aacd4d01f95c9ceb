//! The JetStream API: subjects, requests, responses, advisories.
//!
//! Nothing here does anything: [`ApiRequest`] says what a subject asks for, the modules hold the
//! bodies of requests and responses by family, and [`respond`] and [`refuse`] write replies.

pub mod account;
pub mod advisory;
pub mod consumer;
pub mod publish;
pub mod source;
pub mod stream;
mod subject;

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::timestamp::Timestamp;

pub use subject::{ApiRequest, Verb};

/// The JetStream API level this server implements, `api_lvl` in INFO.
pub const API_LEVEL: u32 = 5;
/// Most names in one page of a names response.
pub const NAMES_PAGE: usize = 1024;
/// Most entries in one page of a list response.
pub const LIST_PAGE: usize = 256;
/// Most subjects in one page of a stream info response.
pub const SUBJECTS_PAGE: usize = 100_000;

/// Where a page starts, how long it can be, and how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paged {
    pub total: usize,
    pub offset: usize,
    pub limit: usize,
}

impl Paged {
    /// The page of `items` that starts at `offset`, and its description.
    pub fn slice<T>(items: &[T], offset: usize, limit: usize) -> (Paged, &[T]) {
        let offset = offset.min(items.len());
        let end = items.len().min(offset + limit);
        (
            Paged {
                total: items.len(),
                offset,
                limit,
            },
            &items[offset..end],
        )
    }
}

/// The servers behind a stream or consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raft_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_since: Option<Timestamp>,
    /// Whether replication counts as traffic of the system account.
    #[serde(skip_serializing_if = "is_default")]
    pub system_account: bool,
    /// The account that replication counts for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traffic_account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<PeerInfo>,
    /// Where the replicas are to be, while they are not all there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredCluster>,
}

/// A change of servers under way, or one that has to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DesiredCluster {
    pub created: Timestamp,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<DesiredPeer>,
    /// What cancelling goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<DesiredOrigin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DesiredStatus>,
}

/// A server that is to hold a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DesiredPeer {
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub offline: bool,
    pub peer: String,
}

/// How the stream was placed before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DesiredOrigin {
    pub replicas: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<crate::config::Placement>,
}

/// What the change of servers waits for: `type` is for programs (`meta`, `membership`, `catchup`,
/// `quorum`, `blocked`), `description` for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DesiredStatus {
    pub description: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
}

/// One replica that is not the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeerInfo {
    pub name: String,
    pub current: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub offline: bool,
    /// Nanoseconds since the leader heard of it.
    #[serde(rename = "active")]
    pub active_ns: i64,
    /// Commands it has not applied yet.
    #[serde(skip_serializing_if = "is_default")]
    pub lag: u64,
    pub peer: String,
}

/// A request to move leadership; the body may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepDownRequest {
    pub placement: Option<crate::config::Placement>,
}

/// A request that names a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerRequest {
    pub peer: String,
    pub peer_id: String,
}

/// A request to have everything leave a server, or to take that back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvacuateRequest {
    pub peer: String,
    pub peer_id: String,
    /// Lets the server have replicas and leaderships again.
    pub cancel: bool,
}

/// A request to move a stream's replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamMoveRequest {
    /// The server that a replica leaves.
    pub server: String,
    pub cluster: String,
    pub domain: String,
    /// Further tags that the servers must carry.
    pub tags: Vec<String>,
}

/// The body of a response to what is carried out later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Initiated {
    pub initiated: bool,
}

/// The body of responses that only confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Success {
    pub success: bool,
}

/// What [`respond`] says when there is nothing to add to success.
pub const SUCCESS: Success = Success { success: true };

/// The `type` of a response, from its last part: `stream_info_response`.
pub fn response_type(name: &str) -> String {
    format!("io.nats.jetstream.api.v1.{name}")
}

#[derive(Serialize)]
struct Response<'a, T> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
    #[serde(flatten)]
    body: T,
}

/// A successful response; `name` is the last part of its type, as [`Verb::response_name`] gives it.
pub fn respond<T: Serialize>(name: &str, body: &T) -> Vec<u8> {
    crate::json::to_vec(&Response {
        kind: response_type(name),
        error: None,
        body,
    })
}

/// A response that carries an error.
pub fn refuse(name: &str, error: &ApiError) -> Vec<u8> {
    let kind = response_type(name);
    crate::json::to_vec(&Response {
        kind,
        error: Some(error),
        body: Nothing::of(name),
    })
}

/// What a response says of what is not there, beside an error.
#[derive(Default, Serialize)]
struct Nothing {
    #[serde(flatten)]
    paged: Option<Paged>,
    /// Some lists are empty, and some are `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Option<[(); 0]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumers: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purged: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_subject: Option<&'static str>,
}

impl Nothing {
    fn of(name: &str) -> Nothing {
        let mut nothing = Nothing::default();
        let paged = Some(Paged::default());
        match name {
            "stream_info_response" => nothing.paged = paged,
            "stream_list_response" => (nothing.paged, nothing.streams) = (paged, Some(Some([]))),
            "stream_names_response" => (nothing.paged, nothing.streams) = (paged, Some(None)),
            "consumer_list_response" | "consumer_names_response" => {
                (nothing.paged, nothing.consumers) = (paged, Some([]));
            }
            "stream_purge_response" => nothing.purged = Some(0),
            "stream_restore_response" => nothing.deliver_subject = Some(""),
            "consumer_pause_response" => {
                nothing.paused = Some(false);
                nothing.pause_until = Some(Timestamp::UNSET);
            }
            _ => {}
        }
        nothing
    }
}

/// Whether a request's headers demand a higher API level than this server has; such a request is
/// refused with [`ApiError::REQUIRED_API_LEVEL`].
pub fn demands_higher_level(headers: &[u8]) -> bool {
    let Some(level) = wire::headers::get(headers, "Nats-Required-Api-Level") else {
        return false;
    };
    let level = std::str::from_utf8(level)
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    level.is_none_or(|level| level > API_LEVEL)
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_begins_with_its_type() {
        let text = String::from_utf8(respond("stream_delete_response", &SUCCESS)).unwrap();
        let expected =
            r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","success":true}"#;
        assert_eq!(text, expected);
        let text = String::from_utf8(refuse("stream_names_response", &ApiError::STREAM_NOT_FOUND))
            .unwrap();
        let expected = concat!(
            r#"{"type":"io.nats.jetstream.api.v1.stream_names_response","#,
            r#""error":{"code":404,"err_code":10059,"description":"stream not found"},"#,
            r#""total":0,"offset":0,"limit":0,"streams":null}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_request_can_demand_an_api_level() {
        let block = |level: &str| format!("NATS/1.0\r\nNats-Required-Api-Level: {level}\r\n\r\n");
        let demands = |level: &str| demands_higher_level(block(level).as_bytes());
        assert_eq!(
            ["0", "5", "6", "x"].map(demands),
            [false, false, true, true]
        );
        assert!(!demands_higher_level(b""));
    }

    #[test]
    fn a_page_beyond_the_end_is_empty() {
        let items = [1, 2, 3];
        assert_eq!(Paged::slice(&items, 1, 1).1, [2]);
        assert_eq!(Paged::slice(&items, 2, 10).1, [3]);
        let (paged, page) = Paged::slice(&items, 9, 10);
        assert_eq!((paged.total, paged.offset, page.len()), (3, 3, 0));
    }
}
