//! Three brokers on a simulated network, disk and clock, in one thread and the same for one seed.
//!
//! Everything of JetStream but the sockets runs here as it does in production: the engine, its
//! Raft groups, the write-ahead log, the message stores. What they are given from outside is made
//! up: [`network`] delays, drops and cuts, [`bus`] carries what clients and brokers publish,
//! [`disk`] writes when it pleases and forgets in a crash what was not synced, [`clock`] jumps.
//!
//! [`run::run`] plays one [`run::Plan`]: clients work ([`workload`]) while things break
//! ([`nemesis`]), then everything is healed, must make progress, and is compared with what the
//! clients were promised ([`invariants`]).
//!
//! `cargo test -p sim` plays many seeds, `SIM_SEEDS` says how many; `SIM_SEED` plays one of them and
//! tells what happened. The example `sim` plays any range of seeds.
//!
//! The crate knows no sockets, no threads and no wall clock. All randomness is drawn from the seed
//! of the plan by a [`dice::Dice`].

pub mod broker;
pub mod bus;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod dice;
pub mod disk;
pub mod history;
pub mod invariants;
pub mod nemesis;
pub mod network;
pub mod observer;
pub mod rot;
pub mod run;
pub mod trace;
pub mod workload;
