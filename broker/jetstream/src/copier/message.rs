//! What an origin's consumer sends.

use bytes::Bytes;
use wire::headers::Builder;

use super::Delivered;
use crate::consumer::ack::{AckSubject, AckToken};

/// What a message that arrived is.
pub(super) enum Kind {
    Message(AckToken),
    FlowControl,
    Heartbeat {
        last_consumer_seq: u64,
        last_stream_seq: u64,
        /// The consumer waits for a reply to this subject.
        stalled_on: Option<Bytes>,
    },
    /// Nothing that a consumer sends.
    Other,
}

pub(super) fn kind(delivered: &Delivered) -> Kind {
    if let Some(ack) = AckSubject::parse(&delivered.reply) {
        return Kind::Message(ack.token);
    }
    match wire::headers::status(&delivered.headers) {
        Some(status) if status.code == 100 && !delivered.reply.is_empty() => Kind::FlowControl,
        Some(status) if status.code == 100 => Kind::Heartbeat {
            last_consumer_seq: number(delivered, "Nats-Last-Consumer"),
            last_stream_seq: number(delivered, "Nats-Last-Stream"),
            stalled_on: wire::headers::get(&delivered.headers, "Nats-Consumer-Stalled")
                .map(Bytes::copy_from_slice),
        },
        _ => Kind::Other,
    }
}

fn number(delivered: &Delivered, header: &str) -> u64 {
    wire::headers::get(&delivered.headers, header)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// What a publisher expected of the origin, which a copy can not be held to.
fn is_expectation(name: &[u8]) -> bool {
    name.starts_with(b"Nats-Expected-")
}

/// The headers of a message in a mirror.
pub(super) fn mirrored_headers(headers: &Bytes) -> Bytes {
    match wire::headers::iter(headers).any(|(name, _)| is_expectation(name)) {
        true => wire::headers::without(headers, is_expectation).into(),
        false => headers.clone(),
    }
}

/// The headers of a message with its origin. What was meant for the origin alone is left out.
pub(super) fn sourced_headers(headers: &[u8], source: &[u8]) -> Bytes {
    let kept = wire::headers::without(headers, |name| {
        name == b"Nats-Stream-Source" || is_expectation(name) || name.starts_with(b"Nats-Batch-")
    });
    Builder::extending(&kept)
        .add("Nats-Stream-Source", source)
        .build()
        .into()
}
