//! Reconciling resources of one broker cluster: one at a time, or all of them in one pass.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Kind, Resource, ResourceId, SyncStatus};
use parking_lot::Mutex;

use crate::bootstrap::Roots;
use crate::broker::{Broker, Caller};
use crate::environment::Environment;
use crate::identities::{AccountLocks, Registry};
use crate::judge::{self, Judge, Site};
use crate::keys::KeyStore;
use crate::observe::Listings;
use crate::owner::OwnerId;
use crate::report::{Outcome, Report};
use crate::set::{Lookup, ResourceSet};

/// Makes a broker cluster hold what resources say.
pub struct Reconciler {
    broker: Arc<dyn Broker>,
    store: Arc<dyn KeyStore>,
    environment: Environment,
    roots: Roots,
    owner: OwnerId,
    locks: AccountLocks,
    listings: Listings,
    /// What passes reported before, for the times in conditions.
    reported: Mutex<BTreeMap<ResourceId, SyncStatus>>,
}

/// Makes servers that no Cluster describes hold what resources say that name them in `connection`.
pub struct External {
    broker: Arc<dyn Broker>,
    caller: Caller,
    environment: Environment,
    owner: OwnerId,
    listings: Listings,
}

impl Reconciler {
    /// `roots` are those that the servers were told to trust, and `owner` tells this installation
    /// from others that use the same servers.
    pub fn new(
        broker: Arc<dyn Broker>,
        store: Arc<dyn KeyStore>,
        environment: Environment,
        roots: Roots,
        owner: OwnerId,
    ) -> Reconciler {
        Reconciler {
            broker,
            store,
            environment,
            roots,
            owner,
            locks: AccountLocks::default(),
            listings: Listings::new(Duration::ZERO),
            reported: Mutex::new(BTreeMap::new()),
        }
    }

    /// Compares many streams with one list that may be this old, instead of asking for each. Nothing is
    /// changed because of a list: what differs is asked for again.
    pub fn with_lists(self, age_max: Duration) -> Reconciler {
        Reconciler {
            listings: Listings::new(age_max),
            ..self
        }
    }

    /// Goes through all resources once. A second pass changes nothing, unless somebody else did.
    ///
    /// Resources must have passed the rules of their kinds; those that carry a deletion timestamp
    /// are cleaned up, and their outcome tells when they are gone.
    pub async fn reconcile(&self, set: &ResourceSet) -> Report {
        let mut report = Report::default();
        // What depends on others goes first and comes last.
        let (deleted, wanted): (Vec<&Resource>, Vec<&Resource>) =
            set.iter().partition(|resource| resource.is_deleted());
        let is_asset = |resource: &&&Resource| resource.kind() > Kind::User;
        let first = deleted.iter().rev().filter(is_asset);
        let last = deleted.iter().rev().filter(|resource| !is_asset(resource));
        for resource in first.chain(&wanted).chain(last) {
            report
                .outcomes
                .push(self.reconcile_one(set, resource).await);
        }
        self.remember(&report);
        report
    }

    /// Reconciles one resource; `lookup` finds those that it points to.
    pub async fn reconcile_one(&self, lookup: &dyn Lookup, resource: &Resource) -> Outcome {
        let judge = Judge {
            lookup,
            owner: &self.owner,
            environment: &self.environment,
            listings: &self.listings,
            site: Site::Cluster(self.registry()),
        };
        let before = self.before(resource);
        judge::reconcile(judge, resource, before.as_ref()).await
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn registry(&self) -> Registry<'_> {
        Registry {
            broker: &*self.broker,
            store: &*self.store,
            environment: &self.environment,
            roots: &self.roots,
            locks: &self.locks,
        }
    }

    fn remember(&self, report: &Report) {
        let known = report.outcomes.iter().filter(|outcome| !outcome.is_gone);
        let known = known.map(|outcome| (outcome.id.clone(), outcome.sync().clone()));
        *self.reported.lock() = known.collect();
    }

    fn before(&self, resource: &Resource) -> Option<SyncStatus> {
        let reported = resource.sync_status().cloned();
        reported.or_else(|| self.reported.lock().get(&resource.id()).cloned())
    }
}

impl External {
    /// `lists_age_max` as in [`Reconciler::with_lists`].
    pub fn new(
        broker: Arc<dyn Broker>,
        caller: Caller,
        environment: Environment,
        owner: OwnerId,
        lists_age_max: Duration,
    ) -> External {
        External {
            broker,
            caller,
            environment,
            owner,
            listings: Listings::new(lists_age_max),
        }
    }

    /// Reconciles one resource; `lookup` finds those that it points to.
    pub async fn reconcile_one(&self, lookup: &dyn Lookup, resource: &Resource) -> Outcome {
        let judge = Judge {
            lookup,
            owner: &self.owner,
            environment: &self.environment,
            listings: &self.listings,
            site: Site::Servers {
                broker: &*self.broker,
                caller: &self.caller,
            },
        };
        judge::reconcile(judge, resource, resource.sync_status()).await
    }
}
