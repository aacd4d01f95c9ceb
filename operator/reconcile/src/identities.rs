//! Accounts and users: claims that are signed here and checked by the servers.

pub(crate) mod accounts;
mod signing;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ResourceId;
use parking_lot::Mutex;

use crate::bootstrap::{Roots, RootsError};
use crate::broker::Broker;
use crate::environment::Environment;
use crate::keys::KeyStore;
use crate::status::Verdict;

/// What signing and publishing claims needs.
#[derive(Clone, Copy)]
pub(crate) struct Registry<'a> {
    pub(crate) broker: &'a dyn Broker,
    pub(crate) store: &'a dyn KeyStore,
    pub(crate) environment: &'a Environment,
    pub(crate) roots: &'a Roots,
    pub(crate) locks: &'a AccountLocks,
}

impl Verdict {
    /// A key store may be away for a while; damage does not heal.
    pub(crate) fn of_keys(error: &RootsError) -> Verdict {
        match error {
            RootsError::KeyStore(_) => Verdict::retrying("KeyStoreNotReady", error),
            RootsError::NotGiven { .. } => Verdict::retrying("KeyMissing", error),
            RootsError::Damaged { .. } => Verdict::stalled("KeyDamaged", error),
            RootsError::Signing(_) => Verdict::stalled("NotSigned", error),
        }
    }
}

/// One lock for each account that was reconciled: claims are read, changed and signed again, which two
/// tasks must not do at once. As large as the number of accounts.
#[derive(Default)]
pub(crate) struct AccountLocks(Mutex<BTreeMap<ResourceId, Arc<tokio::sync::Mutex<()>>>>);

impl AccountLocks {
    pub(crate) fn of(&self, account: &ResourceId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.0.lock().entry(account.clone()).or_default())
    }

    pub(crate) fn forget(&self, account: &ResourceId) {
        self.0.lock().remove(account);
    }
}
