//! Logins that an authentication service decides.
//!
//! The server asks on [`SUBJECT`] in the service's account, with a token it signed, about a user key
//! made for this question alone. The answer is a token of the service's, and in it one of the user
//! that the client becomes.

use std::sync::Arc;

use super::operator::{check_connection_kind, limits_of, rules_of};
use super::scope::expand;
use super::time_and_place::end_of_stay;
use super::{
    AccountLookup, Attempt, AuthError, Authenticator, GLOBAL_ACCOUNT, Proxied, chooses_account,
};
use crate::jwt::{AccountClaims, AuthorizationResponseClaims, UserClaims, UserLimits};
use crate::xkey::XKey;
use crate::{Login, Permissions};

/// Where services are asked. Nobody but the server may publish to it in their account.
pub const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
/// Who the question's token is for.
pub const AUDIENCE: &str = "nats-authorization-request";
/// The header that tells with which key a question was sealed.
pub const XKEY_HEADER: &str = "Nats-Server-Xkey";
/// What people see in place of a secret.
pub const REDACTED: &str = "[REDACTED]";
/// How tokens begin, and sealed ones do not.
const TOKEN_START: &[u8] = b"eyJ";
/// The allowed account that stands for all.
const ANY_ACCOUNT: &str = "*";

/// The service that decides, as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callout {
    /// Public account key that signs answers and users.
    pub issuer: String,
    /// The account that the service listens in.
    pub account: String,
    /// Users that are let in without asking the service: it is one of them.
    pub auth_users: Vec<String>,
    /// Public curve key that questions are sealed for.
    pub xkey: Option<String>,
    /// The accounts whose own users are asked about, too; empty for all.
    pub allowed_accounts: Vec<String>,
}

/// What comes of credentials before any service was asked.
#[derive(Debug)]
pub enum Verdict {
    Decided(Result<Login, AuthError>),
    /// A service has to be asked.
    Delegated(Delegation),
}

/// Which service decides, and on which terms.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// The account that the service listens in.
    pub account: String,
    /// What the question's token is about.
    pub subject: String,
    /// The key to seal the question for.
    pub xkey: Option<String>,
    /// The user's token, when it was not the client that presented it.
    pub token: String,
    proxied: Proxied,
    proxy_required: bool,
    /// The claims of the service's account, in operator mode.
    claims: Option<Arc<AccountClaims>>,
}

/// An answer of a service, and what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub bytes: &'a [u8],
    /// The public key that the question was about.
    pub user: &'a str,
    /// The public key of the server that asked.
    pub server: &'a str,
    /// The key that answers can be sealed for.
    pub xkey: &'a XKey,
}

impl Authenticator {
    /// Checks the credentials as far as that can be done here. See [`Authenticator::authenticate`].
    pub fn decide(&self, attempt: &Attempt<'_>, accounts: &dyn AccountLookup) -> Verdict {
        let proxied = match self.check_proxy(attempt) {
            _ if self.rules.callout.is_none() && !self.is_operator_mode() => None,
            Err(error) => return Verdict::Decided(Err(error)),
            Ok(_) if chooses_account(attempt) => None,
            Ok(proxied) => Some(proxied),
        };
        let delegated = proxied.and_then(|proxied| match self.is_operator_mode() {
            true => self.decide_token(attempt, accounts, proxied),
            false => self.decide_configured(attempt, accounts, proxied),
        });
        delegated.unwrap_or_else(|| Verdict::Decided(self.authenticate(attempt, accounts)))
    }

    /// `None` when no service has a say.
    fn decide_configured(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
        proxied: Proxied,
    ) -> Option<Verdict> {
        let callout = self.rules.callout.as_ref()?;
        let decided = self.authenticate(attempt, accounts);
        if let Ok(login) = &decided
            && login.account != GLOBAL_ACCOUNT
            && !callout.decides_for(&login.account)
        {
            return Some(Verdict::Decided(decided));
        }
        let exempt = self
            .named_user(attempt)
            .is_some_and(|user| callout.auth_users.iter().any(|name| name == user));
        if exempt {
            let login = decided.map(|login| guarded(login, &callout.account));
            return Some(Verdict::Decided(login));
        }
        Some(Verdict::Delegated(Delegation {
            account: callout.account.clone(),
            subject: callout.issuer.clone(),
            xkey: callout.xkey.clone(),
            token: String::new(),
            proxied,
            proxy_required: false,
            claims: None,
        }))
    }

