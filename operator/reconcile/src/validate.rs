//! Step 2: what a resource wants, in a form that can not be wrong by itself.

mod account;
mod bucket;
mod consumer;
mod object_store;
mod stream;
#[cfg(test)]
mod tests;
mod user;

use api::{APPROVE_ANNOTATION, Duration, Policies, Quantity, Resource, ResourceId};

use crate::config::{Config, Field};
use crate::dereference::{Place, References};

pub(crate) use account::{Exporter, Signing, Turns, ValidatedAccount};
pub(crate) use consumer::complete as complete_consumer;
pub(crate) use user::ValidatedUser;

/// The shortest age and duplicate window that servers accept.
const SHORTEST: Duration = Duration::from_nanos(100_000_000);

/// What is wrong with a resource although its schema and rules accept it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub(crate) struct Invalid {
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

/// A resource with everything decided.
#[derive(Clone, Debug)]
pub(crate) enum Validated {
    Account(Box<ValidatedAccount>),
    User(ValidatedUser),
    Asset(ValidatedAsset),
}

/// A stream, a bucket or a consumer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValidatedAsset {
    pub(crate) id: ResourceId,
    pub(crate) place: Place,
    /// JetStream domain; that of the servers if there is none.
    pub(crate) domain: Option<String>,
    pub(crate) address: Address,
    pub(crate) config: Config,
    pub(crate) fields: Fields,
    pub(crate) policies: Policies,
    pub(crate) approval: Approval,
    /// The account's ceiling for unacknowledged messages of one consumer.
    pub(crate) max_ack_pending: Option<u32>,
}

/// The table that belongs to an asset.
pub(crate) type Fields = &'static [Field];

/// Where on the server it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Address {
    Stream(String),
    Consumer { stream: String, name: String },
}

/// Whether a person has allowed this very generation to lose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Missing,
    Given,
}

/// Decides everything about a resource.
pub(crate) fn validate(resource: &Resource, to: References) -> Result<Validated, Invalid> {
    match resource {
        Resource::Account(account) => account::validate(account, to)
            .map(Box::new)
            .map(Validated::Account),
        Resource::User(user) => user::validate(user, to).map(Validated::User),
        Resource::Stream(stream) => stream::validate(stream, to).map(Validated::Asset),
        Resource::KVBucket(bucket) => bucket::validate(bucket, to).map(Validated::Asset),
        Resource::ObjectStore(store) => object_store::validate(store, to).map(Validated::Asset),
        Resource::Consumer(consumer) => consumer::validate(consumer, to).map(Validated::Asset),
    }
}

impl Approval {
    pub(crate) fn of(resource: &Resource) -> Approval {
        let generation = resource
            .metadata()
            .generation
            .map(|number| number.to_string());
        match resource.annotation(APPROVE_ANNOTATION) {
            Some(value) if value == "true" || Some(value) == generation.as_deref() => {
                Approval::Given
            }
            _ => Approval::Missing,
        }
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> Invalid {
    Invalid {
        field,
        message: message.into(),
    }
}

/// Nanoseconds, 0 if there is none.
fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(0, Duration::as_nanos)
}

/// A limit as servers write it.
fn limit<N: TryInto<i64>>(limit: Option<N>) -> i64 {
    limit.and_then(|limit| limit.try_into().ok()).unwrap_or(-1)
}

fn bytes(quantity: Option<Quantity>) -> i64 {
    limit(quantity.map(Quantity::bytes))
}

/// Message sizes have 32 bits with a sign on servers.
fn message_bytes(field: &'static str, quantity: Option<Quantity>) -> Result<i64, Invalid> {
    let size = bytes(quantity);
    if size > i64::from(i32::MAX) {
        return Err(invalid(field, "must be below 2Gi"));
    }
    Ok(size)
}

fn long_enough(field: &'static str, duration: Option<Duration>) -> Result<(), Invalid> {
    match duration {
        Some(duration) if !duration.is_zero() && duration < SHORTEST => {
            Err(invalid(field, format!("must be at least {SHORTEST}")))
        }
        _ => Ok(()),
    }
}

/// The duplicate window that servers choose themselves.
fn default_duplicate_window(max_age: Option<Duration>) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(120);
    match max_age {
        Some(age) if !age.is_zero() && age < DEFAULT => age,
        _ => DEFAULT,
    }
}
