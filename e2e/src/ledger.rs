//! What was acknowledged, and whether it is all there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::reading::Read;
use crate::wait::{DEADLINE, until};

/// Publishes of one load that wait for their acknowledgement at the same time.
const IN_FLIGHT: usize = 16;
/// When an acknowledgement that did not come is given up, and the message published again.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);
/// Publishes of one steady load that wait for their acknowledgement at the same time.
const STEADY_IN_FLIGHT: usize = 2048;
/// From this on, [`Ledger::pauses`] tells of a pause.
const NOTICED: Duration = Duration::from_millis(100);
/// Beyond this size payloads have filler.
const PAYLOAD_BYTES: usize = 256;

/// The acknowledgements of messages that a test published: number to sequence.
#[derive(Clone, Default)]
pub struct Ledger {
    acked: Arc<Mutex<BTreeMap<u64, u64>>>,
    next: Arc<AtomicU64>,
    pauses: Arc<Mutex<Pauses>>,
}

/// A time without acknowledgements.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub began: Instant,
    pub lasted: Duration,
}

/// Times between acknowledgements.
#[derive(Default)]
struct Pauses {
    last: Option<Instant>,
    longest: Duration,
    noticed: Vec<Pause>,
}

impl Pauses {
    fn acked(&mut self, now: Instant) {
        let began = self.last.replace(now).unwrap_or(now);
        let lasted = now.duration_since(began);
        self.longest = self.longest.max(lasted);
        if lasted >= NOTICED {
            self.noticed.push(Pause { began, lasted });
        }
    }
}

impl Ledger {
    /// The payload that belongs to a number.
    pub fn payload(number: u64) -> Bytes {
        let mut text = format!("message {number} ");
        while text.len() < PAYLOAD_BYTES {
            text.push_str(&format!(
                "{:016x}",
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ));
        }
        text.into()
    }

    /// Publishes one message, under the same message id until it is acknowledged or `is_over`.
    async fn publish(&self, context: &Context, subject: &str, is_over: &AtomicBool) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        while !is_over.load(Ordering::Relaxed) {
            if let Ok(sequence) = self.attempt(context, subject, number).await {
                self.enter(number, sequence);
                return;
            }
        }
    }

    async fn attempt(&self, context: &Context, subject: &str, number: u64) -> Result<u64, String> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", number.to_string());
        let publish =
            context.publish_with_headers(subject.to_owned(), headers, Self::payload(number));
        let answer = tokio::time::timeout(ACK_TIMEOUT, async {
            publish
                .await
                .map_err(|error| error.to_string())?
                .await
                .map_err(|error| error.to_string())
        });
        let ack = answer
            .await
            .map_err(|_| "no acknowledgement".to_owned())??;
        Ok(ack.sequence)
    }

    /// Publishes `count` messages and expects each to be acknowledged.
    pub async fn publish_all(&self, context: &Context, subject: &str, count: usize) {
        let is_over = AtomicBool::new(false);
        let goal = self.acked() + count;
        let all = futures::stream::iter(0..count)
            .for_each_concurrent(IN_FLIGHT, |_| self.publish(context, subject, &is_over));
        if tokio::time::timeout(DEADLINE, all).await.is_err() {
            panic!("{} of {goal} messages acknowledged", self.acked());
        }
    }

    /// Publishes one message once.
    pub async fn publish_once(&self, context: &Context, subject: &str) -> Result<u64, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sequence = self.attempt(context, subject, number).await?;
        self.enter(number, sequence);
        Ok(sequence)
    }

    fn enter(&self, number: u64, sequence: u64) {
        self.acked.lock().insert(number, sequence);
        self.pauses.lock().acked(Instant::now());
    }

    /// Publishes until told to end.
    pub fn load(&self, context: Context, subject: &str) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let workers = (0..IN_FLIGHT).map(|_| {
            let (ledger, context) = (self.clone(), context.clone());
            let (subject, is_over) = (subject.to_owned(), is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    ledger.publish(&context, &subject, &is_over).await;
                }
            })
        });
        Load {
            workers: workers.collect(),
            ledger: self.clone(),
            is_over,
        }
    }

    /// Publishes one message at each turn until told to end, whether or not earlier ones are
    /// acknowledged, so that the end of a pause is seen when it comes.
    pub fn steady_load(&self, context: Context, subject: &str, every: Duration) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let worker = {
            let (ledger, subject, is_over) = (self.clone(), subject.to_owned(), is_over.clone());
            tokio::spawn(async move {
                let mut turns = tokio::time::interval(every);
                turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut waiting = FuturesUnordered::new();
                while !is_over.load(Ordering::Relaxed) {
                    tokio::select! {
                        _ = turns.tick(), if waiting.len() < STEADY_IN_FLIGHT => {
                            waiting.push(ledger.publish(&context, &subject, &is_over));
                        }
                        Some(()) = waiting.next() => {}
                    }
                }
                while waiting.next().await.is_some() {}
            })
        };
        Load {
            workers: vec![worker],
            ledger: self.clone(),
            is_over,
        }
    }

    /// The longest time between two acknowledgements, or since the last one, from the last call
    /// of this to now.
    pub fn longest_pause(&self) -> Duration {
        let mut pauses = self.pauses.lock();
        pauses.acked(Instant::now());
        pauses.noticed.clear();
        std::mem::take(&mut pauses.longest)
    }

    /// The pauses of a tenth of a second and more since the last call of this or
    /// [`Ledger::longest_pause`].
    pub fn pauses(&self) -> Vec<Pause> {
        let mut pauses = self.pauses.lock();
        pauses.acked(Instant::now());
        std::mem::take(&mut pauses.noticed)
    }

    pub fn acked(&self) -> usize {
        self.acked.lock().len()
    }

    /// Waits until `more` further messages are acknowledged.
    pub async fn grows(&self, more: usize) {
        let goal = self.acked() + more;
        until("publishing goes on", async || match self.acked() {
            acked if acked >= goal => Ok(()),
            acked => Err(format!("{acked} of {goal} messages acknowledged")),
        })
        .await;
    }

    /// Checks that every acknowledged message is where its acknowledgement said, unchanged, that
    /// everything else was published too, and that nothing is there twice.
    pub fn check(&self, read: &Read) {
        let numbers: BTreeMap<u64, u64> = read
            .messages
            .iter()
            .map(|(sequence, payload)| {
                let number = number_of(payload)
                    .unwrap_or_else(|| panic!("message {sequence} was changed: {payload:?}"));
                (number, *sequence)
            })
            .collect();
        assert_eq!(
            numbers.len(),
            read.messages.len(),
            "a message is there twice"
        );
        let acked = self.acked.lock();
        let lost: Vec<_> = acked
            .iter()
            .filter(|(number, sequence)| numbers.get(number) != Some(sequence))
            .take(10)
            .collect();
        assert!(
            lost.is_empty(),
            "of {} acknowledged messages (number, sequence) are lost: {lost:?}...",
            acked.len()
        );
    }
}

fn number_of(payload: &Bytes) -> Option<u64> {
    let text = std::str::from_utf8(payload).ok()?;
    let number = text.strip_prefix("message ")?.split(' ').next()?;
    let number = number.parse().ok()?;
    (Ledger::payload(number) == *payload).then_some(number)
}

/// Publishers at work.
pub struct Load {
    workers: Vec<JoinHandle<()>>,
    ledger: Ledger,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Ends the load and returns how many messages were acknowledged in all.
    pub async fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.expect("publishers do not panic");
        }
        self.ledger.acked()
    }
}
