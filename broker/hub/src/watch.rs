//! Telling whoever wants to know that clients come and go.

use std::sync::Arc;

use crate::{hub::Hub, snapshot::ConnectionSnapshot};

/// What happened to a client connection.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// It logged in.
    Connected(ConnectionSnapshot),
    /// It ended after its CONNECT, whether or not that was accepted.
    Disconnected(ConnectionSnapshot),
}

/// Told about every [`ClientEvent`]. Must be quick, and must not wait for the hub.
pub type ClientWatcher = Arc<dyn Fn(ClientEvent) + Send + Sync>;

impl Hub {
    /// Calls `watcher` whenever a client logs in or is gone. There is one watcher; a second call
    /// replaces the first.
    pub fn on_client_change(&self, watcher: ClientWatcher) {
        self.client_watcher.store(Some(Arc::new(watcher)));
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> ClientEvent) {
        if let Some(watcher) = &*self.client_watcher.load() {
            watcher(event());
        }
    }
}
