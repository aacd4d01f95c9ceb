//! The task of one connection: waits for its socket, reads, and writes what others could not.
//!
//! An idle connection owns no buffer: every thread reads into one of its own, and only an operation
//! cut in two at the end of a read is kept until the rest arrives.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BufMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use wire::{CloseReason, ConnectOptions};

use crate::{
    batch::{self, Lag},
    connection::{Connection, wish},
    mishap::Mishaps,
    outbound::Writer,
    sweeper,
    transport::Transport,
};

/// Bytes read at once. Every read and write of a socket may wake its peer, which costs as much as
/// copying tens of kilobytes; what one read sends to one target should still fit in a core's cache.
const READ_BYTES: usize = 256 * 1024;
/// Operations longer than this are gathered in a buffer of their own size.
const GATHER_BYTES: usize = 16 * 1024;
/// Reads of one turn; then other connections have theirs.
const READS_PER_TURN: usize = 2;
/// How long a publisher waits when a reader of its messages falls behind: long enough for the
/// reader to catch up while its backlog is still small.
const PAUSE: Duration = Duration::from_millis(1);
/// How long it waits when the reader is about to be cut off.
const STALL: Duration = Duration::from_millis(4);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a session needs before it goes on.
pub(crate) enum Next {
    /// More bytes: the buffer must hold at least this many.
    Read { needed: usize },
    /// A login with these options; then the rest of the buffer.
    Login(Box<ConnectOptions>),
    /// A login without CONNECT; then the rest of the buffer.
    ImplicitLogin,
    /// Nothing: the connection ends.
    Close,
}

/// The protocol of one kind of connection.
pub(crate) trait Protocol: Send {
    /// Acts on every complete operation of `buf`. Returns how many bytes are done with.
    fn process(&mut self, buf: &[u8]) -> (usize, Next);
    /// Without options: the client was not asked to identify itself, and did not.
    fn login(
        &mut self,
        options: Option<Box<ConnectOptions>>,
    ) -> impl Future<Output = Result<(), Next>> + Send;
    fn login_again(&mut self) -> impl Future<Output = Result<(), Next>> + Send;
    /// The server's limits may have changed.
    fn refresh_limits(&mut self);
    fn end(&mut self);
    /// Whether this connection waits when its targets are far behind.
    fn stalls(&self) -> bool;
}

/// Why a turn ended without waiting for the socket.
enum Turn {
    Login(Option<Box<ConnectOptions>>),
    LoginAgain,
    Wait(Duration),
    End,
}

pub(crate) struct Driver<P> {
    connection: Arc<Connection>,
    protocol: P,
    transport: Option<Transport>,
    /// The beginning of an operation whose rest has not arrived.
    leftover: Vec<u8>,
    /// Bytes `leftover` must grow to before parsing it again makes sense.
    needed: usize,
    /// `leftover` was put aside complete or not: look at it before reading.
    unread: bool,
    mishaps: Arc<Mishaps>,
}

impl<P: Protocol> Driver<P> {
    pub fn new(
        connection: Arc<Connection>,
        protocol: P,
        transport: Option<Transport>,
        mishaps: Arc<Mishaps>,
    ) -> Driver<P> {
        Driver {
            connection,
            protocol,
            transport,
            leftover: Vec::new(),
            needed: 0,
            unread: false,
            mishaps,
        }
    }

    /// Starts with bytes that were read before this driver existed.
    pub fn with_leftover(mut self, leftover: Vec<u8>) -> Driver<P> {
        self.unread = !leftover.is_empty();
        self.leftover = leftover;
        self
    }

    /// Tells the peer why it is not wanted. It is gone as soon as the driver runs.
    pub fn refuse(&self, error: wire::Error) {
        sweeper::end(&self.connection, error);
    }

    /// Runs the connection to its end, which is a panic at worst.
    pub async fn run(mut self) {
        let mishaps = self.mishaps.clone();
        if mishaps.contain_task(self.turns()).await.is_none() {
            tracing::error!(cid = self.connection.id, "connection ends with a panic");
            self.connection.close(CloseReason::InternalError);
        }
        mishaps.contain_task(self.say_goodbye()).await;
        mishaps.contain(|| batch::run(|| self.protocol.end()));
        self.connection.drop_socket();
        self.transport = None;
    }

