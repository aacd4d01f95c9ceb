//! Messages that are too old, and message ids whose window is over.

use std::collections::{BTreeMap, BTreeSet};

use messages::{Erase, Filters, StoredMessage};
use wire::headers::Builder;

use super::StreamMachine;
use super::effect::Changes;
use super::headers::Ttl;
use crate::codec::{Damaged, Reader, Writer};

/// Most messages with a time to live of their own in an encoded state.
const MAX_TTLS: usize = 256 * 1024 * 1024;
/// The deadline of a message that never expires.
const NEVER: i64 = i64::MAX;

/// Messages with a time to live of their own. The stream's age limit concerns them, too, unless
/// they never expire.
#[derive(Debug, Default)]
pub(super) struct Ttls {
    by_seq: BTreeMap<u64, i64>,
    by_deadline: BTreeSet<(i64, u64)>,
}

impl Ttls {
    pub(super) fn insert(&mut self, seq: u64, ttl: Ttl, now_ns: i64) {
        match ttl {
            Ttl::Unset => {}
            Ttl::Never => self.set(seq, NEVER),
            Ttl::Seconds(_) => {
                if let Some(deadline_ns) = ttl.deadline_ns(now_ns) {
                    self.set(seq, deadline_ns);
                }
            }
        }
    }

    fn set(&mut self, seq: u64, deadline_ns: i64) {
        self.by_seq.insert(seq, deadline_ns);
        if deadline_ns != NEVER {
            self.by_deadline.insert((deadline_ns, seq));
        }
    }

    /// Forgets messages below the first one of the stream.
    fn forget_below(&mut self, first_seq: u64) {
        while let Some((&seq, &deadline)) = self.by_seq.first_key_value() {
            if seq >= first_seq {
                return;
            }
            self.by_seq.pop_first();
            self.by_deadline.remove(&(deadline, seq));
        }
    }

    /// Whether the stream's age limit does not concern the message.
    fn outlives_stream(&self, seq: u64) -> bool {
        self.by_seq.get(&seq) == Some(&NEVER)
    }

