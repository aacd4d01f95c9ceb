//! How fresh servers decide, safely, that they are a cluster.
//!
//! Pure: [`Formation`] takes [`Event`]s and returns [`Action`]s; the caller owns sockets, disk and
//! clock.
//!
//! **Founding.** Every server is told how many servers to expect. Fresh ones introduce themselves
//! to each other. Of those connected the one with the lowest name becomes the initiator, once they
//! are a strict majority of the expected number: it picks the founders, and asks each for its
//! *grant*. A server has one grant to give, and writes it down before it says so. Only when all
//! founders have granted does the initiator write down that the cluster exists.
//!
//! That is safe because any two majorities share a server, and that server grants to one initiator
//! at a time: two halves of a split network, or two overlapping sets, can never both succeed. A
//! grant is given back only when the initiator says that it gave the attempt up for good, or when
//! another server has taken the initiator's name, which means that the initiator's store is gone.
//! The one thing that could break it is a store that is lost during the founding, together with a
//! split of the network; so an initiator waits a while for all expected servers.
//!
//! **Joining.** A fresh server that meets a cluster asks to join it. A server that lost its store
//! comes back under its old name with a new id and takes the place of the old one; but two running
//! servers of one name, or stores of two clusters, are refused with a reason.

mod attempt;
mod member;
mod message;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use message::{ClusterId, Grant, Hello, Identity, Membership, Message, Refusal, Roster};

use crate::NodeId;
use attempt::Attempt;

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
    /// Members only: have the leader of the meta group welcome this server, so that it opens its
    /// replica of the meta group, and add it (first as a learner).
    /// `replaces` is the node that had the name before; the leader must refuse if it is still in
    /// touch with that one. Repeated until the roster shows the new server.
    Admit {
        /// The new server.
        node: NodeId,
        /// Its name.
        name: String,
        /// The former holder of the name.
        replaces: Option<NodeId>,
    },
    /// Log this and close the route to the peer, after what was sent to it.
    Refuse(NodeId, Refusal),
    /// Another server took the place of this one while it was away. Stop; with an empty store this
    /// server may join again under another name.
    Replaced {
        /// Who has the name now.
        by: NodeId,
    },
}

/// One server's view of the founding of its cluster.
#[derive(Debug)]
pub struct Formation {
    settings: Settings,
    identity: Identity,
    /// Connected servers, and what they said of themselves.
    peers: BTreeMap<NodeId, Option<Hello>>,
    attempt: Option<Attempt>,
    /// Since when a majority is connected.
    majority_since_ms: Option<u64>,
    roster: Option<Roster>,
    started: bool,
    now_ms: u64,
    actions: Vec<Action>,
}

impl Formation {
    /// Begins from what is on disk; the first event should be `Tick`.
    pub fn new(settings: Settings, mut identity: Identity) -> Self {
        // The answers to an attempt of an earlier life are forgotten, so the attempt is given up.
        if identity
            .grant
            .as_ref()
            .is_some_and(|grant| grant.initiator == identity.node)
        {
            identity.grant = None;
        }
        Self {
            settings,
            identity,
            peers: BTreeMap::new(),
            attempt: None,
            majority_since_ms: None,
            roster: None,
            started: false,
            now_ms: 0,
            actions: Vec::new(),
        }
    }

    /// The cluster, once there is one.
    pub fn membership(&self) -> Option<&Membership> {
        self.identity.cluster.as_ref()
    }

    /// In a person's words: what this server waits for, for logs and health checks.
    pub fn status(&self) -> String {
        if let Some(membership) = self.membership() {
            return format!("member of cluster {}", membership.cluster);
        }
        if self
            .peers
            .values()
            .flatten()
            .any(|hello| hello.cluster.is_some())
        {
            return "waits to be let into the cluster".to_owned();
        }
        if let Some(grant) = &self.identity.grant {
            return format!(
                "waits for server {:?} to found the cluster",
                grant.initiator_name
            );
        }
        let connected = self.candidates().len();
        let expected = self.expected();
        let needed = expected / 2 + 1;
        format!("{connected} of {expected} servers are connected, {needed} are needed")
    }

    /// Takes in what happened at `now_ms` (any monotonic clock).
    pub fn on_event(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        self.now_ms = now_ms;
        self.start_if_member();
        match event {
            Event::Connected(peer) => {
                self.peers.insert(peer, None);
                self.send_hello(peer);
            }
            Event::Disconnected(peer) => {
                self.peers.remove(&peer);
                self.lost(peer);
            }
            Event::Received(peer, message) => self.received(peer, message),
            Event::Tick => self.tick(),
            Event::Roster(roster) => self.new_roster(roster),
        }
        self.consider_attempt();
        std::mem::take(&mut self.actions)
    }

