//! Whether anybody leads JetStream, as far as this server can tell.
//!
//! Every server of a cluster gets every API request, and the leader concerned answers. A server that
//! cannot serve may not answer in its place: clients take the first answer that comes.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Engine;

/// How long nobody has to have led before clients are told so: nats-server's time, too.
const LEADERLESS_AFTER: Duration = Duration::from_secs(10);

/// Since when no leader is known.
#[derive(Default)]
pub(crate) struct Leaderless(Mutex<Option<Instant>>);

impl Leaderless {
    fn note(&self, is_led: bool) {
        let mut since = self.0.lock();
        match is_led {
            true => *since = None,
            false => {
                since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn lasts(&self) -> bool {
        let since = *self.0.lock();
        since.is_some_and(|since| since.elapsed() >= LEADERLESS_AFTER)
    }
}

impl Engine {
    /// Looks whether there is a leader; to be called again and again in a cluster.
    pub(super) fn look_for_leader(&self, is_member: bool) {
        let shared = &self.shared;
        let is_led = match self.is_ready() {
            true => shared.meta_leader().is_some(),
            // Its own replica is not open yet; those it is connected to have theirs.
            false => is_member && !shared.peers_up.lock().is_empty(),
        };
        shared.leaderless.note(is_led);
    }

    /// Whether to tell clients that JetStream is not available.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self.env().is_clustered() {
            true => self.shared.leaderless.lasts(),
            false => !self.is_ready(),
        }
    }
}
