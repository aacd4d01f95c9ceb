//! Operator mode: tokens, and the chain of signatures behind them.

use std::sync::Arc;

use super::scope::expand;
use super::time_and_place::end_of_stay;
use super::{AccountLookup, Attempt, AuthError, Authenticator, ConnectionKind, OwnKey, Proxied};
use crate::jwt::{AccountClaims, NO_LIMIT, OperatorLimits, UserClaims, UserLimits};
use crate::{Limits, Login, PermissionRules, Permissions, nkey};

impl Authenticator {
    pub(super) fn authenticate_token(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
        proxied: Proxied,
    ) -> Result<Login, AuthError> {
        let (user, account) = self.claims_of(attempt, accounts)?;
        self.judge_token(attempt, (&user, &account), accounts, proxied)
    }

    /// The user's claims, and those of the account it belongs to.
    pub(super) fn claims_of(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
    ) -> Result<(UserClaims, Arc<AccountClaims>), AuthError> {
        let user = self.user_token(attempt)?;
        if !user.is_valid_at(attempt.now_s) {
            return Err(AuthError::UserTime);
        }
        let name = account_of(&user);
        let pinned = &self.rules.pinned_accounts;
        if !pinned.is_empty() && !pinned.iter().any(|account| account == name) {
            return Err(AuthError::AccountNotPinned(name.to_owned()));
        }
        let account = accounts
            .account(name)
            .filter(|account| account.subject == name)
            .ok_or_else(|| AuthError::UnknownAccount(name.to_owned()))?;
        self.check_account(&account, attempt.now_s)?;
        Ok((user, account))
    }

    pub(super) fn judge_token(
        &self,
        attempt: &Attempt<'_>,
        (user, account): (&UserClaims, &AccountClaims),
        accounts: &dyn AccountLookup,
        proxied: Proxied,
    ) -> Result<Login, AuthError> {
        let limits = self.effective_limits(user, account)?;
        proxied.check(limits.proxy_required)?;
        check_connection_kind(&limits.allowed_connection_types, attempt.kind)?;
        if !limits.bearer_token {
            nkey::verify_nonce(&user.subject, attempt.nonce, &attempt.options.sig)
                .map_err(AuthError::Nonce)?;
        } else if account.body.limits.disallow_bearer {
            return Err(AuthError::BearerToken);
        }
        if account.is_revoked(&user.subject, user.issued_at_s) {
            return Err(AuthError::UserRevoked {
                user: user.subject.clone(),
                account: account.subject.clone(),
            });
        }
        let end_of_day_part = end_of_stay(&limits, attempt, accounts)?;
        Ok(login(user, account, &limits, end_of_day_part))
    }

    /// The token that the client presents, or the default one.
    pub(super) fn user_token(&self, attempt: &Attempt<'_>) -> Result<UserClaims, AuthError> {
        let presented = attempt.options.jwt.as_str();
        let error = match UserClaims::decode(presented) {
            Ok(user) => return Ok(user),
            Err(_) if presented.is_empty() => AuthError::NoToken,
            Err(error) => AuthError::from(error),
        };
        let sentinel = self.rules.default_sentinel.as_deref().ok_or(error)?;
        Ok(UserClaims::decode(sentinel)?)
    }

    pub(super) fn check_account(
        &self,
        account: &AccountClaims,
        now_s: i64,
    ) -> Result<(), AuthError> {
        if !self.trusted.contains_key(&account.issuer) {
            return Err(AuthError::AccountNotTrusted(account.subject.clone()));
        }
        if !account.is_valid_at(now_s) {
            return Err(AuthError::AccountTime(account.subject.clone()));
        }
        Ok(())
    }

    /// What the user may do: as its token says, or as the scope of the signing key says.
    fn effective_limits(
        &self,
        user: &UserClaims,
        account: &AccountClaims,
    ) -> Result<UserLimits, AuthError> {
        let unknown = || AuthError::UnknownSigner(user.issuer.clone());
        let own_key = self.trusted.get(&account.issuer).copied();
        if user.issuer == account.subject && own_key == Some(OwnKey::MayNotSign) {
            return Err(unknown());
        }
        match account.signer(&user.issuer).ok_or_else(unknown)? {
            None => Ok(user.body.limits.clone()),
            Some(_) if user.body.limits != UserLimits::default() => Err(AuthError::ScopedUser),
            Some(scope) => expand(&scope.template, user, account),
        }
    }
}

/// The public key of the account that a user belongs to.
pub(super) fn account_of(user: &UserClaims) -> &str {
    match user.body.issuer_account.as_str() {
        "" => &user.issuer,
        account => account,
    }
}

/// Names that this server does not know allow nothing, and forbid nothing else.
pub(super) fn check_connection_kind(
    allowed: &[String],
    kind: ConnectionKind,
) -> Result<(), AuthError> {
    let mut known = allowed
        .iter()
        .filter_map(|name| ConnectionKind::from_name(name));
    if allowed.is_empty() || known.any(|allowed| allowed == kind) {
        return Ok(());
    }
    Err(AuthError::ConnectionKind(kind))
}

fn login(
    user: &UserClaims,
    account: &AccountClaims,
    limits: &UserLimits,
    end_of_day_part: Option<i64>,
) -> Login {
    let rules = rules_of(limits, account);
    let OperatorLimits { payload, subs, .. } = account.body.limits;
    Login {
        account: account.subject.clone(),
        user: user.subject.clone(),
        permissions: rules.map(Permissions::new).unwrap_or_default(),
        limits: limits_of(limits.payload, limits.subs).stricter(limits_of(payload, subs)),
        expires_at_s: [user.expires_at_s, end_of_day_part]
            .into_iter()
            .flatten()
            .min(),
        account_expires_at_s: account.expires_at_s,
        nkey: Some(user.subject.clone()),
        issuer: Some(user.issuer.clone()),
        issued_at_s: user.issued_at_s,
        name_tag: user.name.clone(),
        tags: user.tags.clone(),
        delegated: false,
    }
}

/// The user's permissions, or those of its account for users without.
pub(super) fn rules_of(limits: &UserLimits, account: &AccountClaims) -> Option<PermissionRules> {
    let defaults = &account.body.default_permissions;
    let of_account = || defaults.as_user_limits().permission_rules();
    limits.permission_rules().or_else(of_account)
}

pub(super) fn limits_of(payload: i64, subs: i64) -> Limits {
    let limit = |value: i64| (value != NO_LIMIT).then(|| u64::try_from(value).unwrap_or(0));
    Limits {
        max_payload: limit(payload),
        max_subscriptions: limit(subs),
    }
}
