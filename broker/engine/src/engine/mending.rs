//! Replicas that cannot work: those whose log or files are damaged are rebuilt from other replicas,
//! the rest is opened again after a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use consensus::{GroupId, NodeId, OpenError, Release, Start};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::catching_up::CatchingUp;
use super::changes::{self, Opening};
use super::{Engine, Shared};
use crate::asset::{self, Asset};
use crate::lead;
use crate::meta::{Assignment, META_GROUP, StreamKey};
use crate::meta_group::MetaGroup;
use crate::peer::Question;

/// Time between two looks at the replicas.
const LOOK: Duration = Duration::from_millis(500);
/// Looks between two searches for damaged messages, and how many of a stream are repaired then.
const LOOKS_PER_REPAIR: u32 = 8;
const REPAIRS_MAX: usize = 64;
/// Waits before a replica is opened again: doubled from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a leader may take to release a replica.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Replicas of this server that are out of service, by stream.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<StreamKey, Trouble>>);

struct Trouble {
    group: u64,
    reason: String,
    attempts: u32,
    next_try: Instant,
    is_tried_now: bool,
}

/// A replica of this server that is out of service, for monitoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineReplica {
    pub account: String,
    pub stream: String,
    pub group: u64,
    /// Why, as of the last attempt to open it.
    pub reason: String,
}

impl Troubles {
    /// Notes that a replica does not work; it will be opened again.
    pub(super) fn note(&self, key: &StreamKey, group: u64, reason: &str) {
        let mut troubles = self.0.lock();
        let trouble = troubles.entry(key.clone()).or_insert_with(|| Trouble {
            group,
            reason: String::new(),
            attempts: 0,
            next_try: Instant::now(),
            is_tried_now: false,
        });
        let wait = FIRST_WAIT * 2u32.saturating_pow(trouble.attempts.min(16));
        trouble.attempts += 1;
        trouble.next_try = Instant::now() + wait.min(LONGEST_WAIT);
        trouble.is_tried_now = false;
        if trouble.reason != reason {
            let (account, stream) = key;
            tracing::error!(account, stream, reason, "stream replica is out of service");
            trouble.reason = reason.to_owned();
        }
    }

    pub(super) fn over(&self, key: &StreamKey) {
        self.0.lock().remove(key);
    }

    fn is_known(&self, key: &StreamKey) -> bool {
        self.0.lock().contains_key(key)
    }

    /// Those it is time to open again; each is named once until the next note.
    fn take_due(&self) -> Vec<StreamKey> {
        let mut troubles = self.0.lock();
        let now = Instant::now();
        let due = troubles
            .iter_mut()
            .filter(|(_, trouble)| !trouble.is_tried_now && trouble.next_try <= now);
        due.map(|(key, trouble)| {
            trouble.is_tried_now = true;
            key.clone()
        })
        .collect()
    }

