//! Bytes that wait for a connection's socket.
//!
//! A queue of chunks, so that a slow reader's backlog grows without copying what is already there.
//! A drained queue owns no memory: its chunks go back to a small pool of the thread that wrote
//! them, where the next message finds them warm.

use std::{cell::RefCell, collections::VecDeque, time::Instant};

/// A chunk is closed when it has this many bytes; the next message starts another. Somewhat more than
/// one read brings in, so that what one read sends to one target is one write.
const CHUNK_BYTES: usize = 288 * 1024;
/// Chunks kept by one thread for reuse.
const POOL_CHUNKS: usize = 8;
/// Smaller chunks are cheaper to allocate than to keep.
const POOL_CHUNK_MIN_BYTES: usize = 4 * 1024;
/// Larger ones held one large message and are given back to the system.
const POOL_CHUNK_MAX_BYTES: usize = 2 * CHUNK_BYTES;
/// First allocation of a queue when the pool is empty.
const FIRST_CHUNK_BYTES: usize = 1024;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_chunk(at_least: usize) -> Vec<u8> {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| Vec::with_capacity(at_least.max(FIRST_CHUNK_BYTES)))
}

fn recycle(mut chunk: Vec<u8>) {
    if !(POOL_CHUNK_MIN_BYTES..=POOL_CHUNK_MAX_BYTES).contains(&chunk.capacity()) {
        return;
    }
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOL_CHUNKS {
            chunk.clear();
            pool.push(chunk);
        }
    });
}

/// Who is going to write the waiting bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Writer {
    /// Nobody: whoever appends must see to it.
    Nobody,
    /// Some thread has the connection on its list and writes at the end of its batch.
    Promised,
    /// Some thread is writing right now and looks again when it has finished.
    Writing,
    /// The socket is full: the connection's own task writes when it drains.
    Blocked,
}

pub(crate) struct Outbound {
    /// Closed chunks, oldest first.
    full: VecDeque<Vec<u8>>,
    /// The chunk messages are appended to.
    tail: Vec<u8>,
    /// Bytes at the start of the oldest chunk that are written already.
    written: usize,
    /// Bytes in all chunks and in the hands of a writer, not written yet.
    pending: usize,
    pub writer: Writer,
    /// Set while [`Writer::Blocked`].
    pub blocked_since: Option<Instant>,
    pub messages: u64,
    pub bytes: u64,
}

/// A chunk in the hands of a writer.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    start: usize,
}

impl Chunk {
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn advance(&mut self, written: usize) {
        self.start += written;
    }
}

impl Outbound {
    pub fn new() -> Outbound {
        Outbound {
            full: VecDeque::new(),
            tail: Vec::new(),
            written: 0,
            pending: 0,
            writer: Writer::Nobody,
            blocked_since: None,
            messages: 0,
            bytes: 0,
        }
    }

    /// Bytes not yet accepted by the socket.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Lets `encode` append about `size` bytes to the queue.
    #[inline]
    pub fn append(&mut self, size: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.len() + size > CHUNK_BYTES || self.tail.capacity() == 0 {
            self.make_room(size);
        }
        let before = self.tail.len();
        encode(&mut self.tail);
        self.pending += self.tail.len() - before;
    }

    #[cold]
    fn make_room(&mut self, size: usize) {
        if self.tail.is_empty() {
            if self.tail.capacity() == 0 {
                self.tail = take_chunk(size);
            }
            return;
        }
        // There is a backlog, so the next chunk will be filled too: it starts at its full size,
        // where growing it would copy what is in it again and again.
        let next = take_chunk(size.max(CHUNK_BYTES));
        let closed = std::mem::replace(&mut self.tail, next);
        self.full.push_back(closed);
    }

    /// Hands the oldest waiting bytes to a writer.
    pub fn take(&mut self) -> Option<Chunk> {
        let bytes = match self.full.pop_front() {
            Some(chunk) => chunk,
            None if self.tail.is_empty() => return None,
            None => std::mem::take(&mut self.tail),
        };
        Some(Chunk {
            bytes,
            start: std::mem::take(&mut self.written),
        })
    }

