//! What clients have sent to a stream's leader and its task has not handled yet.
//!
//! Filled on the tasks that read connections, emptied by the stream's own task. Publishes are
//! copied once, into one buffer for the whole batch, so that a message costs no allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jetstream::Publish;
use jetstream::command::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bus::Incoming;

/// Most messages waiting to be proposed for one stream.
const MAX_WAITING_MESSAGES: usize = 100_000;
/// Most bytes waiting to be proposed for one stream.
const MAX_WAITING_BYTES: usize = 128 * 1024 * 1024;
/// Most acknowledgements and pull requests waiting for one stream.
const MAX_WAITING_REQUESTS: usize = 200_000;
/// Longest time that [`Inbox::settle`] waits.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// A message to a consumer of the stream: an acknowledgement, a pull request or a flow control
/// reply, told apart by its subject.
#[derive(Debug, Clone)]
pub struct Request {
    pub kind: RequestKind,
    pub subject: Bytes,
    pub reply: Option<Bytes>,
    pub headers: Bytes,
    pub payload: Bytes,
    /// How many publishes without a reply subject had arrived before it.
    after: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Ack,
    Pull,
    FlowControl,
    DirectGet,
}

/// Publishes that go into one command, with the reply subjects of their publishers.
#[derive(Debug, Default)]
pub struct PublishBatch {
    pub publishes: Vec<Publish>,
    pub replies: Vec<Option<Bytes>>,
    /// Kept until it is known what became of them.
    pub unanswered: Unanswered,
}

/// Publishes whose publisher is not told when they are stored. Whoever reads after them cannot know
/// that it has to wait, so its request waits here; the end of the last copy of this settles them.
#[derive(Debug, Clone, Default)]
pub struct Unanswered {
    _unsettled: Option<Arc<Unsettled>>,
}

#[derive(Debug)]
struct Unsettled {
    count: u64,
    settled: Arc<Settled>,
    wake: Arc<Notify>,
}

/// How many publishes without a reply subject were stored, or lost.
#[derive(Debug, Default)]
struct Settled {
    count: AtomicU64,
    grown: Notify,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.settled.count.fetch_add(self.count, Ordering::Release);
        self.settled.grown.notify_waiters();
        self.wake.notify_one();
    }
}

/// The queue was full and the message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

#[derive(Default)]
pub struct Inbox {
    queues: Mutex<Queues>,
    /// Wakes the stream's task when something arrives.
    pub wake: Arc<Notify>,
    settled: Arc<Settled>,
}

#[derive(Default)]
struct Queues {
    /// Subject, reply, headers and payload of each waiting publish, one after the other.
    arena: BytesMut,
    publishes: Vec<Lengths>,
    requests: Vec<Request>,
    /// Reads that wait until what arrived before them is stored.
    waiting_reads: Vec<Request>,
    /// Publishes without a reply subject so far.
    unanswered: u64,
}

struct Lengths {
    subject: usize,
    reply: Option<usize>,
    headers: usize,
    payload: usize,
}

