//! The file system seam and the write-ahead log that all streams share.
//!
//! Two things live here. [`fs`] is the only way any crate of the broker reaches a disk: a small
//! object-safe trait with a real implementation ([`fs::DiskFs`]) and a simulated one
//! ([`fs::SimFs`]) that crashes, tears writes, fills up and rots on command. [`wal`] is the one
//! log per server through which every durable fact passes, so that a thousand busy groups cost
//! one `fdatasync` per batch and not a thousand.
//!
//! This crate must not know what a stream, a vote or a message is: it stores bytes for numbered
//! groups. It starts no thread and reads no clock unless the caller hands it one.
//!
//! Start with [`fs::FileSystem`], then [`wal::Wal`] and [`wal::Log`].

pub mod fs;
pub mod wal;
