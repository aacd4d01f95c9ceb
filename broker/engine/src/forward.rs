//! Hands publishes that a leader could not get into its log to the leader that follows it.
//!
//! Without this a publisher would wait in vain for its acknowledgement whenever a leadership is
//! handed over. Only what was refused or never proposed is forwarded, so nothing is stored twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::asset::Asset;
use crate::bus::Incoming;
use crate::engine::Engine;
use crate::inbox::PublishBatch;
use crate::peer::Question;

/// Batches that wait for the next leader; what comes on top is given up, and published again by
/// whoever wants an acknowledgement.
const WAITING_MAX: usize = 256;
/// How long the next leader is looked for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes left over by a leadership that ended.
#[derive(Default)]
pub struct Strays {
    waiting: Mutex<VecDeque<PublishBatch>>,
    /// Wakes whoever forwards them.
    pub arrived: Notify,
}

impl Strays {
    pub fn push(&self, batch: PublishBatch) {
        if batch.publishes.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(batch);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

/// A publish on its way to the next leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forwarded {
    subject: Vec<u8>,
    reply: Option<Vec<u8>>,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

/// Forwards what is left over, or puts it into this replica's own inbox if it leads again.
pub async fn forward(engine: &Engine, asset: &Arc<Asset>) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let Some(batch) = asset.strays.waiting.lock().front().map(copies) else {
            return;
        };
        if hand_on(engine, asset, &batch).await || tokio::time::Instant::now() >= deadline {
            asset.strays.waiting.lock().pop_front();
        } else {
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn hand_on(engine: &Engine, asset: &Arc<Asset>, batch: &[Forwarded]) -> bool {
    if asset.is_leader() {
        return accept(asset, batch);
    }
    let here = engine.env().node();
    let Some(leader) = asset.leader().filter(|leader| *leader != here) else {
        return false;
    };
    let question = Question::Publish {
        group: asset.assignment.read().group,
        messages: batch.to_vec(),
    };
    let peers = &engine.env().peers;
    let answer = peers.call(leader, question.encode(), CALL_TIMEOUT).await;
    answer.is_some_and(|answer| serde_json::from_slice::<bool>(&answer).unwrap_or(false))
}

/// Takes forwarded publishes as if they came from their publishers; false unless this replica
/// leads. With a full inbox the rest is dropped, as publishes are then.
pub fn accept(asset: &Asset, messages: &[Forwarded]) -> bool {
    let Some(live) = asset.live() else {
        return false;
    };
    let account = asset.account();
    for message in messages {
        let incoming = Incoming {
            account: &account,
            subject: &message.subject,
            reply: message.reply.as_deref(),
            headers: &message.headers,
            payload: &message.payload,
            connection: 0,
        };
        if live.inbox.publish(&incoming).is_err() {
            break;
        }
    }
    true
}

fn copies(batch: &PublishBatch) -> Vec<Forwarded> {
    let publishes = batch.publishes.iter().zip(&batch.replies);
    let copies = publishes.map(|(publish, reply)| Forwarded {
        subject: publish.subject.to_vec(),
        reply: reply.as_ref().map(|reply| reply.to_vec()),
        headers: publish.headers.to_vec(),
        payload: publish.payload.to_vec(),
    });
    copies.collect()
}
