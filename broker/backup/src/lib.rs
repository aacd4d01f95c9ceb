//! Backups of streams as bytes, the way nats-server 2.15 writes them: entries one after the other
//! (`archive.rs`), compressed with S2 (`s2.rs`).
//!
//! Both directions work on pieces as they come: whoever writes takes compressed bytes out while adding
//! entries, whoever reads adds bytes as they arrive and takes entries out. So a backup of any size needs
//! little more memory than its largest entry. This crate does not know what entries mean.
//!
//! Start at [`BackupWriter`] and [`BackupReader`].

mod archive;
mod error;
mod s2;

pub use archive::{BackupReader, BackupWriter, Entry};
pub use error::Error;