    /// `None` when the user's account does not delegate, or there is none.
    fn decide_token(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
        proxied: Proxied,
    ) -> Option<Verdict> {
        let (user, account) = self.claims_of(attempt, accounts).ok()?;
        let external = &account.body.authorization;
        if external.is_absent() {
            return None;
        }
        if proxied.check(user.body.limits.proxy_required).is_err() {
            return Some(Verdict::Decided(Err(AuthError::ProxyRequired)));
        }
        if external.auth_users.contains(&user.subject) {
            let decided = self.judge_token(attempt, (&user, &account), accounts, proxied);
            let login = decided.map(|login| guarded(login, &account.subject));
            return Some(Verdict::Decided(login));
        }
        let token = match UserClaims::decode(&attempt.options.jwt) {
            Ok(_) => String::new(),
            Err(_) => self.rules.default_sentinel.clone().unwrap_or_default(),
        };
        Some(Verdict::Delegated(Delegation {
            account: account.subject.clone(),
            subject: account.subject.clone(),
            xkey: Some(external.xkey.clone()).filter(|key| !key.is_empty()),
            token,
            proxied,
            proxy_required: user.body.limits.proxy_required,
            claims: Some(account),
        }))
    }

    /// The login that a service's answer allows.
    pub fn accept(
        &self,
        delegation: &Delegation,
        answer: &Answer<'_>,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
    ) -> Result<Login, AuthError> {
        let mut user = self.read_answer(delegation, answer, attempt.now_s)?;
        let required = delegation.proxy_required || user.body.limits.proxy_required;
        delegation.proxied.check(required)?;
        if !user.is_valid_at(attempt.now_s) {
            return Err(AuthError::Service(
                "user is expired or not valid yet".into(),
            ));
        }
        if user.subject != answer.user {
            return Err(AuthError::Service("user is not the one asked about".into()));
        }
        let place = self.place_of(delegation, &mut user, accounts)?;
        let limits = &user.body.limits;
        delegation.proxied.check(limits.proxy_required)?;
        check_connection_kind(&limits.allowed_connection_types, attempt.kind)?;
        let end_of_day_part = end_of_stay(limits, attempt, accounts)?;
        let mut login = login(&user, &place, end_of_day_part);
        if user.name.is_empty()
            && let Some(shown) = shown_name(attempt)
        {
            login.user = shown;
        }
        Ok(guarded(login, &delegation.account))
    }

    /// Whether the login that a service allowed still stands, after claims of accounts changed.
    /// Services are not asked again: a change of one account would ask about all its users at once.
    pub fn keeps(
        &self,
        login: &Login,
        accounts: &dyn AccountLookup,
        now_s: i64,
    ) -> Result<Login, AuthError> {
        let name = &login.account;
        let account = accounts
            .account(name)
            .ok_or_else(|| AuthError::UnknownAccount(name.clone()))?;
        self.check_account(&account, now_s)?;
        let key = login.nkey.as_deref().unwrap_or_default();
        if account.is_revoked(key, login.issued_at_s) {
            return Err(AuthError::UserRevoked {
                user: key.to_owned(),
                account: name.clone(),
            });
        }
        let issuer = login.issuer.as_deref().unwrap_or_default();
        if account.signer(issuer).is_none() {
            return Err(AuthError::UnknownSigner(issuer.to_owned()));
        }
        Ok(Login {
            account_expires_at_s: account.expires_at_s,
            ..login.clone()
        })
    }

    fn read_answer(
        &self,
        delegation: &Delegation,
        answer: &Answer<'_>,
        now_s: i64,
    ) -> Result<UserClaims, AuthError> {
        let service = |reason: &str| AuthError::Service(reason.to_owned());
        if answer.bytes.is_empty() {
            return Err(service("it gave no reason"));
        }
        let opened = match &delegation.xkey {
            Some(sender) if !answer.bytes.starts_with(TOKEN_START) => {
                let opened = answer.xkey.open(answer.bytes, sender);
                Some(opened.map_err(|error| AuthError::Service(error.to_string()))?)
            }
            _ => None,
        };
        let bytes = opened.as_deref().unwrap_or(answer.bytes);
        let token = std::str::from_utf8(bytes).map_err(|_| service("answer is not a token"))?;
        let response = AuthorizationResponseClaims::decode(token.trim_end())
            .map_err(|error| AuthError::Service(error.to_string()))?;
        if !response.is_sound_at(now_s) {
            return Err(service("answer is expired or its parts do not fit"));
        }
        if response.subject != answer.user {
            return Err(service("answer is not about the user asked about"));
        }
        if response.audience != answer.server {
            return Err(service("answer is not for this server"));
        }
        // Whoever sealed it has the service's own key.
        if opened.is_none() {
            self.check_signer(delegation, &response)?;
        }
        if !response.body.error.is_empty() {
            return Err(AuthError::Service(response.body.error));
        }
        Ok(UserClaims::decode(&response.body.jwt)?)
    }

