//! The network between the brokers: delays, losses, cuts. Consensus and peer calls pass it as
//! requests with an answer; the bus has it carry each message.
//!
//! What is sent in the same instant may be sent in any order: tokio wakes the tasks that wait for
//! one change in an order of its own. So the fate of a message is drawn from the seed and its
//! contents, not from a sequence of numbers, and what arrives in one instant is sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{BoxFuture, Consensus, Lane, NodeId, Transport, TransportError};
use engine::Engine;
use engine::env::PeerCalls;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::dice::Dice;
use crate::trace::Trace;

/// Shortest time between two brokers.
const DELAY_MIN_US: u64 = 100;

/// The wires between all brokers. A handle: clones mean the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    seed: u64,
    wires: Mutex<Wires>,
    posted: Notify,
    trace: Trace,
}

#[derive(Default)]
struct Wires {
    up: BTreeMap<NodeId, Station>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    weather: Weather,
    /// Directions that are slower than the others, by their longest delay.
    slow: BTreeMap<(NodeId, NodeId), Duration>,
    /// How many equal messages were sent, so that each has a fate of its own.
    copies: BTreeMap<(Way, u64), u64>,
    on_the_way: BTreeMap<Stamp, Delivery>,
}

/// A running broker.
#[derive(Clone)]
struct Station {
    consensus: Consensus,
    engine: Engine,
}

/// How well messages pass where nothing is cut.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub loss_percent: u64,
    pub delay_max: Duration,
}

impl Default for Weather {
    /// Fair.
    fn default() -> Self {
        Weather {
            loss_percent: 0,
            delay_max: Duration::from_millis(2),
        }
    }
}

/// What a message is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Consensus,
    Engine,
    Answer,
    Bus,
}

/// From where to where, and on which kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    pub from: NodeId,
    pub to: NodeId,
    pub kind: Kind,
}

/// When a message arrives, and its place among those that arrive at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub at: Instant,
    pub way: Way,
    pub digest: u64,
    pub copy: u64,
}

/// What happens when a message arrives.
pub type Delivery = Box<dyn FnOnce() + Send>;

impl Network {
    pub fn new(seed: u64, trace: Trace) -> Self {
        Network(Arc::new(Shared {
            seed,
            wires: Mutex::default(),
            posted: Notify::new(),
            trace,
        }))
    }

    pub fn plug(&self, consensus: Consensus, engine: Engine) {
        let station = Station {
            consensus: consensus.clone(),
            engine,
        };
        self.0.wires.lock().up.insert(consensus.node(), station);
    }

    pub fn unplug(&self, node: NodeId) {
        self.0.wires.lock().up.remove(&node);
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        self.0.wires.lock().up.contains_key(&node)
    }

    pub fn set_weather(&self, weather: Weather) {
        self.0.wires.lock().weather = weather;
    }

    pub fn slow_down(&self, from: NodeId, to: NodeId, delay_max: Duration) {
        self.0.wires.lock().slow.insert((from, to), delay_max);
    }

