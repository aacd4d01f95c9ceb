//! JetStream at run time: groups, assets, the API and delivery.
//!
//! [`Engine`] holds a server's part of JetStream. The meta group says which streams exist and on
//! which servers ([`meta`], `meta_group`); for each replica assigned to this server there is an
//! `asset`, whose state machine comes from the `jetstream` crate and whose log from `consensus`;
//! where an asset leads, `lead` proposes what clients send and delivers to consumers; `api` answers
//! requests.
//!
//! The crate knows neither sockets nor the hub: the server gives it a [`bus::Bus`], a clock, a file
//! system and a way to ask its peers, and so does the simulation.

mod advisory;
mod allowance;
mod api;
mod asset;
mod audit;
mod backup;
pub mod bus;
pub mod clock;
mod engine;
pub mod env;
mod forward;
mod inbox;
mod inspect;
mod lead;
pub mod meta;
mod meta_group;
pub mod peer;
pub mod placement;
mod planner;
mod proposals;
pub mod random;
mod reliance;
mod repair;
mod room;

pub use allowance::Allowance;
pub use api::VERSION;
pub use asset::Asset;
pub use engine::{Engine, Founding, OfflineReplica, Start, load_identity};
pub use inspect::{ConsumerNumbers, MetaCluster};
pub use meta_group::MetaGroup;
pub use reliance::{Blocker, Reliance};
