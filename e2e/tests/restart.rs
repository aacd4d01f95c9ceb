//! A broker that comes back has everything it had: streams, messages, consumers, buckets.

use std::path::Path;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context, kv, stream};
use e2e::{Broker, Ledger, Setup, read_stream, until};
use futures::StreamExt as _;

const MESSAGES: usize = 500;
const TAKEN: usize = 40;
const ACKED: usize = 25;
/// Together more than the log of one stream may hold.
const LARGE_MESSAGES: usize = 48;
const LARGE_BYTES: usize = 1_000_000;

async fn restarted(setup: Setup) -> (Broker, Context) {
    let broker = Broker::start(setup).await;
    let context = jetstream::new(broker.client().await);
    (broker, context)
}

/// Leaves a stream with a ledger's messages, a consumer that has some of them, and a bucket.
async fn fill(context: &Context, ledger: &Ledger) {
    let stream = context
        .create_stream(stream::Config {
            name: "ORDERS".into(),
            subjects: vec!["orders.>".into()],
            ..Default::default()
        })
        .await
        .expect("a stream can be created");
    ledger.publish_all(context, "orders.new", MESSAGES).await;
    let consumer = stream
        .create_consumer(pull::Config {
            durable_name: Some("shop".into()),
            ack_policy: AckPolicy::Explicit,
            ..Default::default()
        })
        .await
        .expect("a consumer can be created");
    let mut messages = consumer
        .fetch()
        .max_messages(TAKEN)
        .messages()
        .await
        .expect("messages can be fetched");
    let mut taken = 0;
    while let Some(message) = messages.next().await {
        let message = message.expect("fetching works");
        taken += 1;
        if taken <= ACKED {
            message.double_ack().await.expect("acks are confirmed");
        }
    }
    assert_eq!(taken, TAKEN);
    let bucket = context
        .create_key_value(kv::Config {
            bucket: "settings".into(),
            history: 5,
            ..Default::default()
        })
        .await
        .expect("a bucket can be created");
    bucket
        .put("colour", "blue".into())
        .await
        .expect("puts work");
    bucket
        .put("colour", "green".into())
        .await
        .expect("puts work");
}

async fn check(context: &Context, ledger: &Ledger) {
    let read = read_stream(context, "ORDERS").await;
    assert_eq!(read.messages.len(), MESSAGES);
    ledger.check(&read);
    let stream = context
        .get_stream("ORDERS")
        .await
        .expect("the stream is there");
    let consumer: PullConsumer = stream
        .get_consumer("shop")
        .await
        .expect("so is the consumer");
    let info = consumer.cached_info();
    assert_eq!(info.ack_floor.stream_sequence, ACKED as u64);
    assert_eq!(info.delivered.stream_sequence, TAKEN as u64);
    assert_eq!(info.num_ack_pending, TAKEN - ACKED);
    assert_eq!(info.num_pending, (MESSAGES - TAKEN) as u64);

    let bucket = context
        .get_key_value("settings")
        .await
        .expect("and the bucket");
    let entry = bucket
        .entry("colour")
        .await
        .expect("it answers")
        .expect("with its key");
    assert_eq!((entry.value.as_ref(), entry.revision), (&b"green"[..], 2));
    assert_eq!(
        bucket
            .history("colour")
            .await
            .expect("it has history")
            .count()
            .await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_crash_and_after_a_stop() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let (broker, context) = restarted(Setup::alone("solo", files.path())).await;
    let ledger = Ledger::default();
    fill(&context, &ledger).await;
    check(&context, &ledger).await;

    let (broker, context) = restarted(broker.kill().await).await;
    check(&context, &ledger).await;
    let (broker, context) = restarted(broker.stop().await).await;
    check(&context, &ledger).await;
    let (broker, context) = restarted(broker.kill().await).await;
    check(&context, &ledger).await;
    drop((broker, context));
}

/// A stream of one server does not wait until the log has no room: a restart would have to apply all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_left_behind_while_the_broker_runs() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let (broker, context) = restarted(Setup::alone("solo", files.path())).await;
    context
        .create_stream(stream::Config {
            name: "LARGE".into(),
            subjects: vec!["large".into()],
            ..Default::default()
        })
        .await
        .expect("a stream can be created");
    let streams = broker.visible_store_dir().join("jetstream/streams");
    assert!(!has_checkpoint(&streams));
    for _ in 0..LARGE_MESSAGES {
        let ack = context.publish("large", vec![b'x'; LARGE_BYTES].into());
        ack.await.expect("it is sent").await.expect("it is stored");
    }
    until("checkpoint", async || {
        has_checkpoint(&streams).then_some(()).ok_or("none yet")
    })
    .await;
    let (broker, context) = restarted(broker.kill().await).await;
    let read = read_stream(&context, "LARGE").await;
    assert_eq!(read.messages.len(), LARGE_MESSAGES);
    drop(broker);
}

/// Whether any stream below this directory has one.
fn has_checkpoint(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"manifest.")
            || has_checkpoint(&entry.path())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_leaves_no_pid_file_and_ends_its_clients_connections() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let pid_file = files.path().join("pid");
    let mut setup = Setup::alone("solo", files.path());
    setup.extra = format!("pid_file: {pid_file:?}\n");
    let broker = Broker::start(setup).await;
    let pid = std::fs::read_to_string(&pid_file).expect("the pid file is written");
    assert_eq!(pid, broker.pid().to_string());
    let client = broker.client().await;
    broker.stop().await;
    assert!(!pid_file.exists());
    until("client notices", async || match client.connection_state() {
        async_nats::connection::State::Disconnected => Ok(()),
        state => Err(state),
    })
    .await;
}
