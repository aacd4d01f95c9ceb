//! Stored messages that are published again under another subject.

use bytes::Bytes;
use wire::headers::Builder;

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
        let mut headers = Builder::extending(&message.headers)
            .add("Nats-Stream", &self.config.name)
            .add("Nats-Subject", subject)
            .add("Nats-Sequence", seq.to_string())
            .add("Nats-Time-Stamp", Timestamp(self.now_ns).to_string())
            .add("Nats-Last-Sequence", last_seq.to_string());
        let headers_only = self
            .config
            .republish
            .as_ref()
            .is_some_and(|rule| rule.headers_only);
        let payload = if headers_only {
            headers = headers.add("Nats-Msg-Size", message.payload.len().to_string());
            Bytes::new()
        } else {
            message.payload.clone()
        };
        Some(Effect::Republish {
            subject: destination.into(),
            headers: headers.build().into(),
            payload,
        })
    }
}
