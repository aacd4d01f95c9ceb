//! Turns credentials into a [`Login`].

use std::net::IpAddr;

use wire::ConnectOptions;

use crate::Login;

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

/// One attempt to log in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub options: &'a ConnectOptions,
    /// The nonce this connection was given in `INFO`.
    pub nonce: &'a [u8],
    pub kind: ConnectionKind,
    pub peer: Option<IpAddr>,
    /// Unix time in seconds.
    pub now_s: i64,
}

/// Where the claims of accounts come from in operator mode.
pub trait AccountLookup {
    /// The signed token of an account, by its public key.
    fn account_token(&self, account: &str) -> Option<String>;
}

/// Why a login was refused. Clients are only told `Authorization Violation`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    #[error("user is unknown or the credentials are wrong")]
    Refused,
}

/// Decides who may connect. Holds no connection state.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {}

impl Authenticator {
    /// Whether clients must authenticate, as `INFO` tells them.
    pub fn required(&self) -> bool {
        false
    }

    /// Whether clients need a nonce to sign.
    pub fn needs_nonce(&self) -> bool {
        false
    }

    /// The account whose claims [`Authenticator::authenticate`] will ask for, so that a slow source
    /// can be asked before.
    pub fn account_needed(&self, attempt: &Attempt<'_>) -> Option<String> {
        let _ = attempt.options;
        None
    }

    /// Checks the credentials.
    pub fn authenticate(
        &self,
        attempt: &Attempt<'_>,
        accounts: &dyn AccountLookup,
    ) -> Result<Login, AuthError> {
        let _ = accounts;
        Ok(Login::unrestricted("$G", &attempt.options.user))
    }
}
