//! A stream that is made of a backup: nothing else happens to it until all of the backup is in it.

use super::StreamMachine;
use super::consumers::Consumer;
use super::copy::Position;
use super::effect::{Answer, Changes};
use super::headers::{self, PublishHeaders, Ttl};
use super::manage::Outcome;
use super::schedules::{self, Scheduling};
use crate::codec::{Damaged, Reader, Writer};
use crate::command::{CopiedMessage, Restore};
use crate::consumer::{ConsumerConfig, State};
use crate::error::ApiError;

/// How far a stream that is made of a backup has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restoration {
    /// The stream is complete, or was never one of those.
    #[default]
    Complete,
    /// Nothing of the backup has come.
    Awaited,
    /// Some of the backup is here. Who does not hold the rest can not go on.
    Begun,
    /// The rest will not come.
    Abandoned,
}

impl StreamMachine {
    /// The stream waits to be made of a backup.
    #[must_use]
    pub fn awaiting_restore(self) -> StreamMachine {
        StreamMachine {
            restoration: Restoration::Awaited,
            ..self
        }
    }

    /// How far the backup that the stream is made of has come.
    pub fn restoration(&self) -> Restoration {
        self.restoration
    }

    /// Whether the stream is not, or not any more, being made of a backup.
    pub fn is_complete(&self) -> bool {
        self.restoration == Restoration::Complete
    }

    /// Takes the next part of the backup.
    pub(super) fn restore(
        &mut self,
        part: &Restore,
        changes: &mut Changes,
    ) -> Result<Outcome, messages::Error> {
        let is_next = match (self.restoration, part) {
            (Restoration::Complete, _) => false,
            (_, Restore::Abandon) => true,
            (Restoration::Abandoned, _) => false,
            (Restoration::Awaited, Restore::Begin { .. } | Restore::End { .. }) => true,
            (Restoration::Awaited, _) | (Restoration::Begun, Restore::Begin { .. }) => false,
            (Restoration::Begun, _) => true,
        };
        if !is_next {
            return Ok(Err(refused("this part of the backup does not come next")));
        }
        match part {
            Restore::Begin { first_seq } => {
                self.restoration = Restoration::Begun;
                self.store.skip_to(*first_seq);
            }
            Restore::Consumer {
                name,
                config,
                state,
            } => self.restore_consumer(name, config, state),
            Restore::Messages(messages) => {
                for message in messages {
                    if let Err(error) = self.restore_message(message, changes)? {
                        return Ok(Err(error));
                    }
                }
            }
            Restore::Abandon => self.restoration = Restoration::Abandoned,
            Restore::End { last_seq } => self.complete(*last_seq, changes)?,
        }
        Ok(Ok(Answer::Restored))
    }

    fn restore_consumer(&mut self, name: &str, config: &ConsumerConfig, state: &State) {
        let consumer = Consumer::new(config.clone(), self.now_ns, state.clone());
        self.consumers.insert(name.to_owned(), consumer);
    }

    /// Stores a message under its old sequence and time, and takes note of it as if it had been
    /// published here then.
    fn restore_message(
        &mut self,
        copy: &CopiedMessage,
        changes: &mut Changes,
    ) -> Result<Result<(), ApiError>, messages::Error> {
        let (seq, time_ns, message) = (copy.seq, copy.time_ns, &copy.message);
        if seq <= self.store.state().last_seq {
            return Ok(Err(refused("messages are out of order")));
        }
        let size = self.size(&message.subject, message);
        if size > messages::MESSAGE_SIZE_BYTES_MAX || message.subject.len() > usize::from(u16::MAX)
        {
            return Ok(Err(refused("a message is too large")));
        }
        let headers = PublishHeaders::parse(&message.headers);
        let ttl = match headers.ttl.and_then(headers::ttl) {
            Some(ttl) if self.config.allow_msg_ttl => ttl,
            _ => Ttl::Unset,
        };
        if ttl
            .deadline_ns(time_ns)
            .is_some_and(|due| due <= self.now_ns)
        {
            self.store.skip_to(seq.saturating_add(1));
            return Ok(Ok(()));
        }
        self.store.append(
            seq,
            time_ns,
            &message.subject,
            &message.headers,
            &message.payload,
        )?;
        changes.stored(seq);
        self.ttls.insert(seq, ttl, time_ns);
        self.remember_restored(headers.msg_id, seq, time_ns);
        if let Some(source) = headers.stream_source {
            self.restore_position(source);
        }
        if let Ok(schedule @ Scheduling::Begin(_)) =
            schedules::judge(&headers, &message.subject, &self.config)
        {
            self.follow_schedule(schedule, &message.subject, seq, changes)?;
        }
        Ok(Ok(()))
    }

    fn remember_restored(&mut self, msg_id: Option<&[u8]>, seq: u64, time_ns: i64) {
        self.last_msg_id.clear();
        let Some(id) = msg_id else { return };
        self.last_msg_id.extend_from_slice(id);
        let window_ns = self.config.duplicate_window_ns;
        if time_ns > self.now_ns.saturating_sub(window_ns) {
            self.dedupe.remember(id, seq, time_ns);
        }
    }

    /// A message that was copied says of which source it is, and how far that was copied.
    fn restore_position(&mut self, header: &[u8]) {
        let Ok(header) = std::str::from_utf8(header) else {
            return;
        };
        let mut words = header.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let (origin, seq, filters, destinations) = (next(), next(), next(), next());
        let (_, identity) = (next(), next().to_owned());
        let key = format!("{origin} {filters} {destinations}");
        let is_source = self.config.sources.iter().any(|source| source.key() == key);
        if let (true, Ok(seq)) = (is_source, seq.parse()) {
            self.copied.insert(key, Position { seq, identity });
        }
    }

    /// Everything is here: from now on the stream is like any other, and its limits count.
    fn complete(&mut self, last_seq: u64, changes: &mut Changes) -> Result<(), messages::Error> {
        self.store.skip_to(last_seq.saturating_add(1));
        self.restoration = Restoration::Complete;
        self.trim_everything(changes)?;
        self.expire(changes)?;
        self.remove_unwanted(changes)
    }

    pub(super) fn encode_restoration(&self, out: &mut Writer) {
        out.u8(match self.restoration {
            Restoration::Complete => 0,
            Restoration::Awaited => 1,
            Restoration::Begun => 2,
            Restoration::Abandoned => 3,
        });
    }
}

pub(super) fn decode_restoration(input: &mut Reader) -> Result<Restoration, Damaged> {
    match input.u8("restoration")? {
        0 => Ok(Restoration::Complete),
        1 => Ok(Restoration::Awaited),
        2 => Ok(Restoration::Begun),
        3 => Ok(Restoration::Abandoned),
        _ => Err(input.damaged("restoration")),
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::stream_restore(why)
}
