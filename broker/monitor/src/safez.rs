//! `safez`: whether a server can be stopped now, and whether it has caught up after a start.
//!
//! `GET /safez` asks about the server itself, `?server=NAME` about another one of the cluster, which
//! may be away. The status is 200 if it can be stopped, 503 if not, 404 if there is no such server;
//! the body is the same JSON in both of the first cases. In the system account it is
//! `$SYS.REQ.SERVER.<id>.SAFEZ`, or `PING` instead of the id, with the optional body
//! `{"server":"NAME"}`. The fields are those of [`engine::Reliance`].
//!
//! Who rolls a cluster waits for `safe` before a server is stopped, and after it started again for
//! `current` before the next one. Who takes a server away for good has it evacuated first and waits
//! for `replicas` and `leaders` to be 0.

use engine::Reliance;
use serde::Deserialize;

use crate::Sources;

/// Which server is asked about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SafezOptions {
    /// Empty = the one that answers.
    pub server: String,
}

/// What relies on the server; `None` if the cluster has no such server.
pub async fn safez(sources: &Sources, options: &SafezOptions) -> Option<Reliance> {
    let own = &sources.hub.options().server.server_name;
    let named = Some(options.server.as_str()).filter(|name| !name.is_empty());
    match &sources.engine {
        Some(engine) => engine.reliance(named).await,
        // Without JetStream there is nothing that could rely on it.
        None => named
            .is_none_or(|name| name == own)
            .then(|| Reliance::nothing(own.clone())),
    }
}
