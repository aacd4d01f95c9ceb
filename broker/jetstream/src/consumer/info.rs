//! What the API says about a consumer.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

use super::config::ConsumerConfig;
use super::state::{SequencePair, State};

/// A position and when it last moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceInfo {
    pub consumer_seq: u64,
    pub stream_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Timestamp>,
}

/// A consumer as `CONSUMER.INFO` shows it. `Cluster` is the engine's cluster information.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerInfo<Cluster = serde_json::Value> {
    pub stream_name: String,
    pub name: String,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConsumerConfig>,
    pub delivered: SequenceInfo,
    pub ack_floor: SequenceInfo,
    pub num_ack_pending: u64,
    pub num_redelivered: u64,
    pub num_waiting: u64,
    pub num_pending: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub push_bound: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Nanoseconds.
    #[serde(rename = "pause_remaining", default, skip_serializing_if = "is_zero")]
    pub pause_remaining_ns: i64,
    /// When this was written.
    pub ts: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<PriorityGroupState>,
}

/// A priority group and the client pinned in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityGroupState {
    pub group: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pinned_client_id: String,
    /// Since when it is pinned.
    #[serde(default)]
    pub pinned_ts: Timestamp,
}

/// What only the leader's delivery knows; all zero on other servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveInfo {
    pub num_waiting: u64,
    pub num_pending: u64,
    pub push_bound: bool,
    pub last_delivered_ns: Option<i64>,
    pub last_acked_ns: Option<i64>,
    /// The pinned client of the priority group, and since when, nanoseconds since 1970.
    pub pinned: Option<(String, i64)>,
}

impl<Cluster> ConsumerInfo<Cluster> {
    pub fn new(
        names: (&str, &str),
        created: Timestamp,
        config: &ConsumerConfig,
        state: &State,
        live: LiveInfo,
        now_ns: i64,
    ) -> ConsumerInfo<Cluster> {
        let paused = config.is_paused(now_ns);
        let until_ns = config.pause_until.map_or(now_ns, |until| until.0);
        ConsumerInfo {
            stream_name: names.0.to_owned(),
            name: names.1.to_owned(),
            created,
            config: Some(config.clone()),
            delivered: sequence_info(state.delivered(), live.last_delivered_ns),
            ack_floor: sequence_info(state.ack_floor(), live.last_acked_ns),
            num_ack_pending: state.pending().len() as u64,
            // Without redelivery, the messages that were never acknowledged are no redeliveries.
            num_redelivered: if config.max_deliver == 1 {
                0
            } else {
                state.redelivered() as u64
            },
            num_waiting: live.num_waiting,
            num_pending: live.num_pending,
            cluster: None,
            push_bound: live.push_bound,
            paused,
            pause_remaining_ns: if paused { until_ns - now_ns } else { 0 },
            ts: Timestamp(now_ns),
            priority_groups: priority_groups(config, live.pinned),
        }
    }
}

/// Only the first group is of effect.
fn priority_groups(
    config: &ConsumerConfig,
    pinned: Option<(String, i64)>,
) -> Vec<PriorityGroupState> {
    let (pinned_client_id, pinned_ts) = pinned
        .map(|(id, since_ns)| (id, Timestamp(since_ns)))
        .unwrap_or_default();
    let group = config
        .priority_groups
        .first()
        .map(|group| PriorityGroupState {
            group: group.clone(),
            pinned_client_id,
            pinned_ts,
        });
    group.into_iter().collect()
}

fn sequence_info(at: SequencePair, last_ns: Option<i64>) -> SequenceInfo {
    SequenceInfo {
        consumer_seq: at.consumer_seq,
        stream_seq: at.stream_seq,
        last_active: last_ns.map(Timestamp),
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_consumer_has_the_usual_json() {
        let config = ConsumerConfig {
            durable_name: "C".to_owned(),
            ..ConsumerConfig::default()
        };
        let info: ConsumerInfo = ConsumerInfo::new(
            ("S", "C"),
            Timestamp(0),
            &config,
            &State::starting_at(5),
            LiveInfo {
                num_pending: 3,
                ..LiveInfo::default()
            },
            1_500_000_000,
        );
        let expected = concat!(
            r#"{"stream_name":"S","name":"C","created":"1970-01-01T00:00:00Z","#,
            r#""config":{"durable_name":"C","deliver_policy":"all","ack_policy":"none","#,
            r#""replay_policy":"instant","num_replicas":0},"#,
            r#""delivered":{"consumer_seq":0,"stream_seq":4},"#,
            r#""ack_floor":{"consumer_seq":0,"stream_seq":4},"#,
            r#""num_ack_pending":0,"num_redelivered":0,"num_waiting":0,"num_pending":3,"#,
            r#""ts":"1970-01-01T00:00:01.5Z"}"#,
        );
        assert_eq!(serde_json::to_string(&info).unwrap(), expected);
    }

    #[test]
    fn a_paused_consumer_tells_how_long() {
        let config = ConsumerConfig {
            pause_until: Some(Timestamp(5)),
            ..ConsumerConfig::default()
        };
        let at = |now_ns| -> ConsumerInfo {
            let state = State::starting_at(1);
            let live = LiveInfo::default();
            ConsumerInfo::new(("S", "C"), Timestamp(0), &config, &state, live, now_ns)
        };
        assert_eq!((at(3).paused, at(3).pause_remaining_ns), (true, 2));
        assert_eq!((at(5).paused, at(5).pause_remaining_ns), (false, 0));
    }
}
