//! Whether a server can be stopped: what relies on it, as the leaders of its groups see it.
//!
//! Only a group's leader knows which replicas are current, so every server is asked about the
//! groups it leads, and the one that was asked first puts the answers together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consensus::{Group, NodeId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Engine;
use crate::meta::{META_GROUP, MetaState};
use crate::peer::Question;

/// How long other servers are waited for.
const GATHER_TIMEOUT: Duration = Duration::from_secs(1);
/// Blockers that are listed; the rest is only counted.
const BLOCKERS_MAX: usize = 100;
/// What the meta group is called where streams have names.
const META_NAME: &str = "_meta_";

/// What relies on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reliance {
    pub server: String,
    /// Its node id, as replicas are listed with.
    pub peer: String,
    /// The server can be stopped: every replicated stream it holds, and the meta group, has a
    /// quorum of current replicas without it. Streams of one replica do not count, see
    /// [`Reliance::unreplicated`].
    pub safe: bool,
    /// It has everything that the leaders of its groups have: after a start, it has caught up.
    pub current: bool,
    pub online: bool,
    /// Its replicas and leaderships are leaving, or have left.
    pub evacuating: bool,
    /// Replicas of streams that it holds.
    pub replicas: usize,
    /// Groups that it leads, the meta group among them.
    pub leaders: usize,
    /// Streams that have their only replica here, and are away while the server is.
    pub unreplicated: usize,
    /// Groups in which its replica misses something, or that have no leader who could tell.
    pub behind: usize,
    /// Groups that keep the server from being stopped.
    pub blocked: usize,
    /// The first hundred of them.
    pub blockers: Vec<Blocker>,
}

/// A group that relies on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// `_meta_` for the meta group.
    pub stream: String,
    pub reason: String,
}

/// What one server knows about the groups of another: those it leads, and its own broken replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReports {
    /// Groups led by the reporting server that go on without the other.
    holding: Vec<u64>,
    /// Those that do not, with the reason.
    relying: Vec<(u64, String)>,
    /// Those in which the other's replica is not current.
    behind: Vec<u64>,
    /// Replicas of the reporting server that stopped after an error.
    broken: Vec<u64>,
    /// Groups that the reporting server leads, whoever is in them.
    leads: usize,
}

impl Engine {
    /// What relies on the server of this name, or on this one; `None` if the cluster has no such
    /// server.
    pub async fn reliance(&self, server: Option<&str>) -> Option<Reliance> {
        let here = self.env().node();
        let node = match server {
            Some(name) if name != self.env().options.server_name => {
                self.meta().read(|meta| meta.server_named(name))?
            }
            _ => here,
        };
        let expected = self.meta().read(|meta| expected(meta, node));
        if !self.env().is_clustered() {
            let replicas = expected.len() - 1;
            return Some(Reliance {
                peer: node.to_string(),
                replicas,
                leaders: replicas,
                unreplicated: replicas,
                ..Reliance::nothing(self.server_name(node))
            });
        }
        let reports = self.gather_reports(node).await;
        let mut reliance = judge(&expected, node, &reports);
        reliance.server = self.server_name(node);
        reliance.online = self.is_online(node);
        reliance.evacuating = self.meta().read(|meta| meta.is_evacuating(node));
        if !self.is_ready() {
            let reason = "jetstream is not ready on the server that was asked".to_owned();
            reliance.block("", META_NAME, reason);
        }
        Some(reliance)
    }

    async fn gather_reports(&self, node: NodeId) -> BTreeMap<NodeId, GroupReports> {
        let here = self.env().node();
        let peers = &self.env().peers;
        let others: Vec<NodeId> = self.meta().read(|meta| {
            let servers = meta.servers().keys().copied();
            servers.filter(|server| *server != here).collect()
        });
        let question = Question::Reliance { node }.encode();
        let mut calls = JoinSet::new();
        for server in others.into_iter().filter(|other| peers.is_online(*other)) {
            let call = peers.call(server, question.clone(), GATHER_TIMEOUT);
            calls.spawn(async move { (server, call.await) });
        }
        let mut reports = BTreeMap::from([(here, self.report_groups(node))]);
        while let Some(answered) = calls.join_next().await {
            if let Ok((server, Some(answer))) = answered
                && let Ok(report) = serde_json::from_slice(&answer)
            {
                reports.insert(server, report);
            }
        }
        reports
    }

