//! Turns credentials into a [`Login`].
//!
//! There are two ways. Servers with configured users look the user up and compare a password, a
//! token or the signature of a nonce. Servers in operator mode trust operators, whose signatures
//! reach over accounts down to the token that a user presents.

pub mod callout;
mod configured;
mod operator;
mod scope;
mod time_and_place;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use wire::{CloseReason, ConnectOptions};

use self::callout::Callout;
use crate::jwt::{self, AccountClaims, OperatorClaims};
use crate::{Login, Permissions, nkey};

/// The account of clients that no rule puts elsewhere.
pub const GLOBAL_ACCOUNT: &str = "$G";

/// How a client connected. Users may be limited to some of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    Standard,
    WebSocket,
    LeafNode,
    LeafNodeWs,
    Mqtt,
    MqttWs,
    InProcess,
}

impl ConnectionKind {
    const ALL: [ConnectionKind; 7] = [
        ConnectionKind::Standard,
        ConnectionKind::WebSocket,
        ConnectionKind::LeafNode,
        ConnectionKind::LeafNodeWs,
        ConnectionKind::Mqtt,
        ConnectionKind::MqttWs,
        ConnectionKind::InProcess,
    ];

    /// The name in configuration and tokens.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionKind::Standard => "STANDARD",
            ConnectionKind::WebSocket => "WEBSOCKET",
            ConnectionKind::LeafNode => "LEAFNODE",
            ConnectionKind::LeafNodeWs => "LEAFNODE_WS",
            ConnectionKind::Mqtt => "MQTT",
            ConnectionKind::MqttWs => "MQTT_WS",
            ConnectionKind::InProcess => "IN_PROCESS",
        }
    }

    /// The kind with this name, in any case.
    pub fn from_name(name: &str) -> Option<ConnectionKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// One attempt to log in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub options: &'a ConnectOptions,
    /// The nonce this connection was given in `INFO`.
    pub nonce: &'a [u8],
    pub kind: ConnectionKind,
    pub peer: Option<IpAddr>,
    /// Names in the verified client certificate, the most specific first: mail addresses, DNS
    /// names, URIs, then the distinguished name.
    pub certificate_names: &'a [String],
    /// Unix time in seconds.
    pub now_s: i64,
}

/// What the world knows and this crate does not.
pub trait AccountLookup {
    /// The claims of an account by its public key, as [`Authenticator::verify_account`] returned
    /// them.
    fn account(&self, public_key: &str) -> Option<Arc<AccountClaims>>;

    /// Seconds by which a time zone such as `Europe/Berlin` is ahead of UTC at a Unix time. Users
    /// limited to times of day in a zone that is not known are refused.
    fn utc_offset_s(&self, zone: &str, at_s: i64) -> Option<i64> {
        let _ = at_s;
        matches!(zone, "" | "UTC").then_some(0)
    }
}

/// Why a login was refused. Clients are only told `Authorization Violation`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    #[error("credentials are wrong")]
    Refused,
    #[error("user is unknown")]
    UnknownUser,
    #[error("no user token, and this server is in operator mode")]
    NoToken,
    #[error("user token: {0}")]
    UserToken(String),
    #[error("user token is expired or not valid yet")]
    UserTime,
    #[error("user {user} is revoked in account {account}")]
    UserRevoked { user: String, account: String },
    #[error("account {0} is not known; push its token to the resolver")]
    UnknownAccount(String),
    #[error("account {0} is not among the accounts pinned by the configuration")]
    AccountNotPinned(String),
    #[error("account token: {0}")]
    AccountToken(String),
    #[error("account {0} is not signed by a trusted operator key")]
    AccountNotTrusted(String),
    #[error("account {0} is expired or not valid yet")]
    AccountTime(String),
    #[error("key {0} does not sign users for this account")]
    UnknownSigner(String),
    #[error("users of a scoped signing key may have no permissions or limits of their own")]
    ScopedUser,
    #[error("permission template {template:?}: {reason}")]
    Template {
        template: String,
        reason: &'static str,
    },
    #[error("account does not allow bearer tokens")]
    BearerToken,
    #[error("user may not connect as {}", .0.name())]
    ConnectionKind(ConnectionKind),
    #[error("nonce: {0}")]
    Nonce(nkey::Error),
    #[error("user may not connect from this address")]
    Source,
    #[error("user may not connect at this time of day")]
    TimeOfDay,
    #[error("user must connect through a trusted proxy")]
    ProxyRequired,
    #[error("proxy is not trusted")]
    ProxyNotTrusted,
    #[error("clients may not choose an account")]
    AccountChosen,
    #[error("authentication service: {0}")]
    Service(String),
    #[error("account {0} is not one that the authentication service may choose")]
    AccountNotAllowed(String),
}

