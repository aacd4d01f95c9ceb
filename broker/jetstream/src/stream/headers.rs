//! The headers that control a publish.

/// Values of the headers a publish is judged by; an empty value counts as absent.
#[derive(Debug, Default)]
pub(super) struct PublishHeaders<'a> {
    pub(super) msg_id: Option<&'a [u8]>,
    pub(super) expected_stream: Option<&'a [u8]>,
    pub(super) expected_last_msg_id: Option<&'a [u8]>,
    pub(super) expected_last_seq: Option<&'a [u8]>,
    pub(super) expected_last_subject_seq: Option<&'a [u8]>,
    pub(super) expected_last_subject: Option<&'a [u8]>,
    pub(super) rollup: Option<&'a [u8]>,
    pub(super) ttl: Option<&'a [u8]>,
    pub(super) increment: Option<&'a [u8]>,
    pub(super) batch_id: Option<&'a [u8]>,
    pub(super) schedule: Option<&'a [u8]>,
    pub(super) schedule_next: Option<&'a [u8]>,
    pub(super) schedule_target: Option<&'a [u8]>,
    pub(super) schedule_source: Option<&'a [u8]>,
    pub(super) schedule_ttl: Option<&'a [u8]>,
    pub(super) schedule_rollup: Option<&'a [u8]>,
    pub(super) schedule_time_zone: Option<&'a [u8]>,
    pub(super) scheduler: Option<&'a [u8]>,
    pub(super) stream_source: Option<&'a [u8]>,
}

impl<'a> PublishHeaders<'a> {
    pub(super) fn parse(block: &'a [u8]) -> PublishHeaders<'a> {
        let mut headers = PublishHeaders::default();
        if block.is_empty() {
            return headers;
        }
        for (name, value) in wire::headers::iter(block) {
            if let Some(slot) = headers.slot(name)
                && slot.is_none()
                && !value.is_empty()
            {
                *slot = Some(value);
            }
        }
        headers
    }

    /// Whether the publish depends on what the stream holds.
    pub(super) fn has_expectations(&self) -> bool {
        self.expected_stream.is_some()
            || self.expected_last_msg_id.is_some()
            || self.expected_last_seq.is_some()
            || self.expected_last_subject_seq.is_some()
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        let slot = match name.strip_prefix(b"Nats-")? {
            b"Msg-Id" => &mut self.msg_id,
            b"Expected-Stream" => &mut self.expected_stream,
            b"Expected-Last-Msg-Id" => &mut self.expected_last_msg_id,
            b"Expected-Last-Sequence" => &mut self.expected_last_seq,
            b"Expected-Last-Subject-Sequence" => &mut self.expected_last_subject_seq,
            b"Expected-Last-Subject-Sequence-Subject" => &mut self.expected_last_subject,
            b"Rollup" => &mut self.rollup,
            b"TTL" => &mut self.ttl,
            b"Incr" => &mut self.increment,
            b"Batch-Id" => &mut self.batch_id,
            b"Schedule" => &mut self.schedule,
            b"Schedule-Next" => &mut self.schedule_next,
            b"Schedule-Target" => &mut self.schedule_target,
            b"Schedule-Source" => &mut self.schedule_source,
            b"Schedule-TTL" => &mut self.schedule_ttl,
            b"Schedule-Rollup" => &mut self.schedule_rollup,
            b"Schedule-Time-Zone" => &mut self.schedule_time_zone,
            b"Scheduler" => &mut self.scheduler,
            b"Stream-Source" => &mut self.stream_source,
            _ => return None,
        };
        Some(slot)
    }
}

/// A sequence in a header. What is not a number is no sequence any stream can have.
pub(super) fn sequence(text: &[u8]) -> u64 {
    decimal(text).unwrap_or(u64::MAX)
}

/// How long a message lives on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ttl {
    /// As long as the stream's limits allow.
    Unset,
    /// Even the stream's age limit does not remove it.
    Never,
    Seconds(i64),
}

impl Ttl {
    /// When a message of this time ends, nanoseconds since 1970; `None` if not on its own account.
    pub(super) fn deadline_ns(self, time_ns: i64) -> Option<i64> {
        match self {
            Ttl::Unset | Ttl::Never => None,
            Ttl::Seconds(seconds) => {
                Some(time_ns.saturating_add(seconds.saturating_mul(1_000_000_000)))
            }
        }
    }
}

/// Reads a `Nats-TTL` header: `never`, a duration of at least one second, or whole seconds.
/// `None` if it is none of these.
pub(super) fn ttl(text: &[u8]) -> Option<Ttl> {
    let text = std::str::from_utf8(text).ok()?;
    if text.eq_ignore_ascii_case("never") {
        return Some(Ttl::Never);
    }
    let seconds = match crate::duration::parse(text) {
        Some(0) if text == "0" => 0,
        Some(nanoseconds) if nanoseconds < 1_000_000_000 => return None,
        Some(nanoseconds) => nanoseconds / 1_000_000_000,
        None => i64::try_from(decimal(text.as_bytes())?).ok()?,
    };
    Some(if seconds == 0 {
        Ttl::Unset
    } else {
        Ttl::Seconds(seconds)
    })
}

/// Whether the text is a whole number with an optional sign.
pub(super) fn is_integer(text: &[u8]) -> bool {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_header_counts() {
        let block = b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Msg-Id: b\r\nNats-Rollup:\r\nX: y\r\n\r\n";
        let headers = PublishHeaders::parse(block);
        assert_eq!(headers.msg_id, Some(&b"a"[..]));
        assert_eq!(headers.rollup, None);
    }

    #[test]
    fn a_time_to_live_is_a_duration_or_seconds() {
        assert_eq!(ttl(b"never"), Some(Ttl::Never));
        assert_eq!(ttl(b"1m30s"), Some(Ttl::Seconds(90)));
        assert_eq!(ttl(b"5"), Some(Ttl::Seconds(5)));
        assert_eq!(ttl(b"0"), Some(Ttl::Unset));
        for text in [
            &b"999ms"[..],
            b"-5s",
            b"soon",
            b"\xff",
            b"99999999999999999999",
        ] {
            assert_eq!(ttl(text), None);
        }
    }

    #[test]
    fn a_broken_sequence_matches_nothing() {
        assert_eq!(sequence(b"12"), 12);
        assert_eq!(sequence(b"12x"), u64::MAX);
        assert_eq!(sequence(b"99999999999999999999999"), u64::MAX);
    }
}
