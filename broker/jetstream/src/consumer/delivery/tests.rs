//! Scenarios with explicit times: what is sent to whom after which inputs.

mod acks;
mod harness;
mod interleavings;
mod priorities;
mod pulls;
mod pushes;
mod starts;
