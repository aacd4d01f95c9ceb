//! This server's replica of one replicated group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::{Raft, ServerState};
use storage::wal::Log;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::continuity::{Continuity, Proposal};
use super::frame::{Refused, Request, append_answer, refuse, transfer_answer, vote_answer};
use super::log_store::LogStore;
use super::network::Network;
use super::receive::Receiver;
use super::rejoin;
use super::state::{Applied, State};
use super::types::{Command, Runtime, Ticket, Types, Vote};
use crate::in_flight::InFlight;
use crate::kind::Kind;
use crate::reachable::Reachable;
use crate::stop::Stop;
use crate::{
    Blocking, BoxFuture, ChangeError, GroupId, Machine, Members, NodeId, OpenError, Options,
    ProposeError, Release, ReplicaStatus, Role, Start, StorageError, Support,
};

mod change;
mod config;
mod roles;

/// Log, machine and openraft of one group.
pub(crate) struct Replica {
    group: GroupId,
    options: Options,
    raft: Raft<Types, State>,
    machine: Arc<dyn Machine>,
    applied: Arc<Applied>,
    continuity: Arc<Continuity>,
    in_flight: Arc<InFlight>,
    /// Requests of peers that wait for an answer.
    requests: Arc<InFlight>,
    log: Log,
    reachable: Reachable,
    /// Held while members are changed.
    changing: Mutex<()>,
    stop: Stop,
    pub(super) receiver: Receiver,
}

impl Replica {
    /// Opens what is stored and takes part.
    pub(crate) async fn open(
        options: &Options,
        reachable: &Reachable,
        group: GroupId,
        start: Start,
        machine: Arc<dyn Machine>,
    ) -> Result<Arc<Self>, OpenError> {
        let stop = Stop::new();
        let mut state = State::open(group, machine.clone(), options.blocking, stop.clone())
            .map_err(|error| StorageError::Machine {
                group,
                reason: error.to_string(),
            })?;
        let start = rejoin::settle(options, group, start, &mut state).await?;
        let log = options.wal.log(group);
        Kind::Replicated.claim(group, &log)?;
        let log_error = |error: std::io::Error| StorageError::Log {
            group,
            reason: error.to_string(),
        };
        let append_bytes_max = options.limits.append_bytes_max as u64;
        let store =
            LogStore::open(log.clone(), stop.clone(), append_bytes_max).map_err(log_error)?;
        let (applied, continuity) = (state.applied(), state.continuity());
        if !is_continuous(group, &store, &applied).map_err(log_error)? {
            return Err(OpenError::Damaged(group));
        }
        let config = config::of(options).map_err(OpenError::Timing)?;
        let network = Network {
            group,
            node: options.node,
            transport: options.transport.clone(),
            timing: options.timing.clone(),
            limits: options.limits.clone(),
            blocking: options.blocking,
            transfers: Arc::new(AtomicU64::new(0)),
        };
        let raft = Raft::build(options.node, Arc::new(config), network, store, state);
        let raft = Runtime::scope(config::seed(options, group), async {
            let raft = raft.await?;
            applied.run();
            raft.run();
            // Once openraft answers, what it tells about itself is what was stored.
            raft.is_initialized().await?;
            Ok::<_, openraft::errors::Fatal<Types>>(raft)
        })
        .await
        .map_err(|error| StorageError::Inconsistent {
            group,
            reason: error.to_string(),
        })?;
        let limits = &options.limits;
        let replica = Arc::new(Self {
            group,
            options: options.clone(),
            raft,
            machine,
            applied,
            continuity,
            in_flight: InFlight::new(limits.in_flight_count_max, limits.in_flight_bytes_max),
            requests: InFlight::new(config::REQUESTS_MAX, config::REQUEST_BYTES_MAX),
            log,
            reachable: reachable.clone(),
            changing: Mutex::default(),
            stop,
            receiver: Receiver::default(),
        });
        tokio::spawn(replica.clone().watch_roles());
        if replica.members().voters == BTreeSet::from([options.node]) {
            // Nobody else could be elected, so there is nothing to wait for.
            let _ = replica.raft.trigger().elect(false).await;
        }
        if let Start::Founding(members) = start {
            tokio::spawn(replica.clone().found(members));
        }
        Ok(replica)
    }

    pub(super) fn group(&self) -> GroupId {
        self.group
    }

