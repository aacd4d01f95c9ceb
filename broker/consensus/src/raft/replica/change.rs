//! What an operator, or the code that plays one, changes about a group.

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, RaftError};
use tokio::time::Instant;

use super::*;

/// How long a joining replica may make no progress before a change of members is given up.
const JOIN_STALL_MAX: Duration = Duration::from_secs(60);

/// Entries that a joining replica may miss when it begins to vote.
const JOIN_LAG_MAX: u64 = 32;

/// How long a joining replica that misses more, but not many, is waited for.
const JOIN_NEAR_MAX: Duration = Duration::from_secs(3);

/// How often the progress of a joining replica is looked at.
const JOIN_POLL: Duration = Duration::from_millis(50);

/// How long a committed change of members may take.
const COMMIT_MAX: Duration = Duration::from_secs(30);

/// How long openraft may take to note a checkpoint.
const CHECKPOINT_NOTE_MAX: Duration = Duration::from_secs(10);

/// A note of a checkpoint is dropped while an earlier one is being taken: then ask again.
const CHECKPOINT_NOTE_RETRY: Duration = Duration::from_millis(100);

impl Replica {
    pub(crate) async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId, ChangeError> {
        let node = self.options.node;
        self.ensure_leader()?;
        let target = self.transfer_target(to)?;
        if target == node {
            return Ok(node);
        }
        if !self.reachable.is(target) {
            return Err(ChangeError::NoTarget);
        }
        self.raft
            .trigger()
            .transfer_leader(target)
            .await
            .map_err(closed)?;
        let limit = self.options.timing.failover_max();
        let mut metrics = self.raft.server_metrics();
        let moved = metrics.wait_until(|metrics| {
            metrics.state != ServerState::Leader
                && metrics.current_leader.is_some_and(|leader| leader != node)
        });
        let moved = tokio::select! {
            moved = timeout(limit, moved) => moved,
            // It may have taken over all the same; nobody is worse off if not.
            () = self.reachable.lost(target) => return Err(ChangeError::NoTarget),
        };
        match moved {
            Ok(Ok(metrics)) => metrics.current_leader.ok_or(ChangeError::Closed),
            Ok(Err(_)) => Err(ChangeError::Closed),
            Err(_) => Err(ChangeError::Timeout(limit.as_millis() as u64)),
        }
    }

    fn transfer_target(&self, to: Option<NodeId>) -> Result<NodeId, ChangeError> {
        let voters = self.members().voters;
        if let Some(to) = to {
            return if voters.contains(&to) {
                Ok(to)
            } else {
                Err(ChangeError::NoTarget)
            };
        }
        let lease_ns = self.options.timing.election_max_ms * 1_000_000;
        self.replicas()
            .into_iter()
            .filter(|replica| voters.contains(&replica.node))
            .filter(|replica| self.reachable.is(replica.node))
            .filter(|replica| replica.last_seen_ns.is_some_and(|seen| seen <= lease_ns))
            .min_by_key(|replica| (replica.lag, replica.node))
            .map(|replica| replica.node)
            .ok_or(ChangeError::NoTarget)
    }

