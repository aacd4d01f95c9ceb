//! The transport of WebSocket clients: frames around the bytes of the client protocol.
//!
//! To the rest of the hub it is a stream like that of TLS. `listen` is the way to it: the HTTP
//! request that every such connection starts with.

mod listen;

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use websocket::{CloseCode, Event, Failure, Reader, ReaderOptions, Writer, WriterOptions};
use wire::CloseReason;

use crate::route::AsyncStream;

pub(crate) use listen::{CookieLogin, Greeted};
pub use listen::{Cookies, WebSocketOptions};

/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that become one message at most.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Pongs and the like that wait for a peer that does not read; more and it is cut off.
const MAX_UNREAD_CONTROL_BYTES: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What was agreed with the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreement {
    pub compression: bool,
    pub max_frame: usize,
    /// Bytes of one message from the client at most.
    pub max_message: u64,
}

pub(crate) struct WebSocket {
    /// TCP, or TLS over it.
    stream: Box<dyn AsyncStream>,
    reader: Reader,
    writer: Writer,
    /// Bytes of the client that did not fit into what was asked for.
    unread: Vec<u8>,
    /// Frames the socket did not take yet, and how much of their beginning it did.
    frames: Vec<u8>,
    written: usize,
    /// Either side has said that this is the end.
    is_closing: bool,
    /// The client has sent its last.
    is_ended: bool,
}

impl WebSocket {
    /// Starts with bytes that came behind the request.
    pub fn new(stream: Box<dyn AsyncStream>, agreement: Agreement, unread: Vec<u8>) -> WebSocket {
        let Agreement {
            compression,
            max_frame,
            max_message,
        } = agreement;
        WebSocket {
            stream,
            reader: Reader::new(ReaderOptions {
                compression,
                max_message,
            }),
            writer: Writer::new(WriterOptions {
                compression,
                max_frame,
            }),
            unread,
            frames: Vec::new(),
            written: 0,
            is_closing: false,
            is_ended: false,
        }
    }

    pub fn say_goodbye(&mut self, reason: CloseReason) {
        if !self.is_closing {
            let code = close_code(reason).number();
            self.close(Some(code), reason.name());
        }
    }

    fn close(&mut self, code: Option<u16>, reason: &str) {
        self.writer.close(code, reason, &mut self.frames);
        self.is_closing = true;
    }

    /// Decodes bytes of the client as far as `room` goes. Returns how many are done with.
    fn decode(&mut self, bytes: &mut [u8], room: &mut ReadBuf<'_>) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let rest = &mut bytes[done..];
            let progress = self.reader.read(rest, room.initialize_unfilled());
            let progress = progress.map_err(|failure| self.fail(failure))?;
            done += progress.consumed;
            room.advance(progress.filled);
            match progress.event {
                None => return Ok(done),
                Some(Event::Ping(payload)) => self.pong(&payload)?,
                Some(Event::Close(code)) => {
                    if !self.is_closing {
                        self.close(code, "");
                    }
                    self.is_ended = true;
                    return Ok(bytes.len());
                }
            }
        }
    }

    fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.frames.len() - self.written > MAX_UNREAD_CONTROL_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "pings without end"));
        }
        self.writer.pong(payload, &mut self.frames);
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        if !self.is_closing {
            self.close(Some(failure.code().number()), &failure.to_string());
        }
        io::Error::new(ErrorKind::InvalidData, failure)
    }

    /// Writes the frames that wait.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self
            .frames
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        // An idle connection owns no buffer.
        self.frames = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket and decodes; what does not fit is kept for the next call.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut raw = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut raw))?;
            let bytes = raw.filled_mut();
            if bytes.is_empty() {
                self.is_ended = true;
                return Poll::Ready(Ok(()));
            }
            let done = self.decode(bytes, room)?;
            self.unread.extend_from_slice(&bytes[done..]);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = room.filled().len();
        loop {
            if !this.unread.is_empty() || this.reader.has_more() {
                let mut unread = std::mem::take(&mut this.unread);
                let done = this.decode(&mut unread, room)?;
                unread.drain(..done);
                if !unread.is_empty() {
                    this.unread = unread;
                }
            } else if !this.is_ended
                && let Poll::Pending = this.poll_fill(cx, room)?
            {
                // Answers to pings have to go, too, while nothing else is written.
                let _ = this.poll_drain(cx)?;
                return Poll::Pending;
            }
            if this.is_ended || room.filled().len() > before {
                let _ = this.poll_drain(cx)?;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if this.is_closing {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let message = &bytes[..bytes.len().min(MESSAGE_BYTES)];
        this.writer.data(message, &mut this.frames);
        // The socket may take them later; the next write waits for that.
        let _ = this.poll_drain(cx)?;
        Poll::Ready(Ok(message.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// What a client is told by number when its connection ends for this reason.
fn close_code(reason: CloseReason) -> CloseCode {
    use CloseReason::*;
    match reason {
        ClientClosed => CloseCode::Normal,
        ServerShutdown | WriteError | ReadError | StaleConnection => CloseCode::GoingAway,
        ParseError | ProtocolViolation | BadClientProtocolVersion => CloseCode::ProtocolError,
        MaxPayloadExceeded => CloseCode::MessageTooBig,
        AuthenticationTimeout
        | AuthenticationFailure
        | AuthenticationExpired
        | Revocation
        | MissingAccount
        | SlowConsumerPendingBytes
        | SlowConsumerWriteDeadline
        | MaxConnectionsExceeded
        | MaxAccountConnectionsExceeded
        | MaxControlLineExceeded
        | MaxSubscriptionsExceeded => CloseCode::PolicyViolation,
        _ => CloseCode::InternalError,
    }
}
