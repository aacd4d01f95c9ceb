//! Consumers.

use api::consumer::{AckPolicy, ConsumerType, DeliverPolicy, PriorityPolicy, ReplayPolicy};
use api::{Consumer, Duration, Resource};
use serde_json::json;

use super::{Address, Approval, Invalid, ValidatedAsset, bytes, invalid, limit, nanos};
use crate::config::{CONSUMER_FIELDS, Config};
use crate::dereference::References;

const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_WAITING: u32 = 512;
const DEFAULT_PINNED_TTL: Duration = Duration::from_secs(120);

pub(super) fn validate(consumer: &Consumer, to: References) -> Result<ValidatedAsset, Invalid> {
    let resource = Resource::Consumer(Box::new(consumer.clone()));
    let stream = to
        .stream
        .ok_or_else(|| invalid("streamRef", "is missing"))?;
    Ok(ValidatedAsset {
        id: resource.id(),
        place: to.place,
        domain: consumer.spec.domain.clone(),
        address: Address::Consumer {
            stream,
            name: consumer.consumer_name(),
        },
        config: config(consumer)?,
        fields: CONSUMER_FIELDS,
        policies: consumer.spec.policies(),
        approval: Approval::of(&resource),
        max_ack_pending: to.max_ack_pending,
    })
}

fn config(consumer: &Consumer) -> Result<Config, Invalid> {
    let spec = &consumer.spec;
    let mut config = Config::default();
    let name = consumer.consumer_name();
    if name.contains('.') {
        let message = format!("{name:?} is no name for a consumer; set one without points");
        return Err(invalid("name", message));
    }
    config.set("name", name.clone());
    config.set("durable_name", name);
    config.set("description", spec.description.clone().unwrap_or_default());
    config.set("filter_subjects", spec.filter_subjects.clone());
    let replay = match spec.replay_policy {
        ReplayPolicy::Instant => "instant",
        ReplayPolicy::Original => "original",
    };
    config.set("replay_policy", replay);
    config.set("headers_only", spec.headers_only);
    let sample = spec.sample_frequency.map(|percent| format!("{percent}%"));
    config.set("sample_freq", sample.unwrap_or_default());
    config.set("num_replicas", spec.replicas.unwrap_or_default());
    config.set("mem_storage", spec.memory_storage);
    config.set(
        "pause_until",
        spec.pause_until.as_ref().map(|time| time.0.to_string()),
    );
    config.set("metadata", json!(spec.metadata));
    if let Some(threshold) = spec.inactive_threshold {
        config.set("inactive_threshold", threshold.as_nanos());
    }
    set_start(&mut config, consumer);
    set_ack(&mut config, consumer)?;
    set_delivery(&mut config, consumer)?;
    set_priority(&mut config, consumer);
    Ok(config)
}

fn set_priority(config: &mut Config, consumer: &Consumer) {
    let priority = consumer.spec.priority.as_ref();
    let policy = priority.map(|priority| match priority.policy {
        PriorityPolicy::Overflow => "overflow",
        PriorityPolicy::PinnedClient => "pinned_client",
        PriorityPolicy::Prioritized => "prioritized",
    });
    let timeout = priority
        .filter(|priority| priority.policy == PriorityPolicy::PinnedClient)
        .map(|priority| priority.pinned_ttl.unwrap_or(DEFAULT_PINNED_TTL));
    config.set("priority_policy", policy);
    config.set(
        "priority_groups",
        priority.map(|priority| priority.groups.clone()),
    );
    config.set("priority_timeout", timeout.map(Duration::as_nanos));
}

fn set_start(config: &mut Config, consumer: &Consumer) {
    let deliver = consumer.spec.deliver.clone().unwrap_or_default();
    let policy = match deliver.policy {
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::New => "new",
        DeliverPolicy::ByStartSequence => "by_start_sequence",
        DeliverPolicy::ByStartTime => "by_start_time",
        DeliverPolicy::LastPerSubject => "last_per_subject",
    };
    config.set("deliver_policy", policy);
    config.set("opt_start_seq", deliver.start_sequence.unwrap_or_default());
    config.set(
        "opt_start_time",
        deliver.start_time.map(|time| time.0.to_string()),
    );
}

fn set_ack(config: &mut Config, consumer: &Consumer) -> Result<(), Invalid> {
    let ack = &consumer.spec.ack;
    let policy = match ack.policy {
        AckPolicy::Explicit => "explicit",
        AckPolicy::All => "all",
        AckPolicy::None => "none",
    };
    let backoff = ack.backoff.clone().unwrap_or_default();
    let wait = match (ack.policy, backoff.first()) {
        (AckPolicy::None, _) => Duration::ZERO,
        // Servers take the first step.
        (_, Some(first)) => *first,
        (_, None) => ack.wait.unwrap_or(DEFAULT_ACK_WAIT),
    };
    if ack.policy != AckPolicy::None && wait.is_zero() {
        return Err(invalid("ack.wait", "must be longer than 0"));
    }
    let backoff: Vec<u64> = backoff.into_iter().map(Duration::as_nanos).collect();
    config.set("ack_policy", policy);
    config.set("ack_wait", wait.as_nanos());
    config.set("max_deliver", limit(ack.max_deliver));
    config.set("backoff", backoff);
    if let Some(pending) = ack.max_pending {
        config.set("max_ack_pending", pending);
    }
    Ok(())
}

fn set_delivery(config: &mut Config, consumer: &Consumer) -> Result<(), Invalid> {
    let spec = &consumer.spec;
    let pull = spec.pull.clone().unwrap_or_default();
    let (subject, max_waiting) = match (&spec.type_, &spec.push) {
        (ConsumerType::Pull, _) => (None, pull.max_waiting.unwrap_or(DEFAULT_MAX_WAITING)),
        (ConsumerType::Push, Some(push)) => (Some(push.subject.clone()), 0),
        (ConsumerType::Push, None) => return Err(invalid("push", "is missing")),
    };
    let push = spec.push.clone().unwrap_or_default();
    config.set("deliver_subject", subject.unwrap_or_default());
    config.set("deliver_group", push.group.unwrap_or_default());
    config.set("flow_control", push.flow_control);
    config.set("idle_heartbeat", nanos(push.heartbeat));
    config.set("rate_limit_bps", push.rate_limit.unwrap_or_default());
    config.set("max_waiting", max_waiting);
    config.set("max_batch", pull.max_batch.unwrap_or_default());
    config.set("max_expires", nanos(pull.max_expires));
    config.set("max_bytes", bytes(pull.max_bytes).max(0));
    Ok(())
}

/// Fills in what servers derive from the stream and the account.
pub(crate) fn complete(asset: &mut ValidatedAsset, stream: &Config) {
    const DEFAULT_MAX_ACK_PENDING: u64 = 1000;
    let limits = stream.0.get("consumer_limits");
    let of_stream = |name: &str| limits?.get(name)?.as_u64().filter(|value| *value > 0);
    let of_account = asset.max_ack_pending.map(u64::from);
    let config = &mut asset.config;
    if !config.0.contains_key("max_ack_pending") {
        let is_acked = config
            .0
            .get("ack_policy")
            .is_some_and(|policy| policy != "none");
        let ceilings = [of_stream("max_ack_pending"), of_account];
        let default = ceilings
            .into_iter()
            .flatten()
            .fold(DEFAULT_MAX_ACK_PENDING, u64::min);
        config.set("max_ack_pending", if is_acked { default } else { 0 });
    }
    if !config.0.contains_key("inactive_threshold") {
        let threshold = of_stream("inactive_threshold").unwrap_or_default();
        config.set("inactive_threshold", threshold);
    }
}
