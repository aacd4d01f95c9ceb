//! What the hub is told when it starts: who the server is, what it allows, how it is reached.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::websocket::WebSocketOptions;

/// Everything a hub needs to know before its first connection.
#[derive(Clone)]
pub struct Options {
    pub server: ServerFacts,
    pub advertised: Advertised,
    pub limits: Limits,
    /// TLS on the client port; `None` = plain text only.
    pub tls: Option<TlsOptions>,
    /// Routes to the other servers of the cluster; `None` = a lone server.
    pub cluster: Option<ClusterOptions>,
    /// The listener for WebSocket clients; `None` = there is none.
    pub websocket: Option<WebSocketOptions>,
    /// The account whose users see the servers themselves, `$SYS` unless configured.
    pub system_account: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server: ServerFacts::default(),
            advertised: Advertised::default(),
            limits: Limits::default(),
            tls: None,
            cluster: None,
            websocket: None,
            system_account: "$SYS".to_owned(),
        }
    }
}

/// The part of an INFO line that is the same for every connection.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Public nkey of the server (`N…`), new at each start.
    pub server_id: String,
    /// Stable name; the same as `server_id` when nobody chose one.
    pub server_name: String,
    /// The nats-server version whose behaviour is matched.
    pub version: String,
    pub git_commit: Option<String>,
    /// What nats-server says about its compiler. Some clients parse it.
    pub go: String,
    /// Host clients were told to use, as configured.
    pub host: String,
    /// Client port; `serve_clients` replaces it with the listener's own when it is 0.
    pub port: u16,
    pub jetstream: bool,
    /// JetStream domain.
    pub domain: Option<String>,
    /// Public curve key (`X…`) for encrypted requests to this server.
    pub xkey: Option<String>,
    pub api_level: u32,
}

/// The addresses of servers that clients are told. Can change while the hub runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// `host:port` put into `connect_urls` in place of the listen addresses.
    pub address: Option<String>,
    /// Never tell clients about servers.
    pub nothing: bool,
}

impl Default for ServerFacts {
    fn default() -> ServerFacts {
        ServerFacts {
            server_id: String::new(),
            server_name: String::new(),
            version: "2.15.2".to_owned(),
            git_commit: None,
            go: "go1.26.8".to_owned(),
            host: "0.0.0.0".to_owned(),
            port: 0,
            jetstream: false,
            domain: None,
            xkey: None,
            api_level: 5,
        }
    }
}

/// Limits of client connections. All of them may be changed while the hub runs
/// (`Hub::set_limits`); a connection sees the new ones at its next operation.
#[derive(Clone, Debug)]
pub struct Limits {
    pub max_connections: usize,
    /// Largest header plus payload of one message, bytes.
    pub max_payload: usize,
    /// Bytes that may wait for one slow reader before it is cut off.
    pub max_pending: usize,
    /// Longest protocol line, bytes.
    pub max_control_line: usize,
    /// Subscriptions per connection; 0 = no limit.
    pub max_subscriptions: usize,
    /// Tokens in a subscription's subject; 0 = no limit.
    pub max_sub_tokens: usize,
    pub ping_interval: Duration,
    /// Unanswered pings before `Stale Connection`.
    pub ping_max: u32,
    pub write_deadline: Duration,
    /// Time for CONNECT when authentication is required.
    pub auth_timeout: Duration,
    /// Closed connections remembered for monitoring.
    pub max_closed_clients: usize,
    /// Drop messages for a slow reader at once where a publisher would be slowed down first.
    pub no_fast_producer_stall: bool,
    /// Clients may come through a proxy that says whose connections it passes on.
    pub proxy_protocol: bool,
    /// Clients may not use headers at all.
    pub no_header_support: bool,
    /// Whole length of lame duck mode, grace included.
    pub lame_duck_duration: Duration,
    /// Time between the announcement of lame duck mode and the first closed client.
    pub lame_duck_grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 65_536,
            max_payload: 1024 * 1024,
            max_pending: 64 * 1024 * 1024,
            max_control_line: 4096,
            max_subscriptions: 0,
            max_sub_tokens: 0,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(2),
            max_closed_clients: 10_000,
            no_fast_producer_stall: false,
            proxy_protocol: false,
            no_header_support: false,
            lame_duck_duration: Duration::from_secs(120),
            lame_duck_grace: Duration::from_secs(10),
        }
    }
}

/// TLS on the client port.
#[derive(Clone)]
pub struct TlsOptions {
    /// Certificates, client verification and versions are all decided in here.
    pub config: Arc<tokio_rustls::rustls::ServerConfig>,
    /// The configuration asks for client certificates (`tls_verify` in INFO).
    pub verify: bool,
    pub timeout: Duration,
    pub handshake_first: HandshakeFirst,
    /// Clients may stay on plain text (`tls_available` instead of `tls_required` in INFO).
    pub allow_non_tls: bool,
    /// Handshakes that may begin in one second; `None` = any number.
    pub connection_rate_limit: Option<u64>,
}

/// Whether the TLS handshake comes before the INFO line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO in plain text, then the handshake: what every client understands.
    No,
    Yes,
    /// Wait this long for a handshake, then fall back to INFO first.
    Auto(Duration),
}

/// How this server finds and trusts its peers.
#[derive(Clone)]
pub struct ClusterOptions {
    /// Peers with another cluster name are refused.
    pub name: String,
    pub host: String,
    /// Cluster port; `serve_routes` replaces it with the listener's own when it is 0.
    pub port: u16,
    /// `host:port` told to the other servers in place of the listen address.
    pub advertise: Option<String>,
    /// User and password a peer must give, and which this server gives when it dials.
    pub user: Option<(String, String)>,
    pub tls: Option<RouteTls>,
    /// First and longest pause between two attempts to reach a peer.
    pub retry_min: Duration,
    pub retry_max: Duration,
    pub ping_interval: Duration,
    /// Bytes that may wait for a peer before the route is cut.
    pub max_pending: usize,
    pub auth_timeout: Duration,
}

impl Default for ClusterOptions {
    fn default() -> ClusterOptions {
        ClusterOptions {
            name: "weir".to_owned(),
            host: "0.0.0.0".to_owned(),
            port: 0,
            advertise: None,
            user: None,
            tls: None,
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            max_pending: 256 * 1024 * 1024,
            auth_timeout: Duration::from_secs(5),
        }
    }
}

/// Both directions of TLS between servers.
#[derive(Clone)]
pub struct RouteTls {
    pub server: Arc<tokio_rustls::rustls::ServerConfig>,
    pub client: Arc<tokio_rustls::rustls::ClientConfig>,
    pub timeout: Duration,
}

/// Where a peer listens for routes: `host:port`, with the user its URL names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteUrl {
    pub host: String,
    pub port: u16,
    pub user: Option<(String, String)>,
}
