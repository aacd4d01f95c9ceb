//! The replicated driver: openraft, fed from our log, our transport and our machines.
//!
//! ```text
//!  Group::propose ─► Replica ─► openraft ─► LogStore ─► shared write-ahead log
//!                                  │  ▲
//!                        Network ◄─┘  └─► State ─► Machine
//!                           │
//!                       Transport          (the other side: Replica::answer)
//! ```

mod continuity;
mod frame;
mod log_store;
mod network;
mod receive;
mod record;
mod rejoin;
mod replica;
mod state;
mod types;

#[cfg(test)]
mod suite;

pub(crate) use replica::{Replica, refuse_unknown, request_group};
