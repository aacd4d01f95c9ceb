//! What a member does for those who want to join.

use super::{Action, Formation, Message, Refusal, Roster};
use crate::NodeId;

impl Formation {
    /// A fresh server wants to be let in.
    pub(super) fn join_asked(&mut self, peer: NodeId) {
        let (Some(membership), Some(roster)) = (&self.identity.cluster, &self.roster) else {
            return;
        };
        let Some(Some(hello)) = self.peers.get(&peer) else {
            return;
        };
        let name = hello.name.clone();
        match roster.get(&name).copied() {
            Some(holder) if holder == peer => {
                let welcome = Message::Welcome(membership.clone());
                self.send(peer, welcome);
            }
            Some(holder) if holder == self.identity.node || self.peers.contains_key(&holder) => {
                let refusal = Refusal::DuplicateName { name };
                self.send(peer, Message::Refused(refusal.clone()));
                self.actions.push(Action::Refuse(peer, refusal));
            }
            replaces => self.actions.push(Action::Admit {
                node: peer,
                name,
                replaces,
            }),
        }
    }

    /// The meta group has new servers, or fewer.
    pub(super) fn new_roster(&mut self, roster: Roster) {
        if let Some(by) = roster.get(&self.settings.name)
            && *by != self.identity.node
        {
            self.actions.push(Action::Replaced { by: *by });
        }
        if let Some(membership) = self.identity.cluster.clone() {
            let waiting = self.peers.iter().filter(|(peer, hello)| {
                hello.as_ref().is_some_and(|hello| {
                    hello.cluster.is_none() && roster.get(&hello.name) == Some(*peer)
                })
            });
            let welcome =
                waiting.map(|(peer, _)| Action::Send(*peer, Message::Welcome(membership.clone())));
            self.actions.extend(welcome.collect::<Vec<_>>());
        }
        self.roster = Some(roster);
    }
}
