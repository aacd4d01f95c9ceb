//! One published message: may it be stored, and what follows from storing it.

use std::borrow::Cow;

use bytes::Bytes;
use messages::{Filters, Purge};

use super::StreamMachine;
use super::ahead::Ahead;
use super::counter::{self, Counter};
use super::effect::{Changes, Effect, PubAck};
use super::headers::{self, PublishHeaders, Ttl};
use super::schedules::{self, Scheduling};
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
pub(super) enum Rollup {
    None,
    Subject,
    All,
}

/// Where a message comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client,
    /// A stream that this one sources.
    Source,
    /// A schedule of this stream.
    Schedule,
}

/// The message's id was seen before, on the message with this sequence.
pub(super) struct Seen(u64);

/// A message that may be stored.
pub(super) struct Accepted<'a> {
    pub(super) message: Cow<'a, Publish>,
    /// The subject it is stored with.
    pub(super) subject: Bytes,
    pub(super) msg_id: Option<Bytes>,
    rollup: Rollup,
    ttl: Ttl,
    /// Whether the stream's retention wants the message at all.
    is_wanted: bool,
    /// What it adds to the stream's bytes.
    pub(super) size: u64,
    /// The counter after it, on a stream of counters.
    pub(super) counter: Option<Counter>,
    value: Option<String>,
    scheduling: Scheduling,
}

impl StreamMachine {
    pub(super) fn publish_batch(
        &mut self,
        messages: &[Publish],
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        for (position, message) in messages.iter().enumerate() {
            let outcome = match self.publish(message, Origin::Client, changes, effects) {
                Ok(ack) => Ok(ack),
                Err(Refusal::Rule(error)) => Err(error),
                Err(Refusal::Store(error)) => return Err(error),
            };
            effects.push(Effect::Published { position, outcome });
        }
        Ok(())
    }

