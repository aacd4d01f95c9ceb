//! Users that the configuration names.

use super::{
    Attempt, AuthError, Authenticator, GLOBAL_ACCOUNT, Proxied, Secret, SharedSecret, User,
};
use crate::{Login, nkey};

impl Authenticator {
    pub(super) fn authenticate_configured(
        &self,
        attempt: &Attempt<'_>,
        proxied: Proxied,
    ) -> Result<Login, AuthError> {
        let options = attempt.options;
        if let Some(user) = self.anonymous_user(attempt) {
            return login(user, attempt, proxied);
        }
        if !options.nkey.is_empty() && self.rules.users.iter().any(is_nkey) {
            let user = self.user(&options.nkey).filter(|user| is_nkey(user));
            let user = user.ok_or(AuthError::UnknownUser)?;
            nkey::verify_nonce(&user.name, attempt.nonce, &options.sig)
                .map_err(AuthError::Nonce)?;
            return login(user, attempt, proxied);
        }
        if self.rules.map_certificates && self.rules.users.iter().any(|user| !is_nkey(user)) {
            let known = attempt
                .certificate_names
                .iter()
                .find_map(|name| self.user(name));
            let user = known
                .filter(|user| !is_nkey(user))
                .ok_or(AuthError::Refused)?;
            return login(user, attempt, proxied);
        }
        if !options.user.is_empty() && self.rules.users.iter().any(|user| !is_nkey(user)) {
            let user = self.user(&options.user).ok_or(AuthError::UnknownUser)?;
            let Secret::Password(password) = &user.secret else {
                return Err(AuthError::Refused);
            };
            if !same_password(password, &options.pass) {
                return Err(AuthError::Refused);
            }
            return login(user, attempt, proxied);
        }
        self.authenticate_shared(attempt, proxied)
    }

    /// The user that the credentials name, whether or not they are good.
    pub(super) fn named_user(&self, attempt: &Attempt<'_>) -> Option<&str> {
        let options = attempt.options;
        let named = self.anonymous_user(attempt).or_else(|| {
            let by_key = self.user(&options.nkey).filter(|user| is_nkey(user));
            by_key.or_else(|| match self.rules.map_certificates {
                true => attempt
                    .certificate_names
                    .iter()
                    .find_map(|name| self.user(name)),
                false => self.user(&options.user).filter(|user| !is_nkey(user)),
            })
        });
        let shared = match self.shared(attempt.kind) {
            Some(SharedSecret::User { name, .. }) if *name == options.user => Some(name.as_str()),
            _ => None,
        };
        named.map(|user| user.name.as_str()).or(shared)
    }

    fn authenticate_shared(
        &self,
        attempt: &Attempt<'_>,
        proxied: Proxied,
    ) -> Result<Login, AuthError> {
        let options = attempt.options;
        let known = match self.shared(attempt.kind) {
            None => false,
            Some(SharedSecret::Token(token)) => same_password(token, &options.auth_token),
            Some(SharedSecret::User { name, password }) => {
                *name == options.user && same_password(password, &options.pass)
            }
        };
        if !known {
            return Err(match &self.rules.shared {
                Some(SharedSecret::User { name, .. }) if *name == options.user => {
                    AuthError::Refused
                }
                _ if options.user.is_empty() => AuthError::Refused,
                _ => AuthError::UnknownUser,
            });
        }
        proxied.check(self.rules.proxy_required)?;
        Ok(Login::unrestricted(GLOBAL_ACCOUNT, &options.user))
    }

    /// The user of a client that presents nothing.
    fn anonymous_user(&self, attempt: &Attempt<'_>) -> Option<&User> {
        let options = attempt.options;
        let presented = [
            &options.user,
            &options.pass,
            &options.auth_token,
            &options.nkey,
        ];
        let nothing = presented.iter().all(|field| field.is_empty());
        let name = self.no_auth_user(attempt.kind)?;
        self.user(name).filter(|_| nothing)
    }

    fn user(&self, name: &str) -> Option<&User> {
        Some(&self.rules.users[*self.by_name.get(name)?])
    }
}

fn is_nkey(user: &User) -> bool {
    user.secret == Secret::Nkey
}

/// The login of a user that has proved to be itself.
fn login(user: &User, attempt: &Attempt<'_>, proxied: Proxied) -> Result<Login, AuthError> {
    let allowed = &user.allowed_connections;
    if !allowed.is_empty() && !allowed.contains(&attempt.kind) {
        return Err(AuthError::ConnectionKind(attempt.kind));
    }
    proxied.check(user.proxy_required)?;
    Ok(Login {
        permissions: user.permissions.clone(),
        nkey: is_nkey(user).then(|| user.name.clone()),
        ..Login::unrestricted(&user.account, &user.name)
    })
}

/// Compares with a configured password, which may be a hash by bcrypt.
fn same_password(configured: &str, presented: &str) -> bool {
    if is_bcrypt(configured) {
        return bcrypt::verify(presented, configured).unwrap_or(false);
    }
    // Every byte is looked at, so that the time taken tells nothing but the length.
    configured.len() == presented.len()
        && configured
            .bytes()
            .zip(presented.bytes())
            .fold(0, |all, (a, b)| all | (a ^ b))
            == 0
}

fn is_bcrypt(password: &str) -> bool {
    matches!(
        password.as_bytes(),
        [
            b'$',
            b'2',
            b'a' | b'b' | b'x' | b'y',
            b'$',
            b'0'..=b'9',
            b'0'..=b'9',
            b'$',
            ..
        ]
    )
}
