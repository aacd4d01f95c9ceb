//! Events the server publishes about JetStream.

use serde::Serialize;

use super::PeerInfo;
use super::stream::StreamState;
use crate::timestamp::Timestamp;

/// What every event begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Envelope {
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Unique for each event.
    pub id: String,
    pub timestamp: Timestamp,
}

/// One event: where it goes, and what it says after the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Advisory {
    StreamAction(StreamAction),
    ConsumerAction(ConsumerAction),
    ConsumerPause(ConsumerPause),
    MaxDeliveries(Delivery),
    Nak(Delivery),
    Terminated(Delivery),
    AckMetric(Delivery),
    LeaderElected(Leader),
    QuorumLost(Leader),
    Pinned(Pin),
    Unpinned(Pin),
    BatchAbandoned(BatchAbandoned),
    DomainLeaderElected(DomainLeader),
    ServerRemoved(ServerEvent),
    ServerOutOfStorage(ServerEvent),
    SnapshotCreate(SnapshotCreate),
    SnapshotComplete(SnapshotComplete),
    RestoreCreate(RestoreCreate),
    RestoreComplete(RestoreComplete),
    ApiAudit(ApiAudit),
    ApiLimitReached(ApiLimitReached),
}

/// What happened to a stream or consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    Create,
    Delete,
    Modify,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamAction {
    pub stream: String,
    pub action: ActionKind,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerAction {
    pub stream: String,
    pub consumer: String,
    pub action: ActionKind,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerPause {
    pub stream: String,
    pub consumer: String,
    pub paused: bool,
    pub pause_until: Timestamp,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// An event of one delivered message. Fields that an event does not have are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub stream: String,
    pub consumer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_seq: Option<u64>,
    pub stream_seq: u64,
    /// Nanoseconds from delivery to acknowledgement.
    #[serde(rename = "ack_time", skip_serializing_if = "Option::is_none")]
    pub ack_time_ns: Option<i64>,
    pub deliveries: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// A stream, or a consumer, that has a new leader or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leader {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    pub stream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consumer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader: String,
    pub replicas: Vec<PeerInfo>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// The server that leads the meta group now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DomainLeader {
    /// Its id in the group.
    pub leader: String,
    pub replicas: Vec<PeerInfo>,
    pub cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// A server that left the cluster, or has no room left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerEvent {
    pub server: String,
    pub server_id: String,
    /// The stream for which there was no room.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream: String,
    pub cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// A priority group whose pinned client changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pin {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    pub stream: String,
    pub consumer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub group: String,
    /// The client pinned now.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pinned_id: String,
    /// Why the pin was lost: `admin` or `timeout`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// An atomic batch that will not be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchAbandoned {
    pub stream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// The id its publisher chose.
    pub batch: String,
    /// `timeout`, `large` or `incomplete`.
    pub reason: String,
}

/// A backup of a stream begins to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotCreate {
    pub stream: String,
    pub state: StreamState,
    /// Who asked, as the server describes clients.
    pub client: serde_json::Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// No more of a backup is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotComplete {
    pub stream: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub client: serde_json::Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Why it ended early; empty if all of it was sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// A stream is about to be made of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreCreate {
    pub stream: String,
    pub client: serde_json::Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// A stream was made of a backup, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreComplete {
    pub stream: String,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Bytes of the backup that were received.
    pub bytes: u64,
    pub client: serde_json::Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// A request of the API and its response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiAudit {
    pub server: String,
    /// Who asked, as the server describes clients.
    pub client: serde_json::Value,
    pub subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    pub response: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// So many requests were dropped because too many waited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiLimitReached {
    pub server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub dropped: u64,
}

const PREFIX: &str = "$JS.EVENT.ADVISORY";

impl Advisory {
    /// The schema of the event.
    pub fn kind(&self) -> &'static str {
        match self {
            Advisory::StreamAction(_) => "io.nats.jetstream.advisory.v1.stream_action",
            Advisory::ConsumerAction(_) => "io.nats.jetstream.advisory.v1.consumer_action",
            Advisory::ConsumerPause(_) => "io.nats.jetstream.advisory.v1.consumer_pause",
            Advisory::MaxDeliveries(_) => "io.nats.jetstream.advisory.v1.max_deliver",
            Advisory::Nak(_) => "io.nats.jetstream.advisory.v1.nak",
            Advisory::Terminated(_) => "io.nats.jetstream.advisory.v1.terminated",
            Advisory::AckMetric(_) => "io.nats.jetstream.metric.v1.consumer_ack",
            Advisory::LeaderElected(leader) if leader.consumer.is_empty() => {
                "io.nats.jetstream.advisory.v1.stream_leader_elected"
            }
            Advisory::LeaderElected(_) => "io.nats.jetstream.advisory.v1.consumer_leader_elected",
            Advisory::QuorumLost(leader) if leader.consumer.is_empty() => {
                "io.nats.jetstream.advisory.v1.stream_quorum_lost"
            }
            Advisory::QuorumLost(_) => "io.nats.jetstream.advisory.v1.consumer_quorum_lost",
            Advisory::Pinned(_) => "io.nats.jetstream.advisory.v1.consumer_group_pinned",
            Advisory::Unpinned(_) => "io.nats.jetstream.advisory.v1.consumer_group_unpinned",
            Advisory::BatchAbandoned(_) => "io.nats.jetstream.advisory.v1.stream_batch_abandoned",
            Advisory::DomainLeaderElected(_) => {
                "io.nats.jetstream.advisory.v1.domain_leader_elected"
            }
            Advisory::ServerRemoved(_) => "io.nats.jetstream.advisory.v1.server_removed",
            Advisory::ServerOutOfStorage(_) => "io.nats.jetstream.advisory.v1.server_out_of_space",
            Advisory::SnapshotCreate(_) => "io.nats.jetstream.advisory.v1.snapshot_create",
            Advisory::SnapshotComplete(_) => "io.nats.jetstream.advisory.v1.snapshot_complete",
            Advisory::RestoreCreate(_) => "io.nats.jetstream.advisory.v1.restore_create",
            Advisory::RestoreComplete(_) => "io.nats.jetstream.advisory.v1.restore_complete",
            Advisory::ApiAudit(_) => "io.nats.jetstream.advisory.v1.api_audit",
            Advisory::ApiLimitReached(_) => "io.nats.jetstream.advisory.v1.api_limit_reached",
        }
    }

    /// Where the event is published.
    pub fn subject(&self) -> String {
        let of_consumer = |event: &str, stream: &str, consumer: &str| {
            format!("{PREFIX}.CONSUMER.{event}.{stream}.{consumer}")
        };
        let of_stream = |event: &str, stream: &str| format!("{PREFIX}.STREAM.{event}.{stream}");
        let of_leader = |event: &str, leader: &Leader| match leader.consumer.is_empty() {
            true => of_stream(event, &leader.stream),
            false => of_consumer(event, &leader.stream, &leader.consumer),
        };
        match self {
            Advisory::StreamAction(event) => of_stream(event.action.past(), &event.stream),
            Advisory::ConsumerAction(event) => {
                of_consumer(event.action.past(), &event.stream, &event.consumer)
            }
            Advisory::ConsumerPause(event) => of_consumer("PAUSE", &event.stream, &event.consumer),
            Advisory::MaxDeliveries(event) => {
                of_consumer("MAX_DELIVERIES", &event.stream, &event.consumer)
            }
            Advisory::Nak(event) => of_consumer("MSG_NAKED", &event.stream, &event.consumer),
            Advisory::Terminated(event) => {
                of_consumer("MSG_TERMINATED", &event.stream, &event.consumer)
            }
            Advisory::AckMetric(event) => {
                format!(
                    "$JS.EVENT.METRIC.CONSUMER.ACK.{}.{}",
                    event.stream, event.consumer
                )
            }
            Advisory::LeaderElected(leader) => of_leader("LEADER_ELECTED", leader),
            Advisory::QuorumLost(leader) => of_leader("QUORUM_LOST", leader),
            Advisory::Pinned(pin) => of_consumer("PINNED", &pin.stream, &pin.consumer),
            Advisory::Unpinned(pin) => of_consumer("UNPINNED", &pin.stream, &pin.consumer),
            Advisory::BatchAbandoned(event) => of_stream("BATCH_ABANDONED", &event.stream),
            Advisory::DomainLeaderElected(_) => format!("{PREFIX}.DOMAIN.LEADER_ELECTED"),
            Advisory::ServerRemoved(_) => format!("{PREFIX}.SERVER.REMOVED"),
            Advisory::ServerOutOfStorage(_) => format!("{PREFIX}.SERVER.OUT_OF_STORAGE"),
            Advisory::SnapshotCreate(event) => of_stream("SNAPSHOT_CREATE", &event.stream),
            Advisory::SnapshotComplete(event) => of_stream("SNAPSHOT_COMPLETE", &event.stream),
            Advisory::RestoreCreate(event) => of_stream("RESTORE_CREATE", &event.stream),
            Advisory::RestoreComplete(event) => of_stream("RESTORE_COMPLETE", &event.stream),
            Advisory::ApiAudit(_) => format!("{PREFIX}.API"),
            Advisory::ApiLimitReached(_) => format!("{PREFIX}.API.LIMIT_REACHED"),
        }
    }

    /// The event as JSON.
    pub fn encode(&self, id: String, timestamp: Timestamp) -> Vec<u8> {
        #[derive(Serialize)]
        struct Event<'a> {
            #[serde(flatten)]
            envelope: Envelope,
            #[serde(flatten)]
            body: &'a Advisory,
        }
        let envelope = Envelope {
            kind: self.kind(),
            id,
            timestamp,
        };
        crate::json::to_vec(&Event {
            envelope,
            body: self,
        })
    }
}

