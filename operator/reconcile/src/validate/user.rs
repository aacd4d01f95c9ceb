//! Users: the claims they should have, and how long.

use api::{DeletionPolicy, Duration, Resource, ResourceId, User};
use identity::jwt;

use super::account::claims;
use super::{Invalid, bytes, invalid, limit};
use crate::dereference::{AccountPlace, Place, References};

/// Credentials are renewed when this part of their life is left, unless the resource says more.
const RENEW_AT_A: u64 = 3;
/// Shorter lives would be over before clients have read the new credentials.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct ValidatedUser {
    pub(crate) id: ResourceId,
    pub(crate) account: AccountPlace,
    pub(crate) claims: jwt::User,
    pub(crate) life: Option<Life>,
    pub(crate) deletion: DeletionPolicy,
}

/// How long credentials are valid and when they are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) expires_after_s: i64,
    pub(crate) renew_before_s: i64,
}

pub(super) fn validate(user: &User, to: References) -> Result<ValidatedUser, Invalid> {
    let spec = &user.spec;
    let Place::Account(account) = to.place else {
        return Err(invalid("accountRef", "is missing"));
    };
    let (publish, subscribe, responses) = claims(spec.permissions.as_ref());
    let limits = spec.limits.clone().unwrap_or_default();
    let claims = jwt::User {
        limits: jwt::UserLimits {
            publish,
            subscribe,
            responses,
            src: limits.allowed_networks,
            subs: limit(limits.subscriptions),
            payload: bytes(limits.max_payload),
            ..jwt::UserLimits::unlimited()
        },
        ..jwt::User::default()
    };
    Ok(ValidatedUser {
        id: Resource::User(Box::new(user.clone())).id(),
        account,
        claims,
        life: life(spec.expires_after, spec.rotate_before)?,
        deletion: spec.deletion_policy,
    })
}

fn life(
    expires_after: Option<Duration>,
    rotate_before: Option<Duration>,
) -> Result<Option<Life>, Invalid> {
    let Some(life) = expires_after else {
        return Ok(None);
    };
    if life < SHORTEST_LIFE {
        let message = format!("must be at least {SHORTEST_LIFE}");
        return Err(invalid("expiresAfter", message));
    }
    let before = rotate_before.map_or(life.as_secs() / RENEW_AT_A, Duration::as_secs);
    if before >= life.as_secs() {
        let message = "must be shorter than expiresAfter, or credentials are renewed without end";
        return Err(invalid("rotateBefore", message));
    }
    Ok(Some(Life {
        expires_after_s: limit(Some(life.as_secs())),
        renew_before_s: limit(Some(before)),
    }))
}
