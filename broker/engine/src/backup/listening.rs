//! A subscription that ends when it is dropped.

use std::sync::Arc;

use crate::bus::{Bus, Handler, SubscriptionId};

pub struct Listening {
    bus: Arc<dyn Bus>,
    id: SubscriptionId,
}

impl Listening {
    pub fn open(
        bus: &Arc<dyn Bus>,
        account: &str,
        subject: &str,
        handler: Arc<dyn Handler>,
    ) -> Self {
        Listening {
            bus: bus.clone(),
            id: bus.subscribe(account, subject, handler),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.bus.unsubscribe(self.id);
    }
}
