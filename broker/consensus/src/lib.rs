//! Replicated and single-server logs behind one handle; the only crate that names openraft.
//!
//! A *group* is one ordered log of opaque commands and the [`Machine`] they are applied to. A
//! server holds many groups in one process, all on one write-ahead log:
//!
//! ```text
//!  propose ──► log append ──► durable here ─────────────────► applied     (local group)
//!  propose ──► log append ──► durable on a majority ─────────► applied     (replicated group)
//! ```
//!
//! Both kinds are driven through the same [`Group`], so the code above does not care how many
//! replicas a stream has. What the crate promises:
//!
//! - a command is applied only once it is durable (on this server, or on a majority of the
//!   members), on every replica, in the same order and at the same index;
//! - [`Role::Leader`] is reported only when every command of earlier leaders has been applied, so
//!   a new leader never decides anything on a stale state;
//! - all calls into one [`Machine`] come from one place at a time, in log order.
//!
//! What the crate must not know: streams, subjects, consumers, sockets and files. Commands are
//! bytes, peers are a [`Transport`], the disk is a [`storage::wal::Wal`]. It reads no clock but
//! tokio's and draws no randomness but from [`Options::seed`], so that a whole cluster runs in a
//! deterministic simulation on one paused, single-threaded runtime. No openraft type appears in
//! the public interface.
//!
//! Where to start: [`Machine`] (what a replica does), [`Group`] (what can be asked of it),
//! [`Consensus`] (where groups come from), then `local.rs` for the simple driver and `raft.rs`
//! for the replicated one. [`formation`] is a separate, pure subject: how fresh servers decide
//! that they are a cluster.

mod blocking;
mod codec;
mod consensus;
mod error;
pub mod formation;
mod group;
mod in_flight;
mod kind;
mod local;
mod machine;
mod options;
mod raft;
mod reachable;
mod stop;
mod transport;

pub use consensus::{Consensus, Release, Start};
pub use error::{ChangeError, OpenError, ProposeError, StorageError};
pub use group::{Group, Members, ReplicaStatus, Support};
pub use machine::{
    Machine, MachineError, Role, SNAPSHOT_CHUNK_MAX_BYTES, SnapshotReader, SnapshotWriter,
};
pub use options::{Blocking, Limits, NodeId, Options, Timing};
pub use storage::wal::GroupId;
pub use transport::{BoxFuture, Lane, Transport, TransportError};