    pub(crate) fn reason(&self, key: &StreamKey) -> Option<String> {
        let troubles = self.0.lock();
        troubles.get(key).map(|trouble| trouble.reason.clone())
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    fn list(&self) -> Vec<OfflineReplica> {
        let troubles = self.0.lock();
        let offline = troubles.iter().map(|((account, stream), trouble)| {
            let reason = trouble.reason.clone();
            let (account, stream) = (account.clone(), stream.clone());
            OfflineReplica {
                account,
                stream,
                group: trouble.group,
                reason,
            }
        });
        offline.collect()
    }
}

impl Engine {
    /// The replicas of this server that are out of service, by account and stream.
    pub fn offline_replicas(&self) -> Vec<OfflineReplica> {
        self.shared.troubles.list()
    }
}

/// Looks after the replicas as long as the server runs.
pub(super) async fn run(engine: Engine) {
    let mut ticks = tokio::time::interval(LOOK);
    let mut looks = 0u32;
    let mut catching_up = CatchingUp::default();
    loop {
        ticks.tick().await;
        if mend_meta(&engine).await {
            catching_up = CatchingUp::default();
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_PER_REPAIR) {
            repair_messages(&engine);
        }
        for asset in engine.assets() {
            if let Some(reason) = stopped(&asset)
                && !engine.shared.troubles.is_known(&asset.key())
            {
                let group = asset.assignment.read().group;
                engine.shared.troubles.note(&asset.key(), group, &reason);
            }
        }
        for key in engine.shared.troubles.take_due() {
            let task = engine.clone();
            engine.spawn(async move { reopen(&task, key).await });
        }
        let wal = &engine.env().wal;
        if !wal.damaged().is_empty()
            && catching_up.is_done(&engine).await
            && engine.shared.are_all_in_service()
        {
            tracing::warn!("every replica has got over the damage to the write-ahead log");
            wal.damage_handled();
        }
    }
}

/// Gets messages back that are known to be damaged, before anybody asks for them.
fn repair_messages(engine: &Engine) {
    for asset in engine.assets() {
        if asset.assignment.read().replicas.len() > 1 {
            let damaged = asset.read(|machine| machine.store().damaged());
            for seq in damaged.into_iter().take(REPAIRS_MAX) {
                crate::repair::request(&asset, seq);
            }
        }
    }
}

/// Why a replica does not work any more, if so.
fn stopped(asset: &Asset) -> Option<String> {
    let log_failed = || {
        let is_stopped = asset.group().is_some_and(consensus::Group::is_stopped);
        is_stopped.then(|| "its log failed".to_owned())
    };
    asset.failure().or_else(log_failed)
}

/// Opens the replica of the meta group again if it stopped; whether it did.
async fn mend_meta(engine: &Engine) -> bool {
    let meta = engine.meta();
    let Some(group) = meta.group().filter(consensus::Group::is_stopped) else {
        return false;
    };
    tracing::error!("the meta group's replica stopped and is opened again");
    group.halt().await;
    if engine.env().is_clustered() {
        open_meta(engine, meta, Start::Join).await;
    } else {
        match engine.env().consensus.local(META_GROUP, meta.clone()).await {
            Ok(group) => meta.attach(group),
            Err(error) => tracing::error!(%error, "the meta group cannot be opened"),
        }
    }
    true
}

/// Opens this server's replica of the meta group, whatever it takes.
pub(super) async fn open_meta(engine: &Engine, meta: &Arc<MetaGroup>, start: Start) {
    let consensus = &engine.env().consensus;
    let mut wait = FIRST_WAIT;
    let mut start = start;
    loop {
        match consensus
            .replicated(META_GROUP, start.clone(), meta.clone())
            .await
        {
            Ok(group) => return meta.attach(group),
            Err(OpenError::Damaged(_)) => {
                tracing::error!(
                    "the meta group's log is damaged; its replica asks the others to let it join \
                     anew"
                );
                if let Some(release) = ask_release(engine, META_GROUP).await {
                    engine.shared.rejoins.store(true, Ordering::Relaxed);
                    start = Start::Rejoin(release);
                    continue;
                }
            }
            Err(error) => tracing::error!(%error, "the meta group cannot be opened"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Opens a replica that does not work, with what it has or from the others.
async fn reopen(engine: &Engine, key: StreamKey) {
    let shared = &engine.shared;
    let here = shared.env.node();
    let assignment =
        changes::assignment(shared, &key).filter(|assignment| assignment.is_held_by(here));
    let old = shared.assets.write().remove(&key);
    if let Some(old) = old {
        old.close().await;
    }
    let Some(assignment) = assignment else {
        return shared.troubles.over(&key);
    };
    let group = assignment.group;
    match try_open(engine, assignment).await {
        Ok(asset) => {
            shared.troubles.over(&key);
            let now = changes::assignment(shared, &key).map(|assignment| assignment.group);
            if now != Some(group) {
                // The stream was deleted meanwhile.
                return asset.remove().await;
            }
            let (account, stream) = &key;
            tracing::warn!(account, stream, "stream replica is back in service");
            shared.assets.write().insert(key, asset.clone());
            engine.spawn(lead::supervise(engine.clone(), asset));
        }
        Err(reason) => shared.troubles.note(&key, group, &reason),
    }
}

async fn try_open(engine: &Engine, assignment: Assignment) -> Result<Arc<Asset>, String> {
    let shared = &engine.shared;
    let group = assignment.group_id();
    let others = assignment.holders().any(|node| node != shared.env.node());
    let is_volatile = asset::is_volatile(&shared.env, &assignment);
    let opened = Asset::open(shared.env.clone(), assignment.clone());
    let asset = match opened {
        Ok(asset) => asset,
        Err(error) if error.is_damage() && others => {
            return rebuild(engine, assignment).await;
        }
        Err(error) => return Err(error.to_string()),
    };
    if is_volatile {
        asset.attach_volatile();
        return Ok(asset);
    }
    let consensus = &shared.env.consensus;
    if !shared.env.is_clustered() {
        let group = consensus.local(group, asset.clone()).await;
        asset.attach(group.map_err(|error| error.to_string())?);
        return Ok(asset);
    }
    let start = shared.opening_of(&assignment).start(&assignment);
    let group = match consensus.replicated(group, start, asset.clone()).await {
        Err(OpenError::Damaged(group)) if others => {
            let release = ask_release(engine, group)
                .await
                .ok_or("its log is damaged, and no leader has released it yet")?;
            let start = Start::Rejoin(release);
            consensus.replicated(group, start, asset.clone()).await
        }
        opened => opened,
    };
    asset.attach(group.map_err(|error| error.to_string())?);
    Ok(asset)
}

/// Throws away what a replica has stored and gets all of it from the others.
async fn rebuild(engine: &Engine, assignment: Assignment) -> Result<Arc<Asset>, String> {
    let shared = &engine.shared;
    let group = assignment.group_id();
    let release = ask_release(engine, group)
        .await
        .ok_or("its files are damaged, and no leader has released it yet")?;
    Asset::discard(&shared.env, &assignment).map_err(|error| error.to_string())?;
    let asset = Asset::open(shared.env.clone(), assignment).map_err(|error| error.to_string())?;
    let start = Start::Rejoin(release);
    let group = shared
        .env
        .consensus
        .replicated(group, start, asset.clone())
        .await;
    asset.attach(group.map_err(|error| error.to_string())?);
    Ok(asset)
}

/// Has whichever connected server leads a group take this server's replica out of it.
async fn ask_release(engine: &Engine, group: GroupId) -> Option<Release> {
    let peers: Vec<NodeId> = engine.shared.peers_up.lock().iter().copied().collect();
    let question = Question::Release { group: group.0 }.encode();
    let peer_calls = &engine.env().peers;
    let calls: Vec<_> = peers
        .into_iter()
        .map(|peer| peer_calls.call(peer, question.clone(), RELEASE_TIMEOUT))
        .collect();
    for call in calls {
        let answer = call.await.unwrap_or_default();
        if let Ok(Some(release)) = serde_json::from_slice::<Option<Release>>(&answer) {
            return Some(release);
        }
    }
    None
}

/// Takes another server's replica, which asked for it, out of a group that this server leads.
pub(super) async fn release(engine: &Engine, group: GroupId, node: NodeId) -> Option<Release> {
    let group = match group {
        META_GROUP => engine.meta().group(),
        group => engine.env().consensus.group(group),
    }?;
    if group.leader() != Some(engine.env().node()) {
        return None;
    }
    let released = group.release(node).await;
    let name = engine.server_name(node);
    match released {
        Ok(release) => {
            tracing::warn!(group = %group.id(), server = name, "damaged replica released");
            Some(release)
        }
        Err(error) => {
            tracing::warn!(group = %group.id(), server = name, %error, "replica not released");
            None
        }
    }
}

impl Shared {
    /// Whether every replica that this server should have is open and works.
    fn are_all_in_service(&self) -> bool {
        let here = self.env.node();
        let expected: Vec<(StreamKey, u64)> = self.meta.read(|meta| {
            let held = meta.streams().filter(|stream| stream.is_held_by(here));
            held.map(|stream| (stream.key(), stream.group)).collect()
        });
        let assets = self.assets.read();
        let is_open = |(key, group): &(StreamKey, u64)| {
            let asset = assets.get(key).filter(|asset| asset.is_attached());
            asset.is_some_and(|asset| asset.assignment.read().group == *group)
        };
        self.troubles.is_empty() && expected.iter().all(is_open)
    }

    /// What a replica that is not stored here begins as.
    pub(super) fn opening_of(&self, assignment: &Assignment) -> Opening {
        match self.was_founded_here(assignment) {
            true => Opening::Founding,
            false => Opening::Joining,
        }
    }
}
