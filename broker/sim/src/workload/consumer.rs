//! A reader of the events stream that has each of its acknowledgements confirmed.

use std::time::Duration;

use bytes::Bytes;
use engine::bus::Outgoing;
use jetstream::consumer::ack::AckSubject;
use serde_json::json;
use tokio::time::Instant;

use super::{CONSUMER, EVENTS, PATIENCE};
use crate::client::{Client, Received};
use crate::history::Recorder;

const BATCH: u64 = 20;
const PULL_EXPIRES: Duration = Duration::from_secs(1);

pub async fn run(mut client: Client, history: Recorder) {
    history.write(|history| history.has_consumer = true);
    loop {
        let messages = pull(&mut client).await;
        for message in &messages {
            acknowledge(&mut client, &history, message).await;
        }
        if messages.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Asks for some messages and takes what comes until there is a pause.
async fn pull(client: &mut Client) -> Vec<Received> {
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
            format!("$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{CONSUMER}"),
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

async fn acknowledge(client: &mut Client, history: &Recorder, message: &Received) {
    let Some(subject) = &message.reply else {
        return;
    };
    let Some(seq) = AckSubject::parse(subject).map(|ack| ack.token.stream_seq) else {
        return;
    };
    history.write(|history| *history.delivered.entry(seq).or_default() += 1);
    let ack = Outgoing::new(subject.clone(), "+ACK");
    if client.request(ack, PATIENCE / 2).await.is_some() {
        history.write(|history| history.confirmed.insert(seq));
    }
}
