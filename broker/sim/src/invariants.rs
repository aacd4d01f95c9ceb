//! What must hold whatever happened. One file each.

mod acked_messages;
mod acked_puts;
mod compare_and_set;
mod confirmed_acks;
mod message_ids;
mod one_cluster;
mod one_order;
mod work;

use std::collections::BTreeMap;

use consensus::NodeId;

use crate::history::History;
use crate::observer::{Sightings, StreamView};

/// Everything known at the end of a run.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub history: History,
    /// The events stream on each broker.
    pub events: BTreeMap<NodeId, StreamView>,
    /// The keys stream on each broker.
    pub keys: BTreeMap<NodeId, StreamView>,
    /// The streams whose messages go once they are acknowledged, on each broker.
    pub work: BTreeMap<&'static str, BTreeMap<NodeId, StreamView>>,
    /// What was seen while it ran.
    pub sightings: Sightings,
}

/// A promise, and how to see that it was broken.
pub struct Invariant {
    pub name: &'static str,
    pub promise: &'static str,
    check: fn(&Evidence) -> Vec<String>,
}

/// All promises that can be checked at the end. That a healed cluster makes progress is checked
/// while it runs.
pub const ALL: &[Invariant] = &[
    Invariant {
        name: "acked messages",
        promise: "a message that was acknowledged is stored on every replica, unchanged, under the \
                  sequence that was promised",
        check: acked_messages::check,
    },
    Invariant {
        name: "acked puts",
        promise: "a key has the value that was acknowledged last, or a later one",
        check: acked_puts::check,
    },
    Invariant {
        name: "one order",
        promise: "all replicas have the same messages under the same sequences, at all times",
        check: one_order::check,
    },
    Invariant {
        name: "confirmed acks",
        promise: "what a consumer acknowledged and was confirmed is never pending again, and its \
                  ack floor never falls",
        check: confirmed_acks::check,
    },
    Invariant {
        name: "work",
        promise: "a message of a work queue, or one that a consumer is interested in, is stored until it \
                  is acknowledged, and gone when that is confirmed",
        check: work::check,
    },
    Invariant {
        name: "message ids",
        promise: "a message id is stored once",
        check: message_ids::check,
    },
    Invariant {
        name: "one cluster",
        promise: "brokers that know each other never become two clusters",
        check: one_cluster::check,
    },
    Invariant {
        name: "compare and set",
        promise: "a conditional publish is stored only right behind the message it named",
        check: compare_and_set::check,
    },
];

/// All broken promises.
pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for invariant in ALL {
        let found = (invariant.check)(evidence).into_iter();
        violations.extend(found.map(|what| format!("{}: {what}", invariant.name)));
    }
    violations
}
