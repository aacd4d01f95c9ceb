//! Requests between the servers of a cluster, beside the routes: consensus and JetStream's own
//! questions, multiplexed over two connections per pair (urgent and bulk).
//!
//! A frame is `length: u32 LE, kind: u8, id: u64 LE, body`. Frames waiting for one connection leave
//! in one write, so that the heartbeats of many groups cost one system call.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use consensus::{BoxFuture, Lane, NodeId, Transport, TransportError};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

/// Longest frame taken from a peer, in bytes: a command of the largest message and its envelope.
const FRAME_BYTES_MAX: usize = 80 * 1024 * 1024;
/// Bytes that may wait for one connection; requests beyond fail at once and are tried again later.
const OUTBOX_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Requests of one peer that are handled at the same time.
const HANDLED_AT_ONCE_MAX: usize = 4096;
/// Room made for one read, and the least that is read into, in bytes.
const READ_BYTES: usize = 64 * 1024;
const READ_ROOM_BYTES_MIN: usize = 16 * 1024;
const FRAME_HEAD_BYTES: usize = 4 + 1 + 8;

/// A byte stream to a peer, TLS or not.
pub trait PeerStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> PeerStream for T {}

/// Opens a connection to a peer.
pub trait Dialer: Send + Sync {
    fn dial(&self, to: NodeId) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>>;
}

/// Answers the requests of peers.
pub trait Service: Send + Sync {
    fn handle(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Bytes>;
}

/// Who asks: the first byte of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Consensus = 0,
    JetStream = 1,
}

/// All connections to peers. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Arc<dyn Dialer>,
    links: Mutex<HashMap<(NodeId, bool), Arc<Link>>>,
    next_id: AtomicU64,
}

/// The calling side of one connection; dialled when first used and again after it broke.
struct Link {
    outbox: Mutex<Outbox>,
    wake: Notify,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes, String>>>>,
}

#[derive(Default)]
struct Outbox {
    buffer: BytesMut,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request = 0,
    Answer = 1,
}

impl Peers {
    pub fn new(dialer: Arc<dyn Dialer>) -> Self {
        let links = Mutex::default();
        Peers {
            shared: Arc::new(Shared {
                dialer,
                links,
                next_id: AtomicU64::new(1),
            }),
        }
    }

    /// Sends a request over the urgent or the bulk connection and waits for the answer.
    pub fn call_on(
        &self,
        to: NodeId,
        channel: Channel,
        bulk: bool,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let link = self.link(to, bulk);
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            link.send(id, channel, &request, sender)
                .map_err(|reason| TransportError::Lost { to, reason })?;
            let outcome = tokio::time::timeout(timeout, answer).await;
            match outcome {
                Ok(Ok(Ok(answer))) => Ok(answer),
                Ok(Ok(Err(reason))) => Err(TransportError::Lost { to, reason }),
                Ok(Err(_)) => Err(TransportError::Unreachable { to }),
                Err(_) => {
                    link.waiting.lock().remove(&id);
                    let timeout_ms = timeout.as_millis() as u64;
                    Err(TransportError::Timeout { to, timeout_ms })
                }
            }
        })
    }

    /// Serves the requests that arrive on an accepted connection until it ends.
    pub async fn serve(from: NodeId, stream: Box<dyn PeerStream>, service: Arc<dyn Service>) {
        let (mut reader, writer) = tokio::io::split(stream);
        let link = Arc::new(Link::new());
        let sender = tokio::spawn(write_frames(writer, link.clone()));
        let slots = Arc::new(tokio::sync::Semaphore::new(HANDLED_AT_ONCE_MAX));
        let mut input = BytesMut::new();
        while let Ok(Some((kind, id, body))) = read_frame(&mut reader, &mut input).await {
            if kind != Kind::Request {
                break;
            }
            let Ok(slot) = slots.clone().acquire_owned().await else {
                break;
            };
            let (service, link) = (service.clone(), link.clone());
            tokio::spawn(async move {
                let answer = service.handle(from, body).await;
                link.push(Kind::Answer, id, &[], &answer).ok();
                drop(slot);
            });
        }
        link.close("connection ended");
        sender.abort();
    }

    /// Drops the connections to a peer that left or changed its address.
    pub fn forget(&self, peer: NodeId) {
        let mut links = self.shared.links.lock();
        for bulk in [false, true] {
            if let Some(link) = links.remove(&(peer, bulk)) {
                link.close("peer is gone");
            }
        }
    }

    fn link(&self, to: NodeId, bulk: bool) -> Arc<Link> {
        let mut links = self.shared.links.lock();
        if let Some(link) = links.get(&(to, bulk))
            && !link.outbox.lock().closed
        {
            return link.clone();
        }
        let link = Arc::new(Link::new());
        links.insert((to, bulk), link.clone());
        tokio::spawn(run_link(self.shared.dialer.dial(to), link.clone()));
        link
    }
}

impl Transport for Peers {
    fn call(
        &self,
        to: NodeId,
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        self.call_on(
            to,
            Channel::Consensus,
            lane == Lane::Snapshot,
            request,
            timeout,
        )
    }
}

impl Link {
    fn new() -> Self {
        Link {
            outbox: Mutex::default(),
            wake: Notify::new(),
            waiting: Mutex::default(),
        }
    }

    fn send(
        &self,
        id: u64,
        channel: Channel,
        request: &[u8],
        answer: oneshot::Sender<Result<Bytes, String>>,
    ) -> Result<(), String> {
        self.waiting.lock().insert(id, answer);
        let pushed = self.push(Kind::Request, id, &[channel as u8], request);
        if pushed.is_err() {
            self.waiting.lock().remove(&id);
        }
        pushed
    }

