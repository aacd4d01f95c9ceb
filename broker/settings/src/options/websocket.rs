//! `websocket`.

use std::collections::BTreeMap;
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
    /// Header lines of every answer.
    pub headers: BTreeMap<String, String>,
    pub ping_interval: Option<Duration>,
}

/// Header lines that the handshake itself decides.
const RESERVED_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "connection",
    "upgrade",
    "nats-no-masking",
    "transfer-encoding",
];
const RESERVED_PREFIX: &str = "sec-websocket-";

impl WebSocket {
    /// The first header line that an answer cannot have.
    pub(super) fn impossible_header(&self) -> Option<&str> {
        let mut names = self.headers.iter().filter(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let is_reserved =
                RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX);
            is_reserved || !is_token(name) || value.contains(['\r', '\n'])
        });
        names.next().map(|(name, _)| name.as_str())
    }
}

/// Whether this can be the name of a header line (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}
