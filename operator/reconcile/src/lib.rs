//! Makes a broker cluster hold what resources say, and reports how far that got.
//!
//! One pass goes through every resource in steps that are kept apart:
//!
//! 1. dereference: what it points to;
//! 2. validate: what it wants, completely decided (`validate`);
//! 3. plan: what to do about the difference to what the server has (`plan`), pure;
//! 4. apply: requests to the brokers, the only step that changes something;
//! 5. status: conditions out of all that (`status`), pure.
//!
//! `judge` takes one resource through these steps. [`Reconciler::reconcile_one`] does just that, for drivers
//! that know when which resource changes; [`Reconciler::reconcile`] is one pass over all of them; a
//! second one changes nothing. [`run_until_synced`] and [`watch`] repeat it. [`External`] does the
//! same with servers that somebody else runs. Brokers, secrets, time and randomness come from outside ([`Broker`],
//! [`KeyStore`], [`Environment`]).
//!
//! This crate must not know Kubernetes clients, nor how brokers are started. Start with
//! [`Reconciler`].

mod assets;
mod bootstrap;
mod broker;
mod config;
mod dereference;
mod driver;
mod environment;
mod export;
mod identities;
mod judge;
mod keys;
mod observe;
mod owner;
mod pass;
mod plan;
mod report;
mod set;
mod status;
mod validate;

pub use bootstrap::{Bootstrap, Roots, RootsError};
pub use broker::{Broker, Caller, RequestError, Servers, Tls};
pub use driver::{RESYNC_INTERVAL, run_until_synced, watch};
pub use environment::Environment;
pub use export::{Export, Exported, Target, export};
pub use judge::{Obstacle, held_up};
pub use keys::{Directory, Entry, KeyStore, KeyStoreError, Secret};
pub use owner::{APPLIED_KEY, OWNER_KEY, OwnerId};
pub use pass::{External, Reconciler};
pub use report::{Action, Outcome, Report, Status};
pub use set::{Lookup, ResourceSet, account_id};
