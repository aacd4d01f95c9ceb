//! The process and the server as a whole.

use std::time::UNIX_EPOCH;

use super::definitions::*;
use super::sheet::Sheet;
use crate::options::HealthzOptions;
use crate::{Sources, healthz, process};

pub(super) fn fill(sources: &Sources, sheet: &mut Sheet) {
    let server = &sources.hub.options().server;
    let facts = sources.facts();
    sheet.put(&BUILD_INFO, &[&facts.product_version, &server.version], 1.0);
    let uptime = sources.hub.started().elapsed().unwrap_or_default();
    sheet.put(&UPTIME, &[], uptime.as_secs_f64());
    sheet.put(&CPU, &[], process::cpu_seconds());
    sheet.count(&MEMORY, &[], process::memory_bytes());
    sheet.count(&OPEN_FILES, &[], process::open_files());
    if let Some(max) = process::max_files() {
        sheet.count(&MAX_FILES, &[], max);
    }
    let health = healthz::healthz(sources, &HealthzOptions::default());
    sheet.count(&HEALTHY, &[], u64::from(health.is_ok()));
    let end = facts.tls_cert_not_after;
    if let Some(end) = end.and_then(|end| end.duration_since(UNIX_EPOCH).ok()) {
        sheet.put(&CERTIFICATE_END, &[], end.as_secs_f64());
    }
}
