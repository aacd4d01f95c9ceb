//! JetStream's rules as pure state machines.
//!
//! This crate knows what a stream and a consumer are: how their configurations are judged, how a
//! committed command changes them, and what the JetStream API says about them. It must not know
//! where time, networks, disks or consensus come from: time arrives inside commands, messages live
//! behind `messages::MessageStore`, and everything to be sent leaves as an [`Effect`].
//!
//! Start with [`StreamMachine`], which applies [`Command`]s in log order.

pub mod api;
pub mod codec;
pub mod command;
pub mod config;
pub mod consumer;
pub mod copier;
pub mod decimal;
pub mod duration;
pub mod error;
pub mod json;
pub mod read;
pub mod schedule;
pub mod snapshot;
pub mod staging;
pub mod stream;
pub mod timestamp;

pub use command::{Command, ProposalId, Publish};
pub use config::StreamConfig;
pub use error::ApiError;
pub use stream::{Answer, Effect, PubAck, StreamMachine};
