//! Routes to the other servers of a cluster.

use std::time::Duration;

use super::{Permissions, Port, Tls, WriteTimeout};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cluster {
    pub name: Option<String>,
    /// Where routes are accepted; the server is not clustered if `port` is absent.
    pub host: Option<String>,
    pub port: Option<Port>,
    /// URLs of servers to connect to: `nats://user:password@host:port`.
    pub routes: Vec<String>,
    pub authorization: ClusterAuthorization,
    pub tls: Option<Tls>,
    pub advertise: Option<String>,
    /// Do not tell clients about the other servers.
    pub no_advertise: bool,
    pub connect_retries: u32,
    /// Wait longer after each failed attempt.
    pub connect_backoff: bool,
    pub pool: RoutePool,
    /// Accounts with a route of their own.
    pub accounts: Vec<String>,
    pub compression: Compression,
    pub ping_interval: Option<Duration>,
    pub max_pings_out: Option<u32>,
    pub write_deadline: Option<Duration>,
    pub write_timeout: WriteTimeout,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClusterAuthorization {
    pub user: Option<String>,
    pub password: Option<String>,
    pub timeout: Option<Duration>,
    pub permissions: Option<Permissions>,
}

/// Connections to each of the other servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutePool {
    /// One connection, as servers before pooling had it.
    Disabled,
    Connections(u32),
}

impl Default for RoutePool {
    fn default() -> Self {
        RoutePool::Connections(3)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compression {
    /// Do what the other side wants.
    #[default]
    Accept,
    Off,
    S2Fast,
    S2Better,
    S2Best,
    /// Choose by round trip time: uncompressed, fast, better, best above each threshold.
    S2Auto(Vec<Duration>),
}
