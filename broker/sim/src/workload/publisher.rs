//! Publishers of events and of work.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{EVENTS, Outcome, PATIENCE, publish};
use crate::client::Client;
use crate::history::{Recorder, Sent};

/// How often a publisher tries to get one message acknowledged before it gives up; whether the
/// message is stored then is unknown to it.
const TRIES: u64 = 4;
/// Longest pause between two messages of a publisher.
const PAUSE_MAX_MS: u64 = 200;

/// The payload is unique, and sometimes longer than a block of the disk.
fn payload(client: &mut Client, number: u64) -> Bytes {
    let filling = client.dice().roll(1500) as usize;
    let mut text = format!("{}-{number}-", client.name());
    text.extend(std::iter::repeat_n('x', filling));
    Bytes::from(text)
}

/// Publishes one message after the other, each until it is acknowledged.
pub async fn run(mut client: Client, history: Recorder, stream: &'static str) {
    for number in 0.. {
        let id = format!("{}-{number}", client.name());
        let subject = format!("{}.{}", stream.to_lowercase(), client.name());
        let payload = payload(&mut client, number);
        let sent = Sent {
            subject: subject.clone(),
            payload: payload.clone(),
            acked_seq: None,
            expected_seq: None,
        };
        history.write(|history| history.published(stream).insert(id.clone(), sent));
        for _ in 0..TRIES {
            let headers = [("Nats-Msg-Id", id.clone())];
            match publish(&mut client, &subject, &headers, &payload).await {
                Outcome::Stored { seq } => {
                    acked(&history, stream, &id, seq);
                    break;
                }
                Outcome::Refused => tokio::time::sleep(Duration::from_millis(100)).await,
                Outcome::Silence => {}
            }
        }
        pause(&mut client).await;
    }
}

/// Publishes to one subject, on the condition that nobody else did meanwhile.
pub async fn compare_and_set(mut client: Client, history: Recorder) {
    let subject = "events.shared";
    for number in 0.. {
        let Some(expected_seq) = last_seq(&mut client, subject).await else {
            pause(&mut client).await;
            continue;
        };
        let id = format!("{}-{number}", client.name());
        let payload = payload(&mut client, number);
        let sent = Sent {
            subject: subject.to_owned(),
            payload: payload.clone(),
            acked_seq: None,
            expected_seq: Some(expected_seq),
        };
        history.write(|history| history.events.insert(id.clone(), sent));
        let headers = [
            ("Nats-Msg-Id", id.clone()),
            (
                "Nats-Expected-Last-Subject-Sequence",
                expected_seq.to_string(),
            ),
        ];
        if let Outcome::Stored { seq } = publish(&mut client, subject, &headers, &payload).await {
            acked(&history, EVENTS, &id, seq);
        }
        pause(&mut client).await;
    }
}

/// The sequence of the last message of a subject, 0 if there is none.
async fn last_seq(client: &mut Client, subject: &str) -> Option<u64> {
    let body = json!({ "last_by_subj": subject });
    let answer = client
        .api(&format!("STREAM.MSG.GET.{EVENTS}"), &body, PATIENCE)
        .await?;
    match answer.get("error") {
        Some(error) if error["code"] == 404 => Some(0),
        Some(_) => None,
        None => answer["message"]["seq"].as_u64(),
    }
}

fn acked(history: &Recorder, stream: &'static str, id: &str, seq: u64) {
    history.write(|history| {
        if let Some(sent) = history.published(stream).get_mut(id) {
            sent.acked_seq = Some(seq);
        }
    });
}

async fn pause(client: &mut Client) {
    let pause_ms = client.dice().roll(PAUSE_MAX_MS);
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
}
