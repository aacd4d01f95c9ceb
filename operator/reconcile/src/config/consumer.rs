//! The fields of consumers.

use super::{Change, Field, Unit};

pub(crate) const CONSUMER_FIELDS: &[Field] = &[
    Field::new("description", "description", Unit::Text),
    Field::new("filter_subjects", "filterSubjects", Unit::Texts),
    Field::new("deliver_policy", "deliver.policy", Unit::Text).change(Change::Fixed),
    Field::new("opt_start_seq", "deliver.startSequence", Unit::Count).change(Change::Fixed),
    Field::new("opt_start_time", "deliver.startTime", Unit::Time).change(Change::Fixed),
    Field::new("ack_policy", "ack.policy", Unit::Text).change(Change::Fixed),
    Field::new("ack_wait", "ack.wait", Unit::Nanos),
    Field::new("max_ack_pending", "ack.maxPending", Unit::Limit),
    Field::new("max_deliver", "ack.maxDeliver", Unit::Limit),
    Field::new("backoff", "ack.backoff", Unit::NanosList),
    Field::new("replay_policy", "replayPolicy", Unit::Text).change(Change::Fixed),
    Field::new("deliver_subject", "push.subject", Unit::Text),
    Field::new("deliver_group", "push.group", Unit::Text),
    Field::new("flow_control", "push.flowControl", Unit::Flag).change(Change::Fixed),
    Field::new("idle_heartbeat", "push.heartbeat", Unit::Nanos).change(Change::Fixed),
    Field::new("rate_limit_bps", "push.rateLimit", Unit::Limit),
    Field::new("max_waiting", "pull.maxWaiting", Unit::Limit).change(Change::Fixed),
    Field::new("max_batch", "pull.maxBatch", Unit::Limit),
    Field::new("max_expires", "pull.maxExpires", Unit::Nanos),
    Field::new("max_bytes", "pull.maxBytes", Unit::Bytes),
    Field::new("headers_only", "headersOnly", Unit::Flag),
    Field::new("sample_freq", "sampleFrequency", Unit::Text),
    Field::new("inactive_threshold", "inactiveThreshold", Unit::Nanos),
    Field::new("num_replicas", "replicas", Unit::Count),
    Field::new("mem_storage", "memoryStorage", Unit::Flag).change(Change::Fixed),
    Field::new("pause_until", "pauseUntil", Unit::Time),
    Field::new("metadata", "metadata", Unit::Labels),
];
