//! Drives a machine from the committed log.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;

use super::continuity::Continuity;
use super::record::Seal;
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, Types};
use crate::blocking;
use crate::stop::Stop;
use crate::{
    Blocking, GroupId, Machine, MachineError, NodeId, Role, SnapshotReader, SnapshotWriter,
};

/// How long a received snapshot waits before the next look for room on the disk.
const ROOM_RETRY: Duration = Duration::from_millis(500);

/// Most commands given to the machine in one call.
const APPLY_BATCH_MAX: usize = 256;

/// What is known about a group's applied state outside of the task that applies.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    seal: Mutex<Seal>,
    role: Mutex<Option<Role>>,
    /// Until openraft runs, it asks for snapshots only to see their position.
    running: AtomicBool,
}

impl Applied {
    /// Index of the last applied entry.
    pub(crate) fn index(&self) -> Option<u64> {
        self.seal.lock().applied.map(|log_id| log_id.index)
    }

    /// The role last told to the machine.
    pub(crate) fn role(&self) -> Role {
        self.role.lock().unwrap_or(Role::Follower { leader: None })
    }

    /// Tells the machine its role, if that is news.
    pub(crate) fn report(&self, machine: &dyn Machine, role: Role) {
        let changed = self.role.lock().replace(role) != Some(role);
        if changed {
            machine.role(role);
        }
    }

    /// From now on snapshots are wanted for their contents.
    pub(crate) fn run(&self) {
        self.running.store(true, Ordering::Release);
    }
}

/// The machine and how far it has come. Lives on openraft's state machine task.
pub(crate) struct State {
    group: GroupId,
    machine: Arc<dyn Machine>,
    applied: Arc<Applied>,
    blocking: Blocking,
    /// What openraft says this replica is; told to the machine when it has caught up.
    wanted: Role,
    continuity: Arc<Continuity>,
    checkpoint: Option<SnapshotMeta>,
    stop: Stop,
    commands: Vec<(u64, Bytes)>,
    responders: Vec<ApplyResponder<Types>>,
}

/// Snapshot data in its states.
pub(crate) enum SnapshotData {
    /// On disk; only the position matters.
    Stored,
    /// Going out, or why it cannot: not worth stopping the group for.
    Out(Result<Box<dyn SnapshotReader>, MachineError>),
    /// Received.
    In(Box<dyn SnapshotWriter>),
}

impl State {
    /// Continues from the machine's last checkpoint.
    pub(crate) fn open(
        group: GroupId,
        machine: Arc<dyn Machine>,
        blocking: Blocking,
        stop: Stop,
    ) -> io::Result<Self> {
        let seal = match machine.seal() {
            Some(seal) => Some(Seal::decode(seal).map_err(io::Error::other)?)
                .filter(|seal| seal.applied.is_some()),
            None => None,
        };
        let applied = Applied::default();
        let checkpoint = seal.as_ref().map(meta);
        *applied.seal.lock() = seal.unwrap_or_default();
        Ok(Self {
            group,
            machine,
            applied: Arc::new(applied),
            blocking,
            wanted: Role::Follower { leader: None },
            continuity: Arc::default(),
            checkpoint,
            stop,
            commands: Vec::new(),
            responders: Vec::new(),
        })
    }

    /// The index after the last applied one.
    pub(super) fn next_index(&self) -> u64 {
        self.applied.index().map_or(0, |index| index + 1)
    }

    /// The voters as of the last checkpoint, if there is one that names any.
    pub(super) fn voters(&self) -> Option<BTreeSet<NodeId>> {
        let seal = self.applied.seal.lock();
        let voters: BTreeSet<NodeId> = seal.membership.voter_ids().collect();
        (!voters.is_empty()).then_some(voters)
    }

    /// Forgets who the members were if that is from before this index.
    pub(super) fn forget_members_before(&mut self, index: u64) {
        if self.next_index() > index {
            return;
        }
        let mut seal = self.applied.seal.lock();
        seal.membership = StoredMembership::default();
        self.checkpoint = seal.applied.is_some().then(|| meta(&seal));
    }

    pub(crate) fn applied(&self) -> Arc<Applied> {
        self.applied.clone()
    }

    pub(super) fn continuity(&self) -> Arc<Continuity> {
        self.continuity.clone()
    }

    /// Notes what this replica is; the machine hears of it when it is true for it, too.
    pub(crate) fn want_role(&mut self, role: Role) {
        self.wanted = role;
        self.report_role();
    }

    /// Leadership counts once an entry of the own term is applied: then everything of earlier terms
    /// is applied, because entries are applied in order. It does not while it is interrupted.
    pub(super) fn report_role(&mut self) {
        let role = match self.wanted {
            Role::Leader { term }
                if self.applied_term() != Some(term) || self.continuity.is_interrupted() =>
            {
                Role::Follower { leader: None }
            }
            role => role,
        };
        self.applied.report(&*self.machine, role);
    }