    /// Accounts for what a writer did with its chunk: the rest, if any, goes back to the front.
    pub fn give_back(&mut self, chunk: Chunk, written: usize) {
        self.pending = self.pending.saturating_sub(written);
        if chunk.start == chunk.bytes.len() {
            recycle(chunk.bytes);
            return;
        }
        self.written = chunk.start;
        self.full.push_front(chunk.bytes);
    }

    /// [`Outbound::take`], noting who writes. An empty queue has no writer.
    pub fn take_for(&mut self, writer: Writer) -> Option<Chunk> {
        let chunk = self.take();
        self.writer = if chunk.is_some() {
            writer
        } else {
            Writer::Nobody
        };
        if chunk.is_none() {
            self.blocked_since = None;
            self.full.shrink_to_fit();
        }
        chunk
    }

    /// [`Outbound::give_back`], noting who writes next. Progress restarts the write deadline.
    pub fn put_back(&mut self, chunk: Chunk, written: usize, writer: Writer) {
        self.give_back(chunk, written);
        self.writer = writer;
        if writer == Writer::Blocked && (written > 0 || self.blocked_since.is_none()) {
            self.blocked_since = Some(Instant::now());
        }
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        self.full = VecDeque::new();
        self.tail = Vec::new();
        self.written = 0;
        self.pending = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes everything, `step` bytes at a time, and gives back what is left after each write.
    fn drain(out: &mut Outbound, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while let Some(mut chunk) = out.take_for(Writer::Writing) {
            let now = step.min(chunk.rest().len());
            written.extend_from_slice(&chunk.rest()[..now]);
            chunk.advance(now);
            out.put_back(chunk, now, Writer::Nobody);
        }
        written
    }

    #[test]
    fn bytes_leave_in_order_however_little_the_socket_takes() {
        for step in [1000, CHUNK_BYTES, usize::MAX] {
            let mut out = Outbound::new();
            let mut expected = Vec::new();
            for n in 0..500usize {
                let message = vec![n as u8; 1 + n * 7 % 3000];
                out.append(message.len(), |buf| buf.extend_from_slice(&message));
                expected.extend_from_slice(&message);
            }
            assert_eq!(out.pending(), expected.len());
            assert!(drain(&mut out, step) == expected, "step {step}");
            assert_eq!((out.pending(), out.writer), (0, Writer::Nobody));
        }
    }

    #[test]
    fn a_drained_queue_owns_no_memory() {
        let mut out = Outbound::new();
        out.append(5, |buf| buf.extend_from_slice(b"hello"));
        assert_eq!(drain(&mut out, usize::MAX), b"hello");
        assert_eq!((out.tail.capacity(), out.full.capacity()), (0, 0));
    }

    #[test]
    fn the_write_deadline_restarts_with_progress() {
        let mut out = Outbound::new();
        out.append(5, |buf| buf.extend_from_slice(b"hello"));
        let chunk = out.take_for(Writer::Writing).unwrap();
        out.put_back(chunk, 0, Writer::Blocked);
        let first = out.blocked_since.unwrap();
        let chunk = out.take_for(Writer::Writing).unwrap();
        out.put_back(chunk, 0, Writer::Blocked);
        assert_eq!(out.blocked_since, Some(first));
        let mut chunk = out.take_for(Writer::Writing).unwrap();
        chunk.advance(2);
        out.put_back(chunk, 2, Writer::Blocked);
        assert!(out.blocked_since.unwrap() > first);
        assert_eq!(drain(&mut out, usize::MAX), b"llo");
        assert_eq!(out.blocked_since, None);
    }

    #[test]
    fn a_cleared_queue_survives_a_writer_that_returns_late() {
        let mut out = Outbound::new();
        out.append(5, |buf| buf.extend_from_slice(b"hello"));
        let mut chunk = out.take_for(Writer::Writing).unwrap();
        out.clear();
        chunk.advance(5);
        out.put_back(chunk, 5, Writer::Nobody);
        assert_eq!(out.pending(), 0);
    }
}
