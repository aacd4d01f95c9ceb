//! What can go wrong in a store.

use std::io;

/// An error of a message store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stored bytes of this message do not match their checksum or are missing. The message
    /// still counts in [`State`](crate::State); [`repair`](crate::MessageStore::repair) puts it
    /// right with a copy from elsewhere, removing it ends the matter too.
    #[error("message {seq} is damaged on disk; restore it from a replica or remove it")]
    Damaged { seq: u64 },
    /// The sequence to append is not above the last one.
    #[error("sequence {seq} is not above the last sequence {last_seq}")]
    OutOfOrder { seq: u64, last_seq: u64 },
    /// A message cannot be represented in a record: subject above 65535 bytes, or the whole above
    /// [`MESSAGE_SIZE_BYTES_MAX`](crate::MESSAGE_SIZE_BYTES_MAX).
    #[error("message of {size_bytes} bytes does not fit in a record")]
    TooLarge { size_bytes: u64 },
    /// No room left on the device. Nothing is lost: what could not be written stays in memory
    /// and the next checkpoint tries again.
    #[error("store is full; free space on the device of the store directory")]
    Full,
    /// The store directory is not what a store wrote, and no earlier generation is usable either.
    #[error("store manifest is unusable: {reason}")]
    Manifest { reason: String },
    /// To repair means to put back the message with the same sequence that was damaged.
    #[error("message {seq} is not damaged, so there is nothing to repair")]
    NotDamaged { seq: u64 },
    /// The device failed to sync, so nothing written since can be trusted. The log has it all.
    #[error(
        "a sync of the store failed; check the device and restart, which applies the log again"
    )]
    SyncFailed,
    #[error("store i/o failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io(error),
        }
    }
}
