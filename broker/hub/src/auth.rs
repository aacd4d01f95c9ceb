//! The seam to whoever knows users: the hub asks, an [`Authenticator`] answers.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use identity::{Login, authenticator::ConnectionKind};
use wire::ConnectOptions;

/// Decides who a connection is. Called once per CONNECT, never per message.
pub trait Authenticator: Send + Sync + 'static {
    /// Clients must identify themselves (`auth_required` in INFO, auth timeout armed).
    fn auth_required(&self) -> bool;

    /// The same for clients of one kind, where kinds differ.
    fn auth_required_of(&self, _: ConnectionKind) -> bool {
        self.auth_required()
    }

    /// INFO carries a nonce for nkey and JWT signatures.
    fn nonce_required(&self) -> bool;

    /// May take its time (a password hash, a lookup): the connection waits, the thread does not
    /// unless the future blocks it.
    fn authenticate(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>>;
}

/// What a client said about itself, and how it said it.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// The connection's id.
    pub cid: u64,
    pub options: ConnectOptions,
    pub kind: ConnectionKind,
    /// The nonce this connection was sent in INFO; empty when none was sent.
    pub nonce: String,
    pub peer: SocketAddr,
    pub tls: Option<PeerTls>,
    /// Who the connection is already, when its rights are looked at again.
    pub login: Option<Login>,
}

/// Facts about a finished TLS handshake.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    pub cipher: String,
    /// The client's certificates in DER, its own first; empty when it sent none.
    pub certificates: Vec<Vec<u8>>,
}

/// Why a login was refused. The client is told the error line and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// `Authorization Violation`.
    Violation,
    /// `Authorization Violation`, and no word to a connection that is there already: its user is
    /// gone.
    UnknownUser,
    /// `Authorization Violation`, and `User Authentication Revoked` to a connection that is there
    /// already.
    UserRevoked,
    /// `User Authentication Expired`.
    UserExpired,
    /// `Account Authentication Expired`.
    AccountExpired,
    /// `maximum account active connections exceeded`.
    AccountConnections,
    /// `Authentication Timeout`: nobody answered in time.
    Timeout,
}

impl From<AuthFailure> for wire::Error {
    fn from(failure: AuthFailure) -> wire::Error {
        match failure {
            AuthFailure::Violation | AuthFailure::UnknownUser | AuthFailure::UserRevoked => {
                wire::Error::AuthorizationViolation
            }
            AuthFailure::UserExpired => wire::Error::UserExpired,
            AuthFailure::AccountExpired => wire::Error::AccountExpired,
            AuthFailure::AccountConnections => wire::Error::MaxAccountConnections,
            AuthFailure::Timeout => wire::Error::AuthenticationTimeout,
        }
    }
}
