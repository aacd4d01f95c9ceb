//! A consumer's configuration: its JSON form and the rules it must satisfy.

mod defaults;
mod metadata;
mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Retention, StreamConfig};
use crate::timestamp::Timestamp;

pub use defaults::{
    DEFAULT_ACK_WAIT_NS, DEFAULT_INACTIVE_THRESHOLD_NS, DEFAULT_MAX_ACK_PENDING,
    DEFAULT_MAX_WAITING,
};
pub use validate::{CreateLimits, StreamFacts, validate_create, validate_update};

/// Which message a new consumer starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    #[default]
    All,
    /// The newest message that matches.
    Last,
    /// Messages stored after the consumer was created.
    New,
    ByStartSequence,
    ByStartTime,
    /// The newest message of each subject, then everything stored later.
    LastPerSubject,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    /// Nothing is acknowledged: delivered is done.
    #[default]
    None,
    /// An acknowledgement covers every earlier message too.
    All,
    /// Each message is acknowledged on its own.
    Explicit,
    /// Replies to flow control acknowledge. Refused by validation.
    FlowControl,
}

/// How fast stored messages are replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    #[default]
    Instant,
    /// With the pauses with which they were stored.
    Original,
}

/// How pull requests compete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityPolicy {
    #[default]
    None,
    Overflow,
    PinnedClient,
    Prioritized,
}

/// Everything a person can configure about a consumer.
///
/// Serialised with the API's field names. Durations are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub durable_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<Timestamp>,
    pub ack_policy: AckPolicy,
    #[serde(rename = "ack_wait", skip_serializing_if = "is_default")]
    pub ack_wait_ns: i64,
    /// How often a message is delivered at most; -1 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    /// Ack waits of the first, second, … delivery; the last one repeats.
    #[serde(rename = "backoff", skip_serializing_if = "Vec::is_empty")]
    pub backoff_ns: Vec<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    pub replay_policy: ReplayPolicy,
    /// Bits per second; 0 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    /// Share of acknowledgements that are reported, as in `50%`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sample_freq: String,
    /// How many pull requests may wait.
    #[serde(skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    /// How many messages may be unacknowledged; -1 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub flow_control: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
    /// Largest batch of one pull request; 0 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch: i64,
    /// Longest expiry of one pull request; 0 for no limit.
    #[serde(rename = "max_expires", skip_serializing_if = "is_default")]
    pub max_expires_ns: i64,
    /// Largest `max_bytes` of one pull request; 0 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// Where messages are pushed to; empty for a pull consumer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    #[serde(rename = "idle_heartbeat", skip_serializing_if = "is_default")]
    pub idle_heartbeat_ns: i64,
    /// After this time without use the consumer is deleted; 0 for never (durables only).
    #[serde(rename = "inactive_threshold", skip_serializing_if = "is_default")]
    pub inactive_threshold_ns: i64,
    /// 0 inherits the stream's.
    pub num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub sourcing: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    #[serde(rename = "priority_timeout", skip_serializing_if = "is_default")]
    pub priority_timeout_ns: i64,
}

impl ConsumerConfig {
    /// The durable name, else the name; empty if the server has to choose one.
    pub fn consumer_name(&self) -> &str {
        if self.durable_name.is_empty() {
            &self.name
        } else {
            &self.durable_name
        }
    }

    pub fn is_durable(&self) -> bool {
        !self.durable_name.is_empty()
    }

    /// Its number of replicas, which says which of the account's limits count for it.
    pub fn replicas(&self, stream: &StreamConfig) -> u64 {
        let of_stream = stream.num_replicas.max(1);
        let replicas = match self.num_replicas {
            0 if !self.is_durable() && stream.retention == Retention::Limits => 1,
            0 => of_stream,
            replicas => replicas.min(of_stream),
        };
        u64::try_from(replicas).unwrap_or(1)
    }

    pub fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    /// All filters; empty if the consumer wants the whole stream.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.filter_subject)
            .filter(|filter| !filter.is_empty())
            .chain(&self.filter_subjects)
            .map(String::as_str)
    }

    /// Ack wait of the given delivery (1 is the first) in nanoseconds.
    pub fn ack_wait_of_ns(&self, deliveries: u32) -> i64 {
        let index = (deliveries.max(1) as usize - 1).min(self.backoff_ns.len().saturating_sub(1));
        self.backoff_ns
            .get(index)
            .copied()
            .unwrap_or(self.ack_wait_ns)
    }

    /// Whether delivery is paused at this time.
    pub fn is_paused(&self, now_ns: i64) -> bool {
        self.pause_until.is_some_and(|until| now_ns < until.0)
    }

    /// How long the consumer may be unused before it is deleted; `None` for ever.
    pub fn expires_after_ns(&self) -> Option<i64> {
        match self.inactive_threshold_ns {
            0 if self.is_durable() => None,
            0 => Some(DEFAULT_INACTIVE_THRESHOLD_NS),
            threshold => Some(threshold),
        }
    }

    /// The share of acknowledgements to report in percent.
    pub fn sample_percent(&self) -> u32 {
        self.sample_freq.trim_end_matches('%').parse().unwrap_or(0)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
