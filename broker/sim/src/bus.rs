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
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::network::Network;
use crate::trace::Trace;

/// Events of JetStream carry ids that are not drawn from the seed; clients here ignore them.
const EVENTS: &[u8] = b"$JS.EVENT.";

/// All subscriptions and everything on its way. A handle: clones mean the same bus.
#[derive(Clone)]
pub struct Switch(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    network: Network,
    trace: Trace,
}

#[derive(Default)]
struct State {
    next_id: u64,
    subscriptions: BTreeMap<NodeId, BTreeMap<u64, Subscription>>,
    /// Brokers that run, by the life they are in.
    lives: BTreeMap<NodeId, u64>,
    on_the_way: BTreeMap<(Instant, u64), Parcel>,
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
    from: NodeId,
    to: NodeId,
    account: String,
    message: Outgoing,
}

impl Switch {
    pub fn new(network: Network, trace: Trace) -> Self {
        Switch(Arc::new(Shared {
            state: Mutex::default(),
            wake: Notify::new(),
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
        let brokers: BTreeSet<NodeId> = state.lives.keys().copied().collect();
        for to in brokers {
            let now = Instant::now();
            let arrival = match to == node {
                true => now,
                false => match shared.network.passage(node, to) {
                    Some(delay) => now + delay,
                    None => continue,
                },
            };
            let last = state.last_arrival.entry((node, to)).or_insert(arrival);
            *last = arrival.max(*last);
            state.next_id += 1;
            let parcel = Parcel {
                from: node,
                to,
                account: account.to_owned(),
                message: message.clone(),
            };
            state.on_the_way.insert((*last, state.next_id), parcel);
        }
        shared.wake.notify_one();
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

    /// Delivers what arrives, for as long as the simulation lasts.
    pub async fn run(self) {
        loop {
            match self.next_arrival() {
                Some(at) if at > Instant::now() => {
                    let woken = self.0.wake.notified();
                    let _ = tokio::time::timeout_at(at, woken).await;
                }
                Some(_) => self.deliver_next(),
                None => self.0.wake.notified().await,
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        let state = self.0.state.lock();
        state.on_the_way.keys().next().map(|(at, _)| *at)
    }

    fn deliver_next(&self) {
        let (parcel, handlers) = {
            let mut state = self.0.state.lock();
            let Some((_, parcel)) = state.on_the_way.pop_first() else {
                return;
            };
            if self.0.network.is_cut(parcel.from, parcel.to) {
                return;
            }
            let handlers = state.handlers(&parcel);
            (parcel, handlers)
        };
        let message = &parcel.message;
        if handlers.is_empty() {
            return;
        }
        if !message.subject.starts_with(EVENTS) {
            let link = [parcel.from.0 as u8, parcel.to.0 as u8];
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
        };
        for handler in handlers {
            handler.deliver(&incoming);
        }
    }
}

impl State {
    fn handlers(&self, parcel: &Parcel) -> Vec<Arc<dyn Handler>> {
        let here = self.subscriptions.get(&parcel.to).into_iter().flatten();
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
