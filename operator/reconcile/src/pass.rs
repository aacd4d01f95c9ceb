//! One pass over all resources.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{FieldDiff, Kind, Resource, ResourceId, SyncStatus};
use parking_lot::Mutex;

use crate::assets::{self, Session};
use crate::bootstrap::Roots;
use crate::broker::{Broker, Caller};
use crate::dereference::{DereferenceError, dereference};
use crate::environment::Environment;
use crate::identities::{Registry, accounts, users};
use crate::keys::KeyStore;
use crate::owner::OwnerId;
use crate::report::{Outcome, Report, Status};
use crate::set::ResourceSet;
use crate::status::{Verdict, sync_status};
use crate::validate::{
    Address, Validated, ValidatedAccount, ValidatedAsset, ValidatedUser, validate,
};

/// Makes a broker cluster hold what resources say.
pub struct Reconciler {
    broker: Arc<dyn Broker>,
    store: Arc<dyn KeyStore>,
    environment: Environment,
    roots: Roots,
    owner: OwnerId,
    /// What was reported before, for the times in conditions.
    reported: Mutex<BTreeMap<ResourceId, SyncStatus>>,
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
            reported: Mutex::new(BTreeMap::new()),
        }
    }

    /// Goes through all resources once. A second pass changes nothing, unless somebody else did.
    ///
    /// Resources must have passed the rules of their kinds; those that carry a deletion timestamp
    /// are cleaned up, and their outcome tells when they are gone.
    pub async fn reconcile(&self, set: &ResourceSet) -> Report {
        let mut pass = Pass {
            reconciler: self,
            set,
            claimed: BTreeSet::new(),
            revoked: BTreeMap::new(),
            report: Report::default(),
        };
        pass.collect_revocations().await;
        // What depends on others goes first and comes last.
        let (deleted, wanted): (Vec<&Resource>, Vec<&Resource>) =
            set.iter().partition(|resource| resource.is_deleted());
        let is_asset = |resource: &&&Resource| resource.kind() > Kind::User;
        for resource in deleted.iter().rev().filter(is_asset) {
            pass.reconcile(resource).await;
        }
        for resource in &wanted {
            pass.reconcile(resource).await;
        }
        // Their revocations are with the servers by now.
        for resource in deleted.iter().rev().filter(|resource| !is_asset(resource)) {
            pass.reconcile(resource).await;
        }
        let report = pass.report;
        self.remember(&report);
        report
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

/// What one pass knows.
struct Pass<'a> {
    reconciler: &'a Reconciler,
    set: &'a ResourceSet,
    /// What resources of this pass have taken, by account and place.
    claimed: BTreeSet<(ResourceId, Address)>,
    /// By account, the users to revoke with the time up to which.
    revoked: BTreeMap<ResourceId, BTreeMap<String, i64>>,
    report: Report,
}

/// How it went with one resource.
struct Judged {
    verdict: Verdict,
    diff: Vec<FieldDiff>,
    status: Status,
}