impl AuthError {
    /// Under which reason monitoring lists the connection.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            AuthError::ProxyRequired => CloseReason::ProxyRequired,
            AuthError::ProxyNotTrusted => CloseReason::ProxyNotTrusted,
            _ => CloseReason::AuthenticationFailure,
        }
    }
}

/// Who may connect, as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub users: Vec<User>,
    /// The user of clients that present nothing. In `users`, by name or public key.
    pub no_auth_user: Option<String>,
    /// One secret for everybody, beside or instead of users.
    pub shared: Option<SharedSecret>,
    /// Users are told by their client certificate.
    pub map_certificates: bool,
    /// Operators whose accounts are served. Any operator or trusted key means operator mode.
    pub operators: Vec<OperatorClaims>,
    /// Operator keys that are trusted without claims.
    pub trusted_keys: Vec<String>,
    /// The only accounts that clients may use, when not empty. Operator mode.
    pub pinned_accounts: Vec<String>,
    /// The token of clients that present none. Operator mode.
    pub default_sentinel: Option<String>,
    /// Public keys of proxies.
    pub trusted_proxies: Vec<String>,
    /// Clients with the shared secret must come through a proxy.
    pub proxy_required: bool,
    /// The service that decides who else may connect. Not in operator mode, where accounts say so.
    pub callout: Option<Callout>,
    /// The accounts there are, for the service to choose from.
    pub accounts: Vec<String>,
    /// What counts for WebSocket clients in place of the shared secret and the user above.
    pub websocket: Option<WebSocketRules>,
}

/// How WebSocket clients log in, where that differs from the other clients.
#[derive(Clone, Debug, Default)]
pub struct WebSocketRules {
    pub no_auth_user: Option<String>,
    pub shared: Option<SharedSecret>,
}

/// A configured user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name, or the public key.
    pub name: String,
    pub secret: Secret,
    /// The account's name.
    pub account: String,
    pub permissions: Permissions,
    /// Empty allows all.
    pub allowed_connections: Vec<ConnectionKind>,
    pub proxy_required: bool,
}

/// How a configured user proves to be itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Plain or the hash by bcrypt, which starts with `$2`.
    Password(String),
    /// By signing the nonce; the user's name is the public key.
    Nkey,
}

/// One secret for everybody.
#[derive(Clone, PartialEq, Eq)]
pub enum SharedSecret {
    /// Plain or the hash by bcrypt.
    Token(String),
    /// The password is plain or the hash by bcrypt.
    User { name: String, password: String },
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password",
            Secret::Nkey => "Nkey",
        })
    }
}

/// Secrets stay out of logs.
impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SharedSecret::Token(_) => f.write_str("Token"),
            SharedSecret::User { name, .. } => f.debug_tuple("User").field(name).finish(),
        }
    }
}

/// Decides who may connect. Holds no connection state, and is replaced as a whole on reload.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    rules: Rules,
    /// Positions in the rules' users.
    by_name: HashMap<String, usize>,
    /// Keys that may sign accounts, and whether accounts may then sign users with their own key.
    trusted: HashMap<String, OwnKey>,
}

/// Whether an account's own key may sign users, or only its signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnKey {
    MaySign,
    MayNotSign,
}

impl Authenticator {
    pub fn new(rules: Rules) -> Authenticator {
        let by_name = rules
            .users
            .iter()
            .enumerate()
            .map(|(at, user)| (user.name.clone(), at));
        let own_key = |operator: &OperatorClaims| match operator.body.strict_signing_key_usage {
            true => OwnKey::MayNotSign,
            false => OwnKey::MaySign,
        };
        let mut trusted: HashMap<String, OwnKey> = rules
            .trusted_keys
            .iter()
            .map(|key| (key.clone(), OwnKey::MaySign))
            .collect();
        for operator in &rules.operators {
            let keys = operator
                .trusted_keys()
                .map(|key| (key.to_owned(), own_key(operator)));
            trusted.extend(keys);
        }
        Authenticator {
            by_name: by_name.collect(),
            trusted,
            rules,
        }
    }

    /// Whether clients must authenticate at all.
    pub fn required(&self) -> bool {
        self.is_operator_mode()
            || !self.rules.users.is_empty()
            || self.rules.shared.is_some()
            || self.rules.callout.is_some()
    }

