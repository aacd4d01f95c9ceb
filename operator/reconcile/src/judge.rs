//! The five steps for one resource. Every driver goes through them.

use api::{FieldDiff, Kind, Resource, SyncStatus};

use crate::assets::{self, Session};
use crate::broker::{Broker, Caller};
use crate::dereference::{DereferenceError, Place, dereference};
use crate::environment::Environment;
use crate::identities::{Registry, accounts, users};
use crate::observe::{Listings, Observer};
use crate::owner::OwnerId;
use crate::report::{Outcome, Status};
use crate::set::Lookup;
use crate::status::{Verdict, sync_status};
use crate::validate::{Validated, ValidatedAccount, ValidatedAsset, ValidatedUser, validate};

/// What judging a resource needs.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) lookup: &'a dyn Lookup,
    pub(crate) owner: &'a OwnerId,
    pub(crate) environment: &'a Environment,
    pub(crate) listings: &'a Listings,
    pub(crate) site: Site<'a>,
}

/// Which servers.
#[derive(Clone, Copy)]
pub(crate) enum Site<'a> {
    /// Those of a cluster whose accounts are signed here.
    Cluster(Registry<'a>),
    /// Others, as one user.
    Servers {
        broker: &'a dyn Broker,
        caller: &'a Caller,
    },
}

/// How it went with one resource.
struct Judged {
    verdict: Verdict,
    diff: Vec<FieldDiff>,
    status: Status,
}

impl Judged {
    fn plain(kind: Kind, verdict: Verdict) -> Judged {
        Judged {
            verdict,
            diff: Vec::new(),
            status: Status::empty(kind),
        }
    }
}

/// Reconciles one resource. `before` is what was reported about it last.
pub(crate) async fn reconcile(
    judge: Judge<'_>,
    resource: &Resource,
    before: Option<&SyncStatus>,
) -> Outcome {
    let judged = judge.resource(resource).await;
    outcome(resource, judged, before, judge.environment)
}

fn outcome(
    resource: &Resource,
    judged: Judged,
    before: Option<&SyncStatus>,
    environment: &Environment,
) -> Outcome {
    let mut status = judged.status;
    *status.sync_mut() = sync_status(
        &judged.verdict,
        judged.diff,
        resource.metadata().generation,
        before,
        environment.now(),
    );
    let outcome = Outcome {
        id: resource.id(),
        status,
        action: judged.verdict.action(),
        error: judged.verdict.error().map(str::to_owned),
        retry: matches!(judged.verdict, Verdict::Retrying { .. }),
        is_gone: matches!(judged.verdict, Verdict::Gone(_)),
    };
    log(&outcome);
    outcome
}

/// Why a resource can not be brought to any servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Until a person changes something.
    Stalled {
        reason: &'static str,
        message: String,
    },
    /// For a while.
    Retrying {
        reason: &'static str,
        message: String,
    },
    /// It is being deleted, and what it stood for is out of reach for good.
    Gone,
}

/// What is reported of a resource that has no servers.
pub fn held_up(resource: &Resource, obstacle: Obstacle, environment: &Environment) -> Outcome {
    let verdict = match obstacle {
        Obstacle::Stalled { reason, message } => Verdict::Stalled { reason, message },
        Obstacle::Retrying { reason, message } => Verdict::Retrying { reason, message },
        Obstacle::Gone => Verdict::Gone(None),
    };
    let judged = Judged::plain(resource.kind(), verdict);
    outcome(resource, judged, resource.sync_status(), environment)
}

impl Judge<'_> {
    async fn resource(self, resource: &Resource) -> Judged {
        let kind = resource.kind();
        let references = match dereference(self.lookup, resource) {
            Ok(references) => references,
            // Without its account nothing of it can be reached, and nothing may be held up.
            Err(DereferenceError::NotFound(_)) if resource.is_deleted() => {
                return Judged::plain(kind, self.forget(resource).await);
            }
            Err(error) => {
                return Judged::plain(kind, Verdict::stalled("ReferenceNotUsable", &error));
            }
        };
        match (validate(resource, references), self.site) {
            (Err(_), _) if resource.is_deleted() => {
                Judged::plain(kind, self.forget(resource).await)
            }
            (Err(error), _) => Judged::plain(kind, Verdict::stalled("Invalid", &error)),
            (Ok(Validated::Account(account)), Site::Cluster(registry)) => {
                Self::account(registry, resource, &account).await
            }
            (Ok(Validated::User(user)), Site::Cluster(registry)) => {
                Self::user(registry, resource, &user).await
            }
            (Ok(Validated::Asset(asset)), _) => self.asset(resource, asset).await,
            (Ok(Validated::Account(_) | Validated::User(_)), Site::Servers { .. }) => {
                let message = "these servers do not take accounts from here";
                Judged::plain(kind, Verdict::stalled("NotServed", &message))
            }
        }
    }

    async fn account(
        registry: Registry<'_>,
        resource: &Resource,
        wanted: &ValidatedAccount,
    ) -> Judged {
        if resource.is_deleted() {
            let verdict = accounts::delete(registry, wanted).await;
            return Judged::plain(Kind::Account, verdict);
        }
        let reconciled = accounts::reconcile(registry, wanted).await;
        Judged {
            verdict: reconciled.verdict,
            diff: reconciled.diff,
            status: Status::Account(reconciled.status),
        }
    }

    async fn user(registry: Registry<'_>, resource: &Resource, wanted: &ValidatedUser) -> Judged {
        if resource.is_deleted() {
            return Judged::plain(Kind::User, users::delete(registry, wanted).await);
        }
        let (verdict, status) = users::reconcile(registry, wanted).await;
        Judged {
            verdict,
            diff: Vec::new(),
            status: Status::User(status),
        }
    }

    async fn asset(self, resource: &Resource, wanted: ValidatedAsset) -> Judged {
        let kind = wanted.id.kind;
        let signed;
        let (broker, caller) = match (self.site, &wanted.place) {
            (Site::Cluster(registry), Place::Account(account)) => {
                signed = match accounts::key(registry, account).await {
                    Ok(Some(key)) => Caller::Account(Box::new(key)),
                    Ok(None) if resource.is_deleted() => {
                        return Judged::plain(kind, Verdict::Gone(None));
                    }
                    Ok(None) => {
                        let message = format!("{} has no key yet", account.id);
                        let verdict = Verdict::retrying("AccountNotReady", &message);
                        return Judged::plain(kind, verdict);
                    }
                    Err(error) => return Judged::plain(kind, Verdict::of_keys(&error)),
                };
                (registry.broker, &signed)
            }
            (Site::Servers { broker, caller }, Place::Connection) => (broker, caller),
            (Site::Cluster(_), Place::Connection) => {
                let message = "connection is served on Kubernetes only; use accountRef here";
                return Judged::plain(kind, Verdict::stalled("NotServed", &message));
            }
            (Site::Servers { .. }, Place::Account(account)) => {
                let message = format!("{} is not on these servers", account.id);
                return Judged::plain(kind, Verdict::stalled("NotServed", &message));
            }
        };
        let domain = wanted.domain.clone();
        let session = Session {
            observer: Observer {
                broker,
                caller,
                domain: domain.as_deref(),
                listings: self.listings,
                now: self.environment.now(),
            },
            mark: &self.owner.mark(&wanted.id),
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
    async fn forget(self, resource: &Resource) -> Verdict {
        match (resource.kind(), self.site) {
            (Kind::User, Site::Cluster(registry)) => users::remove(registry, &resource.id()).await,
            _ => Verdict::Gone(None),
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
