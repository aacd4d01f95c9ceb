//! `weir-operator`: turns the resources of a Kubernetes cluster into running brokers and what they
//! hold.
//!
//! - [`options`]: the command line.
//! - [`manager`]: the life of the program: pages, leadership, one controller for each kind, the end.
//! - [`election`]: one of several replicas works, by a Lease.
//! - [`drive`]: what the controllers of all kinds have in common: backoff, limits, metrics, logs.
//! - [`context`]: what every controller is given.
//! - [`cluster`]: brokers: their pods, configuration, volumes, and how they change.
//! - [`secrets`]: Secrets as the place where keys are kept.
//! - [`topology`]: accounts, users, streams, buckets, object stores and consumers.
//!
//! Start at [`manager::run`].

pub mod backoff;
pub mod cluster;
pub mod context;
pub mod drive;
pub mod election;
pub mod explain;
pub mod http;
pub mod manager;
pub mod metrics;
pub mod options;
pub mod secrets;
pub mod stop;
pub mod topology;
