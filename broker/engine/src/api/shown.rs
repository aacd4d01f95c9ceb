//! Metadata that the server adds to what it shows and does not store.

use std::collections::BTreeMap;

use jetstream::api::API_LEVEL;

/// The nats-server version whose API this server speaks.
pub const VERSION: &str = "2.15.2";

/// Adds the API level of the server, and the level the asset needs.
pub fn add_levels(metadata: &mut BTreeMap<String, String>) {
    metadata.insert("_nats.level".to_owned(), API_LEVEL.to_string());
    metadata
        .entry("_nats.req.level".to_owned())
        .or_insert_with(|| "0".to_owned());
    metadata.insert("_nats.ver".to_owned(), VERSION.to_owned());
}

/// Takes out what [`add_levels`] added: clients send back what they were shown.
pub fn remove_levels(metadata: &mut BTreeMap<String, String>) {
    metadata.retain(|key, _| !key.starts_with("_nats."));
}
