//! Step 1: what a resource points to.

use api::{Account, AccountRef, Connection, Consumer, Kind, Resource, ResourceId, SecretKeyRef};

use crate::keys::Entry;
use crate::set::{Lookup, account_id};

/// What a resource points to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct References {
    pub(crate) place: Place,
    /// The name on the server of the stream that a consumer reads from.
    pub(crate) stream: Option<String>,
    /// The accounts that an account imports from, in the order of its imports that name one.
    pub(crate) exporters: Vec<AccountPlace>,
    /// The account's ceiling for unacknowledged messages of one consumer.
    pub(crate) max_ack_pending: Option<u32>,
}

/// Where something belongs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Account(AccountPlace),
    /// Servers that no Cluster describes.
    Connection,
}

/// An account, and where its seed is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccountPlace {
    pub(crate) id: ResourceId,
    pub(crate) key: Entry,
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
    #[error("{stream} belongs elsewhere; use the same accountRef or connection in both")]
    OtherPlace { stream: ResourceId },
    #[error("neither accountRef nor connection is set; set one of them")]
    Nowhere,
}

/// Follows the references of a resource.
pub(crate) fn dereference(
    lookup: &dyn Lookup,
    resource: &Resource,
) -> Result<References, DereferenceError> {
    let namespace = resource.id().namespace;
    if let Resource::Account(account) = resource {
        return exporters(lookup, &namespace, account);
    }
    let mut references = match resource.target() {
        (Some(points), _) => account(lookup, &namespace, points)?,
        (None, Some(_)) => References {
            place: Place::Connection,
            stream: None,
            exporters: Vec::new(),
            max_ack_pending: None,
        },
        (None, None) => return Err(DereferenceError::Nowhere),
    };
    if let Resource::Consumer(consumer) = resource {
        references.stream = stream(lookup, &namespace, consumer, resource)?;
    }
    Ok(references)
}

fn exporters(
    lookup: &dyn Lookup,
    namespace: &str,
    importer: &Account,
) -> Result<References, DereferenceError> {
    let mut exporters = Vec::new();
    // What an account that goes had imported does not matter.
    if importer.metadata.deletion_timestamp.is_none() {
        let imports = importer.spec.imports.iter();
        for points in imports.filter_map(|import| import.account_ref.as_ref()) {
            if let Place::Account(exporter) = account(lookup, namespace, points)?.place {
                exporters.push(exporter);
            }
        }
    }
    Ok(References {
        place: Place::Account(AccountPlace {
            id: Resource::Account(Box::new(importer.clone())).id(),
            key: account_key(importer),
        }),
        stream: None,
        exporters,
        max_ack_pending: None,
    })
}

/// Where the seed of an account is.
pub(crate) fn account_key(account: &Account) -> Entry {
    let id = Resource::Account(Box::new(account.clone())).id();
    match account.spec.key_secret_ref.clone() {
        Some(SecretKeyRef { name, key }) => Entry::Given {
            namespace: id.namespace,
            name,
            key,
        },
        None => Entry::AccountSeed {
            namespace: id.namespace,
            name: id.name,
        },
    }
}

fn account(
    lookup: &dyn Lookup,
    namespace: &str,
    points: &AccountRef,
) -> Result<References, DereferenceError> {
    let id = account_id(namespace, points);
    let Some(Resource::Account(account)) = lookup.find(&id) else {
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
        max_ack_pending: limits.and_then(|limits| limits.max_ack_pending),
        place: Place::Account(AccountPlace {
            id,
            key: account_key(&account),
        }),
        stream: None,
        exporters: Vec::new(),
    })
}

fn stream(
    lookup: &dyn Lookup,
    namespace: &str,
    consumer: &Consumer,
    resource: &Resource,
) -> Result<Option<String>, DereferenceError> {
    let Some(points) = &consumer.spec.stream_ref else {
        return Ok(consumer.spec.stream_name.clone());
    };
    let id = ResourceId {
        kind: Kind::Stream,
        namespace: namespace.to_owned(),
        name: points.name.clone(),
    };
    let Some(found) = lookup.find(&id) else {
        return Err(DereferenceError::NotFound(id));
    };
    let Resource::Stream(stream) = &found else {
        return Err(DereferenceError::NotFound(id));
    };
    let of_consumer = (place(namespace, resource.target()), &consumer.spec.domain);
    if (place(namespace, found.target()), &stream.spec.domain) != of_consumer {
        return Err(DereferenceError::OtherPlace { stream: id });
    }
    if found.is_deleted() && !resource.is_deleted() {
        return Err(DereferenceError::Deleted(id));
    }
    Ok(Some(stream.stream_name()))
}

/// What must be the same for two resources of a namespace to be in the same place.
fn place<'a>(
    namespace: &str,
    target: (Option<&AccountRef>, Option<&'a Connection>),
) -> (Option<ResourceId>, Option<&'a Connection>) {
    let account = target.0.map(|points| account_id(namespace, points));
    (account, target.1)
}
