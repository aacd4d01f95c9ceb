//! The typed options of a server, with nats-server's defaults.

mod accounts;
mod authorization;
mod cluster;
mod jetstream;
mod limits;
mod logging;
mod resolver;
mod tls;
mod validate;
mod websocket;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Position, Problem};

pub use accounts::{
    Account, AccountJetStream, AccountLimits, ClusterTraffic, Export, Import, InterestKind,
    Latency, MapDestination, Mapping, MessageTrace, ResponseType, Sampling,
};
pub use authorization::{
    AuthCallout, Authorization, ConnectionType, Credentials, Permissions, ResponsePermission,
    SubjectPermission, User,
};
pub use cluster::{Cluster, ClusterAuthorization, Compression, RoutePool};
pub use jetstream::{BatchLimits, Cipher, JetStream, JetStreamLimits, SyncInterval};
pub use limits::{Limits, WriteTimeout};
pub use logging::Logging;
pub use resolver::{DirectoryKind, OperatorSource, Resolver};
pub use tls::{CertificatePair, HandshakeFirst, OcspPeer, Tls, TlsVersion};
pub use websocket::WebSocket;

/// The port clients expect.
pub const DEFAULT_PORT: u16 = 4222;
/// How long a client has to authenticate unless told otherwise.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(2);

/// A port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Fixed(u16),
    /// Let the system choose; written as -1.
    Random,
}

impl Port {
    /// The number to bind to: 0 asks the system for a free port.
    pub fn to_bind(self) -> u16 {
        match self {
            Port::Fixed(port) => port,
            Port::Random => 0,
        }
    }
}

/// Everything a server can be told by its flags and its configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The file these options were read from.
    pub config_file: Option<PathBuf>,
    /// Equal for files that say the same; see [`Map::digest`](crate::Map::digest). Empty without a
    /// file.
    pub config_digest: String,
    pub host: String,
    pub port: Port,
    pub client_advertise: Option<String>,
    pub server_name: Option<String>,
    pub server_tags: Vec<String>,
    pub server_metadata: BTreeMap<String, String>,
    pub monitoring: Monitoring,
    pub limits: Limits,
    pub logging: Logging,
    pub pid_file: Option<PathBuf>,
    pub ports_file_dir: Option<PathBuf>,
    pub profile_port: Option<Port>,
    pub profile_block_rate: i64,

    /// Mappings of the global account.
    pub mappings: Vec<Mapping>,
    pub accounts: Vec<Account>,
    pub authorization: Authorization,
    pub no_auth_user: Option<String>,
    pub default_sentinel: Option<String>,
    pub system_account: Option<String>,
    pub no_system_account: bool,
    pub operators: Vec<OperatorSource>,
    pub trusted_keys: Vec<String>,
    pub resolver: Option<Resolver>,
    pub resolver_tls: Option<Tls>,
    /// Account public key to account JWT.
    pub resolver_preload: BTreeMap<String, String>,
    pub resolver_pinned_accounts: Vec<String>,

    pub tls: Option<Tls>,
    pub allow_non_tls: bool,

    pub jetstream: JetStream,
    /// Account to the domain its leafnode JetStream traffic goes to.
    pub default_jetstream_domain: BTreeMap<String, String>,
    pub cluster: Cluster,
    pub websocket: WebSocket,

    pub connect_error_reports: u64,
    pub reconnect_error_reports: u64,
    pub no_fast_producer_stall: bool,
    pub disable_sublist_cache: bool,
    pub no_header_support: bool,
    pub proxy_protocol: bool,
    pub trusted_proxies: Vec<String>,
    pub feature_flags: BTreeMap<String, bool>,

    /// Blocks that are understood but that this server does not serve.
    pub unserved: Vec<Unserved>,
    pub warnings: Vec<Problem>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config_file: None,
            config_digest: String::new(),
            host: "0.0.0.0".into(),
            port: Port::Fixed(DEFAULT_PORT),
            client_advertise: None,
            server_name: None,
            server_tags: Vec::new(),
            server_metadata: BTreeMap::new(),
            monitoring: Monitoring::default(),
            limits: Limits::default(),
            logging: Logging::default(),
            pid_file: None,
            ports_file_dir: None,
            profile_port: None,
            profile_block_rate: 0,
            mappings: Vec::new(),
            accounts: Vec::new(),
            authorization: Authorization::default(),
            no_auth_user: None,
            default_sentinel: None,
            system_account: None,
            no_system_account: false,
            operators: Vec::new(),
            trusted_keys: Vec::new(),
            resolver: None,
            resolver_tls: None,
            resolver_preload: BTreeMap::new(),
            resolver_pinned_accounts: Vec::new(),
            tls: None,
            allow_non_tls: false,
            jetstream: JetStream::default(),
            default_jetstream_domain: BTreeMap::new(),
            cluster: Cluster::default(),
            websocket: WebSocket::default(),
            connect_error_reports: 3600,
            reconnect_error_reports: 1,
            no_fast_producer_stall: false,
            disable_sublist_cache: false,
            no_header_support: false,
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            feature_flags: BTreeMap::new(),
            unserved: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Options {
    /// How long a client has to authenticate.
    pub fn authentication_timeout(&self) -> Duration {
        let with_tls = |tls: &Tls| tls.timeout + Duration::from_secs(1);
        let unless_set = || self.tls.as_ref().map_or(AUTHENTICATION_TIMEOUT, with_tls);
        self.authorization.timeout.unwrap_or_else(unless_set)
    }
}

/// The HTTP monitoring listeners. Both are off unless a port is given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Monitoring {
    /// Where to listen; the client host if absent.
    pub host: Option<String>,
    pub http_port: Option<Port>,
    pub https_port: Option<Port>,
    /// Put before every path, such as `/nats`; empty for none.
    pub base_path: String,
}

/// A block of the configuration whose spelling was checked but which this server cannot serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// The block as it was written: `mqtt`, `leafnodes`, `gateway`.
    pub block: String,
    pub position: Position,
}