    fn received(&mut self, peer: NodeId, message: Message) {
        match message {
            Message::Hello(hello) => self.hello(peer, hello),
            Message::Ask(grant) => self.asked(peer, grant),
            Message::Granted { attempt } => self.granted(peer, attempt),
            Message::Denied { attempt } => self.denied(attempt),
            Message::Released { attempt } => self.released(peer, attempt),
            Message::Join => self.join_asked(peer),
            Message::Welcome(membership) => self.become_member(membership),
            Message::Refused(refusal) => self.actions.push(Action::Refuse(peer, refusal)),
        }
    }

    fn hello(&mut self, peer: NodeId, hello: Hello) {
        if let Some(refusal) = self.refusal(peer, &hello) {
            self.peers.remove(&peer);
            self.send(peer, Message::Refused(refusal.clone()));
            self.actions.push(Action::Refuse(peer, refusal));
            return;
        }
        self.release_grant_of_predecessor(peer, &hello);
        self.release_stale_grant(peer, &hello);
        match (&self.identity.cluster, &hello.cluster) {
            // It may have missed that there is a cluster.
            (Some(_), None) => self.send_hello(peer),
            (None, Some(cluster)) if cluster.founders.contains(&self.identity.node) => {
                self.become_member(cluster.clone());
            }
            (None, Some(_)) => self.send(peer, Message::Join),
            _ => {}
        }
        self.peers.insert(peer, Some(hello));
    }

    /// Why this peer cannot be of our cluster, if so.
    fn refusal(&self, peer: NodeId, hello: &Hello) -> Option<Refusal> {
        if let (Some(ours), Some(theirs)) = (&self.identity.cluster, &hello.cluster)
            && ours.cluster != theirs.cluster
        {
            return Some(Refusal::OtherCluster {
                name: hello.name.clone(),
                ours: ours.cluster,
                theirs: theirs.cluster,
            });
        }
        // Of two with one name the member stays, else the one with the lower id.
        let same_name = hello.name == self.settings.name && peer != self.identity.node;
        let stays = match (&self.identity.cluster, &hello.cluster) {
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => self.identity.node < peer,
        };
        (same_name && stays).then(|| Refusal::DuplicateName {
            name: hello.name.clone(),
        })
    }

    fn tick(&mut self) {
        let peers: Vec<NodeId> = self.peers.keys().copied().collect();
        if let Some(membership) = &self.identity.cluster {
            // The leader that welcomed this server may have lost its place before it let it in.
            if !membership.founders.contains(&self.identity.node) && !self.is_on_roster() {
                for peer in peers {
                    self.send(peer, Message::Join);
                }
            }
            return;
        }
        for peer in peers {
            self.send_hello(peer);
        }
        let members = self
            .peers
            .iter()
            .filter(|(_, hello)| hello.as_ref().is_some_and(|hello| hello.cluster.is_some()));
        let members: Vec<NodeId> = members.map(|(peer, _)| *peer).collect();
        for member in members {
            self.send(member, Message::Join);
        }
        self.repeat_attempt();
    }

    fn is_on_roster(&self) -> bool {
        let roster = self.roster.as_ref();
        roster.and_then(|roster| roster.get(&self.settings.name)) == Some(&self.identity.node)
    }

    fn become_member(&mut self, membership: Membership) {
        if self.identity.cluster.is_some() {
            return;
        }
        self.abandon_attempt();
        self.identity.cluster = Some(membership);
        self.identity.grant = None;
        self.persist();
        self.start_if_member();
        let peers: Vec<NodeId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.send_hello(peer);
        }
    }

    fn start_if_member(&mut self) {
        if let Some(membership) = &self.identity.cluster
            && !self.started
        {
            self.started = true;
            self.actions.push(Action::Start(membership.clone()));
        }
    }

    fn send_hello(&mut self, to: NodeId) {
        let hello = Hello {
            name: self.settings.name.clone(),
            expected: self.settings.expected,
            cluster: self.identity.cluster.clone(),
            grant: self.identity.grant.clone(),
        };
        self.send(to, Message::Hello(hello));
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.actions.push(Action::Send(to, message));
    }

    fn persist(&mut self) {
        self.actions.push(Action::Persist(self.identity.clone()));
    }
}
