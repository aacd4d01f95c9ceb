//! Step 1: what a resource points to.

use api::{AccountRef, Consumer, Kind, Resource, ResourceId};

use crate::set::{ResourceSet, account_id};

/// What a resource points to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct References {
    pub(crate) account: ResourceId,
    /// The name on the server of the stream that a consumer reads from.
    pub(crate) stream: Option<String>,
    /// The account's ceiling for unacknowledged messages of one consumer.
    pub(crate) max_ack_pending: Option<u32>,
}

/// Why a resource points to nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DereferenceError {
    #[error("{0} does not exist; create it or correct the reference")]
    NotFound(ResourceId),
    #[error("{0} is being deleted; point to another one or delete this resource too")]
    Deleted(ResourceId),
    #[error("{account} does not allow namespace {namespace}; add it to allowedNamespaces there")]
    NotAllowed {
        account: ResourceId,
        namespace: String,
    },
    #[error("{stream} belongs to another account; use the same accountRef in both")]
    OtherAccount { stream: ResourceId },
}

/// Follows the references of a resource; `None` for accounts, which have none.
pub(crate) fn dereference(
    set: &ResourceSet,
    resource: &Resource,
) -> Result<Option<References>, DereferenceError> {
    let namespace = resource.id().namespace;
    let points = match resource {
        Resource::Account(_) => return Ok(None),
        Resource::User(user) => &user.spec.account_ref,
        Resource::Stream(stream) => &stream.spec.account_ref,
        Resource::KVBucket(bucket) => &bucket.spec.account_ref,
        Resource::Consumer(consumer) => &consumer.spec.account_ref,
    };
    let mut references = account(set, &namespace, points)?;
    if let Resource::Consumer(consumer) = resource {
        references.stream = stream(set, &namespace, consumer, &references.account)?;
    }
    Ok(Some(references))
}

fn account(
    set: &ResourceSet,
    namespace: &str,
    points: &AccountRef,
) -> Result<References, DereferenceError> {
    let id = account_id(namespace, points);
    let Some(account) = set.account(namespace, points) else {
        return Err(DereferenceError::NotFound(id));
    };
    let allowed = &account.spec.allowed_namespaces;
    if id.namespace != namespace && !allowed.iter().any(|name| name == "*" || name == namespace) {
        return Err(DereferenceError::NotAllowed {
            account: id,
            namespace: namespace.to_owned(),
        });
    }
    let limits = account.spec.jetstream_limits.as_ref();
    Ok(References {
        account: id,
        stream: None,
        max_ack_pending: limits.and_then(|limits| limits.max_ack_pending),
    })
}

fn stream(
    set: &ResourceSet,
    namespace: &str,
    consumer: &Consumer,
    account: &ResourceId,
) -> Result<Option<String>, DereferenceError> {
    let Some(points) = &consumer.spec.stream_ref else {
        return Ok(consumer.spec.stream_name.clone());
    };
    let id = ResourceId {
        kind: Kind::Stream,
        namespace: namespace.to_owned(),
        name: points.name.clone(),
    };
    let Some(Resource::Stream(stream)) = set.get(&id) else {
        return Err(DereferenceError::NotFound(id));
    };
    if account_id(namespace, &stream.spec.account_ref) != *account {
        return Err(DereferenceError::OtherAccount { stream: id });
    }
    if stream.metadata.deletion_timestamp.is_some()
        && consumer.metadata.deletion_timestamp.is_none()
    {
        return Err(DereferenceError::Deleted(id));
    }
    Ok(Some(stream.stream_name()))
}
