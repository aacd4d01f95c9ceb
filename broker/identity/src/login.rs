//! The outcome of authentication.

use crate::Permissions;

/// Everything a connection knows about itself once it is authenticated.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account's name; in operator mode its public key.
    pub account: String,
    /// What monitoring shows as the user: the name, or the public key. Empty without
    /// authentication.
    pub user: String,
    pub permissions: Permissions,
    pub limits: Limits,
    /// Unix time in seconds at which the connection must end.
    pub expires_at_s: Option<i64>,
    /// When the account's token expires, Unix time in seconds. A newer token may prolong it.
    pub account_expires_at_s: Option<i64>,
    /// The user's public key, when the user proved to own one.
    pub nkey: Option<String>,
    /// The key that signed the user's token, when there is one.
    pub issuer: Option<String>,
    /// When the user's token was issued, Unix time in seconds; revocations compare with it.
    pub issued_at_s: i64,
    /// The name in the user's token.
    pub name_tag: String,
    /// The tags in the user's token.
    pub tags: Vec<String>,
    /// An authentication service let it in.
    pub delegated: bool,
}

/// Limits of one connection; `None` is unlimited. The server's own limits apply besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Headers plus payload of one message, in bytes.
    pub max_payload: Option<u64>,
    pub max_subscriptions: Option<u64>,
}

impl Limits {
    /// The stricter of both for each limit.
    pub fn stricter(self, other: Limits) -> Limits {
        let min = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Limits {
            max_payload: min(self.max_payload, other.max_payload),
            max_subscriptions: min(self.max_subscriptions, other.max_subscriptions),
        }
    }
}

impl Login {
    /// When the connection must end, Unix time in seconds: the user's token or the account's
    /// expires.
    pub fn ends_at_s(&self) -> Option<i64> {
        let both = [self.expires_at_s, self.account_expires_at_s];
        both.into_iter().flatten().min()
    }

    /// Whether it is the account's token that expires first.
    pub fn ends_with_account(&self) -> bool {
        self.account_expires_at_s.is_some() && self.account_expires_at_s == self.ends_at_s()
    }

    /// A login with every permission and no limit.
    pub fn unrestricted(account: &str, user: &str) -> Login {
        Login {
            account: account.to_owned(),
            user: user.to_owned(),
            permissions: Permissions::default(),
            limits: Limits::default(),
            expires_at_s: None,
            account_expires_at_s: None,
            nkey: None,
            issuer: None,
            issued_at_s: 0,
            name_tag: String::new(),
            tags: Vec::new(),
            delegated: false,
        }
    }
}
