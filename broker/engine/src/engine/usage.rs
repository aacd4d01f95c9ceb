//! Keeps accounts within their storage, wherever in the cluster their streams are led.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jetstream::config::Storage;
use tokio::time::Instant;

use super::Engine;
use crate::allowance::{self, Allowance, TierUsage, replicas_of};
use crate::peer::Question;

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
    /// Stops publishes of accounts that have used up their storage, lets them go on once there is
    /// room, and tells the other servers what is used here.
    pub(super) fn look(&mut self, engine: &Engine) {
        let here = engine.all_local_usage();
        let mut used = here.clone();
        for elsewhere in engine.shared.usage_elsewhere.lock().values() {
            for (account, usage) in elsewhere {
                allowance::add(used.entry(account.clone()).or_default(), usage);
            }
        }
        mark_full(engine, &used);
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

fn mark_full(engine: &Engine, used: &BTreeMap<String, TierUsage>) {
    let mut allowances: BTreeMap<String, Option<Allowance>> = BTreeMap::new();
    let nothing = TierUsage::new();
    for asset in engine.assets() {
        let account = asset.account();
        let allowance = allowances
            .entry(account.clone())
            .or_insert_with(|| engine.allowance(&account));
        let (replicas, storage) = asset.read(|machine| {
            let config = machine.config();
            (replicas_of(config), config.storage)
        });
        let used = used.get(&account).unwrap_or(&nothing);
        let (memory, file) = match allowance {
            Some(allowance) => allowance.is_used_up(replicas, used),
            None => (false, false),
        };
        let is_full = match storage {
            Storage::File => file,
            Storage::Memory => memory,
        };
        asset.is_account_full.store(is_full, Ordering::Relaxed);
    }
}