    /// Takes a message whose deadline has come.
    fn pop_due(&mut self, now_ns: i64) -> Option<u64> {
        let &(deadline, seq) = self.by_deadline.first()?;
        if deadline > now_ns {
            return None;
        }
        self.by_deadline.pop_first();
        self.by_seq.remove(&seq);
        Some(seq)
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.u64(self.by_seq.len() as u64);
        for (seq, deadline) in &self.by_seq {
            out.u64(*seq);
            out.i64(*deadline);
        }
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Ttls, Damaged> {
        let mut ttls = Ttls::default();
        for _ in 0..input.count(MAX_TTLS, "ttl count")? {
            let seq = input.u64("ttl sequence")?;
            ttls.set(seq, input.i64("ttl deadline")?);
        }
        Ok(ttls)
    }
}

impl StreamMachine {
    /// The earliest time at which a tick could remove something or carry out a schedule,
    /// nanoseconds since 1970.
    pub fn next_expiry_ns(&self) -> Option<i64> {
        if !self.is_complete() {
            return None;
        }
        let ttl = self.ttls.by_deadline.first().map(|(deadline, _)| *deadline);
        [ttl, self.next_aged_ns(), self.schedules.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the age limit concerns the next message.
    fn next_aged_ns(&self) -> Option<i64> {
        if self.config.max_age_ns == 0 {
            return None;
        }
        let everything = Filters::everything();
        let seq = self.store.next_matching(&everything, self.aged_below)?;
        let state = self.store.state();
        let time_ns = match seq == state.first_seq {
            true => state.first_time_ns,
            // A message that can not be read now is looked at again when it could have expired.
            false => match self.store.get(seq) {
                Ok(Some(message)) => message.time_ns,
                Ok(None) | Err(_) => self.now_ns,
            },
        };
        Some(time_ns.saturating_add(self.config.max_age_ns))
    }

    /// Removes what is too old at the stream's time.
    pub(super) fn expire(&mut self, changes: &mut Changes) -> Result<(), messages::Error> {
        self.dedupe
            .expire(self.now_ns, self.config.duplicate_window_ns);
        while let Some(seq) = self.ttls.pop_due(self.now_ns) {
            self.expire_message(seq, changes)?;
        }
        if self.config.max_age_ns > 0 {
            self.expire_aged(changes)?;
        }
        if !self.ttls.by_seq.is_empty() {
            self.ttls.forget_below(self.store.state().first_seq);
        }
        Ok(())
    }

    fn expire_aged(&mut self, changes: &mut Changes) -> Result<(), messages::Error> {
        let youngest_ns = self.now_ns.saturating_sub(self.config.max_age_ns);
        let state = self.store.state();
        if state.messages == 0 || state.first_time_ns > youngest_ns {
            return Ok(());
        }
        let keep_from = self.store.seq_at_time(youngest_ns.saturating_add(1))?;
        if keep_from <= self.aged_below {
            return Ok(());
        }
        let own_ttls = self.ttls.by_seq.range(..keep_from).next().is_some();
        if own_ttls || self.config.subject_delete_marker_ttl_ns > 0 {
            self.expire_below(keep_from, changes)?;
        } else {
            self.store.compact(keep_from)?;
            changes.removed(state.first_seq, keep_from - 1);
        }
        self.aged_below = keep_from;
        Ok(())
    }

    /// Removes messages below `keep_from`, but not those that never expire.
    fn expire_below(
        &mut self,
        keep_from: u64,
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        let everything = Filters::everything();
        let mut next = self.store.next_matching(&everything, self.aged_below);
        while let Some(seq) = next.filter(|seq| *seq < keep_from) {
            if !self.ttls.outlives_stream(seq) {
                self.expire_message(seq, changes)?;
            }
            next = self.store.next_matching(&everything, seq + 1);
        }
        Ok(())
    }

    /// Removes one message, and leaves a marker if it was the last of its subject.
    fn expire_message(&mut self, seq: u64, changes: &mut Changes) -> Result<(), messages::Error> {
        let message = match self.config.subject_delete_marker_ttl_ns {
            0 => None,
            _ => self.read_to_decide(seq)?,
        };
        if !self.store.remove(seq, Erase::No)? {
            return Ok(());
        }
        changes.removed(seq, seq);
        if let Some(message) = message
            && self.store.subject_count(&message.subject) == 0
            && !is_delete_marker(&message.headers)
        {
            self.mark_deleted(&message.subject, changes)?;
        }
        Ok(())
    }

    /// Stores a message that tells readers that their subject has expired.
    fn mark_deleted(
        &mut self,
        subject: &[u8],
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        let ttl_ns = self.config.subject_delete_marker_ttl_ns;
        let headers = Builder::new()
            .add("Nats-Marker-Reason", "MaxAge")
            .add("Nats-TTL", crate::duration::go_text(ttl_ns))
            .add("Nats-Rollup", "sub")
            .build();
        let seq = self.store.state().last_seq + 1;
        self.store
            .append(seq, self.now_ns, subject, &headers, b"")?;
        self.ttls.set(seq, self.now_ns.saturating_add(ttl_ns));
        changes.stored(seq);
        Ok(())
    }

    /// Reads a message because a rule depends on it. A damaged one is an error if other replicas
    /// may read it, since this one must not decide differently.
    pub(super) fn read_to_decide(
        &self,
        seq: u64,
    ) -> Result<Option<StoredMessage>, messages::Error> {
        match self.store.get(seq) {
            Err(messages::Error::Damaged { .. }) if self.config.num_replicas <= 1 => Ok(None),
            read => read,
        }
    }
}

/// Whether a message says that its subject was deleted.
fn is_delete_marker(headers: &[u8]) -> bool {
    wire::headers::get(headers, "Nats-Marker-Reason").is_some()
        || wire::headers::get(headers, "KV-Operation") == Some(b"PURGE")
}
