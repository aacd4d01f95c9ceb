//! Stored messages that are published again under another subject.

use bytes::Bytes;

use super::StreamMachine;
use super::effect::Effect;
use crate::command::Publish;
use crate::timestamp::Timestamp;

impl StreamMachine {
    /// The message to publish again, if the stream republishes its subject. `last_seq` is the
    /// subject's previous message, so that light clients see gaps.
    pub(super) fn republished(
        &self,
        subject: &Bytes,
        message: &Publish,
        seq: u64,
        last_seq: u64,
    ) -> Option<Effect> {
        let destination = self.republish.as_ref()?.apply(subject, seq)?;
        if !subject::is_valid_publish(&destination) {
            return None;
        }
        let headers_only = self
            .config
            .republish
            .as_ref()
            .is_some_and(|rule| rule.headers_only);
        let mut headers = Vec::with_capacity(message.headers.len() + 160 + subject.len());
        match message.headers.strip_suffix(b"\r\n") {
            Some(block) => headers.extend_from_slice(block),
            None => headers.extend_from_slice(b"NATS/1.0\r\n"),
        }
        let time = Timestamp(self.now_ns);
        let mut add = |name: &str, value: &[u8]| {
            headers.extend_from_slice(name.as_bytes());
            headers.extend_from_slice(b": ");
            headers.extend_from_slice(value);
            headers.extend_from_slice(b"\r\n");
        };
        add("Nats-Stream", self.config.name.as_bytes());
        add("Nats-Subject", subject);
        add("Nats-Sequence", seq.to_string().as_bytes());
        add("Nats-Time-Stamp", time.to_string().as_bytes());
        add("Nats-Last-Sequence", last_seq.to_string().as_bytes());
        if headers_only {
            add(
                "Nats-Msg-Size",
                message.payload.len().to_string().as_bytes(),
            );
        }
        headers.extend_from_slice(b"\r\n");
        let payload = if headers_only {
            Bytes::new()
        } else {
            message.payload.clone()
        };
        Some(Effect::Republish {
            subject: destination,
            headers: headers.into(),
            payload,
        })
    }
}
