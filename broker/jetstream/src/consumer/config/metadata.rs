//! Metadata that the server keeps about a consumer.

use super::{AckPolicy, ConsumerConfig, PriorityPolicy};

/// The API level this server speaks.
pub const API_LEVEL: u32 = 5;

const REQUIRED_LEVEL: &str = "_nats.req.level";
const SERVER_LEVEL: &str = "_nats.level";
const SERVER_VERSION: &str = "_nats.ver";

impl ConsumerConfig {
    /// Replaces what a client claims about API levels by what the configuration needs.
    pub(super) fn state_required_level(&mut self) {
        let pauses = self.pause_until.is_some_and(|until| !until.is_unset());
        let level = match self.ack_policy {
            AckPolicy::FlowControl => 4,
            _ => u32::from(pauses || self.priority_policy != PriorityPolicy::None),
        };
        self.metadata.remove(SERVER_LEVEL);
        self.metadata.remove(SERVER_VERSION);
        self.metadata
            .insert(REQUIRED_LEVEL.to_owned(), level.to_string());
    }

    /// The configuration as replies show it, with what this server is added to the metadata.
    pub fn with_server_metadata(&self, version: &str) -> ConsumerConfig {
        let mut shown = self.clone();
        shown
            .metadata
            .insert(SERVER_LEVEL.to_owned(), API_LEVEL.to_string());
        shown
            .metadata
            .insert(SERVER_VERSION.to_owned(), version.to_owned());
        shown
    }
}
