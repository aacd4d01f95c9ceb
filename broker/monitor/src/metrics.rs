//! `/metrics`: the state of the server in Prometheus' text format.
//!
//! Nothing is counted for Prometheus: one collector reads the server's own counters when it is
//! asked. A page stays bounded however much the server holds: of accounts, streams and consumers
//! the first of each kind are shown under their names, the sum of the rest under [`OTHER`].

mod connections;
mod definitions;
mod jetstream;
mod process;
mod sheet;
mod wal;

use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::Sources;
use sheet::Sheet;

pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The label of everything beyond the limits below.
const OTHER: &str = "other";
/// Accounts shown under their own names.
const MAX_ACCOUNTS: usize = 100;
/// Streams shown under their own names.
const MAX_STREAMS: usize = 1000;
/// Consumers shown under their own names.
const MAX_CONSUMERS: usize = 1000;

/// The page.
pub(crate) fn page(sources: &Arc<Sources>) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    registry.register(Box::new(ServerCollector(Arc::downgrade(sources))))?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

/// Everything there is to know about one server.
struct ServerCollector(Weak<Sources>);

impl Collector for ServerCollector {
    fn desc(&self) -> Vec<&Desc> {
        definitions::descriptions()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sheet = Sheet::default();
        if let Some(sources) = self.0.upgrade() {
            process::fill(&sources, &mut sheet);
            connections::fill(&sources, &mut sheet);
            if let Some(engine) = &sources.engine {
                jetstream::fill(engine, &mut sheet);
            }
            if let Some(log) = &sources.wal {
                wal::fill(log, &mut sheet);
            }
        }
        sheet.families()
    }
}
