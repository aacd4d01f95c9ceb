//! End to end tests with real processes.
//!
//! This library starts `weir-server` processes, loses them in all the ways a process can be lost,
//! and keeps the books on what was acknowledged. It knows the broker only as its users do: flags,
//! configuration, log, signals, files and the wire. Start at [`Broker`] and [`Cluster`];
//! [`Ledger`] says what has to be there in the end.

mod broker;
mod cluster;
mod ledger;
mod ports;
mod program;
mod reading;
mod system;
mod wait;

pub use broker::{Broker, Setup};
pub use cluster::{Cluster, cluster_info};
pub use ledger::{Ledger, Load, Pause};
pub use ports::free as free_port;
pub use program::{weir, weir_server};
pub use reading::{Read, read_stream};
pub use wait::{DEADLINE, scaled, until, within};
