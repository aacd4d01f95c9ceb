//! `websocket`.

use std::time::Duration;

use super::{Port, Tls};

/// The listener for WebSocket clients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WebSocket {
    /// Where to listen; the client host if absent.
    pub host: Option<String>,
    /// No listener without one.
    pub port: Option<Port>,
    pub advertise: Option<String>,
    /// Serve without TLS, for example behind a proxy that has it.
    pub no_tls: bool,
    pub tls: Option<Tls>,
    pub same_origin: bool,
    pub allowed_origins: Vec<String>,
    pub handshake_timeout: Option<Duration>,
    pub compression: bool,
    /// User, password and token in place of those of the other clients.
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    pub auth_timeout: Option<Duration>,
    pub no_auth_user: Option<String>,
    pub jwt_cookie: Option<String>,
    pub user_cookie: Option<String>,
    pub pass_cookie: Option<String>,
    pub token_cookie: Option<String>,
    /// Names and values of header lines of every answer.
    pub headers: Vec<(String, String)>,
    pub ping_interval: Option<Duration>,
}
