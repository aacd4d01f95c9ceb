//! Consumers: what a reader of a stream has seen, and what it is sent next.
//!
//! A consumer has two halves. [`State`] is replicated: it changes only by [`Progress`] that was
//! committed to the stream's log, on every server alike. [`Delivery`] is live: it exists on the
//! leader only, works on its own copy of the state, decides what to send, and produces the progress
//! that the engine proposes. After a change of leader the new one starts from the replicated state,
//! so whatever was not committed is delivered again.
//!
//! Start with [`ConsumerConfig`] for the rules, [`State::apply`] for the facts, and
//! [`Delivery::run`] for the work.

pub mod ack;
pub mod action;
pub mod config;
pub mod delivery;
pub mod info;
pub mod progress;
pub mod request;
pub mod source;
mod start;
pub mod state;
pub mod status;

pub use ack::{AckPrefix, AckSubject, AckToken, AckVerb};
pub use action::{Action, Advisory};
pub use config::{
    AckPolicy, ConsumerConfig, CreateLimits, DeliverPolicy, PriorityPolicy, ReplayPolicy,
    StreamFacts, validate_create, validate_update,
};
pub use delivery::{Delivery, End, Setup, Step};
pub use info::{ConsumerInfo, LiveInfo, PriorityGroupState, SequenceInfo};
pub use progress::{Fact, Progress};
pub use request::PullRequest;
pub use source::{MessageSource, StoreSource};
pub use start::validate_reset;
pub use state::{Pending, SequencePair, State};
