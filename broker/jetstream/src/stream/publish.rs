//! One published message: may it be stored, and what follows from storing it.

use bytes::Bytes;
use messages::{Filters, Purge};

use super::StreamMachine;
use super::effect::{Changes, Effect, PubAck};
use super::headers::{self, PublishHeaders, Ttl};
use crate::command::Publish;
use crate::config::Retention;
use crate::error::ApiError;

/// Largest header block of a stored message, bytes.
pub const MAX_HEADER_BYTES: usize = u16::MAX as usize;

/// Why a message is not stored.
pub(super) enum Refusal {
    /// By the rules, on every replica alike.
    Rule(ApiError),
    /// The store of this server failed.
    Store(messages::Error),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Rule(error)
    }
}

impl From<messages::Error> for Refusal {
    fn from(error: messages::Error) -> Refusal {
        match error {
            messages::Error::TooLarge { .. } => {
                Refusal::Rule(ApiError::stream_store_failed("message too large"))
            }
            error => Refusal::Store(error),
        }
    }
}

/// Which older messages a message replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rollup {
    None,
    Subject,
    All,
}

impl StreamMachine {
    pub(super) fn publish_batch(
        &mut self,
        messages: &[Publish],
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        for (position, message) in messages.iter().enumerate() {
            let outcome = match self.publish(message, changes, effects) {
                Ok(ack) => Ok(ack),
                Err(Refusal::Rule(error)) => Err(error),
                Err(Refusal::Store(error)) => return Err(error),
            };
            effects.push(Effect::Published { position, outcome });
        }
        Ok(())
    }