impl ActionKind {
    fn past(self) -> &'static str {
        match self {
            ActionKind::Create => "CREATED",
            ActionKind::Delete => "DELETED",
            ActionKind::Modify => "UPDATED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_its_subject_and_schema() {
        let advisory = Advisory::StreamAction(StreamAction {
            stream: "S".to_owned(),
            action: ActionKind::Modify,
            domain: String::new(),
        });
        assert_eq!(advisory.subject(), "$JS.EVENT.ADVISORY.STREAM.UPDATED.S");
        let text = String::from_utf8(advisory.encode("x".to_owned(), Timestamp(0))).unwrap();
        let expected = concat!(
            r#"{"type":"io.nats.jetstream.advisory.v1.stream_action","id":"x","#,
            r#""timestamp":"1970-01-01T00:00:00Z","stream":"S","action":"modify"}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn leadership_of_a_consumer_has_its_own_schema() {
        let mut leader = Leader {
            stream: "S".to_owned(),
            ..Leader::default()
        };
        let stream = Advisory::LeaderElected(leader.clone());
        assert_eq!(
            stream.subject(),
            "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.S"
        );
        leader.consumer = "C".to_owned();
        let consumer = Advisory::LeaderElected(leader);
        assert_eq!(
            consumer.subject(),
            "$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.S.C"
        );
        assert!(consumer.kind().ends_with("consumer_leader_elected"));
    }
}