    pub(crate) async fn change_members(&self, voters: BTreeSet<NodeId>) -> Result<(), ChangeError> {
        if voters.is_empty() {
            return Err(ChangeError::Members("no member is left".to_owned()));
        }
        // Two changes that wait for their new members at the same time would undo each other.
        let _turn = self
            .changing
            .try_lock()
            .map_err(|_| ChangeError::InProgress)?;
        self.ensure_leader()?;
        let present = self.members();
        for node in voters.difference(&present.voters) {
            if !present.learners.contains(node) {
                self.commit(self.raft.add_learner(*node, (), false)).await?;
            }
        }
        for node in voters.difference(&present.voters) {
            self.caught_up(*node).await?;
        }
        if self.members().voters != present.voters {
            // A replica was released meanwhile, or another server led.
            return Err(ChangeError::InProgress);
        }
        if voters != present.voters {
            self.commit(self.raft.change_membership(voters.clone(), false))
                .await?;
        }
        // Learners that an earlier, failed change left behind.
        let left: BTreeSet<NodeId> = present.learners.difference(&voters).copied().collect();
        if !left.is_empty() && self.ensure_leader().is_ok() {
            let change = ChangeMembers::RemoveNodes(left);
            self.commit(self.raft.change_membership(change, false))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn release(&self, node: NodeId) -> Result<Release, ChangeError> {
        self.ensure_leader()?;
        let present = self.members();
        let rest: BTreeSet<NodeId> = present
            .voters
            .iter()
            .copied()
            .filter(|voter| *voter != node)
            .collect();
        if node == self.options.node || rest.is_empty() {
            return Err(ChangeError::Members("no other member is left".to_owned()));
        }
        // Also committed if it is no member any more: only that shows that this replica still leads,
        // and knows the latest members.
        let change = match present.voters.contains(&node) {
            true => ChangeMembers::ReplaceAllVoters(rest),
            false => ChangeMembers::RemoveNodes([node].into()),
        };
        self.commit(self.raft.change_membership(change, false))
            .await?;
        let (term, leader) = (self.term(), self.options.node);
        self.ensure_leader()?;
        Ok(Release { term, leader })
    }

    /// Waits until a joining replica has nearly everything, as long as it makes progress. Once it
    /// votes commits may wait for it, so what it still misses is a pause of the whole group.
    async fn caught_up(&self, node: NodeId) -> Result<(), ChangeError> {
        let mut best = u64::MAX;
        let mut near_since = None;
        let mut stalled_at = Instant::now() + JOIN_STALL_MAX;
        loop {
            self.ensure_leader()?;
            let replica = self
                .replicas()
                .into_iter()
                .find(|replica| replica.node == node);
            if replica.is_none() && !self.members().learners.contains(&node) {
                return Err(ChangeError::Members(
                    "a new member was taken back".to_owned(),
                ));
            }
            let lag = replica
                .filter(|replica| replica.last_seen_ns.is_some())
                .map(|replica| replica.lag);
            match lag {
                Some(lag) if lag <= JOIN_LAG_MAX => return Ok(()),
                // Under heavy load it may never get any nearer.
                Some(lag) if lag <= config::CAUGHT_UP_ENTRIES => {
                    let since = near_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= JOIN_NEAR_MAX {
                        return Ok(());
                    }
                }
                Some(lag) if lag < best => {
                    best = lag;
                    stalled_at = Instant::now() + JOIN_STALL_MAX;
                }
                _ => {}
            }
            if Instant::now() >= stalled_at {
                return Err(ChangeError::Timeout(JOIN_STALL_MAX.as_millis() as u64));
            }
            tokio::time::sleep(JOIN_POLL).await;
        }
    }

    async fn commit<T>(
        &self,
        change: impl Future<Output = Result<T, RaftError<Types, ClientWriteError<Types>>>>,
    ) -> Result<(), ChangeError> {
        match timeout(COMMIT_MAX, change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(change_error(error)),
            Err(_) => Err(ChangeError::Timeout(COMMIT_MAX.as_millis() as u64)),
        }
    }

    pub(crate) async fn checkpoint(&self) -> Result<(), ChangeError> {
        let written = self
            .raft
            .with_state_machine(|state| state.checkpoint().boxed());
        let written = written
            .await
            .map_err(closed)?
            .map_err(|error| StorageError::Machine {
                group: self.group,
                reason: error.to_string(),
            })?;
        let Some(position) = written else {
            return Ok(());
        };
        self.note_checkpoint(position.index).await?;
        let upto = self.needed_by_none(position.index);
        if let Some(upto) = upto {
            self.raft.trigger().purge_log(upto).await.map_err(closed)?;
        }
        Ok(())
    }

    /// Makes openraft take notice of a checkpoint, so that it lets go of the log before it.
    async fn note_checkpoint(&self, index: u64) -> Result<(), ChangeError> {
        let deadline = Instant::now() + CHECKPOINT_NOTE_MAX;
        let mut metrics = self.raft.metrics();
        while Instant::now() < deadline {
            self.raft.trigger().snapshot().await.map_err(closed)?;
            let noted = metrics.wait_until(|metrics| {
                metrics
                    .snapshot
                    .is_some_and(|snapshot| snapshot.index >= index)
            });
            match timeout(CHECKPOINT_NOTE_RETRY, noted).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => return Err(ChangeError::Closed),
                Err(_) => {}
            }
        }
        Err(ChangeError::Timeout(CHECKPOINT_NOTE_MAX.as_millis() as u64))
    }

    /// The last index, up to `index`, that no replica in touch still has to get from our log. A
    /// replica out of touch gets a snapshot when it comes back.
    fn needed_by_none(&self, index: u64) -> Option<u64> {
        let lease_ns = self.options.timing.election_max_ms * 1_000_000;
        let next = self.log.next_index();
        let slowest = self
            .replicas()
            .into_iter()
            .filter(|replica| replica.last_seen_ns.is_some_and(|seen| seen <= lease_ns))
            .map(|replica| next.saturating_sub(replica.lag).checked_sub(1))
            .min()
            .unwrap_or(Some(index));
        slowest.map(|slowest| slowest.min(index))
    }

    fn ensure_leader(&self) -> Result<(), ChangeError> {
        if self.stop.is_raised() {
            return Err(ChangeError::Closed);
        }
        let leader = self.leader();
        if leader == Some(self.options.node) {
            return Ok(());
        }
        Err(ChangeError::NotLeader { leader })
    }
}

fn closed(_: Fatal<Types>) -> ChangeError {
    ChangeError::Closed
}

fn change_error(error: RaftError<Types, ClientWriteError<Types>>) -> ChangeError {
    let RaftError::APIError(error) = error else {
        return ChangeError::Closed;
    };
    match error {
        ClientWriteError::ForwardToLeader(to) | ClientWriteError::LogEntryDiscarded(to) => {
            ChangeError::NotLeader {
                leader: to.leader_id,
            }
        }
        ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
        ) => ChangeError::InProgress,
        ClientWriteError::ChangeMembershipError(error) => ChangeError::Members(error.to_string()),
        ClientWriteError::PreconditionFailed(error) => ChangeError::Members(error.to_string()),
    }
}
