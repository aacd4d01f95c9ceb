//! Backups of streams: what is in them, and in which order.
//!
//! First comes what the stream holds, as a file, then each consumer with what it has delivered, then the
//! messages. The configuration of the stream is not in it: who makes a backup gets it beside, and names it
//! when restoring. This is the form of nats-server 2.15, so that backups of either server restore into both.
//!
//! [`Contents`] tells what to write; [`Restoring`] judges what is read and turns it into commands.

mod consumer;
mod restoring;

use std::collections::VecDeque;

use backup::Entry;
use bytes::Bytes;
use messages::StoredMessage;

use crate::api::stream::{InfoRequest, StreamState};
use crate::stream::StreamMachine;

pub use restoring::{RestoreError, Restoring};

use consumer::ConsumerFile;

const STATE_FILE: &str = "state.json";
const CONSUMERS: &str = "consumers/";

/// What a backup begins with, as it was at one moment, and which messages follow.
pub struct Contents {
    /// What the stream held then.
    pub state: StreamState,
    /// Entries that are not written yet.
    files: VecDeque<Entry>,
}

impl Contents {
    /// Of the stream as it is now, with or without its consumers.
    pub fn of(stream: &StreamMachine, with_consumers: bool, now_ns: i64) -> Contents {
        let (_, mut state) = stream.info_state(&InfoRequest::default());
        let last_seq = state.last_seq;
        let consumers = stream.public_consumers().filter(|_| with_consumers);
        let consumers = consumers.map(|(name, consumer)| {
            let file = ConsumerFile::of(&consumer.config, &consumer.state, last_seq);
            text_entry(format!("{CONSUMERS}{name}"), now_ns, &file)
        });
        let mut files: VecDeque<Entry> = consumers.collect();
        state.consumer_count = files.len();
        files.push_front(text_entry(STATE_FILE.to_owned(), now_ns, &state));
        state.consumer_count = stream.public_consumers().count();
        Contents { state, files }
    }

    /// The next entry that is no message.
    pub fn next_file(&mut self) -> Option<Entry> {
        self.files.pop_front()
    }
}

/// A message as a backup holds it.
pub fn message_entry(message: StoredMessage) -> Entry {
    Entry {
        name: message.subject,
        time_ns: message.time_ns,
        seq: message.seq,
        headers: message.headers,
        payload: message.payload,
    }
}

fn text_entry(name: String, now_ns: i64, content: &impl serde::Serialize) -> Entry {
    Entry {
        name: name.into(),
        time_ns: now_ns,
        payload: Bytes::from(crate::json::to_vec(content)),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests;
