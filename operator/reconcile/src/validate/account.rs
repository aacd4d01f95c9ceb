//! Accounts: the claims they should have.

use api::user::{Permissions, SubjectRules};
use api::{Account, ManagementPolicy, Policies, Resource, ResourceId};
use identity::jwt;

use super::{Invalid, bytes, limit};
use crate::dereference::account_key;
use crate::keys::Entry;

#[derive(Clone, Debug)]
pub(crate) struct ValidatedAccount {
    pub(crate) id: ResourceId,
    /// What servers show.
    pub(crate) display_name: String,
    /// Without keys and revocations, which are not the resource's to say.
    pub(crate) claims: jwt::Account,
    pub(crate) policies: Policies,
    /// Where its seed is.
    pub(crate) key: Entry,
}

pub(super) fn validate(account: &Account) -> Result<ValidatedAccount, Invalid> {
    let id = Resource::Account(Box::new(account.clone())).id();
    let spec = &account.spec;
    let claims = jwt::Account {
        limits: limits(account),
        default_permissions: default_permissions(spec.default_permissions.as_ref()),
        description: spec.description.clone().unwrap_or_default(),
        ..jwt::Account::default()
    };
    Ok(ValidatedAccount {
        key: account_key(account),
        display_name: spec.display_name.clone().unwrap_or_else(|| id.name.clone()),
        id,
        claims,
        policies: spec.policies(),
    })
}

impl ValidatedAccount {
    pub(crate) fn may_change(&self, exists: bool) -> bool {
        match self.policies.management {
            ManagementPolicy::Full => true,
            ManagementPolicy::CreateOnly => !exists,
            ManagementPolicy::Observe => false,
        }
    }
}

fn limits(account: &Account) -> jwt::OperatorLimits {
    let limits = account.spec.limits.clone().unwrap_or_default();
    let jetstream = account.spec.jetstream_limits.as_ref();
    jwt::OperatorLimits {
        conn: limit(limits.connections),
        subs: limit(limits.subscriptions),
        payload: bytes(limits.max_payload),
        jetstream: jetstream.map_or_else(jwt::JetStreamLimits::default, |limits| {
            jwt::JetStreamLimits {
                mem_storage: bytes(limits.memory_store).max(0),
                disk_storage: bytes(limits.file_store).max(0),
                streams: limit(limits.streams),
                consumer: limit(limits.consumers),
                max_ack_pending: limit(limits.max_ack_pending),
                mem_max_stream_bytes: bytes(limits.memory_max_stream_bytes),
                disk_max_stream_bytes: bytes(limits.file_max_stream_bytes),
                max_bytes_required: limits.max_bytes_required,
            }
        }),
        ..jwt::OperatorLimits::unlimited()
    }
}

fn default_permissions(permissions: Option<&Permissions>) -> jwt::DefaultPermissions {
    let (publish, subscribe, responses) = claims(permissions);
    jwt::DefaultPermissions {
        publish,
        subscribe,
        responses,
    }
}

/// Permissions to publish, to subscribe and to respond, as claims word them.
pub(super) fn claims(
    permissions: Option<&Permissions>,
) -> (
    jwt::Permission,
    jwt::Permission,
    Option<jwt::ResponsePermission>,
) {
    let rules = |rules: Option<&SubjectRules>| {
        let rules = rules.cloned().unwrap_or_default();
        jwt::Permission {
            allow: rules.allow.unwrap_or_default(),
            deny: rules.deny.unwrap_or_default(),
        }
    };
    let responses = permissions.and_then(|permissions| permissions.allow_responses.as_ref());
    (
        rules(permissions.and_then(|permissions| permissions.publish.as_ref())),
        rules(permissions.and_then(|permissions| permissions.subscribe.as_ref())),
        responses.map(|responses| jwt::ResponsePermission {
            max: i64::from(responses.max_messages),
            ttl: limit(Some(responses.expires.as_nanos())),
        }),
    )
}
