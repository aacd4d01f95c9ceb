//! Committed commands become state, and their effects reach whoever waits.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use consensus::{Machine, MachineError, Role, SnapshotReader, SnapshotWriter};
use jetstream::api::publish::PubAckWriter;
use jetstream::command::Action;
use jetstream::stream::Answer;
use jetstream::{ApiError, Command, Effect};
use tokio::sync::oneshot;

use super::{Asset, snapshot};
use crate::bus::Outgoing;
use crate::inbox::{PublishBatch, Unanswered};
use crate::lead::LiveEvent;
use crate::proposals::Waiter;

impl Machine for Asset {
    fn apply(&self, index: u64, command: Bytes) {
        self.apply_batch(&mut vec![(index, command)]);
    }

    fn apply_batch(&self, commands: &mut Vec<(u64, Bytes)>) {
        let decoded = commands.drain(..).map_while(|(index, bytes)| {
            match Command::decode(bytes) {
                Ok(command) => Some((index, command)),
                Err(error) => {
                    // Every replica reads the same bytes: going on would make replicas differ
                    // from what a newer version would have done.
                    self.fail(format!("command {index} cannot be read: {error}"));
                    None
                }
            }
        });
        self.apply_commands(decoded);
    }

    fn role(&self, role: Role) {
        self.role_count.fetch_add(1, Ordering::AcqRel);
        match role {
            // All that was ever proposed here and is in the log has been applied.
            Role::Leader { .. } => self.proposals.lock().forget_all(),
            Role::Follower { .. } => self.proposals.lock().keep_publishers(),
        }
        self.role.send_replace(role);
    }

    fn refused(&self, command: Bytes) {
        if let Ok(command) = Command::decode(command) {
            let waiter = command
                .proposal
                .and_then(|id| self.proposals.lock().take(id));
            match (command.action, waiter) {
                (
                    Action::PublishBatch(publishes),
                    Some(Waiter::Publishers(replies, unanswered)),
                ) => {
                    self.strays.push(PublishBatch {
                        publishes,
                        replies,
                        unanswered,
                    });
                }
                (Action::Copy(copied), _) => {
                    if let Some(live) = self.live() {
                        let (source, stalled) = (copied.source, Some(ApiError::CLUSTER_NOT_AVAIL));
                        live.events(vec![LiveEvent::Copied { source, stalled }]);
                    }
                }
                _ => {}
            }
        }
        self.applied.notify_waiters();
    }

    fn checkpoint(&self, seal: Bytes) -> Result<(), MachineError> {
        let mut state = self.state.write();
        if let Some(reason) = &state.failed {
            // What was not applied must not count as done.
            return Err(MachineError::new(reason.as_str()));
        }
        let blob = Self::seal_blob(&state, &seal);
        state
            .machine
            .store_mut()
            .checkpoint(&blob)
            .map_err(MachineError::new)
    }

    fn seal(&self) -> Option<Bytes> {
        self.places.seal_at_open()
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError> {
        let asset = self
            .this
            .upgrade()
            .ok_or_else(|| MachineError::new("replica is closing"))?;
        if let Some(reason) = self.failure() {
            return Err(MachineError::new(reason));
        }
        Ok(Box::new(snapshot::Reader::new(asset)))
    }

    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError> {
        let asset = self
            .this
            .upgrade()
            .ok_or_else(|| MachineError::new("replica is closing"))?;
        snapshot::Writer::new(asset).map(|writer| Box::new(writer) as Box<dyn SnapshotWriter>)
    }
}

/// Room for a usual publish acknowledgement, so that writing one allocates once.
const PUBLISH_ACK_BYTES: usize = 96;

/// Who waits for the outcome of a request.
type Requester = oneshot::Sender<Result<Answer, ApiError>>;

/// What applying a run of commands leaves to do once the state is unlocked.
#[derive(Default)]
struct Outcome {
    messages: Vec<Outgoing>,
    republished: Vec<Outgoing>,
    unanswered: Vec<Unanswered>,
    events: Vec<LiveEvent>,
    answers: Vec<(Requester, Result<Answer, ApiError>)>,
}

impl Asset {
    pub(super) fn apply_commands(&self, commands: impl Iterator<Item = (u64, Command)>) {
        let mut outcome = Outcome::default();
        {
            let mut state = self.state.write();
            let bytes_before = state.machine.store().bytes();
            let mut effects = Vec::new();
            for (index, command) in commands {
                // A snapshot may have brought the machine beyond the position of the log.
                if index <= state.machine.applied_index() || state.failed.is_some() {
                    continue;
                }
                if let Err(error) = state.machine.apply(index, &command, &mut effects) {
                    state.failed = Some(error.to_string());
                    tracing::error!(%error, "stream replica stopped: its message store failed");
                    break;
                }
                let mut waiter = command
                    .proposal
                    .and_then(|id| self.proposals.lock().take(id));
                if state.machine.config().no_ack
                    && let Some(Waiter::Publishers(replies, _)) = &mut waiter
                {
                    // Publishers to such a stream may have used a reply subject of their own.
                    replies.fill(None);
                }
                outcome.take(&self.acks, waiter, &mut effects);
            }
            if self.is_leader() {
                let bytes = state.machine.store().bytes();
                self.share.read().count(bytes_before, bytes);
            }
        }
        // Whoever hears that a message is stored may look for its copy at once.
        outcome.republished.append(&mut outcome.messages);
        if !outcome.republished.is_empty() {
            self.env.bus.publish(&self.account(), &outcome.republished);
        }
        drop(outcome.unanswered);
        if let Some(live) = self.live() {
            live.events(outcome.events);
        }
        // Last: who is answered may ask live deliveries about what has just been applied.
        for (requester, answer) in outcome.answers {
            requester.send(answer).ok();
        }
        self.applied.notify_waiters();
    }

    pub(super) fn fail(&self, reason: String) {
        let (account, stream) = self.key();
        tracing::error!(account, stream, reason, "stream replica stopped");
        self.state.write().failed.get_or_insert(reason);
    }
}

impl Outcome {
    fn take(&mut self, acks: &PubAckWriter, waiter: Option<Waiter>, effects: &mut Vec<Effect>) {
        let mut publishers = Vec::new();
        let mut request = None;
        match waiter {
            Some(Waiter::Publishers(replies, unanswered)) => {
                publishers = replies;
                self.unanswered.push(unanswered);
            }
            Some(Waiter::Confirmations(replies)) => self.messages.extend(replies),
            Some(Waiter::Request(sender)) => request = Some(sender),
            None => {}
        }
        let proposed_here = !publishers.is_empty() || request.is_some();
        for effect in effects.drain(..) {
            match effect {
                Effect::Published { position, outcome } => {
                    if let Some(Some(reply)) = publishers.get(position) {
                        let mut ack = Vec::with_capacity(PUBLISH_ACK_BYTES);
                        acks.write(&outcome, &mut ack);
                        self.messages.push(Outgoing::new(reply.clone(), ack));
                    }
                }
                Effect::Answered(answer) => {
                    if let Some(requester) = request.take() {
                        self.answers.push((requester, answer));
                    }
                }
                Effect::Republish {
                    subject,
                    headers,
                    payload,
                } if proposed_here => {
                    self.republished.push(Outgoing {
                        subject,
                        shown: None,
                        reply: None,
                        headers,
                        payload,
                    });
                }
                Effect::Republish { .. } => {}
                other => self.events.extend(LiveEvent::from_effect(other)),
            }
        }
    }
}
