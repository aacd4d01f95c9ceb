//! What a client may use, and how long the server waits for it.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Zero refuses every client.
    pub max_connections: u64,
    /// Subscriptions of one client; no limit if absent.
    pub max_subscriptions: Option<u64>,
    /// Tokens in the subject of a subscription; no limit if absent.
    pub max_subscription_tokens: Option<u8>,
    pub max_control_line_bytes: u32,
    pub max_payload_bytes: u32,
    /// Bytes that may wait to be written to one client.
    pub max_pending_bytes: u64,
    /// Closed connections remembered for monitoring.
    pub max_closed_clients: usize,
    /// Bytes of a message shown in traces; no limit if absent.
    pub max_traced_message_bytes: Option<usize>,
    pub ping_interval: Duration,
    /// Pings without an answer before a connection is stale.
    pub max_pings_out: u32,
    pub write_deadline: Duration,
    pub write_timeout: WriteTimeout,
    pub lame_duck_duration: Duration,
    pub lame_duck_grace_period: Duration,
}

impl Limits {
    /// The largest payload the protocol can carry, which stands for having no limit.
    pub const NO_PAYLOAD_LIMIT: u32 = i32::MAX as u32;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            max_subscriptions: None,
            max_subscription_tokens: None,
            max_control_line_bytes: 4096,
            max_payload_bytes: 1024 * 1024,
            max_pending_bytes: 64 * 1024 * 1024,
            max_closed_clients: 10_000,
            max_traced_message_bytes: None,
            ping_interval: Duration::from_secs(120),
            max_pings_out: 2,
            write_deadline: Duration::from_secs(10),
            write_timeout: WriteTimeout::Default,
            lame_duck_duration: Duration::from_secs(120),
            lame_duck_grace_period: Duration::from_secs(10),
        }
    }
}

/// What happens to a connection whose write deadline passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteTimeout {
    /// Clients are closed, servers are tried again.
    #[default]
    Default,
    Close,
    Retry,
}