    async fn turns(&mut self) {
        loop {
            let turn = poll_fn(|cx| self.turn(cx)).await;
            let goes_on = match turn {
                Turn::Login(options) => {
                    let login = self.protocol.login(options);
                    Box::pin(unless_closed(&self.connection, login)).await
                }
                Turn::LoginAgain => {
                    let login = self.protocol.login_again();
                    Box::pin(unless_closed(&self.connection, login)).await
                }
                Turn::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Ok(())
                }
                Turn::End => break,
            };
            self.connection.flush();
            if goes_on.is_err() {
                break;
            }
        }
    }

    /// Writes what can be written.
    async fn say_goodbye(&mut self) {
        if let Some(transport) = &mut self.transport {
            // The last words of a connection; a peer that does not read them is not waited for.
            let _ = poll_fn(|cx| {
                let written = write_through(&self.connection, transport, cx);
                transport.say_goodbye(self.connection.close_reason());
                let _ = pin!(&mut *transport).poll_flush(cx);
                Poll::Ready(written)
            })
            .await;
        } else {
            self.connection.flush();
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.connection.register(cx.waker());
        if self.connection.is_closed() {
            return Poll::Ready(Turn::End);
        }
        let wishes = self.connection.take_wishes();
        if wishes & wish::REFRESH_LIMITS != 0 {
            self.protocol.refresh_limits();
        }
        if wishes & wish::REAUTHENTICATE != 0 {
            return Poll::Ready(Turn::LoginAgain);
        }
        if let Err(error) = self.write(cx) {
            self.lost(CloseReason::WriteError, &error);
            return Poll::Ready(Turn::End);
        }
        for _ in 0..READS_PER_TURN {
            let step = if self.unread {
                self.process_leftover()
            } else {
                ready!(self.read(cx))
            };
            match step {
                Ok(Step::Done) => {}
                Ok(Step::Leave(turn)) => return Poll::Ready(turn),
                Err(error) => {
                    self.lost(CloseReason::ReadError, &error);
                    return Poll::Ready(Turn::End);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn lost(&self, reason: CloseReason, error: &io::Error) {
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => CloseReason::ClientClosed,
            _ => reason,
        };
        self.connection.close(reason);
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(transport) = &mut self.transport {
            return write_through(&self.connection, transport, cx);
        }
        while self.connection.is_blocked() {
            let ready = self
                .connection
                .with_socket(|socket| socket.poll_write_ready(cx));
            match ready {
                Some(Poll::Ready(ready)) => ready?,
                Some(Poll::Pending) | None => return Ok(()),
            }
            self.connection.unblock();
            self.connection.flush();
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        if self.needed > GATHER_BYTES {
            return self.read_long(cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.extend_from_slice(&self.leftover);
            scratch.reserve(READ_BYTES);
            let mut room = scratch.limit(READ_BYTES);
            ready!(read_some(
                &self.connection,
                &mut self.transport,
                &mut room,
                cx
            ))?;
            Poll::Ready(Ok(self.process(scratch)))
        })
    }

    /// Reads the rest of one long operation, and nothing behind it, into its own buffer.
    fn read_long(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        let missing = self.needed - self.leftover.len();
        self.leftover.reserve_exact(missing);
        let mut room = (&mut self.leftover).limit(missing);
        ready!(read_some(
            &self.connection,
            &mut self.transport,
            &mut room,
            cx
        ))?;
        if self.leftover.len() < self.needed {
            self.note_activity();
            return Poll::Ready(Ok(Step::Done));
        }
        Poll::Ready(Ok(self.process_leftover()?))
    }

    fn process_leftover(&mut self) -> io::Result<Step> {
        self.unread = false;
        let whole = std::mem::take(&mut self.leftover);
        Ok(self.process(&whole))
    }

    /// Lets the protocol act on `buf`, writes what came of it, and keeps the unfinished end.
    fn process(&mut self, buf: &[u8]) -> Step {
        self.note_activity();
        let ((done, next), lag) = batch::run_watching_lag(|| self.protocol.process(buf));
        let rest = &buf[done..];
        self.leftover.clear();
        self.leftover.extend_from_slice(rest);
        if rest.is_empty() && self.leftover.capacity() > 0 {
            self.leftover = Vec::new();
        }
        self.needed = 0;
        match next {
            Next::Read { needed } => self.needed = needed,
            Next::Login(options) => return self.leave_for_login(Some(options)),
            Next::ImplicitLogin => return self.leave_for_login(None),
            Next::Close => return Step::Leave(Turn::End),
        }
        match lag {
            Lag::Behind if self.protocol.stalls() => Step::Leave(Turn::Wait(PAUSE)),
            Lag::Critical if self.protocol.stalls() => Step::Leave(Turn::Wait(STALL)),
            _ => Step::Done,
        }
    }

    fn leave_for_login(&mut self, options: Option<Box<ConnectOptions>>) -> Step {
        self.unread = !self.leftover.is_empty();
        Step::Leave(Turn::Login(options))
    }

    fn note_activity(&self) {
        self.connection
            .last_in_ms
            .store(self.connection.age_ms(), Ordering::Relaxed);
    }
}

enum Step {
    Done,
    Leave(Turn),
}

/// A login may wait long for somebody else; a connection that is closed meanwhile does not.
async fn unless_closed(
    connection: &Connection,
    login: impl Future<Output = Result<(), Next>>,
) -> Result<(), Next> {
    let mut login = pin!(login);
    poll_fn(|cx| {
        connection.register(cx.waker());
        match connection.is_closed() {
            true => Poll::Ready(Err(Next::Close)),
            false => login.as_mut().poll(cx),
        }
    })
    .await
}

/// Reads at least one byte. The end of the stream is an error here.
fn read_some(
    connection: &Connection,
    transport: &mut Option<Transport>,
    room: &mut impl BufMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if let Some(transport) = transport {
        let read = ready!(pin!(transport.read_buf(room)).poll(cx))?;
        return Poll::Ready(if read == 0 {
            Err(ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        });
    }
    loop {
        let outcome = connection.with_socket(|socket| {
            ready!(socket.poll_read_ready(cx))?;
            Poll::Ready(socket.try_read_buf(room))
        });
        match outcome {
            None | Some(Poll::Ready(Ok(0))) => {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(_))) => return Poll::Ready(Ok(())),
            Some(Poll::Ready(Err(error)))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
        }
    }
}

/// Writes what waits through a transport, as far as it goes without waiting; wakes the task for the
/// rest.
fn write_through(
    connection: &Connection,
    transport: &mut Transport,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    loop {
        let Some(mut chunk) = connection.out.lock().take_for(Writer::Writing) else {
            break;
        };
        let poll = pin!(&mut *transport).poll_write(cx, chunk.rest());
        let written = match &poll {
            Poll::Ready(Ok(written)) => *written,
            _ => 0,
        };
        chunk.advance(written);
        let state = if poll.is_pending() {
            Writer::Blocked
        } else {
            Writer::Nobody
        };
        connection.out.lock().put_back(chunk, written, state);
        match poll {
            Poll::Ready(result) => drop(result?),
            Poll::Pending => return Ok(()),
        }
    }
    match pin!(transport).poll_flush(cx) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}
