//! Judges the entries of a backup one by one.

use backup::Entry;
use bytes::Bytes;
use serde::Deserialize;

use super::consumer::ConsumerFile;
use super::{CONSUMERS, STATE_FILE};
use crate::ApiError;
use crate::command::{CopiedMessage, Publish, Restore};
use crate::config::{Retention, StreamConfig};
use crate::consumer::{ConsumerConfig, CreateLimits, StreamFacts, validate_create};

/// Highest sequence a stream can have, so that counting on never overflows.
const SEQ_MAX: u64 = i64::MAX as u64;

/// Why a backup is no stream.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Archive(#[from] backup::Error),
    #[error("expected state.json first")]
    NoState,
    #[error("error in state.json: {0}")]
    State(serde_json::Error),
    #[error("invalid stream state: {0}")]
    Impossible(&'static str),
    #[error("expected consumer, found {0:?}")]
    NoConsumer(String),
    #[error("failed to decode consumer {name:?} state: {error}")]
    Consumer {
        name: String,
        error: serde_json::Error,
    },
    #[error("consumer {0:?} has an impossible state")]
    ConsumerState(String),
    #[error("failed to add consumer {name:?}: {error}")]
    Refused { name: String, error: ApiError },
    #[error("expected message sequence")]
    NoMessage,
    #[error("message sequence {0} out of order")]
    OutOfOrder(u64),
    #[error("message sequence {0} exceeds maximum message size")]
    TooLarge(u64),
    #[error("backup ends before its end mark")]
    CutOff,
}

/// What the first file of a backup says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Held {
    messages: u64,
    first_seq: u64,
    last_seq: u64,
    consumer_count: u64,
}

/// A stream on its way out of a backup.
pub struct Restoring {
    config: StreamConfig,
    limits: CreateLimits,
    /// What the backup says it holds, once that is known.
    held: Option<Held>,
    /// The consumers so far.
    consumers: Vec<ConsumerConfig>,
    last_seq: u64,
}

impl Restoring {
    /// Into a stream of this configuration, whose consumers have these limits.
    pub fn new(config: StreamConfig, limits: CreateLimits) -> Restoring {
        Restoring {
            config,
            limits,
            held: None,
            consumers: Vec::new(),
            last_seq: 0,
        }
    }

    /// What the next entry adds to the stream.
    pub fn entry(&mut self, entry: Entry) -> Result<Restore, RestoreError> {
        let Some(held) = &self.held else {
            let held = state(&entry)?;
            let first_seq = held.first_seq;
            self.last_seq = first_seq.saturating_sub(1);
            self.held = Some(held);
            return Ok(Restore::Begin { first_seq });
        };
        match held.consumer_count > self.consumers.len() as u64 {
            true => self.consumer(&entry),
            false => self
                .message(entry)
                .map(|message| Restore::Messages(vec![message])),
        }
    }

    /// What is left to do when the archive has ended.
    pub fn end(&self) -> Result<Restore, RestoreError> {
        let held = self.held.as_ref().ok_or(RestoreError::NoState)?;
        if held.consumer_count > self.consumers.len() as u64 {
            return Err(RestoreError::CutOff);
        }
        let last_seq = held.last_seq.max(self.last_seq);
        Ok(Restore::End { last_seq })
    }

    fn consumer(&mut self, entry: &Entry) -> Result<Restore, RestoreError> {
        let path = text(&entry.name);
        let Some(name) = path.strip_prefix(CONSUMERS).filter(|_| entry.seq == 0) else {
            return Err(RestoreError::NoConsumer(path));
        };
        let name = name.to_owned();
        let file = serde_json::from_slice::<ConsumerFile>(&entry.payload);
        let file = file.map_err(|error| RestoreError::Consumer {
            name: name.clone(),
            error,
        })?;
        let config = self.checked(&name, file.config)?;
        let Some(state) = file.state.state() else {
            return Err(RestoreError::ConsumerState(name));
        };
        self.consumers.push(config.clone());
        Ok(Restore::Consumer {
            name,
            config: Box::new(config),
            state,
        })
    }

    /// A consumer must be one that could be created here.
    fn checked(
        &self,
        name: &str,
        mut config: ConsumerConfig,
    ) -> Result<ConsumerConfig, RestoreError> {
        config.metadata.retain(|key, _| !key.starts_with("_nats."));
        config.name = name.to_owned();
        let others: Vec<&ConsumerConfig> = match self.config.retention {
            Retention::WorkQueue => self.consumers.iter().collect(),
            _ => Vec::new(),
        };
        let facts = StreamFacts {
            config: &self.config,
            consumer_count: self.consumers.len() as u64,
            others: &others,
        };
        let is_valid = !name.is_empty()
            && (config.durable_name.is_empty() || config.durable_name == name)
            && self.consumers.iter().all(|other| other.name != name);
        let checked = match is_valid {
            true => validate_create(config, &facts, &self.limits),
            false => Err(ApiError::CONSUMER_BAD_DURABLE_NAME),
        };
        checked.map_err(|error| RestoreError::Refused {
            name: name.to_owned(),
            error,
        })
    }

    fn message(&mut self, entry: Entry) -> Result<CopiedMessage, RestoreError> {
        let seq = entry.seq;
        if seq == 0 || !subject::is_literal(&entry.name) || entry.name.is_empty() {
            return Err(RestoreError::NoMessage);
        }
        if seq <= self.last_seq || seq > SEQ_MAX {
            return Err(RestoreError::OutOfOrder(seq));
        }
        let size = entry.headers.len() + entry.payload.len();
        let limit = usize::try_from(self.config.max_msg_size).ok();
        let is_too_large = limit.is_some_and(|limit| limit > 0 && size > limit)
            || entry.headers.len() > crate::stream::MAX_HEADER_BYTES;
        if is_too_large {
            return Err(RestoreError::TooLarge(seq));
        }
        self.last_seq = seq;
        Ok(CopiedMessage {
            seq,
            time_ns: entry.time_ns,
            message: Publish {
                subject: entry.name,
                headers: entry.headers,
                payload: entry.payload,
            },
        })
    }
}

fn state(entry: &Entry) -> Result<Held, RestoreError> {
    if entry.name != STATE_FILE {
        return Err(RestoreError::NoState);
    }
    let held: Held = serde_json::from_slice(&entry.payload).map_err(RestoreError::State)?;
    let next_seq = held.last_seq.checked_add(1).filter(|seq| *seq <= SEQ_MAX);
    let range = next_seq.and_then(|next_seq| next_seq.checked_sub(held.first_seq.max(1)));
    match range.is_some_and(|range| held.messages <= range) {
        true => Ok(held),
        false => Err(RestoreError::Impossible(
            "inconsistent message count or sequence range",
        )),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