    fn check_signer(
        &self,
        delegation: &Delegation,
        response: &AuthorizationResponseClaims,
    ) -> Result<(), AuthError> {
        let issuer = &response.issuer;
        let account = &response.body.issuer_account;
        let known = match &delegation.claims {
            Some(claims) => {
                (account.is_empty() || *account == claims.subject)
                    && claims.signer(issuer).is_some()
            }
            None => *issuer == delegation.subject,
        };
        match known {
            true => Ok(()),
            false => Err(AuthError::UnknownSigner(issuer.clone())),
        }
    }

    /// The account that the user belongs to, once it is clear that the service may choose it. The
    /// scope of a signing key is applied to the user.
    fn place_of(
        &self,
        delegation: &Delegation,
        user: &mut UserClaims,
        accounts: &dyn AccountLookup,
    ) -> Result<Place, AuthError> {
        let Some(service) = &delegation.claims else {
            return self.configured_place(delegation, user);
        };
        let name = super::operator::account_of(user).to_owned();
        if name != service.subject {
            let allowed = &service.body.authorization.allowed_accounts;
            let all = matches!(allowed.as_slice(), [only] if only == ANY_ACCOUNT);
            if !all && !allowed.contains(&name) {
                return Err(AuthError::AccountNotAllowed(name));
            }
        }
        let account = accounts
            .account(&name)
            .ok_or_else(|| AuthError::UnknownAccount(name.clone()))?;
        let scope = account
            .signer(&user.issuer)
            .ok_or_else(|| AuthError::UnknownSigner(user.issuer.clone()))?;
        if let Some(scope) = scope {
            if user.body.limits != UserLimits::default() {
                return Err(AuthError::ScopedUser);
            }
            user.body.limits = expand(&scope.template, user, &account)?;
        }
        Ok(Place::Claimed(account))
    }

    fn configured_place(
        &self,
        delegation: &Delegation,
        user: &UserClaims,
    ) -> Result<Place, AuthError> {
        if !user.body.issuer_account.is_empty() {
            let reason = "users may name no issuer_account without operators";
            return Err(AuthError::Service(reason.to_owned()));
        }
        if user.issuer != delegation.subject {
            return Err(AuthError::UnknownSigner(user.issuer.clone()));
        }
        let name = &user.audience;
        match self.rules.accounts.contains(name) {
            true => Ok(Place::Configured(name.clone())),
            false => Err(AuthError::UnknownAccount(name.clone())),
        }
    }
}

impl Callout {
    /// Whether the service is asked about users of this account that have proved to be themselves.
    fn decides_for(&self, account: &str) -> bool {
        self.allowed_accounts.is_empty() || self.allowed_accounts.iter().any(|name| name == account)
    }
}

/// Where a user belongs.
enum Place {
    Configured(String),
    Claimed(Arc<AccountClaims>),
}

/// Under which name a user without one is shown: the one it came with.
fn shown_name(attempt: &Attempt<'_>) -> Option<String> {
    let options = attempt.options;
    let named = [&options.nkey, &options.user];
    let named = named.into_iter().find(|name| !name.is_empty()).cloned();
    named.or_else(|| (!options.auth_token.is_empty()).then(|| REDACTED.to_owned()))
}

/// Users of the service's account may not ask in the server's place.
fn guarded(mut login: Login, account: &str) -> Login {
    if login.account == account {
        login.permissions = login.permissions.without_publishing_to(SUBJECT);
    }
    login
}

fn login(user: &UserClaims, place: &Place, end_of_day_part: Option<i64>) -> Login {
    let limits = &user.body.limits;
    // Services that do not care for limits leave them out, which is not meant as zero.
    let or_none = |limit: i64| if limit == 0 { -1 } else { limit };
    let own = limits_of(or_none(limits.payload), or_none(limits.subs));
    let (account, rules, all, account_expires_at_s) = match place {
        Place::Configured(name) => (name.as_str(), limits.permission_rules(), own, None),
        Place::Claimed(account) => {
            let of_account = &account.body.limits;
            (
                account.subject.as_str(),
                rules_of(limits, account),
                own.stricter(limits_of(of_account.payload, of_account.subs)),
                account.expires_at_s,
            )
        }
    };
    Login {
        account: account.to_owned(),
        user: match user.name.as_str() {
            "" => user.subject.clone(),
            name => name.to_owned(),
        },
        permissions: rules.map(Permissions::new).unwrap_or_default(),
        limits: all,
        expires_at_s: [user.expires_at_s, end_of_day_part]
            .into_iter()
            .flatten()
            .min(),
        account_expires_at_s,
        nkey: Some(user.subject.clone()),
        // Without a signing key it is the account that stands behind the user.
        issuer: Some(match user.body.issuer_account.as_str() {
            "" => account.to_owned(),
            _ => user.issuer.clone(),
        }),
        issued_at_s: user.issued_at_s,
        name_tag: String::new(),
        tags: user.tags.clone(),
        delegated: true,
    }
}
