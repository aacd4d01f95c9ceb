//! Attempts to found a cluster: making one, and granting one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Formation, Grant, Hello, Membership, Message};
use crate::NodeId;

/// How long founders may take to grant before the initiator gives up and picks anew.
const ATTEMPT_MAX_MS: u64 = 5_000;

/// An attempt of this server that is neither decided nor given up.
#[derive(Debug)]
pub(super) struct Attempt {
    grant: Grant,
    granted: BTreeSet<NodeId>,
    begun_ms: u64,
}

/// What is said to a request for our grant.
enum Verdict {
    Grant,
    Deny,
    Ignore,
}

impl Formation {
    /// How many servers are expected, by the highest opinion: servers whose configuration was
    /// extended must not be founded over by those that do not know yet.
    pub(super) fn expected(&self) -> usize {
        let others = self.peers.values().flatten().map(|hello| hello.expected);
        others.fold(self.settings.expected.max(1), usize::max)
    }

    /// Fresh servers that could found a cluster, by name: this one and those connected. Of two with
    /// one name only the one with the lower id counts.
    pub(super) fn candidates(&self) -> BTreeMap<String, NodeId> {
        let mut candidates = BTreeMap::from([(self.settings.name.clone(), self.identity.node)]);
        for (peer, hello) in &self.peers {
            let Some(hello) = hello else { continue };
            if hello.cluster.is_none() {
                candidates.entry(hello.name.clone()).or_insert(*peer);
            }
        }
        candidates
    }

    /// Begins an attempt if it is this server's part to do so now.
    pub(super) fn consider_attempt(&mut self) {
        let fresh = self.identity.cluster.is_none() && self.identity.grant.is_none();
        let meets_cluster = self
            .peers
            .values()
            .flatten()
            .any(|hello| hello.cluster.is_some());
        let candidates = self.candidates();
        let expected = self.expected();
        if !fresh || meets_cluster || !is_majority(candidates.len(), expected) {
            self.majority_since_ms = None;
            return;
        }
        let since_ms = *self.majority_since_ms.get_or_insert(self.now_ms);
        let settled = self.now_ms.saturating_sub(since_ms) >= self.settings.settle_ms;
        let lowest = candidates.keys().next() == Some(&self.settings.name);
        if !lowest || !(settled || candidates.len() >= expected) {
            return;
        }
        // Who granted to somebody else would deny; they join later.
        let founders: BTreeSet<NodeId> = candidates
            .into_values()
            .filter(|node| self.is_free(*node))
            .collect();
        if is_majority(founders.len(), expected) {
            self.begin_attempt(founders);
        }
    }

    fn is_free(&self, node: NodeId) -> bool {
        match self.peers.get(&node) {
            Some(Some(hello)) => {
                let grant = hello.grant.as_ref();
                grant.is_none_or(|grant| grant.initiator == self.identity.node)
            }
            _ => node == self.identity.node,
        }
    }

    fn begin_attempt(&mut self, founders: BTreeSet<NodeId>) {
        self.identity.attempt += 1;
        let grant = Grant {
            initiator: self.identity.node,
            initiator_name: self.settings.name.clone(),
            attempt: self.identity.attempt,
            founders,
        };
        self.identity.grant = Some(grant.clone());
        self.persist();
        let granted = BTreeSet::from([self.identity.node]);
        self.attempt = Some(Attempt {
            grant,
            granted,
            begun_ms: self.now_ms,
        });
        self.ask_missing();
        self.decide_if_granted();
    }

    fn ask_missing(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        let missing = attempt.grant.founders.difference(&attempt.granted);
        let ask = missing.map(|node| Action::Send(*node, Message::Ask(attempt.grant.clone())));
        self.actions.extend(ask);
    }

    /// Asks again, or gives up what takes too long.
    pub(super) fn repeat_attempt(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if self.now_ms.saturating_sub(attempt.begun_ms) > ATTEMPT_MAX_MS {
            self.give_up_attempt();
        } else {
            self.ask_missing();
        }
    }

    /// A founder that goes away without having granted will not grant this attempt.
    pub(super) fn lost(&mut self, peer: NodeId) {
        let hopeless = self.attempt.as_ref().is_some_and(|attempt| {
            attempt.grant.founders.contains(&peer) && !attempt.granted.contains(&peer)
        });
        if hopeless {
            self.give_up_attempt();
        }
    }

