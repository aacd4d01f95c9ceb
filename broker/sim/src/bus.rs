//! The message bus of all brokers and their clients, in memory.
//!
//! A message published at one broker reaches the subscriptions there and on every broker it can
//! pass to, at most once and in order on each link, as with routes between servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use consensus::NodeId;
use engine::bus::{Bus, Handler, Incoming, Outgoing, SubscriptionId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::network::{Kind, Network, Way, digest_of};
use crate::trace::Trace;

/// Events of JetStream carry ids that are not drawn from the seed; clients here ignore them.
const EVENTS: &[u8] = b"$JS.EVENT.";

/// All subscriptions. A handle: clones mean the same bus.
#[derive(Clone)]
pub struct Switch(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    network: Network,
    trace: Trace,
}

#[derive(Default)]
struct State {
    next_id: u64,
    subscriptions: BTreeMap<NodeId, BTreeMap<u64, Subscription>>,
    /// Brokers that run, by the life they are in.
    lives: BTreeMap<NodeId, u64>,
    /// When the last message of a link arrives: the next must not overtake it.
    last_arrival: BTreeMap<(NodeId, NodeId), Instant>,
}

#[derive(Clone)]
struct Subscription {
    account: String,
    subject: Bytes,
    handler: Arc<dyn Handler>,
}

struct Parcel {
    way: Way,
    account: String,
    message: Outgoing,
}

impl Switch {
    pub fn new(network: Network, trace: Trace) -> Self {
        Switch(Arc::new(Shared {
            state: Mutex::default(),
            network,
            trace,
        }))
    }

    /// The bus as broker `node` uses it from now on, until it is unplugged.
    pub fn plug(&self, node: NodeId) -> Arc<Socket> {
        let mut state = self.0.state.lock();
        state.next_id += 1;
        let life = state.next_id;
        state.lives.insert(node, life);
        Arc::new(Socket {
            switch: self.clone(),
            node,
            life,
        })
    }

    /// The broker is gone, with all subscriptions made there.
    pub fn unplug(&self, node: NodeId) {
        let mut state = self.0.state.lock();
        state.lives.remove(&node);
        state.subscriptions.remove(&node);
    }

    /// The brokers that clients can connect to.
    pub fn brokers(&self) -> Vec<NodeId> {
        self.0.state.lock().lives.keys().copied().collect()
    }

    /// Subscribes a client that is connected to `node`.
    pub fn subscribe(
        &self,
        node: NodeId,
        account: &str,
        subject: &str,
        handler: Arc<dyn Handler>,
    ) -> SubscriptionId {
        let state = &mut *self.0.state.lock();
        state.next_id += 1;
        let subscription = Subscription {
            account: account.to_owned(),
            subject: Bytes::copy_from_slice(subject.as_bytes()),
            handler,
        };
        if state.lives.contains_key(&node) {
            let here = state.subscriptions.entry(node).or_default();
            here.insert(state.next_id, subscription);
        }
        SubscriptionId(state.next_id)
    }

    pub fn unsubscribe(&self, id: SubscriptionId) {
        let mut state = self.0.state.lock();
        for here in state.subscriptions.values_mut() {
            here.remove(&id.0);
        }
    }

    /// Publishes at `node`, for a client that is connected there or for the broker itself.
    pub fn publish(&self, node: NodeId, account: &str, message: &Outgoing) {
        let shared = &*self.0;
        let state = &mut *shared.state.lock();
        let digest = match message.subject.starts_with(EVENTS) {
            true => digest_of(&message.subject),
            false => digest_of(&(&message.subject, &message.reply, &message.payload)),
        };
        let brokers: BTreeSet<NodeId> = state.lives.keys().copied().collect();
        for to in brokers {
            let way = Way {
                from: node,
                to,
                kind: Kind::Bus,
            };
            let Some(mut stamp) = shared.network.stamp(way, digest) else {
                continue;
            };
            if to == node {
                stamp.at = Instant::now();
            }
            let last = state.last_arrival.entry((node, to)).or_insert(stamp.at);
            *last = stamp.at.max(*last);
            state.next_id += 1;
            // In order on each link.
            (stamp.at, stamp.digest, stamp.copy) = (*last, 0, state.next_id);
            let parcel = Parcel {
                way,
                account: account.to_owned(),
                message: message.clone(),
            };
            let switch = self.clone();
            let deliver = move || switch.deliver(parcel);
            shared.network.post(stamp, Box::new(deliver));
        }
    }

    fn has_interest(&self, node: NodeId, account: &str, subject: &[u8]) -> bool {
        let state = self.0.state.lock();
        state.subscriptions.iter().any(|(there, subscriptions)| {
            self.0.network.is_connected(node, *there)
                && subscriptions
                    .values()
                    .any(|one| one.account == account && subject::matches(&one.subject, subject))
        })
    }

    fn deliver(&self, parcel: Parcel) {
        let handlers = self.0.state.lock().handlers(&parcel);
        let message = &parcel.message;
        if handlers.is_empty() {
            return;
        }
        if !message.subject.starts_with(EVENTS) {
            let link = [parcel.way.from.0 as u8, parcel.way.to.0 as u8];
            let parts: [&[u8]; 4] = [
                &link,
                &message.subject,
                message.reply.as_deref().unwrap_or_default(),
                &message.payload,
            ];
            self.0.trace.event("message", &parts);
        }
        let incoming = Incoming {
            account: &parcel.account,
            subject: message.shown.as_ref().unwrap_or(&message.subject),
            reply: message.reply.as_deref(),
            headers: &message.headers,
            payload: &message.payload,
            connection: 0,
        };
        for handler in handlers {
            handler.deliver(&incoming);
        }
    }
}

impl State {
    fn handlers(&self, parcel: &Parcel) -> Vec<Arc<dyn Handler>> {
        let here = self.subscriptions.get(&parcel.way.to).into_iter().flatten();
        here.filter(|(_, one)| {
            one.account == parcel.account && subject::matches(&one.subject, &parcel.message.subject)
        })
        .map(|(_, one)| one.handler.clone())
        .collect()
    }
}

/// The bus as one life of one broker sees it; afterwards it does nothing.
pub struct Socket {
    switch: Switch,
    node: NodeId,
    life: u64,
}

impl Socket {
    fn is_alive(&self) -> bool {
        self.switch.0.state.lock().lives.get(&self.node) == Some(&self.life)
    }
}

impl Bus for Socket {
    fn subscribe(&self, account: &str, subject: &str, handler: Arc<dyn Handler>) -> SubscriptionId {
        match self.is_alive() {
            true => self.switch.subscribe(self.node, account, subject, handler),
            false => SubscriptionId(0),
        }
    }

    fn unsubscribe(&self, id: SubscriptionId) {
        self.switch.unsubscribe(id);
    }

    fn publish(&self, account: &str, messages: &[Outgoing]) {
        if self.is_alive() {
            for message in messages {
                self.switch.publish(self.node, account, message);
            }
        }
    }

    fn has_interest(&self, account: &str, subject: &str) -> bool {
        self.is_alive()
            && self
                .switch
                .has_interest(self.node, account, subject.as_bytes())
    }
}
