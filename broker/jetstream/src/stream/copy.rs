//! What mirrors and sources bring.
//!
//! The leader reads the origin and proposes stretches of it. Here it is decided which of their
//! messages are new: how far an origin has been copied is part of the replicated state, so that
//! nothing is lost or doubled when leaders change, commands are repeated, or origins come back.

use std::collections::BTreeMap;

use super::StreamMachine;
use super::ahead::Ahead;
use super::effect::{Changes, Effect};
use super::headers;
use super::publish::{Origin, Refusal};
use crate::codec::{Damaged, Reader, Writer};
use crate::command::{Copied, CopiedMessage};
use crate::error::ApiError;

/// Most origins whose position is remembered. Those that are no sources any more are forgotten
/// beyond it.
const MAX_POSITIONS: usize = 10_000;
/// Longest key of a source, bytes.
const MAX_KEY_BYTES: usize = 8 * 1024 * 1024;
/// Longest identity of an origin, bytes.
const MAX_IDENTITY_BYTES: usize = 1024;

/// How far a source has been copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last sequence of the origin that was taken or passed over.
    pub seq: u64,
    /// Which stream of that name it was; empty if the origin did not say.
    pub identity: String,
}

impl StreamMachine {
    /// How far the mirror or source with this key has been copied.
    pub fn position(&self, source: &str) -> Position {
        if self.is_mirror_of(source) {
            return Position {
                seq: self.store.state().last_seq,
                ..Position::default()
            };
        }
        self.copied.get(source).cloned().unwrap_or_default()
    }

    fn is_mirror_of(&self, source: &str) -> bool {
        let mirror = self.config.mirror.as_ref();
        mirror.is_some_and(|mirror| mirror.key() == source)
    }

    /// Takes a stretch of an origin's messages. One that does not continue what is here, or whose
    /// origin is no source any more, is ignored.
    pub(super) fn copy(
        &mut self,
        copied: &Copied,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        let stalled = if self.is_mirror_of(&copied.source) {
            self.copy_mirrored(copied, changes)?
        } else if self
            .config
            .sources
            .iter()
            .any(|source| source.key() == copied.source)
        {
            self.copy_sourced(copied, changes, effects)?
        } else {
            return Ok(());
        };
        effects.push(Effect::Copied {
            source: copied.source.clone(),
            stalled,
        });
        Ok(())
    }

    fn copy_mirrored(
        &mut self,
        copied: &Copied,
        changes: &mut Changes,
    ) -> Result<Option<ApiError>, messages::Error> {
        if copied.after > self.store.state().last_seq {
            return Ok(None);
        }
        for copy in &copied.messages {
            if copy.seq <= self.store.state().last_seq {
                continue;
            }
            match self.mirror(copy, changes) {
                Ok(()) => {}
                Err(Refusal::Rule(error)) => return Ok(Some(error)),
                Err(Refusal::Store(error)) => return Err(error),
            }
        }
        self.store.skip_to(copied.up_to.saturating_add(1));
        Ok(None)
    }

    /// Stores a message under its sequence and time at the origin.
    fn mirror(&mut self, copy: &CopiedMessage, changes: &mut Changes) -> Result<(), Refusal> {
        let message = &copy.message;
        let size = self.size(&message.subject, message);
        self.check_room(&message.subject, size, false, &Ahead::default())?;
        self.store.append(
            copy.seq,
            copy.time_ns,
            &message.subject,
            &message.headers,
            &message.payload,
        )?;
        changes.stored(copy.seq);
        let ttl = match self.config.allow_msg_ttl {
            true => wire::headers::get(&message.headers, "Nats-TTL").and_then(headers::ttl),
            false => None,
        };
        if let Some(ttl) = ttl {
            self.ttls.insert(copy.seq, ttl, copy.time_ns);
        }
        self.trim_subject(&message.subject, changes)?;
        self.trim_stream(changes)?;
        Ok(())
    }

    fn copy_sourced(
        &mut self,
        copied: &Copied,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<ApiError>, messages::Error> {
        let mut position = self.copied.get(&copied.source).cloned().unwrap_or_default();
        if copied.identity != position.identity && !copied.identity.is_empty() {
            if !position.identity.is_empty() {
                // Another stream of that name, which begins anew.
                position.seq = 0;
            }
            position.identity.clone_from(&copied.identity);
        }
        if copied.after > position.seq {
            return Ok(None);
        }
        let mut stalled = None;
        let after = position.seq;
        for copy in copied.messages.iter().filter(|copy| copy.seq > after) {
            match self.publish(&copy.message, Origin::Source, changes, effects) {
                Err(Refusal::Store(error)) => return Err(error),
                Err(Refusal::Rule(error)) => {
                    stalled = Some(error);
                    break;
                }
                Ok(_) => position.seq = copy.seq,
            }
        }
        if stalled.is_none() {
            position.seq = position.seq.max(copied.up_to);
        }
        self.copied.insert(copied.source.clone(), position);
        Ok(stalled)
    }

    /// Forgets origins beyond the limit that are no sources any more. The others are remembered:
    /// who adds a source again goes on where it was.
    pub(super) fn forget_old_sources(&mut self) {
        if self.copied.len() <= MAX_POSITIONS {
            return;
        }
        let sources = self.config.sources.iter();
        let keys: Vec<String> = sources.map(|source| source.key()).collect();
        self.copied.retain(|key, _| keys.contains(key));
    }

    pub(super) fn encode_positions(&self, out: &mut Writer) {
        out.u64(self.copied.len() as u64);
        for (source, position) in &self.copied {
            out.str(source);
            out.u64(position.seq);
            out.str(&position.identity);
        }
    }
}

pub(super) fn decode_positions(input: &mut Reader) -> Result<BTreeMap<String, Position>, Damaged> {
    let mut positions = BTreeMap::new();
    // A configuration may name more sources than are remembered otherwise.
    for _ in 0..input.count(usize::from(u16::MAX) * 16, "source count")? {
        let source = input.string(MAX_KEY_BYTES, "source")?;
        let seq = input.u64("source position")?;
        let identity = input.string(MAX_IDENTITY_BYTES, "source identity")?;
        positions.insert(source, Position { seq, identity });
    }
    Ok(positions)
}
