//! The resources of `weir.dev/v1alpha1`: what people write to say which accounts, users, streams,
//! consumers and buckets a broker cluster should hold.
//!
//! - [`Account`], [`User`], [`Stream`], [`Consumer`], [`KVBucket`], [`ObjectStore`]: the kinds, each in its own file
//!   with its rules. The schemas in `crds/` are generated from them.
//! - [`Cluster`]: the brokers themselves, which only Kubernetes runs.
//! - [`Duration`] and [`Quantity`]: values as people write them, such as `7d` and `256Mi`.
//! - [`parse_documents`]: reads a file of resources and judges it as a Kubernetes API server would.
//! - [`status`]: what is reported back, the same for every kind.
//!
//! This crate must not know brokers, connections or Kubernetes clients. Start with [`Stream`].

#![expect(
    clippy::duplicated_attributes,
    reason = "several printer columns of one kind have the same type"
)]

pub mod account;
pub mod cluster;
pub mod consumer;
pub mod crds;
mod documents;
mod duration;
pub mod kv_bucket;
pub mod object_store;
pub mod policy;
mod quantity;
mod reference;
mod resource;
pub mod status;
pub mod stream;
pub mod user;

pub use account::{Account, AccountSpec, AccountStatus};
pub use cluster::{Cluster, ClusterSpec, ClusterStatus};
pub use consumer::{Consumer, ConsumerSpec, ConsumerStatus};
pub use documents::{Located, Position, Problem, parse_document, parse_documents};
pub use duration::{Duration, DurationError};
pub use kv_bucket::{KVBucket, KVBucketSpec, KVBucketStatus};
pub use object_store::{ObjectStore, ObjectStoreSpec, ObjectStoreStatus};
pub use policy::{AdoptionPolicy, DeletionPolicy, ManagementPolicy, Policies};
pub use quantity::{Quantity, QuantityError};
pub use reference::{AccountRef, ClusterRef, Connection, ConnectionTls, SecretKeyRef, StreamRef};
pub use resource::{Kind, Resource, ResourceId};
pub use status::{FieldDiff, SyncStatus};
pub use stream::{Stream, StreamSpec, StreamStatus};
pub use user::{User, UserSpec, UserStatus};

/// The API group of every kind.
pub const GROUP: &str = "weir.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
/// What documents say as their `apiVersion`.
pub const API_VERSION: &str = "weir.dev/v1alpha1";
/// The namespace of a resource that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// Approves changes that lose data. Its value is the generation that is approved, or `true`.
pub const APPROVE_ANNOTATION: &str = "weir.dev/approve";
