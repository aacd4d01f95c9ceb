//! Makes this server run what the meta group assigns to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{ChangeError, Group, NodeId, Start};
use jetstream::api;
use jetstream::api::advisory::ActionKind;
use jetstream::command::Action;

use super::{Engine, Shared, placed};
use crate::asset::{Asset, is_volatile};
use crate::bus::Outgoing;
use crate::lead;
use crate::meta::{Assignment, MetaEvent, ReplyTo, StreamKey};
use crate::meta_group::Change;
use crate::peer::Question;

/// How long the meta leader may take to hear that a move is over; it is told again.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Follows one change of the meta state.
pub async fn follow(engine: &Engine, change: Change) {
    match change {
        Change::Replaced => engine.shared.reconcile(engine).await,
        Change::Applied(event) => applied(engine, event).await,
    }
}

async fn applied(engine: &Engine, event: MetaEvent) {
    let shared = &engine.shared;
    match event {
        MetaEvent::ServerChanged(_) => {}
        MetaEvent::Added { key, reply } => added(engine, key, reply).await,
        MetaEvent::Updated { key, reply } => updated(engine, &key, reply).await,
        MetaEvent::Moved { key, left } => moved(shared, &key, &left).await,
        MetaEvent::Removed { stream, reply } => {
            remove(shared, &stream.key(), Some(&stream)).await;
            if shared.meta.is_leader() {
                answer(
                    engine,
                    reply,
                    api::respond("stream_delete_response", &api::SUCCESS),
                );
                crate::advisory::stream_action(
                    engine,
                    &stream.account,
                    &stream.config.name,
                    ActionKind::Delete,
                );
            }
        }
        MetaEvent::AddRefused { reply, .. } if shared.meta.is_leader() => {
            let refusal = jetstream::ApiError::STREAM_NAME_EXIST;
            answer(
                engine,
                reply,
                api::refuse("stream_create_response", &refusal),
            );
        }
        MetaEvent::Missing { reply, .. } if shared.meta.is_leader() => {
            let refusal = jetstream::ApiError::STREAM_NOT_FOUND;
            answer(
                engine,
                reply,
                api::refuse("stream_update_response", &refusal),
            );
        }
        MetaEvent::AddRefused { .. } | MetaEvent::Missing { .. } => {}
    }
}

async fn added(engine: &Engine, key: StreamKey, reply: Option<ReplyTo>) {
    let Some(assignment) = assignment(&engine.shared, &key) else {
        return;
    };
    if !assignment.is_held_by(engine.shared.env.node()) {
        return;
    }
    open(engine, assignment, Opening::Founding, reply).await;
}

async fn updated(engine: &Engine, key: &StreamKey, reply: Option<ReplyTo>) {
    let shared = &engine.shared;
    let Some(assignment) = assignment(shared, key) else {
        return;
    };
    let is_ours = assignment.is_held_by(shared.env.node());
    let asset = engine.asset(&key.0, &key.1);
    match asset {
        Some(asset) => {
            *asset.assignment.write() = assignment;
            if asset.is_leader() {
                let engine = engine.clone();
                let leading = engine.clone();
                engine.spawn(async move { lead_update(&leading, asset, reply).await });
            }
        }
        None if is_ours => open(engine, assignment, Opening::Joining, None).await,
        None => {}
    }
}

/// The stream's move is over: whoever does not hold it any more deletes what it has.
async fn moved(shared: &Shared, key: &StreamKey, left: &[NodeId]) {
    let Some(assignment) = assignment(shared, key) else {
        return;
    };
    let here = shared.env.node();
    if left.contains(&here) && !assignment.is_held_by(here) {
        tracing::info!(account = key.0, stream = key.1, "stream moved away");
        remove(shared, key, Some(&assignment)).await;
        return;
    }
    let asset = shared.assets.read().get(key).cloned();
    if let Some(asset) = asset {
        *asset.assignment.write() = assignment;
    }
}

