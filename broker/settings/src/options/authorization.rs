//! Who may connect, and what they may do.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Authorization {
    /// The one user of a server without a list of users.
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    /// How long a client has to authenticate. If absent: two seconds, or with TLS one second more
    /// than its handshake timeout.
    pub timeout: Option<Duration>,
    /// Users of the global account.
    pub users: Vec<User>,
    pub default_permissions: Option<Permissions>,
    pub auth_callout: Option<AuthCallout>,
    /// Clients must come through a trusted proxy.
    pub proxy_required: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub credentials: Credentials,
    /// The default permissions of the account apply if absent.
    pub permissions: Option<Permissions>,
    /// Any connection type if empty.
    pub connection_types: Vec<ConnectionType>,
    pub proxy_required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The password may be a bcrypt hash; it is empty for users found by their certificate.
    Password { user: String, password: String },
    /// A public user key.
    Nkey(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionType {
    Standard,
    Websocket,
    Leafnode,
    LeafnodeWebsocket,
    Mqtt,
    MqttWebsocket,
    InProcess,
}

/// For routes, `publish` is what a cluster file calls `import` and `subscribe` what it calls
/// `export`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    pub publish: SubjectPermission,
    pub subscribe: SubjectPermission,
    /// Permission to answer, for users that may not publish to reply subjects otherwise. With it
    /// a user without a list of allowed subjects may publish nothing but answers.
    pub responses: Option<ResponsePermission>,
}

/// Subjects, or for subscriptions `subject queue` pairs. Everything is allowed if `allow` is
/// absent and nothing if it is empty; what `deny` names is denied in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectPermission {
    pub allow: Option<Vec<String>>,
    pub deny: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Answers to each request; no limit if absent.
    pub max_messages: Option<u64>,
    /// How long after the request; no limit if absent.
    pub expires: Option<Duration>,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self {
            max_messages: Some(1),
            expires: Some(Duration::from_secs(120)),
        }
    }
}

/// A service that decides who may connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthCallout {
    /// Public account key that signs the answers.
    pub issuer: String,
    pub account: Option<String>,
    pub auth_users: Vec<String>,
    /// Public curve key that requests are encrypted for.
    pub xkey: Option<String>,
    pub allowed_accounts: Vec<String>,
}