    /// What this server knows about the groups that `node` takes part in.
    pub(crate) fn report_groups(&self, node: NodeId) -> GroupReports {
        let mut reports = GroupReports::default();
        if let Some(group) = self.meta().group() {
            reports.add(META_GROUP.0, &group, node);
        }
        let offline = self.offline_replicas();
        reports
            .broken
            .extend(offline.iter().map(|replica| replica.group));
        for asset in self.assets() {
            let id = asset.assignment.read().group;
            if let Some(reason) = asset.failure() {
                reports.broken.push(id);
                if asset.is_leader() {
                    reports.relying.push((id, reason));
                }
            } else if let Some(group) = asset.group() {
                reports.add(id, group, node);
            }
        }
        reports
    }
}

impl GroupReports {
    fn add(&mut self, id: u64, group: &Group, node: NodeId) {
        let Some(support) = group.support_without(node) else {
            return;
        };
        self.leads += 1;
        let members = group.members();
        if !members.voters.contains(&node) && !members.learners.contains(&node) {
            return;
        }
        if support.holds() {
            self.holding.push(id);
        } else {
            let (current, needed) = (support.current, support.needed);
            let reason = format!("{current} current replicas without it, {needed} are needed");
            self.relying.push((id, reason));
        }
        let replicas = group.replicas();
        let own = replicas.iter().find(|replica| replica.node == node);
        if own.is_some_and(|replica| !replica.current) {
            self.behind.push(id);
        }
    }
}

/// A group that the server should be in.
struct Expected {
    group: u64,
    account: String,
    stream: String,
    is_replicated: bool,
    /// The stream leaves the server, which may be out of the group already.
    is_leaving: bool,
}

fn expected(meta: &MetaState, node: NodeId) -> Vec<Expected> {
    let mut expected = vec![Expected {
        group: META_GROUP.0,
        account: String::new(),
        stream: META_NAME.to_owned(),
        is_replicated: meta.servers().len() > 1,
        is_leaving: false,
    }];
    let held = meta.streams().filter(|stream| stream.is_held_by(node));
    expected.extend(held.map(|stream| Expected {
        group: stream.group,
        account: stream.account.clone(),
        stream: stream.config.name.clone(),
        is_replicated: stream.holders().count() > 1,
        is_leaving: !stream.replicas.contains(&node),
    }));
    expected
}

fn judge(
    expected: &[Expected],
    node: NodeId,
    reports: &BTreeMap<NodeId, GroupReports>,
) -> Reliance {
    let all = reports.values();
    let holding: BTreeSet<u64> = all
        .clone()
        .flat_map(|r| r.holding.iter().copied())
        .collect();
    let relying: BTreeMap<u64, &str> = all
        .clone()
        .flat_map(|r| r.relying.iter().map(|(id, reason)| (*id, reason.as_str())))
        .collect();
    let behind: BTreeSet<u64> = all.flat_map(|r| r.behind.iter().copied()).collect();
    let others = reports.iter().filter(|(server, _)| **server != node);
    let broken: BTreeSet<u64> = others.flat_map(|(_, r)| r.broken.iter().copied()).collect();
    let mut reliance = Reliance {
        peer: node.to_string(),
        replicas: expected.len() - 1,
        leaders: reports.get(&node).map_or(0, |report| report.leads),
        ..Reliance::nothing(String::new())
    };
    for group in expected {
        let is_known = holding.contains(&group.group) || relying.contains_key(&group.group);
        if !group.is_leaving && (!is_known || behind.contains(&group.group)) {
            reliance.behind += 1;
            reliance.current = false;
        }
        let (account, stream) = (group.account.as_str(), group.stream.as_str());
        if !group.is_replicated {
            reliance.unreplicated += usize::from(group.group != META_GROUP.0);
        } else if let Some(reason) = relying.get(&group.group) {
            reliance.block(account, stream, (*reason).to_owned());
        } else if broken.contains(&group.group) {
            let reason = "another replica stopped after an error".to_owned();
            reliance.block(account, stream, reason);
        } else if !is_known && !group.is_leaving {
            reliance.block(account, stream, "it has no leader".to_owned());
        }
    }
    reliance
}

