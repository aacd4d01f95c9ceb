//! Messages of atomic batches that wait for their commit, on the leader.
//!
//! A batch is nothing but its messages until it is committed: then they go through the stream's
//! log as one command. A batch whose leader changes is lost as a whole, and its publisher is told
//! at the commit that it is incomplete.

use std::collections::HashMap;

use bytes::Bytes;
use wire::headers::Builder;

use crate::api::API_LEVEL;
use crate::command::{MAX_ATOMIC_MESSAGES, Publish};
use crate::error::ApiError;

/// Most batches of one stream that wait for their commit.
pub const MAX_BATCHES: usize = 50;
/// Most bytes of one batch.
pub const MAX_BATCH_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of all waiting batches of one stream.
pub const MAX_BYTES: usize = 128 * 1024 * 1024;
/// A batch that gets no message for so long is given up, nanoseconds.
pub const IDLE_NS: i64 = 10_000_000_000;
/// Longest id of a batch, bytes.
const MAX_ID_BYTES: usize = 64;

const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// What becomes of a message of a batch.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It waits for the commit.
    Staged,
    /// It is refused. If it belonged to a waiting batch, that is gone, for this reason.
    Refused {
        error: ApiError,
        abandoned: Option<Abandoned>,
    },
    /// It commits its batch, which is now to be stored.
    Committed { id: String, messages: Vec<Publish> },
}

/// A batch that will not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandoned {
    pub id: String,
    /// `timeout`, `large` or `incomplete`.
    pub reason: &'static str,
}

/// The waiting batches of one stream.
#[derive(Debug, Default)]
pub struct Staging {
    batches: HashMap<String, Batch>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Batch {
    messages: Vec<Publish>,
    bytes: usize,
    last_ns: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    No,
    WithThis,
    WithoutThis,
}

/// Whether a publish belongs to a batch.
pub fn is_batched(message: &Publish) -> bool {
    !message.headers.is_empty() && header(message, BATCH_ID).is_some()
}

impl Staging {
    /// Takes a message of a batch.
    pub fn accept(&mut self, now_ns: i64, message: Publish) -> Outcome {
        let id = String::from_utf8_lossy(header(&message, BATCH_ID).unwrap_or_default());
        let id = id.into_owned();
        match self.add(now_ns, &id, message) {
            Ok(None) => Outcome::Staged,
            Ok(Some(messages)) => Outcome::Committed { id, messages },
            Err((error, reason)) => {
                let was_known = self.remove(&id).is_some();
                let abandoned = reason
                    .filter(|_| was_known)
                    .map(|reason| Abandoned { id, reason });
                Outcome::Refused { error, abandoned }
            }
        }
    }

    /// Gives up batches that have got no message for too long.
    pub fn expire(&mut self, now_ns: i64) -> Vec<Abandoned> {
        let idle = self
            .batches
            .iter()
            .filter(|(_, batch)| batch.last_ns.saturating_add(IDLE_NS) <= now_ns);
        let idle: Vec<String> = idle.map(|(id, _)| id.clone()).collect();
        idle.into_iter()
            .map(|id| {
                self.remove(&id);
                let reason = "timeout";
                Abandoned { id, reason }
            })
            .collect()
    }

    /// When [`expire`](Staging::expire) has something to do.
    pub fn next_deadline(&self) -> Option<i64> {
        let last = self.batches.values().map(|batch| batch.last_ns).min()?;
        Some(last.saturating_add(IDLE_NS))
    }

    /// Forgets all batches: the stream does not allow them any more.
    pub fn clear(&mut self) {
        *self = Staging::default();
    }

    /// The complete batch, if the message commits it.
    fn add(
        &mut self,
        now_ns: i64,
        id: &str,
        message: Publish,
    ) -> Result<Option<Vec<Publish>>, (ApiError, Option<&'static str>)> {
        let refuse = |error| (error, None);
        if id.len() > MAX_ID_BYTES {
            return Err(refuse(ApiError::ATOMIC_PUBLISH_INVALID_BATCH_ID));
        }
        if number(&message, "Nats-Required-Api-Level").is_some_and(|l| l > u64::from(API_LEVEL)) {
            return Err(refuse(ApiError::REQUIRED_API_LEVEL));
        }
        let Some(sequence) = number(&message, "Nats-Batch-Sequence") else {
            return Err(refuse(ApiError::ATOMIC_PUBLISH_MISSING_SEQ));
        };
        let commit = commit(&message).map_err(refuse)?;
        if sequence > MAX_ATOMIC_MESSAGES as u64 {
            return Err(too_large(MAX_ATOMIC_MESSAGES));
        }
        if sequence == 1 {
            self.begin(id, commit).map_err(refuse)?;
        }
        let incomplete = (
            ApiError::ATOMIC_PUBLISH_INCOMPLETE_BATCH,
            Some("incomplete"),
        );
        let Some(batch) = self.batches.get_mut(id) else {
            return Err(incomplete);
        };
        if sequence != batch.messages.len() as u64 + 1 {
            return Err(incomplete);
        }
        batch.last_ns = now_ns;
        if commit != Commit::WithoutThis {
            let size = message.size();
            batch.bytes += size;
            self.bytes += size;
            batch.messages.push(message);
            if batch.bytes > MAX_BATCH_BYTES || self.bytes > MAX_BYTES {
                return Err(too_large(MAX_BATCH_BYTES));
            }
        }
        if commit == Commit::No {
            return Ok(None);
        }
        let mut messages = self
            .remove(id)
            .map(|batch| batch.messages)
            .unwrap_or_default();
        if commit == Commit::WithoutThis {
            mark_committed(messages.last_mut().ok_or(incomplete)?);
        }
        Ok(Some(messages))
    }

