//! The stream's limits on number and size of messages.

use bytes::Bytes;
use messages::{Erase, Filters, Purge};

use super::StreamMachine;
use super::ahead::Ahead;
use super::effect::Changes;
use super::publish::Refusal;
use crate::config::Discard;
use crate::error::ApiError;

/// A limit of the configuration: values below one mean none.
fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|limit| *limit > 0)
}

impl StreamMachine {
    /// With discard new, refuses a message that would break a limit.
    pub(super) fn check_room(
        &self,
        subject: &[u8],
        size: u64,
        rollup: bool,
        ahead: &Ahead,
    ) -> Result<(), Refusal> {
        if self.config.discard != Discard::New {
            return Ok(());
        }
        let full = |text: &str| Err(ApiError::stream_store_failed(text).into());
        let per_subject = limit(self.config.max_msgs_per_subject);
        let stored = self.store.subject_count(subject);
        let replaces = per_subject.is_some_and(|limit| stored >= limit);
        let exceeds = per_subject.is_some_and(|limit| stored + ahead.count(subject) >= limit);
        if exceeds && self.config.discard_new_per_subject && !rollup {
            return full("maximum messages per subject exceeded");
        }
        let state = self.store.state();
        if !replaces
            && limit(self.config.max_msgs)
                .is_some_and(|limit| state.messages + ahead.messages >= limit)
        {
            return full("maximum messages exceeded");
        }
        if limit(self.config.max_bytes)
            .is_some_and(|limit| state.bytes + ahead.bytes + size > limit)
            && !(replaces && self.oldest_size(subject)? >= size)
        {
            return full("maximum bytes exceeded");
        }
        Ok(())
    }

    fn oldest_size(&self, subject: &[u8]) -> Result<u64, messages::Error> {
        let Some(seq) = self.store.first_for(subject) else {
            return Ok(0);
        };
        Ok(self.read_to_decide(seq)?.map_or(0, |message| {
            let (headers, payload) = (message.headers.len(), message.payload.len());
            self.store
                .message_size(message.subject.len(), headers, payload)
        }))
    }

    /// Removes the oldest messages of a subject beyond `max_msgs_per_subject`.
    pub(super) fn trim_subject(
        &mut self,
        subject: &[u8],
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        let Some(limit) = limit(self.config.max_msgs_per_subject) else {
            return Ok(());
        };
        while self.store.subject_count(subject) > limit
            && let Some(seq) = self.store.first_for(subject)
        {
            self.store.remove(seq, Erase::No)?;
            changes.removed(seq, seq);
        }
        Ok(())
    }

    /// Removes the oldest messages beyond `max_msgs` and `max_bytes`.
    pub(super) fn trim_stream(&mut self, changes: &mut Changes) -> Result<(), messages::Error> {
        let (max_msgs, max_bytes) =
            match (limit(self.config.max_msgs), limit(self.config.max_bytes)) {
                (None, None) => return Ok(()),
                (msgs, bytes) => (msgs.unwrap_or(u64::MAX), bytes.unwrap_or(u64::MAX)),
            };
        loop {
            let state = self.store.state();
            if state.messages == 0 || (state.messages <= max_msgs && state.bytes <= max_bytes) {
                return Ok(());
            }
            self.store.compact(state.first_seq + 1)?;
            changes.removed(state.first_seq, state.first_seq);
        }
    }

    /// Brings all messages within limits that were lowered.
    pub(super) fn trim_everything(&mut self, changes: &mut Changes) -> Result<(), messages::Error> {
        if let Some(keep) = limit(self.config.max_msgs_per_subject) {
            for (subject, count) in self.store.subjects(&Filters::everything()) {
                if count > keep {
                    self.remove_all_but(subject, keep)?;
                    let state = self.store.state();
                    changes.removed(1, state.last_seq);
                }
            }
        }
        if self.config.discard == Discard::Old {
            self.trim_stream(changes)?;
        }
        Ok(())
    }

    fn remove_all_but(&mut self, subject: Bytes, keep: u64) -> Result<(), messages::Error> {
        let purge = Purge {
            filters: Filters::one(subject),
            before_seq: u64::MAX,
            keep,
        };
        self.store.purge(&purge)?;
        Ok(())
    }
}
