//! What a replica does with the commands of its log.

use bytes::Bytes;

use crate::NodeId;

/// Upper bound of one snapshot chunk, in bytes. A reader that yields more ends the transfer.
pub const SNAPSHOT_CHUNK_MAX_BYTES: usize = 1024 * 1024;

/// The state that a log of commands builds.
///
/// All calls come from one task per group, one at a time and in log order (with
/// [`Blocking::Threads`](crate::Blocking::Threads) the long ones may come from another thread, but
/// never two at once). Every replica gets the same commands at the same indexes, so `apply` must
/// be deterministic: time and randomness travel inside the command.
pub trait Machine: Send + Sync + 'static {
    /// Applies one committed command.
    ///
    /// Indexes grow but are not contiguous: elections and membership changes take indexes of
    /// their own. After a restart the commands behind the last checkpoint come again.
    fn apply(&self, index: u64, command: Bytes);

    /// Applies a run of committed commands; worth overriding when a lock or a wake-up can be
    /// shared by the whole run.
    fn apply_batch(&self, commands: &mut Vec<(u64, Bytes)>) {
        for (index, command) in commands.drain(..) {
            self.apply(index, command);
        }
    }

    /// Says what this replica is from now on; called on each change, in order with `apply`.
    ///
    /// When a leader becomes a follower, or becomes leader of a *later* term, the fate of its
    /// commands in flight is unknown: they may still be applied, or never.
    fn role(&self, role: Role);

    /// Tells that a command which `propose` had taken will never be applied, because this replica
    /// stopped accepting before the command reached the log. May come from any task, at any time.
    fn refused(&self, _command: Bytes) {}

    /// Makes everything applied so far durable, atomically together with `seal`.
    ///
    /// The seal is opaque: it names the last applied position. When this returns `Ok`, the log up
    /// to that position may be deleted.
    fn checkpoint(&self, seal: Bytes) -> Result<(), MachineError>;

    /// The seal of the last durable checkpoint (or installed snapshot); `None` for a fresh machine.
    /// The state at the time of the call must be exactly what that seal covers: asked when the group
    /// is opened, again only if that failed before anything was applied.
    fn seal(&self) -> Option<Bytes>;

    /// Takes a consistent picture of the applied state, to bring a far-behind replica up to date.
    /// Later `apply` calls must not show in it.
    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError>;

    /// Starts to receive a snapshot. The current state stays in force until
    /// [`SnapshotWriter::finish`]; a writer dropped before that leaves no trace.
    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError>;
}

/// A picture of a machine, read once from front to back.
pub trait SnapshotReader: Send + 'static {
    /// The next chunk, at most [`SNAPSHOT_CHUNK_MAX_BYTES`] long; `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, MachineError>;
}

/// A snapshot being received.
pub trait SnapshotWriter: Send + 'static {
    /// Takes the next chunk, exactly as the reader gave it.
    fn chunk(&mut self, chunk: Bytes) -> Result<(), MachineError>;

    /// Replaces the machine's whole state by the received one and makes it durable together with
    /// `seal`, atomically: after a crash there is either the old state or the new one. Called again
    /// with the same seal after an error that [may pass](MachineError::may_pass).
    fn finish(&mut self, seal: Bytes) -> Result<(), MachineError>;
}

/// What this replica is in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This replica takes proposals, and every command of earlier terms has been applied.
    Leader {
        /// Grows with each leader of the group.
        term: u64,
    },
    /// This replica follows.
    Follower {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
}

/// A machine could not store or restore its state; the group stops, nothing is lost.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct MachineError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    may_pass: bool,
}

impl MachineError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            cause: cause.into(),
            may_pass: false,
        }
    }

    /// Wraps a cause that is over one day without anybody's help here, such as a full disk.
    pub fn passing(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            cause: cause.into(),
            may_pass: true,
        }
    }

    /// Whether the same call may succeed later.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}