    fn applied_term(&self) -> Option<u64> {
        self.applied
            .seal
            .lock()
            .applied
            .map(|log_id| log_id.leader_id.term)
    }

    /// Writes a checkpoint of what is applied. Returns its position.
    pub(crate) async fn checkpoint(&mut self) -> Result<Option<LogId>, MachineError> {
        let seal = self.applied.seal.lock().clone();
        if seal.applied.is_none() {
            return Ok(None);
        }
        let (machine, bytes) = (self.machine.clone(), seal.encode());
        blocking::run(self.blocking, move || machine.checkpoint(bytes)).await?;
        self.checkpoint = Some(meta(&seal));
        Ok(seal.applied)
    }

    /// Puts a received snapshot in force, as soon as there is room for it. Until then the group
    /// stands still, as it does when its log has no room.
    async fn finish(&self, mut writer: Box<dyn SnapshotWriter>, seal: Bytes) -> io::Result<()> {
        let mut said = false;
        loop {
            let seal = seal.clone();
            let attempt = blocking::run(self.blocking, move || {
                let result = writer.finish(seal);
                Ok((writer, result))
            });
            let (back, result) = attempt.await.map_err(io::Error::other)?;
            writer = back;
            let error = match result {
                Ok(()) => return Ok(()),
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(io::Error::other(error)),
            };
            if !said {
                tracing::warn!(group = %self.group, %error, "received snapshot waits for room");
                said = true;
            }
            tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(io::Error::other(error)),
                () = tokio::time::sleep(ROOM_RETRY) => {}
            }
        }
    }

    fn take(&mut self, entry: Entry, responder: Option<ApplyResponder<Types>>) {
        match entry.payload {
            EntryPayload::Normal(command) => {
                self.commands.push((entry.log_id.index, command.bytes))
            }
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                let mut seal = self.applied.seal.lock();
                seal.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
        self.responders.extend(responder);
    }

    fn flush(&mut self, last: LogId) {
        if !self.commands.is_empty() {
            self.machine.apply_batch(&mut self.commands);
            self.commands.clear();
        }
        self.applied.seal.lock().applied = Some(last);
        for responder in self.responders.drain(..) {
            responder.send(());
        }
        if matches!(self.wanted, Role::Leader { .. }) {
            self.report_role();
        }
    }
}

impl Drop for State {
    /// The task that applies ended, perhaps because the machine panicked: openraft itself would go
    /// on without it.
    fn drop(&mut self) {
        self.stop.raise();
    }
}

impl RaftStateMachine<Types> for State {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let seal = self.applied.seal.lock();
        Ok((seal.applied, seal.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut last = None;
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let log_id = entry.log_id;
            self.take(entry, responder);
            last = Some(log_id);
            if self.commands.len() >= APPLY_BATCH_MAX {
                self.flush(log_id);
                last = None;
                // A long replay must leave the thread to others now and then.
                tokio::task::yield_now().await;
            }
        }
        if let Some(last) = last {
            self.flush(last);
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        if force && let Err(error) = self.checkpoint().await {
            tracing::error!(group = %self.group, %error, "no checkpoint, though one is needed");
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let none = || meta(&Seal::default());
        Builder(self.checkpoint.clone().unwrap_or_else(none))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: SnapshotData,
    ) -> io::Result<()> {
        let SnapshotData::In(writer) = data else {
            return Err(io::Error::other(
                "a snapshot can only be installed as it was received",
            ));
        };
        let seal = Seal {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        self.finish(writer, seal.encode()).await?;
        tracing::info!(group = %self.group, applied = ?seal.applied, "snapshot installed");
        *self.applied.seal.lock() = seal;
        self.checkpoint = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        if !self.applied.running.load(Ordering::Acquire) {
            let meta = self.checkpoint.clone();
            return Ok(meta.map(|meta| Snapshot {
                meta,
                snapshot: SnapshotData::Stored,
            }));
        }
        let seal = self.applied.seal.lock().clone();
        let machine = self.machine.clone();
        let reader = blocking::run(self.blocking, move || machine.snapshot()).await;
        Ok(Some(Snapshot {
            meta: meta(&seal),
            snapshot: SnapshotData::Out(reader),
        }))
    }
}

pub(crate) type SnapshotOf = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;

fn meta(seal: &Seal) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: seal.applied,
        last_membership: seal.membership.clone(),
    }
}

/// Tells openraft of the last checkpoint, which is already written: it never decides when.
pub(crate) struct Builder(SnapshotMeta);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let meta = self.0.clone();
        Ok(Snapshot {
            meta,
            snapshot: SnapshotData::Stored,
        })
    }
}
