//! Makes this server run what the meta group assigns to it.

use std::sync::Arc;

use bytes::Bytes;
use consensus::Start;
use jetstream::api;
use jetstream::api::advisory::ActionKind;
use jetstream::command::Action;

use super::{Engine, Shared};
use crate::asset::{Asset, is_volatile};
use crate::bus::Outgoing;
use crate::lead;
use crate::meta::{Assignment, MetaEvent, ReplyTo, StreamKey};
use crate::meta_group::Change;

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
        MetaEvent::Removed { stream, reply } => {
            remove(shared, &stream.key()).await;
            if shared.meta.is_leader() {
                answer(
                    shared,
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
                shared,
                reply,
                api::refuse("stream_create_response", &refusal),
            );
        }
        MetaEvent::Missing { reply, .. } if shared.meta.is_leader() => {
            let refusal = jetstream::ApiError::STREAM_NOT_FOUND;
            answer(
                shared,
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
    if !assignment.replicas.contains(&engine.shared.env.node()) {
        return;
    }
    open(engine, assignment, Opening::Founding, reply).await;
}

async fn updated(engine: &Engine, key: &StreamKey, reply: Option<ReplyTo>) {
    let shared = &engine.shared;
    let Some(assignment) = assignment(shared, key) else {
        return;
    };
    let is_ours = assignment.replicas.contains(&shared.env.node());
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

/// The leader brings the stream's own group in line with its new assignment and answers.
async fn lead_update(engine: &Engine, asset: Arc<Asset>, reply: Option<ReplyTo>) {
    conform(&asset).await;
    let info = crate::api::stream_info(engine, &asset);
    answer(
        &engine.shared,
        reply,
        api::respond("stream_update_response", &info),
    );
    let (account, stream) = asset.key();
    crate::advisory::stream_action(engine, &account, &stream, ActionKind::Modify);
}

/// On the leader: makes the group's configuration and members those of the assignment.
pub async fn conform(asset: &Asset) {
    let assignment = asset.assignment.read().clone();
    if asset.config() != assignment.config {
        asset
            .request(Action::UpdateConfig(Box::new(assignment.config)))
            .await;
    }
    if let Some(group) = asset.group()
        && asset.env.is_clustered()
    {
        let wanted = assignment.replicas.iter().copied().collect();
        if group.members().voters != wanted
            && let Err(error) = group.change_members(wanted).await
        {
            let (account, stream) = asset.key();
            tracing::warn!(account, stream, %error, "replicas could not be changed yet");
        }
    }
}

/// How a replica begins when nothing is stored for it here.
enum Opening {
    Founding,
    Joining,
}

async fn open(engine: &Engine, assignment: Assignment, opening: Opening, reply: Option<ReplyTo>) {
    let shared = &engine.shared;
    let key = assignment.key();
    if shared.assets.read().contains_key(&key) {
        return;
    }
    let group_id = assignment.group_id();
    let start = match opening {
        Opening::Founding => Start::Founding(assignment.founders.iter().copied().collect()),
        Opening::Joining => Start::Join,
    };
    let volatile = is_volatile(&shared.env, &assignment);
    let asset = match Asset::open(shared.env.clone(), assignment) {
        Ok(asset) => asset,
        Err(error) => {
            let (account, stream) = key;
            tracing::error!(account, stream, %error, "stream cannot be opened and stays offline");
            return;
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
            let (account, stream) = key;
            tracing::error!(account, stream, %error, "stream cannot be started and stays offline");
            return;
        }
        None => {}
    }
    engine.spawn(lead::supervise(engine.clone(), asset));
}

async fn remove(shared: &Shared, key: &StreamKey) {
    let asset = shared.assets.write().remove(key);
    if let Some(asset) = asset {
        asset.remove().await;
    }
}

fn assignment(shared: &Shared, key: &StreamKey) -> Option<Assignment> {
    shared
        .meta
        .read(|meta| meta.stream(&key.0, &key.1).cloned())
}

/// Sends an API answer to where it was asked for.
pub fn answer(shared: &Shared, reply: Option<ReplyTo>, response: Vec<u8>) {
    if let Some(reply) = reply {
        let message = Outgoing::new(reply.subject, Bytes::from(response));
        shared.env.bus.publish(&reply.account, &[message]);
    }
}

impl Shared {
    /// Opens what is assigned and not open, removes what is open and not assigned any more.
    pub(super) async fn reconcile(&self, engine: &Engine) {
        let node = self.env.node();
        let assigned: Vec<Assignment> = self.meta.read(|meta| {
            meta.streams()
                .filter(|stream| stream.replicas.contains(&node))
                .cloned()
                .collect()
        });
        let open_now: Vec<StreamKey> = self.assets.read().keys().cloned().collect();
        for key in open_now {
            let same = assigned
                .iter()
                .any(|stream| stream.key() == key && Some(stream.group) == self.group_of(&key));
            if !same {
                remove(self, &key).await;
            }
        }
        for assignment in assigned {
            let opening = if self.was_founded_here(&assignment) {
                Opening::Founding
            } else {
                Opening::Joining
            };
            open(engine, assignment, opening, None).await;
        }
    }

    /// Every replica of a new stream is a founder; one that is added later has no say in that.
    /// Both look alike after a restart before the first entry, where founding again is harmless:
    /// the members given are those the group was founded with.
    fn was_founded_here(&self, assignment: &Assignment) -> bool {
        assignment.founders.contains(&self.env.node())
    }

    fn group_of(&self, key: &StreamKey) -> Option<u64> {
        self.assets
            .read()
            .get(key)
            .map(|asset| asset.assignment.read().group)
    }
}