    /// Ends the attempt for good, then gives the grants back.
    fn give_up_attempt(&mut self) {
        if self.attempt.is_some() {
            self.identity.grant = None;
            self.persist();
            self.abandon_attempt();
            self.majority_since_ms = None;
        }
    }

    /// Forgets the attempt. The caller has made sure that it cannot come back from the disk.
    pub(super) fn abandon_attempt(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        let number = attempt.grant.attempt;
        for founder in attempt.grant.founders {
            if founder != self.identity.node {
                self.send(founder, Message::Released { attempt: number });
            }
        }
    }

    /// Another server asks for our grant.
    pub(super) fn asked(&mut self, peer: NodeId, ask: Grant) {
        let attempt = ask.attempt;
        match self.verdict(peer, &ask) {
            Verdict::Ignore => {}
            Verdict::Deny => self.send(peer, Message::Denied { attempt }),
            Verdict::Grant => {
                if self.identity.grant.as_ref() != Some(&ask) {
                    self.identity.grant = Some(ask);
                    self.persist();
                }
                // Only now, when our own attempt is replaced on disk, may it be given up.
                self.abandon_attempt();
                self.send(peer, Message::Granted { attempt });
            }
        }
    }

    fn verdict(&self, peer: NodeId, ask: &Grant) -> Verdict {
        let well_formed = ask.initiator == peer
            && ask.founders.contains(&self.identity.node)
            && ask.founders.contains(&peer)
            && is_majority(ask.founders.len(), self.expected());
        if !well_formed || self.identity.cluster.is_some() {
            return Verdict::Deny;
        }
        let Some(held) = &self.identity.grant else {
            return Verdict::Grant;
        };
        let ours = held.initiator == self.identity.node;
        if held.initiator == peer {
            // An old message asks for an attempt that was given up.
            let old = ask.attempt < held.attempt;
            if old { Verdict::Ignore } else { Verdict::Grant }
        } else if ours && ask.initiator_name < self.settings.name {
            // The lower name goes first, or two initiators would deny each other for ever.
            Verdict::Grant
        } else {
            Verdict::Deny
        }
    }

    pub(super) fn granted(&mut self, peer: NodeId, number: u64) {
        if let Some(attempt) = &mut self.attempt
            && attempt.grant.attempt == number
            && attempt.grant.founders.contains(&peer)
        {
            attempt.granted.insert(peer);
            self.decide_if_granted();
        }
    }

    fn decide_if_granted(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if attempt.granted != attempt.grant.founders {
            return;
        }
        let founders = attempt.grant.founders.clone();
        // Decided, so nothing is given back.
        self.attempt = None;
        self.become_member(Membership {
            cluster: self.settings.cluster,
            founders,
        });
    }

    pub(super) fn denied(&mut self, number: u64) {
        if self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.grant.attempt == number)
        {
            self.give_up_attempt();
        }
    }

    /// The initiator gave the attempt up.
    pub(super) fn released(&mut self, peer: NodeId, attempt: u64) {
        let held = self.identity.grant.as_ref();
        if held.is_some_and(|held| held.initiator == peer && held.attempt <= attempt) {
            self.identity.grant = None;
            self.persist();
        }
    }

    /// Another server has the name of the initiator that has our grant: its store is gone, and with
    /// it the attempt.
    pub(super) fn release_grant_of_predecessor(&mut self, peer: NodeId, hello: &Hello) {
        let gone = self.identity.grant.as_ref().is_some_and(|held| {
            held.initiator_name == hello.name
                && held.initiator != peer
                && held.initiator != self.identity.node
                && !self.peers.contains_key(&held.initiator)
        });
        if gone {
            self.identity.grant = None;
            self.persist();
        }
    }

    /// A peer still holds a grant for an attempt that we gave up, perhaps in an earlier life.
    pub(super) fn release_stale_grant(&mut self, peer: NodeId, hello: &Hello) {
        let Some(held) = hello.grant.as_ref() else {
            return;
        };
        if held.initiator != self.identity.node {
            return;
        }
        let running = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.grant.attempt == held.attempt);
        // The last attempt of a member may be the one that made the cluster.
        let decided = self.identity.cluster.is_some() && held.attempt == self.identity.attempt;
        if !running && !decided {
            self.send(
                peer,
                Message::Released {
                    attempt: held.attempt,
                },
            );
        }
    }
}

/// More than half.
fn is_majority(count: usize, of: usize) -> bool {
    count * 2 > of
}
