//! What a consumer's delivery asks the engine to do.

use bytes::Bytes;

use messages::StoredMessage;

use super::ack::AckToken;

/// One thing for the engine to do. Actions are to be carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a message. The reply subject is the consumer's
    /// [`AckPrefix`](super::AckPrefix) followed by `ack`.
    Deliver {
        /// Whose subscribers receive it: a pull request's reply subject, or the deliver subject.
        /// They see the message's own subject.
        to: Bytes,
        message: StoredMessage,
        ack: AckToken,
        /// Send the headers plus `Nats-Msg-Size`, but no payload
        /// (see [`headers_only_block`](super::status::headers_only_block)).
        headers_only: bool,
        /// The id of the pinned client that receives it, for the header `Nats-Pin-Id`.
        pin_id: Option<Bytes>,
    },
    /// Send a header-only message: status line and headers, no payload.
    Status {
        to: Bytes,
        /// Reply subject; empty except for flow control requests.
        reply: Bytes,
        /// The complete header block, `NATS/1.0 …` to the empty line.
        headers: Bytes,
    },
    /// Send an empty message to `reply` once the progress that is pending now has been committed.
    ConfirmAck { reply: Bytes },
    /// Publish an advisory or metric.
    Advisory(Advisory),
}

/// An event of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advisory {
    /// `max_deliver` was reached: the message will not be delivered again.
    MaxDeliveries { stream_seq: u64, deliveries: u64 },
    /// A client refused the message for now.
    Nak {
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u64,
    },
    /// A client, or the removal of the message, ended its delivery.
    Terminated {
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u64,
        reason: String,
    },
    /// A client of the group alone is served from now on.
    Pinned { group: String, id: String },
    /// The group's client is pinned no more: `admin` or `timeout`.
    Unpinned { group: String, reason: &'static str },
    /// A sampled acknowledgement (`sample_freq`).
    Acked {
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u64,
        ack_time_ns: i64,
    },
}