impl Reliance {
    /// Of a server without JetStream, or before anything is known.
    pub fn nothing(server: String) -> Reliance {
        Reliance {
            server,
            peer: String::new(),
            safe: true,
            current: true,
            online: true,
            evacuating: false,
            replicas: 0,
            leaders: 0,
            unreplicated: 0,
            behind: 0,
            blocked: 0,
            blockers: Vec::new(),
        }
    }

    fn block(&mut self, account: &str, stream: &str, reason: String) {
        self.safe = false;
        self.blocked += 1;
        if self.blockers.len() < BLOCKERS_MAX {
            self.blockers.push(Blocker {
                account: account.to_owned(),
                stream: stream.to_owned(),
                reason,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u64, is_replicated: bool) -> Expected {
        Expected {
            group: id,
            account: "A".into(),
            stream: format!("S{id}"),
            is_replicated,
            is_leaving: false,
        }
    }

    fn reports(of: &[(u64, GroupReports)]) -> BTreeMap<NodeId, GroupReports> {
        of.iter()
            .map(|(node, reports)| (NodeId(*node), reports.clone()))
            .collect()
    }

    #[test]
    fn a_server_whose_groups_all_hold_can_be_stopped() {
        let expected = [group(META_GROUP.0, true), group(16, true), group(17, false)];
        let one = GroupReports {
            holding: vec![META_GROUP.0, 16],
            leads: 2,
            ..GroupReports::default()
        };
        let two = GroupReports {
            relying: vec![(17, "alone".into())],
            leads: 1,
            ..GroupReports::default()
        };
        let reliance = judge(&expected, NodeId(2), &reports(&[(1, one), (2, two)]));
        assert!(reliance.safe && reliance.current, "{reliance:?}");
        let counts = (reliance.replicas, reliance.leaders, reliance.unreplicated);
        assert_eq!(counts, (2, 1, 1));
    }

    #[test]
    fn a_group_that_relies_on_it_or_has_no_leader_keeps_it_from_being_stopped() {
        let expected = [group(META_GROUP.0, true), group(16, true), group(17, true)];
        let one = GroupReports {
            holding: vec![META_GROUP.0],
            relying: vec![(16, "too few".into())],
            ..GroupReports::default()
        };
        let reliance = judge(&expected, NodeId(2), &reports(&[(1, one)]));
        let reasons: Vec<_> = reliance.blockers.iter().map(|b| &b.reason[..]).collect();
        assert_eq!(reasons, ["too few", "it has no leader"]);
        assert!(!reliance.safe && !reliance.current);
        assert_eq!((reliance.blocked, reliance.behind), (2, 1));
    }

    #[test]
    fn broken_replicas_count_unless_they_are_its_own() {
        let expected = [group(META_GROUP.0, true), group(16, true)];
        let leader = GroupReports {
            holding: vec![META_GROUP.0, 16],
            ..GroupReports::default()
        };
        let broken = GroupReports {
            broken: vec![16],
            ..GroupReports::default()
        };
        let all = reports(&[(1, leader), (2, GroupReports::default()), (3, broken)]);
        assert!(!judge(&expected, NodeId(2), &all).safe);
        assert!(judge(&expected, NodeId(3), &all).safe);
    }

    #[test]
    fn a_replica_that_misses_something_is_not_current() {
        let expected = [group(META_GROUP.0, true), group(16, true)];
        let leader = GroupReports {
            holding: vec![META_GROUP.0, 16],
            behind: vec![16],
            ..GroupReports::default()
        };
        let reliance = judge(&expected, NodeId(2), &reports(&[(1, leader)]));
        assert!(reliance.safe && !reliance.current);
    }
}
