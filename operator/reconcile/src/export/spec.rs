//! Configurations of servers in the words of resources. What a resource would say by default is left out.

use api::{Duration, Quantity};
use serde_json::{Map, Value, json};

use crate::owner::{SERVER_PREFIX, WEIR_PREFIX};

/// The window of servers that are told none.
const DUPLICATE_WINDOW_NS: u64 = 120_000_000_000;
const ACK_WAIT_NS: u64 = 30_000_000_000;
const MAX_WAITING: i64 = 512;

/// A configuration that is read, and the block that is written from it.
struct Words<'a> {
    config: &'a Value,
    block: Map<String, Value>,
}

impl<'a> Words<'a> {
    fn new(config: &'a Value) -> Words<'a> {
        Words {
            config,
            block: Map::new(),
        }
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !is_empty {
            self.block.insert(field.to_owned(), value);
        }
    }

    fn number(&self, api: &str) -> i64 {
        self.config[api].as_i64().unwrap_or_default()
    }

    /// A number above 0.
    fn positive(&self, api: &str) -> Option<u64> {
        self.config[api].as_u64().filter(|number| *number > 0)
    }

    fn text(&mut self, api: &str, field: &str) {
        let text = self.config[api].clone();
        self.set(field, text);
    }

    fn count(&mut self, api: &str, field: &str) {
        let count = self.positive(api);
        self.set(field, count);
    }

    fn flag(&mut self, api: &str, field: &str) {
        if self.config[api] == true {
            self.set(field, true);
        }
    }

    fn bytes(&mut self, api: &str, field: &str) {
        let bytes = self.positive(api);
        let bytes = bytes.map(|bytes| Quantity::from_bytes(bytes).to_string());
        self.set(field, bytes);
    }

    fn nanos(&mut self, api: &str, field: &str) {
        let nanos = self.positive(api);
        let nanos = nanos.map(|nanos| Duration::from_nanos(nanos).to_string());
        self.set(field, nanos);
    }

    /// A word, unless it is the default.
    fn choice(&mut self, api: &str, field: &str, default: &str) {
        if let Some(word) = self.config[api].as_str().filter(|word| *word != default) {
            self.set(field, camel(word));
        }
    }

    fn labels(&mut self) {
        let labels = self.config["metadata"].as_object().into_iter().flatten();
        let of_people = labels
            .filter(|(key, _)| !key.starts_with(SERVER_PREFIX) && !key.starts_with(WEIR_PREFIX));
        let of_people: Map<String, Value> = of_people
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.set("metadata", of_people);
    }

    fn replicas(&mut self) {
        let replicas = self.number("num_replicas");
        self.set("replicas", replicas.max(1));
    }

    fn placement(&mut self) {
        let mut words = Words::new(&self.config["placement"]);
        words.text("cluster", "cluster");
        words.text("tags", "tags");
        self.set("placement", words.block);
    }

    fn republish(&mut self) {
        let mut words = Words::new(&self.config["republish"]);
        words.text("src", "source");
        words.text("dest", "destination");
        words.flag("headers_only", "headersOnly");
        self.set("republish", words.block);
    }
}

pub(super) fn stream(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.text("name", "name");
    words.text("description", "description");
    words.text("subjects", "subjects");
    words.choice("retention", "retention", "limits");
    words.choice("storage", "storage", "file");
    words.replicas();
    words.placement();
    words.set("limits", limits(config));
    words.set("discard", discard(config));
    let window = words.positive("duplicate_window").unwrap_or_default();
    let age = words.positive("max_age").unwrap_or(u64::MAX);
    if window != DUPLICATE_WINDOW_NS.min(age) {
        words.nanos("duplicate_window", "duplicateWindow");
    }
    words.choice("compression", "compression", "none");
    words.choice("persist_mode", "persistMode", "default");
    if config["no_ack"] == true {
        words.set("acknowledgePublishes", false);
    }
    words.flag("sealed", "sealed");
    words.flag("deny_delete", "denyDelete");
    words.flag("deny_purge", "denyPurge");
    words.set("allow", allow(config));
    words.nanos("subject_delete_marker_ttl", "subjectDeleteMarkerTTL");
    words.set("subjectTransform", transform(&config["subject_transform"]));
    words.set("mirror", source(&config["mirror"]));
    let sources = config["sources"].as_array().into_iter().flatten();
    words.set("sources", sources.map(source).collect::<Vec<Value>>());
    words.republish();
    words.set("consumerLimits", consumer_limits(config));
    words.labels();
    words.block
}

pub(super) fn kv_bucket(bucket: &str, config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.set("bucket", bucket);
    words.text("description", "description");
    words.set("history", words.number("max_msgs_per_subject").max(1));
    words.bytes("max_msg_size", "maxValueSize");
    words.bytes("max_bytes", "maxBytes");
    words.nanos("max_age", "ttl");
    words.nanos("subject_delete_marker_ttl", "limitMarkerTTL");
    words.choice("storage", "storage", "file");
    words.replicas();
    words.placement();
    words.choice("compression", "compression", "none");
    words.set("mirror", bucket_source(&config["mirror"]));
    let sources = config["sources"].as_array().into_iter().flatten();
    words.set(
        "sources",
        sources.map(bucket_source).collect::<Vec<Value>>(),
    );
    words.republish();
    words.labels();
    words.block
}

pub(super) fn object_store(bucket: &str, config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.set("bucket", bucket);
    words.text("description", "description");
    words.nanos("max_age", "ttl");
    words.bytes("max_bytes", "maxBytes");
    words.choice("storage", "storage", "file");
    words.replicas();
    words.placement();
    words.choice("compression", "compression", "none");
    words.labels();
    words.block
}

pub(super) fn consumer(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.set("name", config["durable_name"].clone());
    words.text("description", "description");
    let is_push = config["deliver_subject"]
        .as_str()
        .is_some_and(|subject| !subject.is_empty());
    if is_push {
        words.set("type", "Push");
        words.set("push", push(config));
    } else {
        words.set("pull", pull(config));
    }
    match config["filter_subject"]
        .as_str()
        .filter(|subject| !subject.is_empty())
    {
        Some(subject) => words.set("filterSubjects", json!([subject])),
        None => words.text("filter_subjects", "filterSubjects"),
    }
    words.set("deliver", deliver(config));
    words.set("ack", ack(config));
    words.choice("replay_policy", "replayPolicy", "instant");
    words.flag("headers_only", "headersOnly");
    let sample = config["sample_freq"].as_str().unwrap_or_default();
    words.set(
        "sampleFrequency",
        sample.trim_end_matches('%').parse::<u8>().ok(),
    );
    words.nanos("inactive_threshold", "inactiveThreshold");
    words.count("num_replicas", "replicas");
    words.flag("mem_storage", "memoryStorage");
    words.text("pause_until", "pauseUntil");
    words.set("priority", priority(config));
    words.labels();
    words.block
}

fn limits(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.count("max_consumers", "maxConsumers");
    words.count("max_msgs", "maxMessages");
    words.bytes("max_bytes", "maxBytes");
    words.nanos("max_age", "maxAge");
    words.bytes("max_msg_size", "maxMessageSize");
    words.count("max_msgs_per_subject", "maxMessagesPerSubject");
    words.block
}

fn discard(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.choice("discard", "policy", "old");
    words.flag("discard_new_per_subject", "perSubject");
    words.block
}

fn allow(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.flag("allow_direct", "direct");
    words.flag("mirror_direct", "mirrorDirect");
    words.flag("allow_rollup_hdrs", "rollup");
    words.flag("allow_msg_ttl", "messageTTL");
    words.flag("allow_msg_counter", "counters");
    words.flag("allow_atomic", "atomicPublish");
    words.flag("allow_batched", "batchPublish");
    words.flag("allow_msg_schedules", "schedules");
    words.block
}

fn consumer_limits(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(&config["consumer_limits"]);
    words.nanos("inactive_threshold", "inactiveThreshold");
    words.count("max_ack_pending", "maxAckPending");
    words.block
}

fn transform(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.text("src", "source");
    words.text("dest", "destination");
    words.block
}

fn source(config: &Value) -> Value {
    let mut words = Words::new(config);
    words.text("name", "name");
    words.count("opt_start_seq", "startSequence");
    words.text("opt_start_time", "startTime");
    words.text("filter_subject", "filterSubject");
    let transforms = config["subject_transforms"]
        .as_array()
        .into_iter()
        .flatten();
    let transforms: Vec<Value> = transforms.map(|found| transform(found).into()).collect();
    words.set("subjectTransforms", transforms);
    words.set("external", external(&config["external"]));
    words.block.into()
}

fn bucket_source(config: &Value) -> Value {
    let mut words = Words::new(config);
    let name = config["name"].as_str().unwrap_or_default();
    words.set("bucket", name.strip_prefix("KV_").unwrap_or(name));
    words.set("external", external(&config["external"]));
    words.block.into()
}

fn external(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.text("api", "apiPrefix");
    words.text("deliver", "deliverPrefix");
    words.block
}

fn push(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.text("deliver_subject", "subject");
    words.text("deliver_group", "group");
    words.flag("flow_control", "flowControl");
    words.nanos("idle_heartbeat", "heartbeat");
    words.count("rate_limit_bps", "rateLimit");
    words.block
}

fn pull(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    if words.number("max_waiting") != MAX_WAITING {
        words.count("max_waiting", "maxWaiting");
    }
    words.count("max_batch", "maxBatch");
    words.nanos("max_expires", "maxExpires");
    words.bytes("max_bytes", "maxBytes");
    words.block
}

fn deliver(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.choice("deliver_policy", "policy", "all");
    words.count("opt_start_seq", "startSequence");
    words.text("opt_start_time", "startTime");
    words.block
}

fn ack(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    words.choice("ack_policy", "policy", "explicit");
    if config["ack_policy"] == "none" {
        return words.block;
    }
    let steps = config["backoff"].as_array().into_iter().flatten();
    let steps = steps
        .filter_map(Value::as_u64)
        .map(|step| Duration::from_nanos(step).to_string());
    let steps: Vec<String> = steps.collect();
    if steps.is_empty() && words.positive("ack_wait") != Some(ACK_WAIT_NS) {
        words.nanos("ack_wait", "wait");
    }
    words.set("backoff", steps);
    words.count("max_ack_pending", "maxPending");
    words.count("max_deliver", "maxDeliver");
    words.block
}

fn priority(config: &Value) -> Map<String, Value> {
    let mut words = Words::new(config);
    if matches!(config["priority_policy"].as_str(), None | Some("" | "none")) {
        return words.block;
    }
    words.choice("priority_policy", "policy", "none");
    words.text("priority_groups", "groups");
    if config["priority_policy"] == "pinned_client" {
        words.nanos("priority_timeout", "pinnedTTL");
    }
    words.block
}

/// `by_start_time` as resources write it.
fn camel(word: &str) -> String {
    let mut parts = word.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |word, part| {
        let (start, rest) = part.split_at(part.len().min(1));
        word + &start.to_ascii_uppercase() + rest
    })
}
