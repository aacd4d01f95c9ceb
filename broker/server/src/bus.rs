//! JetStream's view of live connections.

use std::collections::HashMap;
use std::sync::Arc;

use engine::bus::{Bus, Handler, Incoming, InterestWatcher, Outgoing, SubscriptionId, WatchId};
use hub::{Account, Delivery, Hub, OriginKind, Publish};
use parking_lot::RwLock;
use serde_json::Value;

/// The hub as a [`Bus`].
pub struct HubBus {
    hub: Arc<Hub>,
    /// Accounts looked up before: publishing happens far too often to ask the hub each time.
    accounts: RwLock<HashMap<String, Arc<Account>>>,
}

impl HubBus {
    pub fn new(hub: Arc<Hub>) -> Self {
        HubBus {
            hub,
            accounts: RwLock::default(),
        }
    }

    fn account(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(name) {
            return account.clone();
        }
        let account = self.hub.account(name);
        self.accounts
            .write()
            .insert(name.to_owned(), account.clone());
        account
    }
}

impl Bus for HubBus {
    fn subscribe(&self, account: &str, subject: &str, handler: Arc<dyn Handler>) -> SubscriptionId {
        let id = self
            .hub
            .subscribe(account, subject, None, Arc::new(Adapter(handler)));
        SubscriptionId(id.0)
    }

    fn subscribe_in_group(
        &self,
        account: &str,
        subject: &str,
        group: &str,
        handler: Arc<dyn Handler>,
    ) -> SubscriptionId {
        let handler = Arc::new(Adapter(handler));
        let id = self.hub.subscribe(account, subject, Some(group), handler);
        SubscriptionId(id.0)
    }

    fn unsubscribe(&self, id: SubscriptionId) {
        self.hub.unsubscribe(hub::SubscriptionId(id.0));
    }

    fn publish(&self, account: &str, messages: &[Outgoing]) {
        let account = self.account(account);
        self.hub.batch(|| {
            for message in messages {
                self.hub.publish(&account, &publish(message));
            }
        });
    }

    fn has_interest(&self, account: &str, subject: &str) -> bool {
        self.hub.has_interest(&self.account(account), subject)
    }

    fn has_literal_interest(&self, account: &str, subject: &str) -> bool {
        self.hub
            .has_literal_interest(&self.account(account), subject)
    }

    fn client(&self, connection: u64) -> Value {
        let info = self.hub.client_info(connection);
        info.and_then(|info| serde_json::to_value(info).ok())
            .unwrap_or_default()
    }

    fn watch_interest(
        &self,
        account: &str,
        subject: &str,
        watcher: InterestWatcher,
    ) -> Option<WatchId> {
        let id = self.hub.watch_interest(account, subject, watcher);
        Some(WatchId(id.0))
    }

    fn unwatch_interest(&self, id: WatchId) {
        self.hub.unwatch_interest(hub::WatchId(id.0));
    }
}

fn publish(message: &Outgoing) -> Publish<'_> {
    Publish {
        subject: &message.subject,
        shown: message.shown.as_deref().unwrap_or_default(),
        reply: message.reply.as_deref().unwrap_or_default(),
        headers: &message.headers,
        payload: &message.payload,
    }
}

struct Adapter(Arc<dyn Handler>);

impl hub::Handler for Adapter {
    fn deliver(&self, delivery: &Delivery<'_>) {
        self.0.deliver(&Incoming {
            account: delivery.account.name(),
            subject: delivery.subject,
            reply: (!delivery.reply.is_empty()).then_some(delivery.reply),
            headers: delivery.headers(),
            payload: delivery.payload(),
            connection: match delivery.origin.kind {
                OriginKind::Client => delivery.origin.connection,
                OriginKind::Route | OriginKind::System => 0,
            },
        });
    }
}
