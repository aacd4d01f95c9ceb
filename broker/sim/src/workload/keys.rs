//! Writers of the keys stream: the last value of each key counts.

use std::time::Duration;

use bytes::Bytes;

use super::{Outcome, publish};
use crate::client::Client;
use crate::history::{Recorder, Sent};

/// Keys of one writer; nobody else writes them.
const KEYS_EACH: u64 = 3;
/// Longest pause between two puts of a writer.
const PAUSE_MAX_MS: u64 = 200;

/// Puts one value after the other. A put without an answer is not repeated: later ones follow it.
pub async fn run(mut client: Client, history: Recorder) {
    for number in 0u64.. {
        let key = client.dice().roll(KEYS_EACH);
        let subject = format!("keys.{}.{key}", client.name());
        let payload = Bytes::from(format!("{}-{number}", client.name()));
        let sent = Sent {
            subject: subject.clone(),
            payload: payload.clone(),
            acked_seq: None,
            expected_seq: None,
        };
        history.write(|history| history.puts.entry(subject.clone()).or_default().push(sent));
        match publish(&mut client, &subject, &[], &payload).await {
            Outcome::Stored { seq } => history.write(|history| {
                let puts = history.puts.get_mut(&subject);
                if let Some(put) = puts.and_then(|puts| puts.last_mut()) {
                    put.acked_seq = Some(seq);
                }
            }),
            Outcome::Refused => tokio::time::sleep(Duration::from_millis(100)).await,
            Outcome::Silence => {}
        }
        let pause_ms = client.dice().roll(PAUSE_MAX_MS);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}
