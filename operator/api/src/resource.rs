//! A resource of any kind.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    Account, AccountRef, Connection, Consumer, DEFAULT_NAMESPACE, KVBucket, ObjectStore, Policies,
    Stream, SyncStatus, User,
};

/// The kinds of resources, in the order in which they depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Account,
    User,
    Stream,
    KVBucket,
    ObjectStore,
    Consumer,
}

/// Tells a resource from every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// A resource of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    Account(Box<Account>),
    User(Box<User>),
    Stream(Box<Stream>),
    KVBucket(Box<KVBucket>),
    ObjectStore(Box<ObjectStore>),
    Consumer(Box<Consumer>),
}

impl Kind {
    pub const ALL: [Kind; 6] = [
        Kind::Account,
        Kind::User,
        Kind::Stream,
        Kind::KVBucket,
        Kind::ObjectStore,
        Kind::Consumer,
    ];

    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Account => "Account",
            Kind::User => "User",
            Kind::Stream => "Stream",
            Kind::KVBucket => "KVBucket",
            Kind::ObjectStore => "ObjectStore",
            Kind::Consumer => "Consumer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl Resource {
    pub fn kind(&self) -> Kind {
        match self {
            Resource::Account(_) => Kind::Account,
            Resource::User(_) => Kind::User,
            Resource::Stream(_) => Kind::Stream,
            Resource::KVBucket(_) => Kind::KVBucket,
            Resource::ObjectStore(_) => Kind::ObjectStore,
            Resource::Consumer(_) => Kind::Consumer,
        }
    }

    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Resource::Account(account) => &account.metadata,
            Resource::User(user) => &user.metadata,
            Resource::Stream(stream) => &stream.metadata,
            Resource::KVBucket(bucket) => &bucket.metadata,
            Resource::ObjectStore(store) => &store.metadata,
            Resource::Consumer(consumer) => &consumer.metadata,
        }
    }

    pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Resource::Account(account) => &mut account.metadata,
            Resource::User(user) => &mut user.metadata,
            Resource::Stream(stream) => &mut stream.metadata,
            Resource::KVBucket(bucket) => &mut bucket.metadata,
            Resource::ObjectStore(store) => &mut store.metadata,
            Resource::Consumer(consumer) => &mut consumer.metadata,
        }
    }

    pub fn id(&self) -> ResourceId {
        let metadata = self.metadata();
        ResourceId {
            kind: self.kind(),
            namespace: namespace_of(metadata),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    /// The part of the status that every kind has, as it was reported last.
    pub fn sync_status(&self) -> Option<&SyncStatus> {
        match self {
            Resource::Account(account) => account.status.as_ref().map(|status| &status.sync),
            Resource::User(user) => user.status.as_ref().map(|status| &status.sync),
            Resource::Stream(stream) => stream.status.as_ref().map(|status| &status.sync),
            Resource::KVBucket(bucket) => bucket.status.as_ref().map(|status| &status.sync),
            Resource::ObjectStore(store) => store.status.as_ref().map(|status| &status.sync),
            Resource::Consumer(consumer) => consumer.status.as_ref().map(|status| &status.sync),
        }
    }

    /// Where it belongs: an account of a cluster, or servers that no Cluster describes. Neither for accounts.
    pub fn target(&self) -> (Option<&AccountRef>, Option<&Connection>) {
        match self {
            Resource::Account(_) => (None, None),
            Resource::User(user) => (Some(&user.spec.account_ref), None),
            Resource::Stream(stream) => (
                stream.spec.account_ref.as_ref(),
                stream.spec.connection.as_ref(),
            ),
            Resource::KVBucket(bucket) => (
                bucket.spec.account_ref.as_ref(),
                bucket.spec.connection.as_ref(),
            ),
            Resource::ObjectStore(store) => (
                store.spec.account_ref.as_ref(),
                store.spec.connection.as_ref(),
            ),
            Resource::Consumer(consumer) => (
                consumer.spec.account_ref.as_ref(),
                consumer.spec.connection.as_ref(),
            ),
        }
    }

    /// How far its reconciliation may go.
    pub fn policies(&self) -> Policies {
        match self {
            Resource::Account(account) => account.spec.policies(),
            Resource::User(user) => Policies {
                deletion: user.spec.deletion_policy,
                ..Policies::default()
            },
            Resource::Stream(stream) => stream.spec.policies(),
            Resource::KVBucket(bucket) => bucket.spec.policies(),
            Resource::ObjectStore(store) => store.spec.policies(),
            Resource::Consumer(consumer) => consumer.spec.policies(),
        }
    }

    /// Whether the resource is being deleted.
    pub fn is_deleted(&self) -> bool {
        self.metadata().deletion_timestamp.is_some()
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata().annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    /// Checks the rules of the kind as an API server does, against the resource it replaces too.
    /// The texts say what to do instead.
    pub fn check_rules(&self, old: Option<&Resource>) -> Vec<RuleFailure> {
        let checked = match (self, old) {
            (Resource::Account(new), Some(Resource::Account(old))) => new.validate_cel_update(old),
            (Resource::User(new), Some(Resource::User(old))) => new.validate_cel_update(old),
            (Resource::Stream(new), Some(Resource::Stream(old))) => new.validate_cel_update(old),
            (Resource::KVBucket(new), Some(Resource::KVBucket(old))) => {
                new.validate_cel_update(old)
            }
            (Resource::ObjectStore(new), Some(Resource::ObjectStore(old))) => {
                new.validate_cel_update(old)
            }
            (Resource::Consumer(new), Some(Resource::Consumer(old))) => {
                new.validate_cel_update(old)
            }
            (Resource::Account(new), _) => new.validate_cel(),
            (Resource::User(new), _) => new.validate_cel(),
            (Resource::Stream(new), _) => new.validate_cel(),
            (Resource::KVBucket(new), _) => new.validate_cel(),
            (Resource::ObjectStore(new), _) => new.validate_cel(),
            (Resource::Consumer(new), _) => new.validate_cel(),
        };
        let Err(errors) = checked else {
            return Vec::new();
        };
        errors
            .into_vec()
            .into_iter()
            .map(|error| RuleFailure {
                field: error.field_path,
                message: error.message,
            })
            .collect()
    }
}

/// A rule that a resource breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFailure {
    /// Such as `spec.discard`.
    pub field: String,
    /// What is wrong and what to do instead.
    pub message: String,
}

fn namespace_of(metadata: &ObjectMeta) -> String {
    metadata
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}
