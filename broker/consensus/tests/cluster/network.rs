//! A network in memory, slow and unreliable on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{BoxFuture, Consensus, Lane, NodeId, Transport, TransportError};
use parking_lot::Mutex;

/// What is said to every part of a snapshot but the last, whose answer has more to tell.
const NEXT_PART_ANSWER_BYTES: usize = 2;

/// Connects the servers of a test.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Wires>>);

struct Wires {
    servers: BTreeMap<NodeId, Consensus>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Requests and answers lost, in percent.
    loss: u64,
    /// Longest time on the way, in milliseconds; the shortest is one.
    delay_ms: u64,
    /// How many answers to the last part of a snapshot are still to be lost.
    last_part_answers_to_lose: u64,
    seed: u64,
    pub requests: u64,
    pub bytes: u64,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Wires {
            servers: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss: 0,
            delay_ms: 1,
            last_part_answers_to_lose: 0,
            seed,
            requests: 0,
            bytes: 0,
        })))
    }

    pub fn plug(&self, consensus: &Consensus) {
        self.0
            .lock()
            .servers
            .insert(consensus.node(), consensus.clone());
    }

    pub fn unplug(&self, node: NodeId) {
        self.0.lock().servers.remove(&node);
    }

    pub fn worsen(&self, loss: u64, delay_ms: u64) {
        let mut wires = self.0.lock();
        wires.loss = loss;
        wires.delay_ms = delay_ms.max(1);
    }

    /// Lets nothing pass from one to the other.
    pub fn cut_way(&self, from: NodeId, to: NodeId) {
        self.0.lock().cut.insert((from, to));
    }

    /// Loses the next answers to last parts of snapshots.
    pub fn lose_answers_to_last_parts(&self, count: u64) {
        self.0.lock().last_part_answers_to_lose = count;
    }

    /// Separates one server from all others.
    pub fn isolate(&self, node: NodeId) {
        let others: Vec<NodeId> = self.0.lock().servers.keys().copied().collect();
        for other in others {
            self.cut_way(node, other);
            self.cut_way(other, node);
        }
    }

    pub fn heal(&self) {
        self.0.lock().cut.clear();
    }

    pub fn requests(&self) -> u64 {
        self.0.lock().requests
    }

    pub fn transport(&self, from: NodeId) -> Arc<dyn Transport> {
        Arc::new(Wire {
            network: self.clone(),
            from,
        })
    }

    /// How long a message takes, or `None` if it is lost.
    fn passes(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let mut wires = self.0.lock();
        if wires.cut.contains(&(from, to)) {
            return None;
        }
        let lost = wires.random() % 100 < wires.loss;
        let delay_ms = 1 + wires.random() % wires.delay_ms;
        (!lost).then_some(Duration::from_millis(delay_ms))
    }

    fn server(&self, node: NodeId) -> Option<Consensus> {
        self.0.lock().servers.get(&node).cloned()
    }

    async fn exchange(self, from: NodeId, to: NodeId, lane: Lane, request: Bytes) -> Option<Bytes> {
        tokio::time::sleep(self.passes(from, to)?).await;
        let server = self.server(to)?;
        let answer = server.handle(from, request).await;
        let is_to_last_part = lane == Lane::Snapshot && answer.len() > NEXT_PART_ANSWER_BYTES;
        if is_to_last_part && self.0.lock().loses_answer_to_last_part() {
            return None;
        }
        tokio::time::sleep(self.passes(to, from)?).await;
        Some(answer)
    }
}

impl Wires {
    fn loses_answer_to_last_part(&mut self) -> bool {
        let left = self.last_part_answers_to_lose.checked_sub(1);
        self.last_part_answers_to_lose = left.unwrap_or_default();
        left.is_some()
    }

    fn random(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.seed >> 33
    }
}

struct Wire {
    network: Network,
    from: NodeId,
}

impl Transport for Wire {
    fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        {
            let mut wires = self.network.0.lock();
            wires.requests += 1;
            wires.bytes += request.len() as u64;
        }
        if self.network.server(to).is_none() {
            return Box::pin(async move { Err(TransportError::Unreachable { to }) });
        }
        let exchange = tokio::spawn(self.network.clone().exchange(self.from, to, lane, request));
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + timeout;
            match tokio::time::timeout_at(deadline, exchange).await {
                Ok(Ok(Some(answer))) => Ok(answer),
                // A lost message shows only by the answer that never comes.
                Ok(_) => {
                    tokio::time::sleep_until(deadline).await;
                    Err(TransportError::Timeout {
                        to,
                        timeout_ms: timeout.as_millis() as u64,
                    })
                }
                Err(_) => Err(TransportError::Timeout {
                    to,
                    timeout_ms: timeout.as_millis() as u64,
                }),
            }
        })
    }
}
