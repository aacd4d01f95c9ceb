//! Pages about what this server does not have, for tools that expect them.

use std::collections::BTreeMap;

use jetstream::timestamp::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{Sources, text};

/// `gatewayz`: there are no gateways.
#[derive(Debug, Serialize)]
pub struct Gatewayz {
    pub server_id: String,
    pub now: Timestamp,
    pub outbound_gateways: BTreeMap<String, Value>,
    pub inbound_gateways: BTreeMap<String, Value>,
}

/// `leafz`: there are no leaf nodes.
#[derive(Debug, Serialize)]
pub struct Leafz {
    pub server_id: String,
    pub now: Timestamp,
    pub leafnodes: usize,
    pub leafs: Vec<Value>,
}

pub fn gatewayz(sources: &Sources) -> Gatewayz {
    Gatewayz {
        server_id: sources.hub.options().server.server_id.clone(),
        now: text::now(),
        outbound_gateways: BTreeMap::new(),
        inbound_gateways: BTreeMap::new(),
    }
}

pub fn leafz(sources: &Sources) -> Leafz {
    Leafz {
        server_id: sources.hub.options().server.server_id.clone(),
        now: text::now(),
        leafnodes: 0,
        leafs: Vec::new(),
    }
}
