//! What waits to be written.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::group::Releases;
use super::record::{Kind, record_len};
use super::{Error, GroupId};

/// Called once, when it is known whether the record is durable.
pub(super) type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Values queued without a commit of their own start one when this many bytes wait.
const LAZY_LIMIT_BYTES: u64 = 1 << 20;

/// A record on its way to the disk.
pub(super) struct Pending {
    pub kind: Kind,
    pub key: u8,
    pub group: GroupId,
    pub index: u64,
    pub body: Bytes,
    /// Tells this record from another one of the same index.
    pub ticket: u32,
    pub releases: Releases,
    pub done: Option<Done>,
}

/// One group commit.
pub(super) struct Batch {
    pub records: Vec<Pending>,
    pub bytes: u64,
    /// When the first of it was queued.
    pub since: Duration,
}

/// What [`Queue::take`] found.
pub(super) enum Taken {
    Nothing,
    Batch(Batch),
    /// The first record does not fit into the room that is left in the segment.
    NoRoom,
}

#[derive(Default)]
pub(super) struct Queue {
    records: VecDeque<Pending>,
    /// Encoded size of what is queued or being written.
    bytes: u64,
    since: Duration,
    /// Whether somebody waits for the next commit.
    urgent: bool,
    tickets: u32,
}

impl Pending {
    pub(super) fn new(kind: Kind, group: GroupId, index: u64) -> Pending {
        Pending {
            kind,
            key: 0,
            group,
            index,
            body: Bytes::new(),
            ticket: 0,
            releases: Releases::default(),
            done: None,
        }
    }

    pub(super) fn encoded_len(&self) -> u64 {
        record_len(self.body.len()) as u64
    }
}

impl Queue {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Names the next record. Tickets come round after 2^32 records, when no old one is left.
    pub(super) fn ticket(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }

    pub(super) fn push(&mut self, record: Pending, now: impl FnOnce() -> Duration) {
        if self.records.is_empty() {
            self.since = now();
        }
        self.bytes += record.encoded_len();
        self.records.push_back(record);
    }

    /// Asks for a commit; `true` if nobody had.
    pub(super) fn hurry(&mut self) -> bool {
        !std::mem::replace(&mut self.urgent, true)
    }

    /// As [`Queue::hurry`], but only when much is waiting.
    pub(super) fn hurry_if_long(&mut self) -> bool {
        self.bytes > LAZY_LIMIT_BYTES && self.hurry()
    }

    /// Takes records from the front, up to `limit` bytes (but at least one) and `room` bytes.
    pub(super) fn take(&mut self, limit: u64, room: u64, now: Duration) -> Taken {
        let mut bytes = 0;
        let mut count = 0;
        for record in &self.records {
            let total = bytes + record.encoded_len();
            if total > room || (count > 0 && total > limit) {
                break;
            }
            bytes = total;
            count += 1;
        }
        if count == 0 {
            self.urgent = !self.records.is_empty();
            return if self.urgent {
                Taken::NoRoom
            } else {
                Taken::Nothing
            };
        }
        let rest = self.records.split_off(count);
        let records = std::mem::replace(&mut self.records, rest).into();
        self.urgent = !self.records.is_empty();
        let since = std::mem::replace(&mut self.since, now);
        Taken::Batch(Batch {
            records,
            bytes,
            since,
        })
    }

    /// The bytes of a batch were written.
    pub(super) fn written(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// Gives up everything that waits.
    pub(super) fn abandon(&mut self) -> Vec<Pending> {
        self.bytes = 0;
        self.urgent = false;
        std::mem::take(&mut self.records).into()
    }
}
