//! The header-only messages with which a consumer speaks to its clients.

use std::fmt::Write;

use bytes::Bytes;

pub const REQUEST_TIMEOUT: &str = "408 Request Timeout";
pub const REQUESTS_PENDING: &str = "408 Requests Pending";
pub const NO_MESSAGES: &str = "404 No Messages";
pub const PUSH_BASED: &str = "409 Consumer is push based";
pub const EXCEEDED_MAX_WAITING: &str = "409 Exceeded MaxWaiting";
pub const BATCH_COMPLETED: &str = "409 Batch Completed";
pub const SIZE_EXCEEDS_MAX_BYTES: &str = "409 Message Size Exceeds MaxBytes";
pub const PIN_ID_MISMATCH: &str = "423 Nats-Pin-Id mismatch";
pub const WRONG_PIN_ID: &str = "423 Nats-Wrong-Pin-Id";
pub const CONSUMER_DELETED: &str = "409 Consumer Deleted";
pub const LEADERSHIP_CHANGE: &str = "409 Leadership Change";
pub const SERVER_SHUTDOWN: &str = "409 Server Shutdown";
pub const FLOW_CONTROL_REQUEST: &str = "100 FlowControl Request";
pub const IDLE_HEARTBEAT: &str = "100 Idle Heartbeat";

/// A status line without headers.
pub fn line(status: &str) -> Bytes {
    Bytes::from(format!("NATS/1.0 {status}\r\n\r\n"))
}

/// A status line that says what is left of a pull request.
pub fn with_pending(status: &str, messages: u64, bytes: u64) -> Bytes {
    Bytes::from(format!(
        "NATS/1.0 {status}\r\nNats-Pending-Messages: {messages}\r\nNats-Pending-Bytes: {bytes}\r\n\r\n"
    ))
}

/// A heartbeat; `stalled_on` is the flow control subject whose reply is awaited.
pub fn idle_heartbeat(consumer_seq: u64, stream_seq: u64, stalled_on: Option<&Bytes>) -> Bytes {
    let mut block = format!(
        "NATS/1.0 {IDLE_HEARTBEAT}\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {stream_seq}\r\n"
    );
    if let Some(subject) = stalled_on {
        let subject = String::from_utf8_lossy(subject);
        // Writing to a string cannot fail.
        let _ = write!(block, "Nats-Consumer-Stalled: {subject}\r\n");
    }
    block.push_str("\r\n");
    Bytes::from(block)
}

/// The header block of a reply to a flow control request that says what has been stored.
pub fn stored_through(consumer_seq: u64, stream_seq: u64) -> Bytes {
    Bytes::from(format!(
        "NATS/1.0\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {stream_seq}\r\n\r\n"
    ))
}

/// The stream sequence that such a block names; 0 without one.
pub fn last_stream_seq(headers: &[u8]) -> u64 {
    wire::headers::get(headers, "Nats-Last-Stream")
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Replaces `out` by the header block of a message whose payload is left out: the message's own
/// headers plus `Nats-Msg-Size`.
pub fn headers_only_block(headers: &[u8], payload_size: usize, out: &mut Vec<u8>) {
    use std::io::Write;
    out.clear();
    out.extend_from_slice(headers.strip_suffix(b"\r\n").unwrap_or(b"NATS/1.0\r\n"));
    // Writing to a vector cannot fail.
    let _ = write!(out, "Nats-Msg-Size: {payload_size}\r\n\r\n");
}

/// Length of the header block that [`headers_only_block`] makes.
pub fn headers_only_length(headers: &[u8], payload_size: usize) -> usize {
    let own = if headers.is_empty() {
        b"NATS/1.0\r\n".len()
    } else {
        headers.len() - 2
    };
    let digits = payload_size.checked_ilog10().unwrap_or(0) as usize + 1;
    own + b"Nats-Msg-Size: ".len() + digits + b"\r\n\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_byte_exact() {
        assert_eq!(line(NO_MESSAGES), "NATS/1.0 404 No Messages\r\n\r\n");
        assert_eq!(
            with_pending(REQUEST_TIMEOUT, 3, 0),
            "NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n"
        );
        assert_eq!(
            idle_heartbeat(4, 9, None),
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 4\r\nNats-Last-Stream: 9\r\n\r\n"
        );
        let stalled = Bytes::from_static(b"$JS.FC.S.C.aaaa");
        let block = idle_heartbeat(4, 9, Some(&stalled));
        assert!(block.ends_with(b"9\r\nNats-Consumer-Stalled: $JS.FC.S.C.aaaa\r\n\r\n"));
    }

    #[test]
    fn a_headers_only_message_tells_its_size() {
        let cases: [(&[u8], usize, &[u8]); 2] = [
            (b"", 0, b"NATS/1.0\r\nNats-Msg-Size: 0\r\n\r\n"),
            (
                b"NATS/1.0\r\nA: b\r\n\r\n",
                12,
                b"NATS/1.0\r\nA: b\r\nNats-Msg-Size: 12\r\n\r\n",
            ),
        ];
        let mut out = Vec::new();
        for (headers, size, expected) in cases {
            headers_only_block(headers, size, &mut out);
            assert_eq!(out, expected);
            assert_eq!(headers_only_length(headers, size), expected.len());
        }
    }
}
