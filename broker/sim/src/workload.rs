//! The clients: publishers with several publishes in flight, compare-and-set writers, a keeper of
//! keys, and consumers that have each acknowledgement confirmed: of a stream that keeps everything, of a
//! work queue, and one that is pushed what it is interested in.

mod consumer;
mod keys;
mod publisher;

use std::time::Duration;

use bytes::Bytes;
use engine::bus::Outgoing;
use serde_json::json;
use tokio::task::JoinSet;

use crate::broker::World;
use crate::client::Client;
use crate::history::Recorder;

pub const EVENTS: &str = "EVENTS";
pub const KEYS: &str = "KEYS";
/// A work queue.
pub const JOBS: &str = "JOBS";
/// A stream of what a push consumer is interested in.
pub const NEWS: &str = "NEWS";
pub const STREAMS: [&str; 4] = [EVENTS, KEYS, JOBS, NEWS];
/// The consumer of each stream that has one.
pub const CONSUMER: &str = "reader";
/// Where news are delivered.
pub const PUSHED_TO: &str = "pushed.news";

/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(2);
const PUBLISHERS: usize = 3;
const KEEPERS: usize = 2;
/// Longer than any run with all its clock jumps, so that no id is ever forgotten.
const DUPLICATE_WINDOW_NS: i64 = 3_600_000_000_000;

/// Creates the streams and the consumer, however long that takes.
pub async fn prepare(world: &World, seed: u64) {
    let mut client = Client::new(world.bus.clone(), "creator", seed);
    let events = json!({
        "name": EVENTS, "subjects": ["events.>"], "num_replicas": 3, "storage": "file",
        "retention": "limits", "duplicate_window": DUPLICATE_WINDOW_NS,
    });
    let keys = json!({
        "name": KEYS, "subjects": ["keys.>"], "num_replicas": 3, "storage": "file",
        "max_msgs_per_subject": 1, "duplicate_window": DUPLICATE_WINDOW_NS,
    });
    let jobs = json!({
        "name": JOBS, "subjects": ["jobs.>"], "num_replicas": 3, "storage": "file",
        "retention": "workqueue", "duplicate_window": DUPLICATE_WINDOW_NS,
    });
    let news = json!({
        "name": NEWS, "subjects": ["news.>"], "num_replicas": 3, "storage": "file",
        "retention": "interest", "duplicate_window": DUPLICATE_WINDOW_NS,
    });
    for config in [events, keys, jobs, news] {
        let name = config["name"].as_str().unwrap_or_default().to_owned();
        insist(&mut client, &format!("STREAM.CREATE.{name}"), &config).await;
    }
    for stream in [EVENTS, JOBS, NEWS] {
        let mut consumer = json!({
            "stream_name": stream,
            "config": {
                "name": CONSUMER, "durable_name": CONSUMER, "ack_policy": "explicit",
                "deliver_policy": "all", "ack_wait": 2_000_000_000u64, "max_ack_pending": 200,
            },
        });
        if stream == NEWS {
            consumer["config"]["deliver_subject"] = json!(PUSHED_TO);
        }
        let subject = format!("CONSUMER.CREATE.{stream}.{CONSUMER}");
        insist(&mut client, &subject, &consumer).await;
    }
}

async fn insist(client: &mut Client, subject: &str, body: &serde_json::Value) {
    loop {
        match client.api(subject, body, PATIENCE).await {
            Some(answer) if answer.get("error").is_none() => return,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Starts all clients; they work until the set is dropped.
pub fn start(world: &World, history: &Recorder, seed: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let client = |name: &str| Client::new(world.bus.clone(), name, seed);
    for number in 0..PUBLISHERS {
        let publisher = client(&format!("publisher-{number}"));
        clients.spawn(publisher::run(publisher, history.clone(), EVENTS));
    }
    for stream in [JOBS, NEWS] {
        let publisher = client(&format!("publisher-{stream}"));
        clients.spawn(publisher::run(publisher, history.clone(), stream));
    }
    for number in 0..2 {
        let publisher = client(&format!("comparer-{number}"));
        clients.spawn(publisher::compare_and_set(publisher, history.clone()));
    }
    for number in 0..KEEPERS {
        let keeper = client(&format!("keeper-{number}"));
        clients.spawn(keys::run(keeper, history.clone()));
    }
    for stream in [EVENTS, JOBS] {
        let reader = client(&format!("consumer-{stream}"));
        clients.spawn(consumer::run(reader, history.clone(), stream));
    }
    clients.spawn(consumer::listen(client("listener"), history.clone(), NEWS));
    clients
}

/// What a stream says to a publish.
enum Outcome {
    Stored { seq: u64 },
    Refused,
    Silence,
}

async fn publish(
    client: &mut Client,
    subject: &str,
    headers: &[(&str, String)],
    payload: &Bytes,
) -> Outcome {
    let mut block = wire::headers::Builder::new();
    for (name, value) in headers {
        block = block.add(name, value);
    }
    let message = Outgoing {
        headers: Bytes::from(block.build()),
        ..Outgoing::new(subject.to_owned(), payload.clone())
    };
    let Some(answer) = client.request(message, PATIENCE).await else {
        return Outcome::Silence;
    };
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
    if answer.get("error").is_some() {
        return Outcome::Refused;
    }
    match answer["seq"].as_u64() {
        Some(seq) => Outcome::Stored { seq },
        None => Outcome::Silence,
    }
}
