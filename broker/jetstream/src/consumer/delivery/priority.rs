//! How pull requests of a priority group compete.
//!
//! Overflow serves a request only when enough messages wait or lack an acknowledgement. A pinned
//! client alone is served until it is silent for too long or a person unpins it. Prioritized
//! requests are served by their priority, which the order of the queue sees to.

use bytes::Bytes;

use crate::config::source::short_hash;
use crate::consumer::action::{Action, Advisory};
use crate::consumer::config::{ConsumerConfig, PriorityPolicy};
use crate::consumer::request::PullRequest;

/// Letters of a pin's id.
const PIN_ID_LENGTH: usize = 22;

/// What a request asks of its group.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    min_pending: u64,
    min_ack_pending: u64,
    /// The pin its client was told of; empty if it has none.
    pub(super) pin_id: String,
    /// 0 is served first.
    pub(super) priority: u8,
}

impl Terms {
    pub(super) fn of(request: &PullRequest, config: &ConsumerConfig) -> Terms {
        Terms {
            min_pending: request.min_pending,
            min_ack_pending: request.min_ack_pending,
            pin_id: request.id.clone(),
            priority: match config.priority_policy {
                PriorityPolicy::Prioritized => request.priority,
                _ => 0,
            },
        }
    }

    /// Whether enough waits for a request that takes what others leave.
    pub(super) fn are_met(&self, load: Load) -> bool {
        let (pending, ack_pending) = (self.min_pending, self.min_ack_pending);
        (pending == 0 && ack_pending == 0)
            || (pending > 0 && load.num_pending >= pending)
            || (ack_pending > 0 && load.num_ack_pending >= ack_pending)
    }
}

/// How busy the consumer is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) num_pending: u64,
    pub(super) num_ack_pending: u64,
}

/// The refusal of a request that does not fit the consumer's groups.
pub(super) fn refusal(request: &PullRequest, config: &ConsumerConfig) -> Option<&'static str> {
    let policy = config.priority_policy;
    let overflows = request.min_pending != 0 || request.min_ack_pending != 0;
    if overflows && policy != PriorityPolicy::Overflow {
        return Some("400 Bad Request - Not a Overflow Priority consumer");
    }
    if !request.id.is_empty() && policy != PriorityPolicy::PinnedClient {
        return Some("400 Bad Request - Not a Pinned Client Priority consumer");
    }
    if policy == PriorityPolicy::None {
        return None;
    }
    if request.group.is_empty() {
        return Some("400 Bad Request - Priority Group missing");
    }
    if !config.priority_groups.contains(&request.group) {
        return Some("400 Bad Request - Invalid Priority Group");
    }
    None
}

/// The client that alone is served now.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    pub(super) id: Bytes,
    pub(super) since_ns: i64,
    until_ns: i64,
}

/// The pin of a consumer's group.
#[derive(Debug, Default)]
pub(super) struct Pinning {
    pin: Option<Pin>,
    /// Makes the ids of this leadership differ.
    count: u64,
}

impl Pinning {
    pub(super) fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    pub(super) fn is(&self, id: &str) -> bool {
        self.pin.as_ref().is_some_and(|pin| pin.id == id)
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.pin.as_ref().map(|pin| pin.until_ns)
    }

    /// The pinned client showed itself.
    pub(super) fn refresh(&mut self, now_ns: i64, config: &ConsumerConfig) {
        if let Some(pin) = &mut self.pin {
            pin.until_ns = now_ns.saturating_add(config.priority_timeout_ns);
        }
    }

    /// Pins the client that is served next.
    pub(super) fn begin(
        &mut self,
        now_ns: i64,
        seed: &[u8],
        config: &ConsumerConfig,
        out: &mut Vec<Action>,
    ) {
        self.count += 1;
        let hash = |part: usize| {
            let unique = [seed, format!(" {now_ns} {} {part}", self.count).as_bytes()].concat();
            short_hash(&unique)
        };
        let mut id: String = (0..PIN_ID_LENGTH.div_ceil(8)).map(hash).collect();
        id.truncate(PIN_ID_LENGTH);
        out.push(Action::Advisory(Advisory::Pinned {
            group: group(config),
            id: id.clone(),
        }));
        self.pin = Some(Pin {
            id: Bytes::from(id),
            since_ns: now_ns,
            until_ns: now_ns.saturating_add(config.priority_timeout_ns),
        });
    }

    /// Unpins a client that has been silent for too long.
    pub(super) fn expire(&mut self, now_ns: i64, config: &ConsumerConfig, out: &mut Vec<Action>) {
        if self.pin.as_ref().is_some_and(|pin| pin.until_ns <= now_ns) {
            self.end("timeout", config, out);
        }
    }

    /// Unpins the client, if there is one.
    pub(super) fn end(
        &mut self,
        reason: &'static str,
        config: &ConsumerConfig,
        out: &mut Vec<Action>,
    ) {
        if self.pin.take().is_some() {
            let group = group(config);
            out.push(Action::Advisory(Advisory::Unpinned { group, reason }));
        }
    }
}

fn group(config: &ConsumerConfig) -> String {
    config.priority_groups.first().cloned().unwrap_or_default()
}