impl Pass<'_> {
    async fn reconcile(&mut self, resource: &Resource) {
        let id = resource.id();
        let judged = self.judge(resource).await;
        let now = self.reconciler.environment.now();
        let before = self.reconciler.before(resource);
        let generation = resource.metadata().generation;
        let mut status = judged.status;
        *status.sync_mut() = sync_status(
            &judged.verdict,
            judged.diff,
            generation,
            before.as_ref(),
            now,
        );
        let outcome = Outcome {
            status,
            action: judged.verdict.action(),
            error: judged.verdict.error().map(str::to_owned),
            retry: matches!(judged.verdict, Verdict::Retrying { .. }),
            is_gone: matches!(judged.verdict, Verdict::Gone(_)),
            id,
        };
        log(&outcome);
        self.report.outcomes.push(outcome);
    }

    async fn judge(&mut self, resource: &Resource) -> Judged {
        let kind = resource.kind();
        let plain = |verdict: Verdict| Judged {
            verdict,
            diff: Vec::new(),
            status: Status::empty(kind),
        };
        let references = match dereference(self.set, resource) {
            Ok(references) => references,
            // Without its account nothing of it can be reached, and nothing may be held up.
            Err(DereferenceError::NotFound(_)) if resource.is_deleted() => {
                return plain(self.forget(resource).await);
            }
            Err(error) => return plain(Verdict::stalled("ReferenceNotUsable", &error)),
        };
        match validate(resource, references) {
            Err(_) if resource.is_deleted() => plain(self.forget(resource).await),
            Err(error) => plain(Verdict::stalled("Invalid", &error)),
            Ok(Validated::Account(account)) => self.account(resource, &account).await,
            Ok(Validated::User(user)) => self.user(resource, &user).await,
            Ok(Validated::Asset(asset)) => self.asset(resource, asset).await,
        }
    }

    async fn account(&self, resource: &Resource, wanted: &ValidatedAccount) -> Judged {
        let registry = self.reconciler.registry();
        if resource.is_deleted() {
            return Judged {
                verdict: accounts::delete(registry, wanted).await,
                diff: Vec::new(),
                status: Status::empty(Kind::Account),
            };
        }
        let none = BTreeMap::new();
        let revoked = self.revoked.get(&wanted.id).unwrap_or(&none);
        let reconciled = accounts::reconcile(registry, wanted, revoked).await;
        Judged {
            verdict: reconciled.verdict,
            diff: reconciled.diff,
            status: Status::Account(reconciled.status),
        }
    }

    async fn user(&self, resource: &Resource, wanted: &ValidatedUser) -> Judged {
        let registry = self.reconciler.registry();
        let (verdict, status) = if !resource.is_deleted() {
            users::reconcile(registry, wanted).await
        } else if self.is_revocation_pending(&wanted.account) {
            let message = "its revocation has not reached the servers yet";
            let verdict = Verdict::retrying("RevocationPending", &message);
            (verdict, api::UserStatus::default())
        } else {
            let verdict = users::delete(registry, &wanted.id).await;
            (verdict, api::UserStatus::default())
        };
        Judged {
            verdict,
            diff: Vec::new(),
            status: Status::User(status),
        }
    }

    /// Whether an account has users to revoke and its claims are not with the servers.
    fn is_revocation_pending(&self, account: &ResourceId) -> bool {
        let is_wanted = self
            .set
            .get(account)
            .is_some_and(|account| !account.is_deleted());
        let outcome = self.report.get(account);
        let is_synced = outcome.is_some_and(Outcome::is_synced);
        is_wanted && self.revoked.contains_key(account) && !is_synced
    }

    async fn asset(&mut self, resource: &Resource, wanted: ValidatedAsset) -> Judged {
        let kind = wanted.id.kind;
        let plain = |verdict: Verdict| Judged {
            verdict,
            diff: Vec::new(),
            status: Status::empty(kind),
        };
        let place = (wanted.account.clone(), wanted.address.clone());
        if !resource.is_deleted() && !self.claimed.insert(place) {
            let message = "another resource declares the same; remove one of them or rename it";
            return plain(Verdict::Conflict(message.to_owned()));
        }
        let account = match accounts::key(self.reconciler.registry(), &wanted.account).await {
            Ok(Some(account)) => account,
            Ok(None) if resource.is_deleted() => return plain(Verdict::Gone(None)),
            Ok(None) => {
                let message = format!("{} has no key yet", wanted.account);
                return plain(Verdict::retrying("AccountNotReady", &message));
            }
            Err(error) => return plain(Verdict::of_keys(&error)),
        };
        let caller = Caller { account };
        let mark = self.reconciler.owner.mark(&wanted.id);
        let session = Session {
            broker: &*self.reconciler.broker,
            caller: &caller,
            mark: &mark,
            now: self.reconciler.environment.now(),
        };
        let reconciled = if resource.is_deleted() {
            assets::delete(session, wanted).await
        } else {
            assets::reconcile(session, wanted).await
        };
        Judged {
            verdict: reconciled.verdict,
            diff: reconciled.diff,
            status: reconciled.status,
        }
    }

    /// Cleans up what does not need the account.
    async fn forget(&self, resource: &Resource) -> Verdict {
        match resource.kind() {
            Kind::User => users::delete(self.reconciler.registry(), &resource.id()).await,
            _ => Verdict::Gone(None),
        }
    }

    /// Accounts carry the revocations of users that are being deleted.
    async fn collect_revocations(&mut self) {
        let registry = self.reconciler.registry();
        let now_s = self.reconciler.environment.now().as_second();
        let deleted = self.set.iter().filter(|resource| resource.is_deleted());
        for resource in deleted.filter(|resource| resource.kind() == Kind::User) {
            let Ok(references) = dereference(self.set, resource) else {
                continue;
            };
            let Ok(Validated::User(user)) = validate(resource, references) else {
                continue;
            };
            if let Some(key) = users::to_revoke(registry, &user).await {
                self.revoked
                    .entry(user.account)
                    .or_default()
                    .insert(key, now_s);
            }
        }
    }
}

fn log(outcome: &Outcome) {
    let resource = &outcome.id;
    match (&outcome.action, &outcome.error) {
        (_, Some(error)) if outcome.retry => tracing::debug!(%resource, error, "not synced yet"),
        (_, Some(error)) => tracing::warn!(%resource, error, "not synced"),
        (Some(action), None) => tracing::info!(%resource, ?action, "synced"),
        (None, None) => tracing::trace!(%resource, "synced"),
    }
}