/// The leader applies the new configuration and answers, then brings the members in line.
async fn lead_update(engine: &Engine, asset: Arc<Asset>, reply: Option<ReplyTo>) {
    conform_config(&asset).await;
    let info = crate::api::stream_info(engine, &asset);
    answer(engine, reply, api::respond("stream_update_response", &info));
    let (account, stream) = asset.key();
    crate::advisory::stream_action(engine, &account, &stream, ActionKind::Modify);
    conform(engine, &asset).await;
}

/// Whether the group is what the assignment says; else its leader has something to do.
pub fn conforms(asset: &Asset) -> bool {
    let assignment = asset.assignment.read();
    let has_members = asset.group().is_none_or(|group| {
        let members = group.members();
        members.learners.is_empty()
            && members.voters.len() == assignment.replicas.len()
            && assignment
                .replicas
                .iter()
                .all(|node| members.voters.contains(node))
    });
    let has_config = || asset.read(|machine| *machine.config() == assignment.config);
    assignment.moving.is_none() && has_members && has_config()
}

/// On the leader: makes the group's configuration and members those of the assignment.
pub async fn conform(engine: &Engine, asset: &Asset) {
    // A change of members takes as long as a new replica needs to catch up; one at a time.
    let Ok(_turn) = asset.conforming.try_lock() else {
        return;
    };
    conform_config(asset).await;
    if let Some(group) = asset.group()
        && asset.env.is_clustered()
        && conform_members(engine, asset, group).await
    {
        report_moved(engine, asset).await;
    }
}

async fn conform_config(asset: &Asset) {
    let config = asset.assignment.read().config.clone();
    if asset.config() != config {
        asset.request(Action::UpdateConfig(Box::new(config))).await;
    }
}

/// True once the members are those assigned.
async fn conform_members(engine: &Engine, asset: &Asset, group: &Group) -> bool {
    let wanted: BTreeSet<NodeId> = asset.assignment.read().replicas.iter().copied().collect();
    let here = asset.env.node();
    let mut with_leader = wanted.clone();
    with_leader.insert(here);
    let members = group.members();
    if (members.voters != with_leader || !members.learners.is_empty())
        && let Err(error) = group.change_members(with_leader).await
    {
        return not_yet(asset, &error);
    }
    if wanted.contains(&here) {
        return true;
    }
    // Who leaves hands over first, so that nobody waits for an election; the next leader goes on.
    let next = placed::successor(engine, group, |node| wanted.contains(&node));
    let Some(next) = next else {
        return not_yet(asset, &ChangeError::NoTarget);
    };
    match group.transfer_leader(Some(next)).await {
        Ok(_) => false,
        Err(error) => not_yet(asset, &error),
    }
}

fn not_yet(asset: &Asset, error: &ChangeError) -> bool {
    let (account, stream) = asset.key();
    tracing::warn!(account, stream, %error, "replicas could not be changed yet");
    false
}

/// Has the meta leader write down that the move is over, if there is one.
async fn report_moved(engine: &Engine, asset: &Asset) {
    let assignment = asset.assignment.read().clone();
    if assignment.moving.is_none() {
        return;
    }
    let Assignment {
        account,
        config,
        group,
        replicas,
        ..
    } = assignment;
    let name = config.name;
    if engine.meta().is_leader() {
        engine.shared.finish_move(account, name, group, replicas);
    } else if let Some(leader) = engine.shared.meta_leader() {
        let question = Question::Moved {
            account,
            name,
            group,
            replicas,
        };
        let peers = &engine.env().peers;
        peers.call(leader, question.encode(), REPORT_TIMEOUT).await;
    }
}

/// How a replica begins when nothing is stored for it here.
#[derive(Clone, Copy)]
pub(super) enum Opening {
    Founding,
    Joining,
}

impl Opening {
    pub(super) fn start(self, assignment: &Assignment) -> Start {
        match self {
            Opening::Founding => Start::Founding(assignment.founders.iter().copied().collect()),
            Opening::Joining => Start::Join,
        }
    }
}

