//! What the server tells about itself unasked.

use std::sync::Arc;
use std::time::Duration;

use monitor::statsz;

use super::{Shared, envelope};

const STATISTICS_INTERVAL: Duration = Duration::from_secs(10);

/// Sends the server's numbers regularly, while somebody listens.
pub async fn tell_statistics(shared: Arc<Shared>) {
    let subject = subject(&shared, "STATSZ");
    let mut ticks = tokio::time::interval(STATISTICS_INTERVAL);
    loop {
        ticks.tick().await;
        if shared.hub.has_interest(&shared.system, &subject) {
            let server = statsz::server_info(&shared.sources);
            let message = envelope::statistics(&server, &shared.sources);
            shared.publish(&shared.system, subject.as_bytes(), &message);
        }
    }
}

/// Sends an event that says nothing but who sends it.
pub fn tell(shared: &Shared, event: &str) {
    let message = envelope::server(&statsz::server_info(&shared.sources));
    shared.publish(&shared.system, subject(shared, event).as_bytes(), &message);
}

fn subject(shared: &Shared, event: &str) -> String {
    format!(
        "$SYS.SERVER.{}.{event}",
        shared.hub.options().server.server_id
    )
}
