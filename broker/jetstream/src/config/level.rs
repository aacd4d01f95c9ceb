//! API levels: which server a configuration needs, kept in its metadata.

use std::collections::BTreeMap;

use super::{PersistMode, StreamConfig};
use crate::api::API_LEVEL;

/// The level a configuration needs; stored with it.
pub const REQUIRED_LEVEL: &str = "_nats.req.level";
/// The version of the server that answers; only in responses.
pub const SERVER_VERSION: &str = "_nats.ver";
/// The level of the server that answers; only in responses.
pub const SERVER_LEVEL: &str = "_nats.level";

/// The API level a stream needs.
pub fn required(config: &StreamConfig) -> u32 {
    let levels = [
        (
            1,
            config.allow_msg_ttl || config.subject_delete_marker_ttl_ns > 0,
        ),
        (
            2,
            config.allow_msg_counter
                || config.allow_atomic
                || config.allow_msg_schedules
                || config.persist_mode == PersistMode::Async,
        ),
        (4, config.allow_batched),
    ];
    let needed = levels.into_iter().filter(|(_, is_used)| *is_used);
    needed.map(|(level, _)| level).max().unwrap_or(0)
}

/// Records the level a stream needs, and drops what only responses carry.
pub(super) fn stamp(config: &mut StreamConfig) {
    let level = required(config);
    for key in [SERVER_VERSION, SERVER_LEVEL] {
        config.metadata.remove(key);
    }
    config
        .metadata
        .insert(REQUIRED_LEVEL.to_owned(), level.to_string());
}

/// Adds to the metadata of a stream or consumer what responses carry.
pub fn add_server(metadata: &mut BTreeMap<String, String>, version: &str) {
    metadata.insert(SERVER_VERSION.to_owned(), version.to_owned());
    metadata.insert(SERVER_LEVEL.to_owned(), API_LEVEL.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_added_is_not_stored_again() {
        let mut config = StreamConfig {
            allow_msg_ttl: true,
            ..StreamConfig::default()
        };
        stamp(&mut config);
        let stored = config.clone();
        add_server(&mut config.metadata, "2.15.2");
        assert_eq!(config.metadata.len(), 3);
        stamp(&mut config);
        assert_eq!(config, stored);
        assert_eq!(config.metadata[REQUIRED_LEVEL], "1");
    }
}