async fn open(engine: &Engine, assignment: Assignment, opening: Opening, reply: Option<ReplyTo>) {
    let shared = &engine.shared;
    let key = assignment.key();
    if shared.assets.read().contains_key(&key) || shared.troubles.reason(&key).is_some() {
        return;
    }
    let group_id = assignment.group_id();
    let start = opening.start(&assignment);
    let volatile = is_volatile(&shared.env, &assignment);
    let asset = match Asset::open(shared.env.clone(), assignment) {
        Ok(asset) => asset,
        Err(error) => {
            return shared.troubles.note(&key, group_id.0, &error.to_string());
        }
    };
    if let Some(reply) = reply {
        asset.announce(reply);
    }
    shared.assets.write().insert(key.clone(), asset.clone());
    let consensus = &shared.env.consensus;
    let group = if volatile {
        asset.attach_volatile();
        None
    } else if shared.env.is_clustered() {
        Some(consensus.replicated(group_id, start, asset.clone()).await)
    } else {
        Some(consensus.local(group_id, asset.clone()).await)
    };
    match group {
        Some(Ok(group)) => asset.attach(group),
        Some(Err(error)) => {
            return shared.troubles.note(&key, group_id.0, &error.to_string());
        }
        None => {}
    }
    super::usage::share_room(engine, &asset);
    engine.spawn(lead::supervise(engine.clone(), asset));
}

/// Stops and deletes a replica; one that is out of service by its former assignment.
async fn remove(shared: &Shared, key: &StreamKey, assignment: Option<&Assignment>) {
    let asset = shared.assets.write().remove(key);
    match (asset, assignment) {
        (Some(asset), _) => asset.remove().await,
        (None, Some(assignment)) if shared.troubles.reason(key).is_some() => {
            shared.troubles.over(key);
            let deleted = Asset::discard(&shared.env, assignment);
            let removed = shared.env.consensus.remove(assignment.group_id());
            let error = removed
                .err()
                .map(|error| error.to_string())
                .or(deleted.err().map(|error| error.to_string()));
            if let Some(error) = error {
                let (account, stream) = key;
                tracing::warn!(account, stream, error, "could not delete all of the stream");
            }
        }
        (None, _) => {}
    }
}

pub(super) fn assignment(shared: &Shared, key: &StreamKey) -> Option<Assignment> {
    shared
        .meta
        .read(|meta| meta.stream(&key.0, &key.1).cloned())
}

/// Sends an API answer to where it was asked for.
pub fn answer(engine: &Engine, reply: Option<ReplyTo>, response: Vec<u8>) {
    if let Some(reply) = reply {
        let response = Bytes::from(response);
        let message = Outgoing::new(reply.subject.clone(), response.clone());
        engine.env().bus.publish(&reply.account, &[message]);
        crate::audit::tell_late(engine, &reply, &response);
    }
}

impl Shared {
    /// Opens what is assigned and not open, removes what is open and not assigned any more.
    pub(super) async fn reconcile(&self, engine: &Engine) {
        let node = self.env.node();
        let assigned: Vec<Assignment> = self.meta.read(|meta| {
            meta.streams()
                .filter(|stream| stream.is_held_by(node))
                .cloned()
                .collect()
        });
        let open_now: Vec<StreamKey> = self.assets.read().keys().cloned().collect();
        for key in open_now {
            let same = assigned
                .iter()
                .any(|stream| stream.key() == key && Some(stream.group) == self.group_of(&key));
            if !same {
                remove(self, &key, None).await;
            }
        }
        for assignment in assigned {
            let opening = self.opening_of(&assignment);
            open(engine, assignment, opening, None).await;
        }
    }

    /// Every replica of a new stream is a founder; one that is added later has no say in that.
    /// Both look alike after a restart before the first entry, where founding again is harmless:
    /// the members given are those the group was founded with.
    pub(super) fn was_founded_here(&self, assignment: &Assignment) -> bool {
        assignment.founders.contains(&self.env.node())
    }

    fn group_of(&self, key: &StreamKey) -> Option<u64> {
        self.assets
            .read()
            .get(key)
            .map(|asset| asset.assignment.read().group)
    }
}
