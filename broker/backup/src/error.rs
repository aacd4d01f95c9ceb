//! Why a backup cannot be read.

/// The bytes are no backup that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not compressed with s2")]
    NotCompressed,
    #[error("compressed data are damaged: {0}")]
    Damaged(&'static str),
    #[error(
        "not an archive of nats-server 2.15 or Weir; restore older backups into nats-server 2.15 and back them up again"
    )]
    NotAnArchive,
    #[error("entry has a damaged {0}")]
    Entry(&'static str),
    #[error("entry of {size_bytes} bytes is larger than {limit_bytes}")]
    TooLarge { size_bytes: u64, limit_bytes: u64 },
}