    /// Lets nothing pass from one to the other.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.0.wires.lock().cut.insert((from, to));
    }

    /// Lets nothing pass between a broker and the others.
    pub fn isolate(&self, node: NodeId, all: &[NodeId]) {
        for other in all.iter().filter(|other| **other != node) {
            self.cut(node, *other);
            self.cut(*other, node);
        }
    }

    /// Lets everything pass again, quickly.
    pub fn heal(&self) {
        let mut wires = self.0.wires.lock();
        wires.cut.clear();
        wires.slow.clear();
        wires.weather = Weather::default();
    }

    /// Whether a connection between the two would work now.
    pub fn is_connected(&self, a: NodeId, b: NodeId) -> bool {
        let wires = self.0.wires.lock();
        let both_up = wires.up.contains_key(&a) && wires.up.contains_key(&b);
        both_up && (a == b || !wires.cut.contains(&(a, b)) && !wires.cut.contains(&(b, a)))
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.wires.lock().cut.contains(&(from, to))
    }

    /// When a message that is sent now arrives; `None` if it gets lost.
    pub fn stamp(&self, way: Way, digest: u64) -> Option<Stamp> {
        let wires = &mut *self.0.wires.lock();
        let copies = wires.copies.entry((way, digest)).or_default();
        *copies += 1;
        let copy = *copies;
        if wires.cut.contains(&(way.from, way.to)) {
            return None;
        }
        let mut dice = Dice::new(digest_of(&(self.0.seed, way, digest, copy)));
        if dice.percent(wires.weather.loss_percent) {
            return None;
        }
        let slow = wires.slow.get(&(way.from, way.to));
        let delay_max = slow.copied().unwrap_or(wires.weather.delay_max);
        let delay_us = dice.between(DELAY_MIN_US, delay_max.as_micros() as u64);
        let at = Instant::now() + Duration::from_micros(delay_us);
        Some(Stamp {
            at,
            way,
            digest,
            copy,
        })
    }

    /// Puts a message on its way. A cut made before it arrives stops it.
    pub fn post(&self, stamp: Stamp, delivery: Delivery) {
        self.0.wires.lock().on_the_way.insert(stamp, delivery);
        self.0.posted.notify_one();
    }

    /// Delivers what arrives, for as long as the simulation lasts.
    pub async fn run(self) {
        loop {
            let next = self.0.wires.lock().on_the_way.keys().next().copied();
            match next {
                Some(stamp) if stamp.at > Instant::now() => {
                    let posted = self.0.posted.notified();
                    let _ = tokio::time::timeout_at(stamp.at, posted).await;
                }
                Some(_) => self.deliver_next(),
                None => self.0.posted.notified().await,
            }
        }
    }

    fn deliver_next(&self) {
        let arrived = self.0.wires.lock().on_the_way.pop_first();
        if let Some((stamp, deliver)) = arrived
            && !self.is_cut(stamp.way.from, stamp.way.to)
        {
            deliver();
        }
    }

    /// The network as one broker uses it.
    pub fn port(&self, node: NodeId) -> Arc<Port> {
        Arc::new(Port {
            network: self.clone(),
            node,
        })
    }

    /// Asks; the request is on its way when this returns. What is lost shows only by the answer
    /// that never comes.
    fn call(
        &self,
        way: Way,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Option<Bytes>> {
        let deadline = Instant::now() + timeout;
        let (sender, answer) = oneshot::channel();
        let digest = digest_of(&request);
        if let Some(stamp) = self.stamp(way, digest) {
            let network = self.clone();
            let deliver = move || network.arrive(way, request, digest, sender);
            self.post(stamp, Box::new(deliver));
        }
        Box::pin(async move {
            if let Ok(Ok(answer)) = tokio::time::timeout_at(deadline, answer).await {
                return Some(answer);
            }
            tokio::time::sleep_until(deadline).await;
            None
        })
    }

    fn arrive(&self, way: Way, request: Bytes, digest: u64, answer_to: oneshot::Sender<Bytes>) {
        let Some(station) = self.0.wires.lock().up.get(&way.to).cloned() else {
            return;
        };
        self.0.trace.event("request", &[&way.label(), &request]);
        let answer: BoxFuture<'static, Bytes> = match way.kind {
            Kind::Consensus => station.consensus.handle(way.from, request),
            _ => Box::pin(async move { station.engine.handle_peer(way.from, request).await }),
        };
        let network = self.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            let back = Way {
                from: way.to,
                to: way.from,
                kind: Kind::Answer,
            };
            let Some(stamp) = network.stamp(back, digest ^ digest_of(&answer)) else {
                return;
            };
            let trace = network.0.trace.clone();
            let deliver = move || {
                trace.event("answer", &[&back.label(), &answer]);
                // Nobody may wait any more.
                answer_to.send(answer).ok();
            };
            network.post(stamp, Box::new(deliver));
        });
    }
}

impl Way {
    fn label(&self) -> [u8; 3] {
        [self.kind as u8, self.from.0 as u8, self.to.0 as u8]
    }
}

/// A number that depends on the contents alone.
pub fn digest_of(contents: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}

/// One broker's way to the others.
pub struct Port {
    network: Network,
    node: NodeId,
}

impl Port {
    fn way(&self, to: NodeId, kind: Kind) -> Way {
        let from = self.node;
        Way { from, to, kind }
    }
}

impl Transport for Port {
    fn call(
        &self,
        to: NodeId,
        _: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        // A process that died refuses connections; a cut link just keeps silent.
        if !self.network.is_up(to) && !self.network.is_cut(self.node, to) {
            return Box::pin(async move { Err(TransportError::Unreachable { to }) });
        }
        let way = self.way(to, Kind::Consensus);
        let answer = self.network.call(way, request, timeout);
        let timeout_ms = timeout.as_millis() as u64;
        Box::pin(async move {
            answer
                .await
                .ok_or(TransportError::Timeout { to, timeout_ms })
        })
    }
}

impl PeerCalls for Port {
    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Option<Bytes>> {
        self.network
            .call(self.way(to, Kind::Engine), request, timeout)
    }

    fn is_online(&self, node: NodeId) -> bool {
        node == self.node || self.network.is_connected(self.node, node)
    }
}