impl Inbox {
    pub fn publish(&self, message: &Incoming<'_>) -> Result<(), Overflow> {
        let mut queues = self.queues.lock();
        let size = message.subject.len() + message.headers.len() + message.payload.len();
        if queues.publishes.len() >= MAX_WAITING_MESSAGES
            || queues.arena.len() + size > MAX_WAITING_BYTES && !queues.publishes.is_empty()
        {
            return Err(Overflow);
        }
        let first = queues.publishes.is_empty();
        queues.unanswered += u64::from(message.reply.is_none());
        queues.arena.extend_from_slice(message.subject);
        queues
            .arena
            .extend_from_slice(message.reply.unwrap_or_default());
        queues.arena.extend_from_slice(message.headers);
        queues.arena.extend_from_slice(message.payload);
        queues.publishes.push(Lengths {
            subject: message.subject.len(),
            reply: message.reply.map(<[u8]>::len),
            headers: message.headers.len(),
            payload: message.payload.len(),
        });
        drop(queues);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    pub fn request(&self, kind: RequestKind, message: &Incoming<'_>) -> Result<(), Overflow> {
        let mut request = Request {
            kind,
            after: 0,
            subject: Bytes::copy_from_slice(message.subject),
            reply: message.reply.map(Bytes::copy_from_slice),
            headers: Bytes::copy_from_slice(message.headers),
            payload: Bytes::copy_from_slice(message.payload),
        };
        let mut queues = self.queues.lock();
        if queues.requests.len() + queues.waiting_reads.len() >= MAX_WAITING_REQUESTS {
            return Err(Overflow);
        }
        request.after = queues.unanswered;
        queues.requests.push(request);
        let first = queues.requests.len() == 1;
        drop(queues);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes the publishes that make one command; empty if none wait.
    pub fn take_batch(&self) -> PublishBatch {
        let mut queues = self.queues.lock();
        let (count, bytes) = queues.next_batch();
        let lengths: Vec<Lengths> = queues.publishes.drain(..count).collect();
        let mut data = queues.arena.split_to(bytes).freeze();
        drop(queues);
        let mut batch = PublishBatch {
            publishes: Vec::with_capacity(count),
            replies: Vec::with_capacity(count),
            unanswered: Unanswered::default(),
        };
        for length in lengths {
            let subject = data.split_to(length.subject);
            batch
                .replies
                .push(length.reply.map(|reply| data.split_to(reply)));
            let headers = data.split_to(length.headers);
            let payload = data.split_to(length.payload);
            batch.publishes.push(Publish {
                subject,
                headers,
                payload,
            });
        }
        let count = batch.replies.iter().filter(|reply| reply.is_none()).count() as u64;
        if count > 0 {
            let unsettled = Unsettled {
                count,
                settled: self.settled.clone(),
                wake: self.wake.clone(),
            };
            batch.unanswered._unsettled = Some(Arc::new(unsettled));
        }
        batch
    }

    /// Takes the requests that may be answered now.
    pub fn take_requests(&self) -> Vec<Request> {
        let mut queues = self.queues.lock();
        let settled = self.settled.count.load(Ordering::Acquire);
        if queues.waiting_reads.is_empty() && settled == queues.unanswered {
            return std::mem::take(&mut queues.requests);
        }
        let mut all = std::mem::take(&mut queues.waiting_reads);
        all.append(&mut queues.requests);
        let must_wait =
            |request: &Request| request.kind == RequestKind::DirectGet && request.after > settled;
        let (waiting, ready) = all.into_iter().partition(must_wait);
        queues.waiting_reads = waiting;
        ready
    }

    /// Returns once the publishes that arrived before, and whose publishers are not told, are stored
    /// or lost, so that what is read then shows them; after [`SETTLE_MAX`] in any case.
    pub async fn settle(&self) {
        let arrived = self.queues.lock().unanswered;
        let settled = async {
            loop {
                let grown = self.settled.grown.notified();
                if self.settled.count.load(Ordering::Acquire) >= arrived {
                    return;
                }
                grown.await;
            }
        };
        tokio::time::timeout(SETTLE_MAX, settled).await.ok();
    }

    pub fn is_empty(&self) -> bool {
        let queues = self.queues.lock();
        queues.publishes.is_empty() && queues.requests.is_empty()
    }
}

impl Queues {
    fn next_batch(&self) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for length in self.publishes.iter().take(MAX_BATCH_MESSAGES) {
            let size = length.subject + length.reply.unwrap_or(0) + length.headers + length.payload;
            if count > 0 && bytes + size > MAX_BATCH_BYTES {
                break;
            }
            count += 1;
            bytes += size;
        }
        (count, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming<'a>(subject: &'a [u8], payload: &'a [u8]) -> Incoming<'a> {
        Incoming {
            account: "A",
            subject,
            reply: Some(b"r"),
            headers: b"",
            payload,
            connection: 0,
        }
    }

    #[test]
    fn a_batch_keeps_order_and_contents() {
        let inbox = Inbox::default();
        inbox.publish(&incoming(b"a", b"one")).unwrap();
        inbox.publish(&incoming(b"b", b"two")).unwrap();
        let batch = inbox.take_batch();
        let payloads: Vec<_> = batch.publishes.iter().map(|p| &p.payload[..]).collect();
        assert_eq!(payloads, [b"one", b"two"]);
        assert_eq!(batch.publishes[1].subject, "b");
        assert_eq!(batch.replies[1].as_deref(), Some(&b"r"[..]));
        assert!(inbox.take_batch().publishes.is_empty());
    }

    #[test]
    fn a_read_waits_for_publishes_that_nobody_is_told_about() {
        let inbox = Inbox::default();
        let silent = Incoming {
            reply: None,
            ..incoming(b"a", b"one")
        };
        inbox.publish(&silent).unwrap();
        inbox
            .request(RequestKind::DirectGet, &incoming(b"get", b""))
            .unwrap();
        inbox
            .request(RequestKind::Pull, &incoming(b"pull", b""))
            .unwrap();
        let taken = inbox.take_requests();
        assert_eq!(
            taken.iter().map(|r| r.kind).collect::<Vec<_>>(),
            [RequestKind::Pull]
        );
        assert!(!inbox.is_empty(), "the publish");
        let batch = inbox.take_batch();
        let waiter = batch.unanswered.clone();
        drop(batch);
        assert!(inbox.take_requests().is_empty() && inbox.is_empty());
        // A later publish does not hold it up.
        inbox.publish(&silent).unwrap();
        drop(waiter);
        assert_eq!(inbox.take_requests().len(), 1);
    }

    #[test]
    fn a_read_does_not_wait_for_publishes_that_are_acknowledged() {
        let inbox = Inbox::default();
        inbox.publish(&incoming(b"a", b"one")).unwrap();
        inbox
            .request(RequestKind::DirectGet, &incoming(b"get", b""))
            .unwrap();
        assert_eq!(inbox.take_requests().len(), 1);
    }

    #[tokio::test]
    async fn who_asks_the_api_waits_for_publishes_that_nobody_is_told_about() {
        let inbox = Inbox::default();
        inbox.publish(&incoming(b"a", b"zero")).unwrap();
        inbox.settle().await;
        let silent = Incoming {
            reply: None,
            ..incoming(b"a", b"one")
        };
        inbox.publish(&silent).unwrap();
        let batch = inbox.take_batch();
        let mut settle = std::pin::pin!(inbox.settle());
        tokio::select! {
            biased;
            () = settle.as_mut() => panic!("the publish is not stored"),
            () = tokio::task::yield_now() => {}
        }
        drop(batch);
        tokio::select! {
            biased;
            () = settle => {}
            () = tokio::task::yield_now() => panic!("the publish is stored"),
        }
    }

    #[test]
    fn batches_are_bounded() {
        let inbox = Inbox::default();
        for _ in 0..MAX_BATCH_MESSAGES + 1 {
            inbox.publish(&incoming(b"a", b"x")).unwrap();
        }
        assert_eq!(inbox.take_batch().publishes.len(), MAX_BATCH_MESSAGES);
        assert_eq!(inbox.take_batch().publishes.len(), 1);
        let big = vec![0; MAX_BATCH_BYTES];
        inbox.publish(&incoming(b"a", &big)).unwrap();
        inbox.publish(&incoming(b"a", &big)).unwrap();
        assert_eq!(inbox.take_batch().publishes.len(), 1);
    }

    #[test]
    fn a_flood_is_refused() {
        let inbox = Inbox::default();
        for _ in 0..MAX_WAITING_MESSAGES {
            inbox.publish(&incoming(b"a", b"")).unwrap();
        }
        assert_eq!(inbox.publish(&incoming(b"a", b"")), Err(Overflow));
    }
}
