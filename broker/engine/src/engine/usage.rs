//! Keeps accounts within their storage, wherever in the cluster their streams are led.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jetstream::config::Storage;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Engine;
use crate::allowance::{self, TierUsage, replicas_of};
use crate::asset::Asset;
use crate::peer::Question;
use crate::room::{Room, Share};

/// Time between two reports to the other servers, when there is news and when there is none.
const REPORT_NEWS: Duration = Duration::from_millis(500);
const REPORT_AGAIN: Duration = Duration::from_secs(15);
/// How long a report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// What was told to the other servers last.
#[derive(Default)]
pub(super) struct Watch {
    told: BTreeMap<String, TierUsage>,
    told_at: Option<Instant>,
}

impl Watch {
    /// Finds out what accounts may still store, and tells the other servers what is used here.
    pub(super) fn look(&mut self, engine: &Engine) {
        let here = engine.all_local_usage();
        set_rooms(engine, &all_usage(engine, here.clone()));
        self.report(engine, here);
    }

    fn report(&mut self, engine: &Engine, usage: BTreeMap<String, TierUsage>) {
        let since = self.told_at.map(|at| at.elapsed());
        let wait = if usage == self.told {
            REPORT_AGAIN
        } else {
            REPORT_NEWS
        };
        if since.is_some_and(|since| since < wait) || !engine.env().is_clustered() {
            return;
        }
        let question = Question::AllUsage {
            accounts: usage.clone(),
        }
        .encode();
        self.told = usage;
        self.told_at = Some(Instant::now());
        let peers: Vec<_> = engine.shared.peers_up.lock().iter().copied().collect();
        for peer in peers {
            let call = engine
                .env()
                .peers
                .call(peer, question.clone(), REPORT_TIMEOUT);
            engine.spawn(async move {
                call.await;
            });
        }
    }
}

/// Which streams share room: the account, the number of replicas where it has tiers, and whether
/// they are in files.
type Key = (String, Option<u64>, bool);

/// What streams on this server may still store, by which limits they share.
#[derive(Default)]
pub(super) struct Rooms(Mutex<BTreeMap<Key, Arc<Room>>>);

/// Gives a replica its share in what its account may still store.
pub(super) fn share_room(engine: &Engine, asset: &Asset) {
    let (key, share, is_new) = share_of(engine, asset);
    if is_new {
        let used = all_usage(engine, engine.all_local_usage());
        set_room(engine, &key, share.replicas, &share.room, &used);
    }
    asset.set_share(share);
}

fn share_of(engine: &Engine, asset: &Asset) -> (Key, Share, bool) {
    let account = asset.account();
    let (replicas, is_file) = asset.read(|machine| {
        let config = machine.config();
        (replicas_of(config), config.storage == Storage::File)
    });
    let tier = engine
        .allowance(&account)
        .and_then(|allowance| allowance.tier(replicas));
    let key = (account, tier, is_file);
    let mut rooms = engine.shared.rooms.0.lock();
    let is_new = !rooms.contains_key(&key);
    let room = rooms.entry(key.clone()).or_default().clone();
    (key, Share { room, replicas }, is_new)
}

fn set_rooms(engine: &Engine, used: &BTreeMap<String, TierUsage>) {
    let mut seen = BTreeSet::new();
    for asset in engine.assets() {
        let (key, share, _) = share_of(engine, &asset);
        if !seen.contains(&key) {
            set_room(engine, &key, share.replicas, &share.room, used);
            seen.insert(key);
        }
        asset.set_share(share);
    }
    let mut rooms = engine.shared.rooms.0.lock();
    rooms.retain(|key, _| seen.contains(key));
}

fn set_room(
    engine: &Engine,
    (account, _, is_file): &Key,
    replicas: u64,
    room: &Room,
    used: &BTreeMap<String, TierUsage>,
) {
    let storage = match is_file {
        true => Storage::File,
        false => Storage::Memory,
    };
    let nothing = TierUsage::new();
    let used = used.get(account).unwrap_or(&nothing);
    let allowance = engine.allowance(account);
    room.set(allowance.and_then(|allowance| allowance.left(replicas, storage, used)));
}

/// What is used here and elsewhere.
fn all_usage(engine: &Engine, here: BTreeMap<String, TierUsage>) -> BTreeMap<String, TierUsage> {
    let mut used = here;
    for elsewhere in engine.shared.usage_elsewhere.lock().values() {
        for (account, usage) in elsewhere {
            allowance::add(used.entry(account.clone()).or_default(), usage);
        }
    }
    used
}
