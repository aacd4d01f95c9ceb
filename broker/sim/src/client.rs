//! A client of the cluster: asks and waits, and turns to another broker when one is silent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::NodeId;
use engine::bus::{Handler, Incoming, Outgoing, SubscriptionId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::broker::ACCOUNT;
use crate::bus::Switch;
use crate::dice::Dice;

/// Messages that may wait in an inbox; more are dropped, as for any slow reader.
const INBOX_MAX: usize = 1024;

/// A message as a client got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub subject: Bytes,
    pub reply: Option<Bytes>,
    pub headers: Bytes,
    pub payload: Bytes,
}

/// One connection at a time, to any broker.
pub struct Client {
    bus: Switch,
    name: String,
    dice: Dice,
    inboxes: u64,
    broker: Option<NodeId>,
}

/// Where answers come in; closed when dropped.
pub struct Inbox {
    bus: Switch,
    id: SubscriptionId,
    pub subject: String,
    incoming: mpsc::Receiver<Received>,
}

impl Client {
    pub fn new(bus: Switch, name: &str, seed: u64) -> Self {
        Client {
            bus,
            name: name.to_owned(),
            dice: Dice::of(seed, name),
            inboxes: 0,
            broker: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// The broker this client is connected to; another one when that one is gone.
    pub fn broker(&mut self) -> Option<NodeId> {
        let running = self.bus.brokers();
        if self.broker.is_none_or(|broker| !running.contains(&broker)) {
            self.broker = self.dice.pick(&running);
        }
        self.broker
    }

    /// Connects to another broker next time.
    pub fn turn_away(&mut self) {
        let others: Vec<NodeId> = self.bus.brokers();
        let others: Vec<NodeId> = others
            .into_iter()
            .filter(|broker| Some(*broker) != self.broker)
            .collect();
        self.broker = self.dice.pick(&others);
    }

    /// A subject of its own, at the broker this client is connected to.
    pub fn inbox(&mut self, broker: NodeId) -> Inbox {
        self.inboxes += 1;
        let subject = format!("_INBOX.{}.{}", self.name, self.inboxes);
        self.listen(broker, subject)
    }

    /// What comes to a subject, at the broker this client is connected to.
    pub fn listen(&self, broker: NodeId, subject: String) -> Inbox {
        let (sender, incoming) = mpsc::channel(INBOX_MAX);
        let handler = Arc::new(Mailbox(sender));
        Inbox {
            id: self.bus.subscribe(broker, ACCOUNT, &subject, handler),
            bus: self.bus.clone(),
            subject,
            incoming,
        }
    }

    pub fn publish(&self, broker: NodeId, message: &Outgoing) {
        self.bus.publish(broker, ACCOUNT, message);
    }

    /// Sends a message and waits for the first answer.
    pub async fn request(&mut self, mut message: Outgoing, timeout: Duration) -> Option<Received> {
        let deadline = Instant::now() + timeout;
        let Some(broker) = self.broker() else {
            // Nobody to connect to.
            tokio::time::sleep_until(deadline).await;
            return None;
        };
        let mut inbox = self.inbox(broker);
        message.reply = Some(Bytes::from(inbox.subject.clone()));
        self.publish(broker, &message);
        let answer = inbox.next(deadline).await;
        if answer.is_none() {
            self.turn_away();
        }
        answer
    }

    /// Asks the API and reads the answer as JSON.
    pub async fn api(
        &mut self,
        subject: &str,
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Option<serde_json::Value> {
        let subject = format!("$JS.API.{subject}");
        let message = Outgoing::new(subject, body.to_string());
        let answer = self.request(message, timeout).await?;
        serde_json::from_slice(&answer.payload).ok()
    }
}

impl Inbox {
    /// The next message, if it comes in time.
    pub async fn next(&mut self, deadline: Instant) -> Option<Received> {
        tokio::time::timeout_at(deadline, self.incoming.recv())
            .await
            .ok()?
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.bus.unsubscribe(self.id);
    }
}

struct Mailbox(mpsc::Sender<Received>);

impl Handler for Mailbox {
    fn deliver(&self, message: &Incoming<'_>) {
        let received = Received {
            subject: Bytes::copy_from_slice(message.subject),
            reply: message.reply.map(Bytes::copy_from_slice),
            headers: Bytes::copy_from_slice(message.headers),
            payload: Bytes::copy_from_slice(message.payload),
        };
        self.0.try_send(received).ok();
    }
}
