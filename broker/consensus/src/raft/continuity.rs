//! Keeps what a leader proposes free of gaps.
//!
//! openraft refuses commands while the leader's lease has run out, and takes them again as soon as it
//! hears from a majority. So a command could be refused and the next one, which was on its way
//! already, be taken. Whoever leads counts on its commands taking effect in their order, up to some
//! point from which on none does: a consumer's acknowledgement means nothing without the delivery
//! before it. Therefore the first refusal ends a stretch: what was proposed in it and is not in the
//! log yet is refused, too, and the machine is told that this replica does not lead until nothing
//! of the stretch is on its way any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::Machine;
use crate::in_flight::Permit;

/// The present stretch of one replica's proposals.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    stretch: AtomicU64,
    is_interrupted: AtomicBool,
    pub(super) interrupted: Notify,
}

impl Continuity {
    /// To be read before [`Continuity::is_interrupted`].
    pub(super) fn stretch(&self) -> u64 {
        self.stretch.load(Ordering::Acquire)
    }

    /// Whether nothing can be proposed, although openraft may lead.
    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Acquire)
    }

    /// Begins another stretch. Nothing of the former one may be on its way.
    pub(super) fn resume(&self) {
        self.is_interrupted.store(false, Ordering::Release);
    }

    fn end(&self, stretch: u64) {
        // The flag first: who reads the new number must not propose under it yet.
        self.is_interrupted.store(true, Ordering::Release);
        let (now, next) = (Ordering::AcqRel, stretch + 1);
        if self
            .stretch
            .compare_exchange(stretch, next, now, Ordering::Acquire)
            .is_ok()
        {
            self.interrupted.notify_one();
        }
    }
}

/// A command on its way. Holds its place in the queue until openraft and the log are done with it.
pub(crate) struct Proposal {
    command: Bytes,
    /// Who wants it back if it is refused.
    machine: Arc<dyn Machine>,
    continuity: Arc<Continuity>,
    stretch: u64,
    is_void: AtomicBool,
    _permit: Permit,
}

impl Proposal {
    pub(super) fn new(
        command: Bytes,
        machine: Arc<dyn Machine>,
        continuity: Arc<Continuity>,
        stretch: u64,
        permit: Permit,
    ) -> Self {
        Self {
            command,
            machine,
            continuity,
            stretch,
            is_void: AtomicBool::new(false),
            _permit: permit,
        }
    }

    /// Whether it may go into the log; decided once, when it is about to.
    pub(super) fn enters_log(&self) -> bool {
        let is_void = self.continuity.stretch() != self.stretch;
        self.is_void.store(is_void, Ordering::Release);
        !is_void
    }

    /// It was applied, unless it is void.
    pub(super) fn complete(&self) {
        if self.is_void.load(Ordering::Acquire) {
            self.machine.refused(self.command.clone());
        }
    }

    /// openraft did not take it.
    pub(super) fn refuse(&self) {
        self.continuity.end(self.stretch);
        self.machine.refused(self.command.clone());
    }
}
