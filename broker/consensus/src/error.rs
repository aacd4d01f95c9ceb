//! What can go wrong, as told to the code above.

use crate::{GroupId, NodeId};

/// A command was not taken; it will never be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another replica takes proposals.
    #[error("this server does not lead the group; propose to {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Too many commands are on their way; try again when some have been applied.
    #[error("too many commands in flight")]
    Busy,
    /// The command is longer than [`Limits::command_bytes_max`](crate::Limits::command_bytes_max).
    #[error("command of {size} bytes is longer than the limit of {limit} bytes")]
    TooLarge {
        /// Length of the command, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The disk has no room for more log; free some space.
    #[error("the disk is full; free some space in the store directory")]
    Full,
    /// The group has been shut down or stopped after an error.
    #[error("the group is closed")]
    Closed,
}

/// A group could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The group is already open here.
    #[error("group {0} is already open")]
    AlreadyOpen(GroupId),
    /// Entries of the group, or its last checkpoint, were durable and cannot be read any more.
    /// Opening it could take back what was acknowledged: restore the store, or let this replica join
    /// anew.
    #[error(
        "what is stored of group {0} is damaged: restore the store or let this replica join anew"
    )]
    Damaged(GroupId),
    /// The timing is not usable.
    #[error("timing is not usable: {0}")]
    Timing(String),
    /// The log or the machine could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The log or the machine of a group failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The write-ahead log.
    #[error("log of group {group}: {reason}")]
    Log {
        /// The group.
        group: GroupId,
        /// What the log reported.
        reason: String,
    },
    /// The machine.
    #[error("state of group {group}: {reason}")]
    Machine {
        /// The group.
        group: GroupId,
        /// What the machine reported.
        reason: String,
    },
    /// The stored state does not fit together; restore the store or let this server join anew.
    #[error("stored state of group {group} is inconsistent: {reason}")]
    Inconsistent {
        /// The group.
        group: GroupId,
        /// What does not fit.
        reason: String,
    },
}

/// A checkpoint, transfer or membership change did not happen (or is not known to have happened).
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader can do this.
    #[error("this server does not lead the group; ask {leader:?}")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The wanted node is not a voter of the group, or a group of one has nobody to hand over to.
    #[error("there is no other voter to hand the leadership to")]
    NoTarget,
    /// Another change of members is still under way.
    #[error("another change of members is under way; try again when it is done")]
    InProgress,
    /// The set of members is empty, or a local group was asked to change it.
    #[error("the group cannot have these members: {0}")]
    Members(String),
    /// It did not happen in time; it may still happen.
    #[error("not done within {0} ms; it may still happen")]
    Timeout(u64),
    /// The group has been shut down or stopped after an error.
    #[error("the group is closed")]
    Closed,
    /// The log or the machine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
