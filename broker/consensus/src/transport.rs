//! How groups reach their peers.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::NodeId;

/// A boxed future that can cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries requests to other servers of the cluster.
///
/// Requests are idempotent for the receiver and carry the group inside, so an implementation may
/// lose, delay, repeat and reorder them. It should merge requests of many groups to one peer into
/// one write: with thousands of idle groups most traffic is heartbeats of about 40 bytes.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` and returns the peer's answer, i.e. the result of
    /// [`Consensus::handle`](crate::Consensus::handle) there. Gives up after `timeout`.
    ///
    /// Put the request into the lane's queue in the call itself, not when the future is first
    /// polled: appends are pipelined, and those that arrive out of order are sent again. A future
    /// that is dropped needs no answer any more.
    fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>>;
}

/// Which connection a request belongs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Small and urgent: keeps a leader a leader. Shares a connection with `Vote` and `Append`,
    /// but goes first.
    Heartbeat,
    /// Small and urgent: elections and leadership transfer.
    Vote,
    /// Log entries; up to [`Limits::append_bytes_max`](crate::Limits::append_bytes_max) and one
    /// command each.
    Append,
    /// Snapshot chunks; a connection of its own, so that bulk never delays the others.
    Snapshot,
}

/// A request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no connection to the peer; worth waiting before another try.
    #[error("server {to:?} is not connected")]
    Unreachable {
        /// The peer.
        to: NodeId,
    },
    /// No answer within the timeout.
    #[error("server {to:?} did not answer within {timeout_ms} ms")]
    Timeout {
        /// The peer.
        to: NodeId,
        /// How long it was waited for.
        timeout_ms: u64,
    },
    /// The connection broke while the request was out.
    #[error("connection to server {to:?} was lost: {reason}")]
    Lost {
        /// The peer.
        to: NodeId,
        /// What the connection reported.
        reason: String,
    },
}