    fn push(&self, kind: Kind, id: u64, prefix: &[u8], body: &[u8]) -> Result<(), String> {
        let mut outbox = self.outbox.lock();
        if outbox.closed {
            return Err("connection is closed".into());
        }
        if outbox.buffer.len() + body.len() > OUTBOX_BYTES_MAX {
            return Err("too many bytes are waiting".into());
        }
        let first = outbox.buffer.is_empty();
        outbox
            .buffer
            .reserve(FRAME_HEAD_BYTES + prefix.len() + body.len());
        outbox
            .buffer
            .put_u32_le((1 + 8 + prefix.len() + body.len()) as u32);
        outbox.buffer.put_u8(kind as u8);
        outbox.buffer.put_u64_le(id);
        outbox.buffer.put_slice(prefix);
        outbox.buffer.put_slice(body);
        drop(outbox);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn close(&self, reason: &str) {
        {
            let mut outbox = self.outbox.lock();
            outbox.closed = true;
            outbox.buffer = BytesMut::new();
        }
        self.wake.notify_one();
        for (_, waiting) in self.waiting.lock().drain() {
            waiting.send(Err(reason.to_owned())).ok();
        }
    }
}

async fn run_link(dial: BoxFuture<'static, io::Result<Box<dyn PeerStream>>>, link: Arc<Link>) {
    let reason = match dial.await {
        Ok(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            tokio::select! {
                ended = read_answers(reader, &link) => ended,
                ended = write_frames(writer, link.clone()) => ended,
            }
            .err()
            .map_or_else(|| "connection ended".to_owned(), |error| error.to_string())
        }
        Err(error) => error.to_string(),
    };
    link.close(&reason);
}

async fn read_answers<R: AsyncRead + Unpin>(mut reader: R, link: &Link) -> io::Result<()> {
    let mut input = BytesMut::new();
    while let Some((kind, id, body)) = read_frame(&mut reader, &mut input).await? {
        if kind != Kind::Answer {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "unexpected request",
            ));
        }
        if let Some(waiting) = link.waiting.lock().remove(&id) {
            waiting.send(Ok(body)).ok();
        }
    }
    Ok(())
}

async fn write_frames<W: AsyncWrite + Unpin>(mut writer: W, link: Arc<Link>) -> io::Result<()> {
    loop {
        let frames = {
            let mut outbox = link.outbox.lock();
            if outbox.closed {
                return Ok(());
            }
            outbox.buffer.split()
        };
        if frames.is_empty() {
            link.wake.notified().await;
            continue;
        }
        writer.write_all(&frames).await?;
        writer.flush().await?;
    }
}

async fn read_frame<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut BytesMut,
) -> io::Result<Option<(Kind, u64, Bytes)>> {
    loop {
        if let Some(frame) = split_frame(input)? {
            return Ok(Some(frame));
        }
        if input.capacity() - input.len() < READ_ROOM_BYTES_MIN {
            input.reserve(READ_BYTES);
        }
        if reader.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

fn split_frame(input: &mut BytesMut) -> io::Result<Option<(Kind, u64, Bytes)>> {
    let Some(head) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head) as usize;
    if !(9..=FRAME_BYTES_MAX).contains(&length) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "frame length out of bounds",
        ));
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    // Copied: log entries live on in memory, and a slice would keep the whole read buffer with them.
    let mut frame = Bytes::copy_from_slice(&input[4..4 + length]);
    input.advance(4 + length);
    let kind = match frame.get_u8() {
        0 => Kind::Request,
        1 => Kind::Answer,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "unknown frame kind",
            ));
        }
    };
    let id = frame.get_u64_le();
    Ok(Some((kind, id, frame)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;
    impl Service for Echo {
        fn handle(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Bytes> {
            Box::pin(async move { Bytes::from(format!("{} {:?}", from.0, &request[..])) })
        }
    }

    /// Dials an in-memory connection to an [`Echo`].
    struct ToEcho;
    impl Dialer for ToEcho {
        fn dial(&self, to: NodeId) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>> {
            Box::pin(async move {
                if to == NodeId(9) {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                let (near, far) = tokio::io::duplex(1000);
                tokio::spawn(Peers::serve(NodeId(1), Box::new(far), Arc::new(Echo)));
                Ok(Box::new(near) as Box<dyn PeerStream>)
            })
        }
    }

    fn call(
        peers: &Peers,
        to: u64,
        body: &'static [u8],
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let timeout = Duration::from_secs(5);
        peers.call_on(
            NodeId(to),
            Channel::JetStream,
            false,
            Bytes::from_static(body),
            timeout,
        )
    }

    #[tokio::test]
    async fn answers_find_their_requests() {
        let peers = Peers::new(Arc::new(ToEcho));
        let (one, two) = tokio::join!(call(&peers, 2, b"\x07"), call(&peers, 2, b"\x08"));
        assert_eq!(one.unwrap(), "1 [1, 7]");
        assert_eq!(two.unwrap(), "1 [1, 8]");
    }

    #[tokio::test]
    async fn a_peer_that_cannot_be_reached_fails_the_call_and_is_dialled_again() {
        let peers = Peers::new(Arc::new(ToEcho));
        for _ in 0..2 {
            let failed = call(&peers, 9, b"x").await;
            assert!(
                matches!(failed, Err(TransportError::Lost { .. })),
                "{failed:?}"
            );
        }
    }

    #[test]
    fn a_frame_of_a_wrong_length_is_refused() {
        let mut input = BytesMut::from(&[255u8; 32][..]);
        assert!(split_frame(&mut input).is_err());
    }
}