    pub(super) fn publish(
        &mut self,
        message: &Publish,
        origin: Origin,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<PubAck, Refusal> {
        match self.judge(message, origin, &Ahead::default())? {
            Err(Seen(seq)) => Ok(PubAck {
                seq,
                duplicate: true,
                ..PubAck::default()
            }),
            Ok(accepted) => Ok(self.store_accepted(accepted, changes, effects)?),
        }
    }

    /// Applies every rule to a message, without changing anything. `ahead` is what the batch it belongs to stores before it.
    pub(super) fn judge<'a>(
        &self,
        message: &'a Publish,
        origin: Origin,
        ahead: &Ahead,
    ) -> Result<Result<Accepted<'a>, Seen>, Refusal> {
        let subject = self.stored_subject(&message.subject);
        self.check_stream(message)?;
        let headers = PublishHeaders::parse(&message.headers);
        self.check_features(&headers, message, origin, ahead)?;
        let scheduling = match origin {
            Origin::Client => schedules::judge(&headers, &subject, &self.config)?,
            Origin::Source | Origin::Schedule => Scheduling::None,
        };
        self.check_expectations(&headers, &subject, ahead)?;
        self.check_ttl(&headers, origin)?;
        if let Some(id) = headers.msg_id {
            match self.dedupe.seen(id) {
                Some(_) if ahead.is_batch() => return Err(duplicate_in_batch()),
                Some(seq) => return Ok(Err(Seen(seq))),
                None if ahead.has_id(id) => return Err(duplicate_in_batch()),
                None => {}
            }
        }
        self.check_last_msg_id(&headers)?;
        let rollup = match self.check_rollup(&headers) {
            // A stream keeps headers of its sources that mean nothing to it.
            Err(_) if origin == Origin::Source => Rollup::None,
            rollup => rollup?,
        };
        let is_wanted = self.has_interest(&subject);
        let ttl = match headers.ttl {
            // Among what a source brings it may mean nothing here.
            Some(_) if origin == Origin::Source && !self.config.allow_msg_ttl => Ttl::Unset,
            Some(text) if is_wanted => headers::ttl(text).ok_or(ApiError::MESSAGE_TTL_INVALID)?,
            _ => Ttl::Unset,
        };
        let msg_id = headers.msg_id.map(|id| message.headers.slice_ref(id));
        let (mut message, mut counter, mut value) = (Cow::Borrowed(message), None, None);
        if self.config.allow_msg_counter {
            let counted = self.count(&subject, &message, ahead)?;
            message = Cow::Owned(counted.message);
            (counter, value) = (Some(counted.counter), Some(counted.value));
        }
        let mut rollup = rollup;
        if matches!(scheduling, Scheduling::Begin(_)) {
            message = Cow::Owned(schedules::replacing(&message));
            rollup = Rollup::Subject;
        }
        let size = self.size(&subject, &message);
        if size > messages::MESSAGE_SIZE_BYTES_MAX || subject.len() > usize::from(u16::MAX) {
            return Err(ApiError::stream_store_failed("message too large").into());
        }
        if is_wanted {
            self.check_room(&subject, size, rollup != Rollup::None, ahead)?;
        }
        Ok(Ok(Accepted {
            message,
            subject,
            msg_id,
            rollup,
            ttl,
            is_wanted,
            size,
            counter,
            value,
            scheduling,
        }))
    }

    /// Stores a message that was judged against the stream as it is now.
    pub(super) fn store_accepted(
        &mut self,
        accepted: Accepted<'_>,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<PubAck, messages::Error> {
        let Accepted {
            message,
            subject,
            msg_id,
            rollup,
            ttl,
            scheduling,
            ..
        } = accepted;
        if !accepted.is_wanted {
            return self.skip(msg_id, &subject, rollup, changes);
        }
        let last_for_subject = self
            .republish
            .is_some()
            .then(|| self.store.last_for(&subject).unwrap_or(0));
        let seq = self.append(&subject, &message)?;
        changes.stored(seq);
        self.ttls.insert(seq, self.lengthened(ttl), self.now_ns);
        self.remember(msg_id.as_deref(), seq);
        self.roll_up(rollup, &subject, seq, changes)?;
        self.trim_subject(&subject, changes)?;
        self.trim_stream(changes)?;
        self.follow_schedule(scheduling, &subject, seq, changes)?;
        if let Some(last_seq) = last_for_subject {
            effects.extend(self.republished(&subject, &message, seq, last_seq));
        }
        Ok(PubAck {
            seq,
            value: accepted.value.map(String::into_boxed_str),
            ..PubAck::default()
        })
    }

    /// What a message would add to the stream's bytes.
    pub fn size_of(&self, message: &Publish) -> u64 {
        self.size(&message.subject, message)
    }

    pub(super) fn size(&self, subject: &[u8], message: &Publish) -> u64 {
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

    /// Headers of features that the stream may not have.
    fn check_features(
        &self,
        headers: &PublishHeaders<'_>,
        message: &Publish,
        origin: Origin,
        ahead: &Ahead,
    ) -> Result<(), ApiError> {
        if headers.batch_id.is_some() && !ahead.is_batch() {
            return Err(ApiError::ATOMIC_PUBLISH_DISABLED);
        }
        if headers.expected_last_msg_id.is_some() && ahead.is_batch() {
            return Err(ApiError::atomic_publish_unsupported_header_batch(
                "Nats-Expected-Last-Msg-Id",
            ));
        }
        if self.config.allow_msg_counter {
            counter::check_headers(headers, &message.payload, origin == Origin::Source)?;
        } else if let Some(increment) = headers.increment
            && origin == Origin::Client
        {
            return Err(match headers::is_integer(increment) {
                true => ApiError::MESSAGE_INCR_DISABLED,
                false => ApiError::MESSAGE_INCR_INVALID,
            });
        }
        if headers.stream_source.is_some() && origin == Origin::Client {
            return Err(ApiError::MESSAGE_SOURCE_HDR_NOT_ALLOWED);
        }
        Ok(())
    }

    fn check_ttl(&self, headers: &PublishHeaders<'_>, origin: Origin) -> Result<(), ApiError> {
        let ttl = headers.ttl.and_then(headers::ttl);
        if !self.config.allow_msg_ttl
            && origin == Origin::Client
            && ttl.is_some_and(|ttl| ttl != Ttl::Unset)
        {
            return Err(ApiError::MESSAGE_TTL_DISABLED);
        }
        Ok(())
    }

    fn check_expectations(
        &self,
        headers: &PublishHeaders<'_>,
        subject: &[u8],
        ahead: &Ahead,
    ) -> Result<(), ApiError> {
        if headers
            .expected_stream
            .is_some_and(|name| name != self.config.name.as_bytes())
        {
            return Err(ApiError::STREAM_NOT_MATCH);
        }
        match headers.expected_last_subject_seq {
            Some(expected) => {
                let subject = headers.expected_last_subject.unwrap_or(subject);
                if ahead.touches(subject) {
                    return Err(ApiError::STREAM_WRONG_LAST_SEQUENCE_CONSTANT);
                }
                let last = self.last_for(subject);
                if last != headers::sequence(expected) && ahead.is_batch() {
                    return Err(ApiError::STREAM_WRONG_LAST_SEQUENCE_CONSTANT);
                }
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
            let last = self.store.state().last_seq + ahead.messages;
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
        msg_id: Option<Bytes>,
        subject: &Bytes,
        rollup: Rollup,
        changes: &mut Changes,
    ) -> Result<PubAck, messages::Error> {
        let seq = self.store.state().last_seq + 1;
        self.store.skip_to(seq + 1);
        self.remember(msg_id.as_deref(), seq);
        self.roll_up(rollup, subject, seq, changes)?;
        Ok(PubAck {
            seq,
            ..PubAck::default()
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

    fn remember(&mut self, msg_id: Option<&[u8]>, seq: u64) {
        self.last_msg_id.clear();
        if let Some(id) = msg_id {
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

fn duplicate_in_batch() -> Refusal {
    ApiError::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into()
}
