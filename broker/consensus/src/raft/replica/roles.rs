//! How a group gets its first leader, and how the machine hears who leads.

use openraft::raft::TransferLeaderRequest;

use super::*;

/// Time between two members that stand for election in turn, after the leader was lost.
const TAKE_OVER_TURN: Duration = Duration::from_millis(200);
/// Time between two looks whether everything that was proposed is settled.
const SETTLED_POLL: Duration = Duration::from_millis(20);

impl Replica {
    /// Founds the group, unless it exists. Any member may do it, because all write the same first
    /// entry; they take turns, so that they do not stand against each other in the first election.
    /// Whose turn is first depends on the group: leaders spread over the servers.
    pub(super) async fn found(self: Arc<Self>, members: BTreeSet<NodeId>) {
        let Some(turn) = turn(self.group, self.options.node, &members) else {
            tracing::warn!(group = %self.group, "this server is no founding member");
            return;
        };
        let wait = Duration::from_millis(turn * 2 * self.options.timing.election_max_ms);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stop.stopped() => return,
        }
        if matches!(self.raft.is_initialized().await, Ok(true)) {
            return;
        }
        if let Err(error) = self.raft.initialize(members).await {
            // The first entry came from another member at the last moment.
            tracing::debug!(group = %self.group, %error, "group exists already");
        }
    }

    /// Stands for election, when it is this replica's turn and `lost` still passes for the leader. It
    /// does so as if `lost` had asked for it, which the other members do not take for a disturbance.
    pub(crate) async fn take_over_from(self: Arc<Self>, lost: NodeId) {
        let mut voters = self.members().voters;
        voters.remove(&lost);
        let Some(turn) = turn(self.group, self.options.node, &voters) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(TAKE_OVER_TURN * turn as u32) => {}
            () = self.stop.stopped() => return,
        }
        if self.leader() != Some(lost) {
            return;
        }
        let request = TransferLeaderRequest::new(self.vote(), self.options.node, None);
        if let Ok(Err(error)) = self.raft.handle_transfer_leader(request).await {
            tracing::debug!(group = %self.group, %error, "leadership not taken over");
        }
    }

    /// Passes each change of role to the machine's task.
    pub(super) async fn watch_roles(self: Arc<Self>) {
        let mut metrics = self.raft.server_metrics();
        let mut last = None;
        loop {
            let role = role_of(&metrics.borrow_and_update());
            if last.replace(role) != Some(role) {
                let told = self.raft.external_state_machine_request(move |state| {
                    async move { state.want_role(role) }.boxed()
                });
                if told.await.is_err() {
                    break;
                }
            }
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() { break },
                () = self.continuity.interrupted.notified() => {
                    self.pause().await;
                    last = None;
                }
                () = self.stop.stopped() => break,
            }
        }
        if !self.stop.is_raised() {
            let metrics = self.raft.metrics();
            let state = metrics.borrow_watched().running_state.clone();
            tracing::error!(group = %self.group, ?state, "group stopped");
        }
        self.stop.raise();
        let _ = self.raft.shutdown().await;
        self.applied
            .report(&*self.machine, Role::Follower { leader: None });
    }
    /// After a command was refused: does not lead before all that were proposed are settled.
    async fn pause(&self) {
        tracing::debug!(group = %self.group, "leadership interrupted");
        let told = self
            .raft
            .external_state_machine_request(|state| async move { state.report_role() }.boxed());
        // An error means that the group stops, which is noticed elsewhere.
        told.await.ok();
        while self.in_flight.count() > 0 || self.leads_alone() {
            tokio::select! {
                () = tokio::time::sleep(SETTLED_POLL) => {}
                () = self.stop.stopped() => return,
            }
        }
        self.continuity.resume();
    }

    /// Whether openraft takes this replica for the leader, and would not take commands.
    fn leads_alone(&self) -> bool {
        let state = self.raft.server_metrics().borrow_watched().state;
        state == ServerState::Leader && !self.is_carried()
    }
}

/// How many members have their turn before this one.
fn turn(group: GroupId, node: NodeId, members: &BTreeSet<NodeId>) -> Option<u64> {
    let count = members.len() as u64;
    let place = members.iter().position(|member| *member == node)? as u64;
    let first = config::mix(group.0) % count;
    Some((place + count - first) % count)
}

fn role_of(metrics: &RaftServerMetrics<Types>) -> Role {
    if metrics.state == ServerState::Leader {
        return Role::Leader {
            term: metrics.vote.leader_id.term,
        };
    }
    let leader = metrics
        .current_leader
        .filter(|leader| *leader != metrics.id);
    Role::Follower { leader }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_a_turn_of_its_own_and_the_first_differs_by_group() {
        let members: BTreeSet<NodeId> = [3, 5, 8].map(NodeId).into();
        let mut first = BTreeSet::new();
        for group in 0..32 {
            let turn = |node| turn(GroupId(group), NodeId(node), &members).expect("a member");
            let mut turns = [turn(3), turn(5), turn(8)];
            first.extend([3, 5, 8].into_iter().filter(|node| turn(*node) == 0));
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2]);
        }
        assert_eq!(first.len(), 3);
        assert_eq!(turn(GroupId(1), NodeId(4), &members), None);
    }
}
