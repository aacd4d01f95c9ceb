//! Accounts and users: claims that are signed here and checked by the servers.

pub(crate) mod accounts;
pub(crate) mod users;

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
}

impl Verdict {
    /// A key store may be away for a while; damage does not heal.
    pub(crate) fn of_keys(error: &RootsError) -> Verdict {
        match error {
            RootsError::KeyStore(_) => Verdict::retrying("KeyStoreNotReady", error),
            RootsError::Damaged { .. } => Verdict::stalled("KeyDamaged", error),
            RootsError::Signing(_) => Verdict::stalled("NotSigned", error),
        }
    }
}
