//! What one pass did and found.

use api::{
    AccountStatus, ConsumerStatus, FieldDiff, KVBucketStatus, Kind, ObjectStoreStatus, ResourceId,
    StreamStatus, SyncStatus, UserStatus, status,
};

/// What one pass did and found, resource by resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// In the order in which they were reconciled.
    pub outcomes: Vec<Outcome>,
}

/// What one pass did with one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub id: ResourceId,
    /// To be written into the resource; conditions and differences are in its common part.
    pub status: Status,
    /// What was changed on the server or in the key store.
    pub action: Option<Action>,
    /// Why the server does not hold what the resource says, and what to do.
    pub error: Option<String>,
    /// Whether trying again soon may help although nobody changes anything.
    pub retry: bool,
    /// Whether the resource is being deleted and nothing is left to do for it.
    pub is_gone: bool,
}

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    /// Somebody had changed the server behind the resource.
    Corrected,
    /// Nobody had managed it before.
    Adopted,
    /// Credentials were about to expire.
    Renewed,
    Deleted,
}

/// The status of a resource of any kind.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Status {
    Account(AccountStatus),
    User(UserStatus),
    Stream(StreamStatus),
    KVBucket(KVBucketStatus),
    ObjectStore(ObjectStoreStatus),
    Consumer(ConsumerStatus),
}

impl Report {
    /// Whether the servers hold what every resource says.
    pub fn is_synced(&self) -> bool {
        self.outcomes.iter().all(Outcome::is_synced)
    }

    /// Whether trying again soon may help although nobody changes anything.
    pub fn needs_retry(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.retry)
    }

    /// The resources for which something was changed.
    pub fn changed(&self) -> impl Iterator<Item = (&ResourceId, Action)> {
        self.outcomes
            .iter()
            .filter_map(|outcome| Some((&outcome.id, outcome.action?)))
    }

    pub fn get(&self, id: &ResourceId) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.id == *id)
    }
}

impl Outcome {
    pub fn is_synced(&self) -> bool {
        self.is_gone || self.sync().is_true(status::SYNCED)
    }

    /// The conditions, differences and times that every kind has.
    pub fn sync(&self) -> &SyncStatus {
        self.status.sync()
    }

    /// What differs between the server and the resource.
    pub fn diff(&self) -> &[FieldDiff] {
        &self.sync().diff
    }
}

impl Status {
    /// A status that says nothing yet.
    pub(crate) fn empty(kind: Kind) -> Status {
        match kind {
            Kind::Account => Status::Account(AccountStatus::default()),
            Kind::User => Status::User(UserStatus::default()),
            Kind::Stream => Status::Stream(StreamStatus::default()),
            Kind::KVBucket => Status::KVBucket(KVBucketStatus::default()),
            Kind::ObjectStore => Status::ObjectStore(ObjectStoreStatus::default()),
            Kind::Consumer => Status::Consumer(ConsumerStatus::default()),
        }
    }

    pub fn sync(&self) -> &SyncStatus {
        match self {
            Status::Account(status) => &status.sync,
            Status::User(status) => &status.sync,
            Status::Stream(status) => &status.sync,
            Status::KVBucket(status) => &status.sync,
            Status::ObjectStore(status) => &status.sync,
            Status::Consumer(status) => &status.sync,
        }
    }

    pub(crate) fn sync_mut(&mut self) -> &mut SyncStatus {
        match self {
            Status::Account(status) => &mut status.sync,
            Status::User(status) => &mut status.sync,
            Status::Stream(status) => &mut status.sync,
            Status::KVBucket(status) => &mut status.sync,
            Status::ObjectStore(status) => &mut status.sync,
            Status::Consumer(status) => &mut status.sync,
        }
    }
}
