//! Which servers a leadership may be handed to.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::NodeId;

/// Servers that are gone or about to stop; shared by all groups of this server.
#[derive(Clone, Default)]
pub(crate) struct Reachable(Arc<Inner>);

#[derive(Default)]
struct Inner {
    out_of_reach: Mutex<BTreeSet<NodeId>>,
    changed: Notify,
}

impl Reachable {
    pub(crate) fn set(&self, node: NodeId, is_reachable: bool) {
        let mut out_of_reach = self.0.out_of_reach.lock();
        match is_reachable {
            true => out_of_reach.remove(&node),
            false => out_of_reach.insert(node),
        };
        drop(out_of_reach);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn is(&self, node: NodeId) -> bool {
        !self.0.out_of_reach.lock().contains(&node)
    }

    /// Returns once a server is out of reach.
    pub(crate) async fn lost(&self, node: NodeId) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.is(node) {
                return;
            }
            changed.await;
        }
    }
}
