//! How fresh servers decide, safely, that they are a cluster.
//!
//! Pure: [`Formation`] takes [`Event`]s and returns [`Action`]s; the caller owns sockets, disk and
//! clock.

mod message;

pub use message::{ClusterId, Grant, Hello, Identity, Membership, Message, Refusal, Roster};

use crate::NodeId;

/// What a server knows before it speaks to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Configured name of this server.
    pub name: String,
    /// Servers of the cluster, this one included: the distinct route URLs, plus one if this server
    /// is not among them.
    pub expected: usize,
    /// How long an initiator waits for the rest once a majority is there, in milliseconds.
    pub settle_ms: u64,
    /// The id that a cluster founded by this server would get; random.
    pub cluster: ClusterId,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A route to this server is up.
    Connected(NodeId),
    /// The last route to this server went down.
    Disconnected(NodeId),
    /// It sent this.
    Received(NodeId, Message),
    /// Time passed; wanted about four times a second.
    Tick,
    /// Members only: the servers of the cluster, from the meta group; on each change.
    Roster(Roster),
}

/// What the caller has to do, in this order; `Persist` must be durable before the rest is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make this durable in place of the former identity.
    Persist(Identity),
    /// Send this.
    Send(NodeId, Message),
    /// This server is part of a cluster from now on: open the meta group, as a founder if it is
    /// one of the founders, else as one that joins. Said once in the life of a `Formation`.
    Start(Membership),
    /// Members only: have the leader of the meta group add this server (first as a learner).
    /// `replaces` is the node that had the name before; it is gone for good. Repeated until the
    /// roster shows it.
    Admit {
        /// The new server.
        node: NodeId,
        /// Its name.
        name: String,
        /// The former holder of the name.
        replaces: Option<NodeId>,
    },
    /// Log this and close the route to the peer.
    Refuse(NodeId, Refusal),
}

/// One server's view of the founding of its cluster.
#[derive(Debug)]
pub struct Formation {
    settings: Settings,
    identity: Identity,
}

impl Formation {
    /// Begins from what is on disk; the first event should be `Tick`.
    pub fn new(settings: Settings, identity: Identity) -> Self {
        Self { settings, identity }
    }

    /// The cluster, once there is one.
    pub fn membership(&self) -> Option<&Membership> {
        self.identity.cluster.as_ref()
    }

    /// In a person's words: what this server waits for, for logs and health checks.
    pub fn status(&self) -> String {
        format!("{} of {} servers", 1, self.settings.expected)
    }

    /// Takes in what happened at `now_ms` (any monotonic clock).
    pub fn on_event(&mut self, _event: Event, _now_ms: u64) -> Vec<Action> {
        Vec::new()
    }
}
