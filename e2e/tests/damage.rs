//! A store that was damaged while nobody looked: what is left is served, what is not is reported,
//! and nothing is served that was never written.

use std::path::{Path, PathBuf};

use async_nats::jetstream::{self, Context, stream};
use bytes::Bytes;
use e2e::{Broker, Cluster, Ledger, Read, Setup, read_stream, until};

const MESSAGES: usize = 50;

fn first_segment(store_dir: &Path) -> PathBuf {
    let dir = store_dir.join("jetstream/wal");
    let entries = std::fs::read_dir(&dir).expect("the log has a directory");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    segments.min().expect("the log has a segment")
}

/// Changes the bytes of the first segment of a dead broker's log.
fn change(store_dir: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = first_segment(store_dir);
    let mut bytes = std::fs::read(&path).expect("segments can be read");
    change(&mut bytes);
    std::fs::write(&path, bytes).expect("and written");
}

/// The end of the last record.
fn used(segment: &[u8]) -> usize {
    let last = segment.iter().rposition(|byte| *byte != 0);
    last.expect("something was written") + 1
}

fn place_of(segment: &[u8], text: &[u8]) -> usize {
    let found = segment
        .windows(text.len())
        .position(|window| window == text);
    found.expect("the message is in the segment")
}

/// A broker that died with [`MESSAGES`] messages in its stream `S`.
async fn dead_broker(files: &Path) -> (Setup, Ledger) {
    let broker = Broker::start(Setup::alone("solo", files)).await;
    let context = jetstream::new(broker.client().await);
    let config = stream::Config {
        name: "S".into(),
        subjects: vec!["s".into()],
        ..Default::default()
    };
    context
        .create_stream(config)
        .await
        .expect("a stream can be created");
    let ledger = Ledger::default();
    for _ in 0..MESSAGES {
        ledger
            .publish_once(&context, "s")
            .await
            .expect("publishing works");
    }
    (broker.kill().await, ledger)
}

async fn restarted(setup: Setup) -> (Broker, Context) {
    let broker = Broker::start(setup).await;
    let context = jetstream::new(broker.client().await);
    (broker, context)
}

/// Everything that can be got from the stream, message by message.
async fn direct(context: &Context) -> Read {
    let mut messages: Vec<(u64, Bytes)> = Vec::new();
    if let Ok(stream) = context.get_stream("S").await {
        for sequence in 1..=MESSAGES as u64 {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                messages.push((sequence, message.payload));
            }
        }
    }
    Read { messages }
}

#[track_caller]
fn assert_nothing_invented(read: &Read) {
    for (sequence, payload) in &read.messages {
        let original = Ledger::payload(sequence - 1);
        assert_eq!(*payload, original, "message {sequence} was changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_torn_by_the_crash_costs_nothing() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let (setup, ledger) = dead_broker(files.path()).await;
    change(&setup.store_dir, |segment| {
        // The first half of a record that looks like the one with message 3.
        let end = used(segment).next_multiple_of(8);
        let place = place_of(segment, b"message 3 ");
        segment.copy_within(place - 120..place + 80, end);
    });
    let (broker, context) = restarted(setup).await;
    let read = read_stream(&context, "S").await;
    assert_eq!(read.messages.len(), MESSAGES);
    ledger.check(&read);
    ledger
        .publish_once(&context, "s")
        .await
        .expect("publishing goes on");
    let (_broker, context) = restarted(broker.kill().await).await;
    ledger.check(&read_stream(&context, "S").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_reported_and_never_served() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let (setup, _) = dead_broker(files.path()).await;
    change(&setup.store_dir, |segment| {
        let place = place_of(segment, b"message 20 ");
        segment[place + 40] ^= 1;
    });
    let (broker, context) = restarted(setup).await;
    broker.logs("damaged").await;
    let read = direct(&context).await;
    assert_nothing_invented(&read);
    let served: Vec<u64> = read
        .messages
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    assert!(!served.contains(&21), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_was_cut_short_is_reported_and_serves_what_is_before_the_cut() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let (setup, _) = dead_broker(files.path()).await;
    change(&setup.store_dir, |segment| {
        let place = place_of(segment, b"message 30 ");
        segment.truncate(place);
    });
    let (broker, context) = restarted(setup).await;
    broker.logs("damaged").await;
    let read = read_stream(&context, "S").await;
    assert_nothing_invented(&read);
    assert!(read.messages.len() >= 30, "{}", read.messages.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_replica_heals_from_the_others_by_itself() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    let config = stream::Config {
        name: "S".into(),
        subjects: vec!["s".into()],
        num_replicas: 3,
        ..Default::default()
    };
    until("stream is created", async || {
        context.create_stream(config.clone()).await
    })
    .await;
    let leader = cluster.settled(&context, "S").await;
    let ledger = Ledger::default();
    for _ in 0..MESSAGES {
        ledger.publish_all(&context, "s", 1).await;
    }
    cluster.settled(&context, "S").await;

    let victim = (leader + 1) % 3;
    let store_dir = cluster.broker(victim).setup.store_dir.clone();
    cluster.kill(victim).await;
    change(&store_dir, |segment| {
        let place = place_of(segment, b"message 20 ");
        segment[place + 40] ^= 1;
    });
    cluster.restart(victim).await;
    // Its vote may be lost with the rest, so it must not go on as the one that gave it.
    cluster.broker(victim).logs("damaged").await;
    cluster.broker(victim).logs("back in service").await;
    ledger.publish_all(&context, "s", MESSAGES).await;
    cluster.settled(&context, "S").await;
    ledger.check(&read_stream(&context, "S").await);

    // It is worth as much as any other again.
    let other = (leader + 2) % 3;
    cluster.kill(other).await;
    ledger.publish_all(&context, "s", MESSAGES).await;
    ledger.check(&read_stream(&context, "S").await);
}
