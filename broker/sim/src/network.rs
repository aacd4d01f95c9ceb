//! The network between the brokers: delays, losses, cuts. Consensus and peer calls pass it as
//! requests with an answer; the bus asks it for the passage of each message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{BoxFuture, Consensus, Lane, NodeId, Transport, TransportError};
use engine::Engine;
use engine::env::PeerCalls;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::trace::Trace;

/// Shortest time between two brokers.
const DELAY_MIN_US: u64 = 100;

/// The wires between all brokers. A handle: clones mean the same network.
#[derive(Clone)]
pub struct Network {
    wires: Arc<Mutex<Wires>>,
    trace: Trace,
}

struct Wires {
    dice: Dice,
    up: BTreeMap<NodeId, Station>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    weather: Weather,
    /// Directions that are slower than the others, by their longest delay.
    slow: BTreeMap<(NodeId, NodeId), Duration>,
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

impl Weather {
    pub const FAIR: Weather = Weather {
        loss_percent: 0,
        delay_max: Duration::from_millis(2),
    };
}

impl Network {
    pub fn new(seed: u64, trace: Trace) -> Self {
        let wires = Wires {
            dice: Dice::of(seed, "network"),
            up: BTreeMap::new(),
            cut: BTreeSet::new(),
            weather: Weather::FAIR,
            slow: BTreeMap::new(),
        };
        Network {
            wires: Arc::new(Mutex::new(wires)),
            trace,
        }
    }

    pub fn plug(&self, consensus: Consensus, engine: Engine) {
        let station = Station {
            consensus: consensus.clone(),
            engine,
        };
        self.wires.lock().up.insert(consensus.node(), station);
    }

    pub fn unplug(&self, node: NodeId) {
        self.wires.lock().up.remove(&node);
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        self.wires.lock().up.contains_key(&node)
    }

    pub fn set_weather(&self, weather: Weather) {
        self.wires.lock().weather = weather;
    }

    pub fn slow_down(&self, from: NodeId, to: NodeId, delay_max: Duration) {
        self.wires.lock().slow.insert((from, to), delay_max);
    }

    /// Lets nothing pass from one to the other.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.wires.lock().cut.insert((from, to));
    }

    /// Lets everything pass again, quickly.
    pub fn heal(&self) {
        let mut wires = self.wires.lock();
        wires.cut.clear();
        wires.slow.clear();
        wires.weather = Weather::FAIR;
    }

    /// Whether a connection between the two would work now.
    pub fn is_connected(&self, a: NodeId, b: NodeId) -> bool {
        let wires = self.wires.lock();
        let both_up = wires.up.contains_key(&a) && wires.up.contains_key(&b);
        both_up && (a == b || !wires.cut.contains(&(a, b)) && !wires.cut.contains(&(b, a)))
    }

    /// How long a message that is sent now takes; `None` if it is lost.
    pub fn passage(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let wires = &mut *self.wires.lock();
        if wires.cut.contains(&(from, to)) {
            return None;
        }
        let lost = wires.dice.percent(wires.weather.loss_percent);
        let slow = wires.slow.get(&(from, to));
        let delay_max = slow.copied().unwrap_or(wires.weather.delay_max);
        let delay_us = wires
            .dice
            .between(DELAY_MIN_US, delay_max.as_micros() as u64);
        (!lost).then_some(Duration::from_micros(delay_us))
    }

    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.wires.lock().cut.contains(&(from, to))
    }

    /// The network as one broker uses it.
    pub fn port(&self, node: NodeId) -> Arc<Port> {
        Arc::new(Port {
            network: self.clone(),
            node,
        })
    }

    fn station(&self, node: NodeId) -> Option<Station> {
        self.wires.lock().up.get(&node).cloned()
    }

    /// A request there and its answer back; `None` if either is lost.
    async fn exchange(self, call: Call) -> Option<Bytes> {
        let Call { from, to, .. } = call;
        let kind = [call.kind as u8, from.0 as u8, to.0 as u8];
        tokio::time::sleep(self.passage(from, to)?).await;
        let station = self.station(to)?;
        self.trace.event("request", &[&kind, &call.request]);
        let answer = match call.kind {
            Kind::Consensus => station.consensus.handle(from, call.request).await,
            Kind::Engine => station.engine.handle_peer(from, call.request).await,
        };
        tokio::time::sleep(self.passage(to, from)?).await;
        // The one who asked may have died meanwhile.
        self.station(from)?;
        self.trace.event("answer", &[&kind, &answer]);
        Some(answer)
    }

    /// The request is on its way when this returns. What is lost shows only by the answer that
    /// never comes.
    fn call(&self, call: Call, timeout: Duration) -> BoxFuture<'static, Option<Bytes>> {
        let deadline = Instant::now() + timeout;
        let exchange = self.clone().exchange(call);
        let exchange = tokio::spawn(tokio::time::timeout_at(deadline, exchange));
        Box::pin(async move {
            if let Ok(Ok(Some(answer))) = exchange.await {
                return Some(answer);
            }
            tokio::time::sleep_until(deadline).await;
            None
        })
    }
}

struct Call {
    kind: Kind,
    from: NodeId,
    to: NodeId,
    request: Bytes,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Consensus,
    Engine,
}

/// One broker's way to the others.
pub struct Port {
    network: Network,
    node: NodeId,
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
        let call = Call {
            kind: Kind::Consensus,
            from: self.node,
            to,
            request,
        };
        let answer = self.network.call(call, timeout);
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
        let call = Call {
            kind: Kind::Engine,
            from: self.node,
            to,
            request,
        };
        self.network.call(call, timeout)
    }

    fn is_online(&self, node: NodeId) -> bool {
        node == self.node || self.network.is_connected(self.node, node)
    }
}