    /// Makes room for a new batch. One of the same id is replaced.
    fn begin(&mut self, id: &str, commit: Commit) -> Result<(), ApiError> {
        self.remove(id);
        if commit == Commit::No && self.batches.len() >= MAX_BATCHES {
            return Err(ApiError::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT);
        }
        self.batches.insert(id.to_owned(), Batch::default());
        Ok(())
    }

    fn remove(&mut self, id: &str) -> Option<Batch> {
        let batch = self.batches.remove(id)?;
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

fn too_large(limit: usize) -> (ApiError, Option<&'static str>) {
    (
        ApiError::atomic_publish_too_large_batch(limit),
        Some("large"),
    )
}

fn commit(message: &Publish) -> Result<Commit, ApiError> {
    match header(message, BATCH_COMMIT) {
        None => Ok(Commit::No),
        Some(b"1") => Ok(Commit::WithThis),
        Some(b"eob") => Ok(Commit::WithoutThis),
        Some(_) => Err(ApiError::ATOMIC_PUBLISH_INVALID_BATCH_COMMIT),
    }
}

/// Marks the last message of a batch that was committed by one that is not part of it.
fn mark_committed(message: &mut Publish) {
    let headers = Builder::extending(&message.headers).add(BATCH_COMMIT, "1");
    message.headers = Bytes::from(headers.build());
}

fn header<'a>(message: &'a Publish, name: &str) -> Option<&'a [u8]> {
    wire::headers::get(&message.headers, name).filter(|value| !value.is_empty())
}

fn number(message: &Publish, name: &str) -> Option<u64> {
    let text = std::str::from_utf8(header(message, name)?).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, sequence: &str, commit: &str) -> Publish {
        let mut headers = Builder::new()
            .add(BATCH_ID, id)
            .add("Nats-Batch-Sequence", sequence);
        if !commit.is_empty() {
            headers = headers.add(BATCH_COMMIT, commit);
        }
        Publish {
            subject: Bytes::from_static(b"a"),
            headers: headers.build().into(),
            payload: Bytes::from_static(b"x"),
        }
    }

    fn refusal(outcome: Outcome) -> (u16, Option<&'static str>) {
        match outcome {
            Outcome::Refused { error, abandoned } => {
                (error.err_code, abandoned.map(|abandoned| abandoned.reason))
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_batch_is_complete_with_its_commit() {
        let mut staging = Staging::default();
        assert_eq!(staging.accept(0, message("b", "1", "")), Outcome::Staged);
        let Outcome::Committed { id, messages } = staging.accept(0, message("b", "2", "1")) else {
            panic!("the batch is complete");
        };
        assert_eq!((id.as_str(), messages.len()), ("b", 2));
        assert_eq!(staging.next_deadline(), None);
    }

    #[test]
    fn an_end_of_batch_is_no_part_of_it() {
        let mut staging = Staging::default();
        staging.accept(0, message("b", "1", ""));
        let Outcome::Committed { messages, .. } = staging.accept(0, message("b", "2", "eob"))
        else {
            panic!("the batch is complete");
        };
        assert_eq!(messages.len(), 1);
        assert_eq!(header(&messages[0], BATCH_COMMIT), Some(&b"1"[..]));
        let alone = staging.accept(0, message("c", "1", "eob"));
        assert_eq!(refusal(alone).0, 10176);
    }

    #[test]
    fn a_batch_with_a_gap_or_a_broken_header_is_given_up() {
        let mut staging = Staging::default();
        for (sequence, commit, expected) in [
            ("3", "", (10176, Some("incomplete"))),
            ("2", "2", (10200, None)),
            ("1001", "", (10199, Some("large"))),
            ("z", "", (10175, None)),
        ] {
            staging.accept(0, message("b", "1", ""));
            let refused = staging.accept(0, message("b", sequence, commit));
            assert_eq!(refusal(refused), expected);
            let later = staging.accept(0, message("b", "2", "1"));
            assert_eq!(refusal(later), (10176, None));
        }
        let long = "x".repeat(65);
        assert_eq!(refusal(staging.accept(0, message(&long, "1", ""))).0, 10179);
    }

    #[test]
    fn waiting_batches_are_bounded_in_number_bytes_and_time() {
        let mut staging = Staging::default();
        for number in 0..MAX_BATCHES {
            staging.accept(5, message(&number.to_string(), "1", ""));
        }
        assert_eq!(refusal(staging.accept(5, message("b", "1", ""))).0, 10210);
        assert!(staging.expire(IDLE_NS + 4).is_empty());
        let given_up = staging.expire(IDLE_NS + 5);
        assert_eq!(given_up.len(), MAX_BATCHES);
        assert!(given_up.iter().all(|batch| batch.reason == "timeout"));
        assert_eq!(staging.bytes, 0);
        let mut large = message("b", "1", "");
        large.payload = vec![0; MAX_BATCH_BYTES].into();
        assert_eq!(refusal(staging.accept(0, large)), (10199, Some("large")));
        assert_eq!(staging.bytes, 0);
    }
}