    pub(super) fn raft(&self) -> &Raft<Types, State> {
        &self.raft
    }

    pub(super) fn machine(&self) -> Arc<dyn Machine> {
        self.machine.clone()
    }

    pub(super) fn blocking(&self) -> Blocking {
        self.options.blocking
    }

    /// The vote in force here.
    pub(super) fn vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    pub(crate) fn propose(&self, command: Bytes) -> Result<(), ProposeError> {
        let limits = &self.options.limits;
        if self.stop.is_raised() {
            return Err(ProposeError::Closed);
        }
        let stretch = self.continuity.stretch();
        if !matches!(self.role(), Role::Leader { .. }) || self.continuity.is_interrupted() {
            let leader = self.leader().filter(|leader| *leader != self.options.node);
            return Err(ProposeError::NotLeader { leader });
        }
        let size = command.len();
        if size > limits.command_bytes_max {
            return Err(ProposeError::TooLarge {
                size,
                limit: limits.command_bytes_max,
            });
        }
        if self.options.wal.is_full() {
            return Err(ProposeError::Full);
        }
        let permit = self.in_flight.enter(size).ok_or(ProposeError::Busy)?;
        let (machine, continuity) = (self.machine.clone(), self.continuity.clone());
        let proposal = Proposal::new(command.clone(), machine, continuity, stretch, permit);
        let proposal = Arc::new(proposal);
        let ticket = Ticket::new(proposal.clone());
        let command = Command {
            bytes: command,
            proposal: Some(proposal),
        };
        // openraft's queue has room for all that may be in flight, so this is ready at once; out of
        // tokio's budget, which would make it wait for the sake of fairness.
        let write = self.raft.client_write_ff(command, Some(ticket));
        match tokio::task::unconstrained(write).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(ProposeError::Closed),
            None => Err(ProposeError::Busy),
        }
    }

    /// Answers a request of another replica. openraft has the request when this returns, so
    /// requests keep the order of the calls.
    pub(crate) fn answer(
        self: Arc<Self>,
        request: Request,
        size: usize,
    ) -> BoxFuture<'static, Bytes> {
        // While the disk is full nothing is answered, and the leader asks again and again.
        let Some(permit) = self.requests.enter(size) else {
            return Box::pin(std::future::ready(refuse(Refused::Busy)));
        };
        let answer = async move {
            let answer = self.answer_one(request).await;
            drop(permit);
            answer
        };
        let mut answer: BoxFuture<'static, Bytes> = Box::pin(tokio::task::unconstrained(answer));
        match answer.as_mut().now_or_never() {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => answer,
        }
    }

    async fn answer_one(&self, request: Request) -> Bytes {
        let raft = &self.raft;
        let stopped = || refuse(Refused::Stopped);
        match request {
            Request::Append(rpc) => match raft.append_entries(rpc).await {
                Ok(response) => append_answer(&response),
                Err(_) => stopped(),
            },
            Request::Vote(rpc) => match raft.vote(rpc).await {
                Ok(response) => vote_answer(&response),
                Err(_) => stopped(),
            },
            Request::PreVote(rpc) => match raft.pre_vote(rpc).await {
                Ok(response) => vote_answer(&response),
                Err(_) => stopped(),
            },
            Request::Transfer(rpc) => match raft.handle_transfer_leader(rpc).await {
                Ok(_) => transfer_answer(),
                Err(_) => stopped(),
            },
            Request::Snapshot(part) => self.receive(part).await,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.applied.role()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_raised()
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }

    pub(crate) fn term(&self) -> u64 {
        self.vote().leader_id.term
    }

    pub(crate) fn members(&self) -> Members {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Members {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
        }
    }

    pub(crate) fn replicas(&self) -> Vec<ReplicaStatus> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else {
            return Vec::new();
        };
        let committed = metrics.local_committed.map_or(0, |log_id| log_id.index);
        let next = metrics.last_log_index.map_or(0, |index| index + 1);
        let lease = Duration::from_millis(self.options.timing.election_max_ms);
        replication
            .iter()
            .filter(|(node, _)| **node != self.options.node)
            .map(|(node, matched)| {
                let heard = metrics
                    .heartbeat
                    .as_ref()
                    .and_then(|heard| *heard.get(node)?);
                let silent = heard.map(|heard| openraft::Instant::elapsed(&*heard));
                let lately = silent.is_some_and(|silent| silent <= lease);
                let matched_next = matched.map_or(0, |log_id| log_id.index + 1);
                ReplicaStatus {
                    node: *node,
                    current: lately && matched_next > committed,
                    lag: next.saturating_sub(matched_next),
                    last_seen_ns: silent.map(|silent| silent.as_nanos() as u64),
                }
            })
            .collect()
    }

    pub(crate) fn support_without(&self, node: NodeId) -> Option<Support> {
        let heard = self.heard_of()?;
        let mut carrying: BTreeSet<NodeId> = heard
            .into_iter()
            .filter(|replica| replica.lag <= config::CAUGHT_UP_ENTRIES)
            .map(|replica| replica.node)
            .collect();
        carrying.insert(self.options.node);
        carrying.remove(&node);
        self.least_support(&carrying)
    }

    pub(crate) fn hears_majority(&self) -> Option<bool> {
        let is_leader = matches!(self.role(), Role::Leader { .. });
        is_leader.then(|| self.is_carried())
    }

    /// Whether those heard of lately and this one are a majority.
    fn is_carried(&self) -> bool {
        let heard = self.heard_lately().into_iter();
        let mut carrying: BTreeSet<NodeId> = heard.map(|replica| replica.node).collect();
        carrying.insert(self.options.node);
        let support = self.least_support(&carrying);
        support.is_some_and(|support| support.holds())
    }

    /// The other replicas that answered within an election's time; `None` unless this one leads.
    fn heard_of(&self) -> Option<Vec<ReplicaStatus>> {
        let is_leader = matches!(self.role(), Role::Leader { .. });
        is_leader.then(|| self.heard_lately())
    }

    fn heard_lately(&self) -> Vec<ReplicaStatus> {
        let lease_ns = self.options.timing.election_max_ms * 1_000_000;
        let mut heard = self.replicas();
        heard.retain(|replica| replica.last_seen_ns.is_some_and(|seen| seen <= lease_ns));
        heard
    }

    /// How many of `carrying` are in the majority that has the fewest of them.
    fn least_support(&self, carrying: &BTreeSet<NodeId>) -> Option<Support> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let majorities = metrics.membership_config.membership().get_joint_config();
        majorities
            .iter()
            .map(|voters| Support {
                current: voters.intersection(carrying).count(),
                needed: voters.len() / 2 + 1,
            })
            .min_by_key(|support| support.current as i64 - support.needed as i64)
    }

    pub(crate) fn applied_index(&self) -> u64 {
        self.applied.index().unwrap_or(0)
    }

    pub(crate) fn commit_lag(&self) -> u64 {
        let applied_next = self.applied.index().map_or(0, |index| index + 1);
        self.log.next_index().saturating_sub(applied_next)
    }

    /// Stops at once, without handing over.
    pub(crate) async fn halt(&self) {
        self.stop.raise();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.group, %error, "group did not stop cleanly");
        }
    }

    /// Hands the leadership over if there is somebody to take it, then stops.
    pub(crate) async fn shutdown(&self) {
        let leads = self.leader() == Some(self.options.node);
        if leads && !self.stop.is_raised() {
            match self.transfer_leader(None).await {
                Ok(leader) => {
                    tracing::info!(group = %self.group, %leader, "leadership handed over")
                }
                Err(ChangeError::NoTarget) => {}
                Err(error) => {
                    tracing::warn!(group = %self.group, %error, "leadership not handed over")
                }
            }
        }
        self.halt().await;
    }
}

/// A machine must not be older than the log begins: what is between is nowhere. It comes from a
/// checkpoint that was damaged.
fn is_continuous(group: GroupId, store: &LogStore, applied: &Applied) -> std::io::Result<bool> {
    let purged = store.purged()?.map(|log_id| log_id.index);
    let applied = applied.index();
    if purged > applied {
        tracing::error!(%group, ?purged, ?applied, "the last checkpoint is older than the log");
    }
    Ok(purged <= applied)
}

/// Decodes a request just far enough to find its group.
pub(crate) fn request_group(request: Bytes) -> Result<(GroupId, Request), Bytes> {
    Request::decode(request).map_err(|error| {
        tracing::warn!(%error, "request of a peer not understood");
        refuse(Refused::Malformed)
    })
}

/// The answer to a request for a group that is not here.
pub(crate) fn refuse_unknown() -> Bytes {
    refuse(Refused::NoGroup)
}
