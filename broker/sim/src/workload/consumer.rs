//! Readers of streams that have each of their acknowledgements confirmed.

use std::time::Duration;

use bytes::Bytes;
use engine::bus::Outgoing;
use jetstream::consumer::ack::AckSubject;
use serde_json::json;
use tokio::time::Instant;

use super::{CONSUMER, PATIENCE, PUSHED_TO};
use crate::client::{Client, Received};
use crate::history::Recorder;

const BATCH: u64 = 20;
const PULL_EXPIRES: Duration = Duration::from_secs(1);

/// How long a reader that is pushed nothing stays where it is.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Pulls the messages of a stream.
pub async fn run(mut client: Client, history: Recorder, stream: &'static str) {
    history.write(|history| {
        history.readings.entry(stream).or_default();
    });
    loop {
        let messages = pull(&mut client, stream).await;
        for message in &messages {
            acknowledge(&mut client, &history, stream, message).await;
        }
        if messages.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Listens to what is pushed, at one broker after the other.
pub async fn listen(mut client: Client, history: Recorder, stream: &'static str) {
    loop {
        let Some(broker) = client.broker() else {
            tokio::time::sleep(SILENCE_MAX).await;
            continue;
        };
        let mut inbox = client.listen(broker, PUSHED_TO.to_owned());
        while let Some(message) = inbox.next(Instant::now() + SILENCE_MAX).await {
            acknowledge(&mut client, &history, stream, &message).await;
        }
        client.turn_away();
    }
}

/// Asks for some messages and takes what comes until there is a pause.
async fn pull(client: &mut Client, stream: &str) -> Vec<Received> {
    let mut messages = Vec::new();
    let Some(broker) = client.broker() else {
        tokio::time::sleep(PULL_EXPIRES).await;
        return messages;
    };
    let mut inbox = client.inbox(broker);
    let body = json!({ "batch": BATCH, "expires": PULL_EXPIRES.as_nanos() as u64 });
    let request = Outgoing {
        reply: Some(Bytes::from(inbox.subject.clone())),
        ..Outgoing::new(
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}"),
            body.to_string(),
        )
    };
    client.publish(broker, &request);
    let deadline = Instant::now() + PULL_EXPIRES + Duration::from_millis(500);
    while messages.len() < BATCH as usize {
        match inbox.next(deadline).await {
            // A status ends the pull.
            Some(message) if message.reply.is_none() => break,
            Some(message) => messages.push(message),
            None => {
                client.turn_away();
                break;
            }
        }
    }
    messages
}

async fn acknowledge(
    client: &mut Client,
    history: &Recorder,
    stream: &'static str,
    message: &Received,
) {
    let Some(subject) = &message.reply else {
        return;
    };
    let Some(seq) = AckSubject::parse(subject).map(|ack| ack.token.stream_seq) else {
        return;
    };
    history.write(|history| {
        let reading = history.readings.entry(stream).or_default();
        *reading.delivered.entry(seq).or_default() += 1;
        reading.acknowledged.insert(seq);
    });
    let ack = Outgoing::new(subject.clone(), "+ACK");
    if client.request(ack, PATIENCE / 2).await.is_some() {
        history.write(|history| {
            history
                .readings
                .entry(stream)
                .or_default()
                .confirmed
                .insert(seq)
        });
    }
}
