//! One stream as a deterministic state machine.
//!
//! Every replica applies the same commands in the same order, so every rule that decides whether
//! a message is stored is judged here, at apply, with the time the command carries.

mod effect;

pub use effect::{Answer, Effect, PubAck};