    fn publish(
        &mut self,
        message: &Publish,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<PubAck, Refusal> {
        let subject = self.stored_subject(&message.subject);
        self.check_stream(message)?;
        let headers = PublishHeaders::parse(&message.headers);
        refuse_unserved(&headers, &subject)?;
        self.check_expectations(&headers, &subject)?;
        if let Some(seq) = headers.msg_id.and_then(|id| self.dedupe.seen(id)) {
            return Ok(PubAck {
                seq,
                duplicate: true,
            });
        }
        self.check_last_msg_id(&headers)?;
        let rollup = self.check_rollup(&headers)?;
        if !self.has_interest(&subject) {
            return self.skip(&headers, &subject, rollup, changes);
        }
        let ttl = match headers.ttl {
            Some(text) => headers::ttl(text).ok_or(ApiError::MESSAGE_TTL_INVALID)?,
            None => Ttl::Unset,
        };
        let size = self.size(&subject, message);
        self.check_room(&subject, size, rollup != Rollup::None)?;
        let last_for_subject = self
            .republish
            .is_some()
            .then(|| self.store.last_for(&subject).unwrap_or(0));
        let seq = self.append(&subject, message)?;
        changes.stored(seq);
        self.ttls.insert(seq, self.lengthened(ttl), self.now_ns);
        self.remember(&headers, seq);
        self.roll_up(rollup, &subject, seq, changes)?;
        self.trim_subject(&subject, changes)?;
        self.trim_stream(changes)?;
        if let Some(last_seq) = last_for_subject {
            effects.extend(self.republished(&subject, message, seq, last_seq));
        }
        Ok(PubAck {
            seq,
            duplicate: false,
        })
    }

    /// What a message would add to the stream's bytes.
    pub fn size_of(&self, message: &Publish) -> u64 {
        self.size(&message.subject, message)
    }

    fn size(&self, subject: &[u8], message: &Publish) -> u64 {
        self.store
            .message_size(subject.len(), message.headers.len(), message.payload.len())
    }

    fn stored_subject(&self, subject: &Bytes) -> Bytes {
        let Some(transform) = &self.transform else {
            return subject.clone();
        };
        let seed = self.store.state().last_seq;
        transform
            .apply(subject, seed)
            .map_or_else(|| subject.clone(), Bytes::from)
    }

    fn check_stream(&self, message: &Publish) -> Result<(), ApiError> {
        if self.config.sealed {
            return Err(ApiError::STREAM_SEALED);
        }
        let size = message.headers.len() + message.payload.len();
        if usize::try_from(self.config.max_msg_size).is_ok_and(|limit| limit > 0 && size > limit) {
            return Err(ApiError::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
        }
        if message.headers.len() > MAX_HEADER_BYTES {
            return Err(ApiError::STREAM_HEADER_EXCEEDS_MAXIMUM);
        }
        Ok(())
    }

    fn check_expectations(
        &self,
        headers: &PublishHeaders<'_>,
        subject: &[u8],
    ) -> Result<(), ApiError> {
        if headers
            .expected_stream
            .is_some_and(|name| name != self.config.name.as_bytes())
        {
            return Err(ApiError::STREAM_NOT_MATCH);
        }
        if !self.config.allow_msg_ttl
            && headers
                .ttl
                .and_then(headers::ttl)
                .is_some_and(|ttl| ttl != Ttl::Unset)
        {
            return Err(ApiError::MESSAGE_TTL_DISABLED);
        }
        match headers.expected_last_subject_seq {
            Some(expected) => {
                let subject = headers.expected_last_subject.unwrap_or(subject);
                let last = self.last_for(subject);
                if last != headers::sequence(expected) {
                    return Err(ApiError::stream_wrong_last_sequence(last));
                }
            }
            None if headers.expected_last_subject.is_some() => {
                return Err(ApiError::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID);
            }
            None => {}
        }
        if let Some(expected) = headers.expected_last_seq {
            let last = self.store.state().last_seq;
            if headers::sequence(expected) != last {
                return Err(ApiError::stream_wrong_last_sequence(last));
            }
        }
        Ok(())
    }

    /// Sequence of the last message that matches a subject or filter, 0 if there is none.
    fn last_for(&self, subject: &[u8]) -> u64 {
        let last = match subject::is_literal(subject) {
            true => self.store.last_for(subject),
            false => {
                let filters = Filters::one(Bytes::copy_from_slice(subject));
                self.store.last_matching(&filters, u64::MAX)
            }
        };
        last.unwrap_or(0)
    }

    fn check_last_msg_id(&self, headers: &PublishHeaders<'_>) -> Result<(), ApiError> {
        if headers
            .expected_last_msg_id
            .is_some_and(|id| id != self.last_msg_id)
        {
            let last = String::from_utf8_lossy(&self.last_msg_id);
            return Err(ApiError::stream_wrong_last_msg_id(last));
        }
        Ok(())
    }

    fn check_rollup(&self, headers: &PublishHeaders<'_>) -> Result<Rollup, ApiError> {
        let Some(rollup) = headers.rollup else {
            return Ok(Rollup::None);
        };
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Err(ApiError::stream_rollup_failed("rollup not permitted"));
        }
        match rollup {
            b"sub" => Ok(Rollup::Subject),
            b"all" => Ok(Rollup::All),
            other => {
                let value = String::from_utf8_lossy(other);
                Err(ApiError::stream_rollup_failed(format_args!(
                    "rollup value invalid: {value:?}"
                )))
            }
        }
    }

    /// A message must not expire before a delete marker that its subject may already have, which
    /// would bring the marker back.
    fn lengthened(&self, ttl: Ttl) -> Ttl {
        let marker_seconds = self.config.subject_delete_marker_ttl_ns / 1_000_000_000;
        match ttl {
            Ttl::Seconds(seconds) if self.config.max_msgs_per_subject != 1 => {
                Ttl::Seconds(seconds.max(marker_seconds))
            }
            ttl => ttl,
        }
    }

    /// Whether the stream's retention wants a message of this subject at all.
    fn has_interest(&self, subject: &[u8]) -> bool {
        self.config.retention != Retention::Interest
            || self
                .consumers
                .values()
                .any(|consumer| consumer.filters.matches(subject))
    }

    /// Uses up a sequence for a message that nobody wants.
    fn skip(
        &mut self,
        headers: &PublishHeaders<'_>,
        subject: &Bytes,
        rollup: Rollup,
        changes: &mut Changes,
    ) -> Result<PubAck, Refusal> {
        let seq = self.store.state().last_seq + 1;
        self.store.skip_to(seq + 1);
        self.remember(headers, seq);
        self.roll_up(rollup, subject, seq, changes)?;
        Ok(PubAck {
            seq,
            duplicate: false,
        })
    }

    fn append(&mut self, subject: &Bytes, message: &Publish) -> Result<u64, messages::Error> {
        let seq = self.store.state().last_seq + 1;
        self.store.append(
            seq,
            self.now_ns,
            subject,
            &message.headers,
            &message.payload,
        )?;
        Ok(seq)
    }

    fn remember(&mut self, headers: &PublishHeaders<'_>, seq: u64) {
        self.last_msg_id.clear();
        if let Some(id) = headers.msg_id {
            self.last_msg_id.extend_from_slice(id);
            if self.config.duplicate_window_ns > 0 {
                self.dedupe.remember(id, seq, self.now_ns);
            }
        }
    }

    /// Removes the messages before `seq` that the message with that sequence replaces.
    fn roll_up(
        &mut self,
        rollup: Rollup,
        subject: &Bytes,
        seq: u64,
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        let filters = match rollup {
            Rollup::None => return Ok(()),
            Rollup::Subject => Filters::one(subject.clone()),
            Rollup::All => Filters::everything(),
        };
        let first_seq = self.store.state().first_seq;
        if self.store.purge(&Purge {
            filters,
            before_seq: seq,
            keep: 0,
        })? > 0
        {
            changes.removed(first_seq, seq - 1);
        }
        Ok(())
    }
}

/// Refuses headers of features that no stream of this server can have.
fn refuse_unserved(headers: &PublishHeaders<'_>, subject: &[u8]) -> Result<(), ApiError> {
    if headers.batch_id.is_some() {
        return Err(ApiError::ATOMIC_PUBLISH_DISABLED);
    }
    if let Some(increment) = headers.increment {
        return Err(match headers::is_integer(increment) {
            true => ApiError::MESSAGE_INCR_DISABLED,
            false => ApiError::MESSAGE_INCR_INVALID,
        });
    }
    if headers.schedule.is_some() {
        return Err(ApiError::MESSAGE_SCHEDULES_DISABLED);
    }
    let scheduler = headers
        .scheduler
        .is_some_and(|scheduler| scheduler != subject && subject::is_valid_publish(scheduler));
    match headers.schedule_next {
        Some(b"purge") if scheduler => return Err(ApiError::MESSAGE_SCHEDULES_DISABLED),
        Some(_) => return Err(ApiError::MESSAGE_SCHEDULES_SCHEDULER_INVALID),
        None if headers.scheduler.is_some() => {
            return Err(ApiError::MESSAGE_SCHEDULES_SCHEDULER_INVALID);
        }
        None => {}
    }
    if headers.stream_source.is_some() {
        return Err(ApiError::MESSAGE_SOURCE_HDR_NOT_ALLOWED);
    }
    Ok(())
}
