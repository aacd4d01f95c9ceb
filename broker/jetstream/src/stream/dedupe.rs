//! Message ids seen within the duplicate window.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::codec::{Damaged, Reader, Writer};

/// Most message ids remembered; beyond it the oldest are forgotten before their window ends.
pub const MAX_MESSAGE_IDS: usize = 8 * 1024 * 1024;
/// Longest message id, bytes; bounded by the size of a header block.
const MAX_ID_BYTES: usize = 64 * 1024;

/// The message ids of the last while, oldest first.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    by_id: HashMap<Arc<[u8]>, u64>,
    by_age: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: Arc<[u8]>,
    seq: u64,
    time_ns: i64,
}

impl Dedupe {
    /// Sequence of the message with this id, if it was seen within the window.
    pub(super) fn seen(&self, id: &[u8]) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(super) fn remember(&mut self, id: &[u8], seq: u64, time_ns: i64) {
        let id: Arc<[u8]> = id.into();
        self.by_id.insert(id.clone(), seq);
        self.by_age.push_back(Entry { id, seq, time_ns });
        if self.by_age.len() > MAX_MESSAGE_IDS {
            self.forget_oldest();
        }
    }

    /// Forgets ids whose window of `window_ns` is over at `now_ns`.
    pub(super) fn expire(&mut self, now_ns: i64, window_ns: i64) {
        let limit = now_ns.saturating_sub(window_ns);
        while self
            .by_age
            .front()
            .is_some_and(|oldest| oldest.time_ns <= limit)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.by_age.pop_front()
            && self.by_id.get(&entry.id) == Some(&entry.seq)
        {
            self.by_id.remove(&entry.id);
        }
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.u64(self.by_age.len() as u64);
        for entry in &self.by_age {
            out.bytes(&entry.id);
            out.u64(entry.seq);
            out.i64(entry.time_ns);
        }
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Dedupe, Damaged> {
        let mut dedupe = Dedupe::default();
        for _ in 0..input.count(MAX_MESSAGE_IDS, "message id count")? {
            let id = input.bytes(MAX_ID_BYTES, "message id")?;
            let seq = input.u64("message id sequence")?;
            dedupe.remember(&id, seq, input.i64("message id time")?);
        }
        Ok(dedupe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forgotten_when_its_window_is_over() {
        let mut dedupe = Dedupe::default();
        dedupe.remember(b"a", 1, 100);
        dedupe.remember(b"b", 2, 150);
        dedupe.expire(199, 100);
        assert_eq!(dedupe.seen(b"a"), Some(1));
        dedupe.expire(200, 100);
        assert_eq!((dedupe.seen(b"a"), dedupe.seen(b"b")), (None, Some(2)));
    }
}