    /// Whether clients of this kind must authenticate.
    pub fn required_of(&self, kind: ConnectionKind) -> bool {
        let overridden = kind == ConnectionKind::WebSocket && self.rules.websocket.is_some();
        self.required() || overridden
    }

    /// Whether `INFO` tells clients of this kind that they must authenticate. It does not when there
    /// is a user for those that present nothing.
    pub fn announced_to(&self, kind: ConnectionKind) -> bool {
        self.required_of(kind) && self.no_auth_user(kind).is_none()
    }

    fn no_auth_user(&self, kind: ConnectionKind) -> Option<&str> {
        match &self.rules.websocket {
            Some(rules) if kind == ConnectionKind::WebSocket => rules.no_auth_user.as_deref(),
            _ => self.rules.no_auth_user.as_deref(),
        }
    }

    fn shared(&self, kind: ConnectionKind) -> Option<&SharedSecret> {
        match &self.rules.websocket {
            Some(rules) if kind == ConnectionKind::WebSocket => rules.shared.as_ref(),
            _ => self.rules.shared.as_ref(),
        }
    }

    /// Whether `INFO` must carry a nonce to sign.
    pub fn needs_nonce(&self) -> bool {
        self.is_operator_mode()
            || !self.rules.trusted_proxies.is_empty()
            || self
                .rules
                .users
                .iter()
                .any(|user| user.secret == Secret::Nkey)
    }

    /// Whether users are told by their client certificate.
    pub fn maps_certificates(&self) -> bool {
        self.rules.map_certificates
    }

    pub fn is_operator_mode(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// Whether this key signs for a trusted operator.
    pub fn is_trusted(&self, key: &str) -> bool {
        self.trusted.contains_key(key)
    }

    /// The account whose claims [`Authenticator::authenticate`] will ask for, so that a slow source
    /// can be asked before.
    pub fn account_needed(&self, attempt: &Attempt<'_>) -> Option<String> {
        if !self.is_operator_mode() {
            return None;
        }
        let user = self.user_token(attempt).ok()?;
        Some(operator::account_of(&user).to_owned())
    }

    /// Decodes the claims of an account, and checks that a trusted operator signed them and that
    /// they are valid now.
    pub fn verify_account(&self, token: &str, now_s: i64) -> Result<AccountClaims, AuthError> {
        let account = AccountClaims::decode(token)
            .map_err(|error| AuthError::AccountToken(error.to_string()))?;
        self.check_account(&account, now_s)?;
        Ok(account)
    }

    /// Checks the credentials. Passwords hashed by bcrypt take tens of milliseconds on purpose, so
    /// this does not belong on a thread that serves other connections.
    pub fn authenticate(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
    ) -> Result<Login, AuthError> {
        if chooses_account(attempt) {
            return Err(AuthError::AccountChosen);
        }
        if !self.required_of(attempt.kind) {
            return Ok(Login::unrestricted(GLOBAL_ACCOUNT, ""));
        }
        let proxied = self.check_proxy(attempt)?;
        if self.is_operator_mode() {
            self.authenticate_token(attempt, accounts, proxied)
        } else {
            self.authenticate_configured(attempt, proxied)
        }
    }

    fn check_proxy(&self, attempt: &Attempt<'_>) -> Result<Proxied, AuthError> {
        let signature = attempt.options.proxy_sig.as_str();
        if signature.is_empty() || self.rules.trusted_proxies.is_empty() {
            return Ok(Proxied::No);
        }
        let trusted = self
            .rules
            .trusted_proxies
            .iter()
            .any(|proxy| nkey::verify_nonce(proxy, attempt.nonce, signature).is_ok());
        if trusted {
            Ok(Proxied::Yes)
        } else {
            Err(AuthError::ProxyNotTrusted)
        }
    }
}

/// Clients cannot make accounts, nor choose one.
fn chooses_account(attempt: &Attempt<'_>) -> bool {
    !attempt.options.account.is_empty() || attempt.options.new_account
}

/// Whether a trusted proxy vouches for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxied {
    Yes,
    No,
}

impl Proxied {
    fn check(self, required: bool) -> Result<(), AuthError> {
        if required && self == Proxied::No {
            Err(AuthError::ProxyRequired)
        } else {
            Ok(())
        }
    }
}

impl From<jwt::Error> for AuthError {
    fn from(error: jwt::Error) -> AuthError {
        AuthError::UserToken(error.to_string())
    }
}

#[cfg(test)]
mod tests;
