//! Reading a whole stream in order.

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::wait::until;

/// Messages asked for at a time.
const BATCH: usize = 1000;

/// What a stream has, in order: sequence and payload.
pub struct Read {
    pub messages: Vec<(u64, Bytes)>,
}

/// Reads a stream from its first to its last message through a consumer of its own.
pub async fn read_stream(context: &Context, name: &str) -> Read {
    let state = until("stream tells its state", async || {
        let stream = context.get_stream(name).await?;
        Ok::<_, async_nats::jetstream::context::GetStreamError>(stream.cached_info().state.clone())
    })
    .await;
    let mut messages: Vec<(u64, Bytes)> = Vec::new();
    until("whole stream is read", async || {
        let from = messages.last().map_or(1, |(sequence, _)| sequence + 1);
        if from > state.last_sequence || state.messages == 0 {
            return Ok(());
        }
        read_batch(context, name, from, state.last_sequence, &mut messages).await
    })
    .await;
    Read { messages }
}

async fn read_batch(
    context: &Context,
    stream: &str,
    from: u64,
    last: u64,
    messages: &mut Vec<(u64, Bytes)>,
) -> Result<(), String> {
    let stream = context
        .get_stream(stream)
        .await
        .map_err(|e| e.to_string())?;
    let consumer = stream
        .create_consumer(pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from,
            },
            ack_policy: AckPolicy::None,
            ..Default::default()
        })
        .await
        .map_err(|error| error.to_string())?;
    while messages.last().is_none_or(|(sequence, _)| *sequence < last) {
        let batch = consumer.fetch().max_messages(BATCH).messages().await;
        let mut batch = batch.map_err(|error| error.to_string())?;
        let before = messages.len();
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| error.to_string())?;
            take(&message, messages);
        }
        if messages.len() == before {
            return Err(format!("nothing after {:?} of {last}", messages.len()));
        }
    }
    Ok(())
}

fn take(message: &Message, messages: &mut Vec<(u64, Bytes)>) {
    let sequence = message
        .info()
        .expect("it has an ack subject")
        .stream_sequence;
    let before = messages.last().map_or(0, |(sequence, _)| *sequence);
    assert!(sequence > before, "{sequence} came after {before}");
    messages.push((sequence, message.payload.clone()));
}
