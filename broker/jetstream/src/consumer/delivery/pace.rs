//! Deliberate slowness: rate limits, and replay with the original pauses.

use messages::StoredMessage;

use crate::consumer::config::{ConsumerConfig, ReplayPolicy};

const SECOND_NS: u128 = 1_000_000_000;
/// Pauses up to this long are not replayed: 1 ms.
const MIN_PAUSE_NS: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Box<Rate>>,
    replay: Option<Box<Replay>>,
    /// The next message may not be sent before.
    blocked_until_ns: Option<i64>,
    seen_ns: i64,
}

/// A token bucket, kept as the time at which it is full again.
#[derive(Debug)]
struct Rate {
    bytes_per_s: u64,
    burst_ns: i64,
    full_at_ns: i64,
}

#[derive(Debug)]
struct Replay {
    /// Messages after this one are new and are not held back.
    until_seq: u64,
    /// When the previous message was stored, and when it was sent.
    previous_ns: Option<(i64, i64)>,
}

impl Rate {
    fn new(config: &ConsumerConfig, burst_bytes: u64) -> Option<Box<Rate>> {
        if config.rate_limit_bps == 0 {
            return None;
        }
        let bytes_per_s = (config.rate_limit_bps / 8).max(1);
        let mut rate = Rate {
            bytes_per_s,
            burst_ns: 0,
            full_at_ns: i64::MIN,
        };
        rate.burst_ns = rate.cost_ns(burst_bytes);
        Some(Box::new(rate))
    }

    fn cost_ns(&self, bytes: u64) -> i64 {
        let cost_ns = u128::from(bytes) * SECOND_NS / u128::from(self.bytes_per_s);
        i64::try_from(cost_ns).unwrap_or(i64::MAX)
    }

    fn full_after(&self, now_ns: i64, bytes: u64) -> i64 {
        self.full_at_ns
            .max(now_ns)
            .saturating_add(self.cost_ns(bytes))
    }
}

impl Pace {
    pub(super) fn new(config: &ConsumerConfig, burst_bytes: u64, last_seq: u64) -> Pace {
        let original = config.replay_policy == ReplayPolicy::Original;
        Pace {
            rate: Rate::new(config, burst_bytes),
            replay: original.then(|| {
                Box::new(Replay {
                    until_seq: last_seq,
                    previous_ns: None,
                })
            }),
            blocked_until_ns: None,
            seen_ns: i64::MIN,
        }
    }

    pub(super) fn update(&mut self, config: &ConsumerConfig, burst_bytes: u64) {
        self.rate = Rate::new(config, burst_bytes);
        self.blocked_until_ns = None;
    }

    /// Notes the time.
    pub(super) fn see(&mut self, now_ns: i64) {
        self.seen_ns = now_ns;
        self.blocked_until_ns = self.blocked_until_ns.filter(|&until_ns| until_ns > now_ns);
    }

    /// The time noted last.
    pub(super) fn seen_ns(&self) -> i64 {
        self.seen_ns
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.blocked_until_ns
    }

    /// Whether a message may be sent now. If not, there is a deadline.
    pub(super) fn allows(
        &mut self,
        now_ns: i64,
        message: &StoredMessage,
        is_new: bool,
        size: u64,
    ) -> bool {
        let replay_ns = self
            .replay
            .as_ref()
            .filter(|_| is_new)
            .and_then(|r| r.due_ns(message));
        let rate_ns = self.rate.as_ref().map(|rate| {
            // What is larger than the bucket has to pass a full one.
            let cost_ns = rate.cost_ns(size).min(rate.burst_ns);
            rate.full_at_ns
                .max(now_ns)
                .saturating_add(cost_ns)
                .saturating_sub(rate.burst_ns)
        });
        let due_ns = [replay_ns, rate_ns].into_iter().flatten().max();
        self.blocked_until_ns = due_ns.filter(|&due_ns| due_ns > now_ns);
        self.blocked_until_ns.is_none()
    }

    /// Notes that a message was sent.
    pub(super) fn sent(&mut self, now_ns: i64, message: &StoredMessage, is_new: bool, size: u64) {
        if let Some(rate) = &mut self.rate {
            rate.full_at_ns = rate.full_after(now_ns, size);
        }
        if let Some(replay) = self.replay.as_mut().filter(|_| is_new) {
            replay.previous_ns = Some((message.time_ns, now_ns));
            if message.seq >= replay.until_seq {
                self.replay = None;
            }
        }
    }
}

impl Replay {
    fn due_ns(&self, message: &StoredMessage) -> Option<i64> {
        let (stored_ns, sent_ns) = self.previous_ns?;
        let pause_ns = message.time_ns.saturating_sub(stored_ns);
        (pause_ns > MIN_PAUSE_NS).then(|| sent_ns.saturating_add(pause_ns))
    }
}
