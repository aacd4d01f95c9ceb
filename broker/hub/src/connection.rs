//! The shared half of a connection: what other tasks may touch.
//!
//! A connection is driven by one task, which alone reads. Everybody writes: a message is appended
//! to the target's queue under its lock and written to the target's socket by the publisher's own
//! task, so that a delivery costs no wake-up. Only a full socket (or TLS, whose state cannot be
//! shared) leaves the writing to the target's task.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use futures::task::AtomicWaker;
use identity::Login;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpStream;
use wire::{CloseReason, ConnectOptions};

use crate::{
    account::Account,
    auth::PeerTls,
    delivery::OriginKind,
    outbound::{Outbound, Writer},
    permission::ReplyGrants,
    subs::SubTable,
    subscription::Sub,
    websocket::CookieLogin,
};

/// Set in [`Connection::take_wishes`] for the connection's own task.
pub(crate) mod wish {
    /// Write what waits: only the task itself can (TLS).
    pub const FLUSH: u8 = 1;
    /// The user's rights may have changed: ask the authenticator again.
    pub const REAUTHENTICATE: u8 = 2;
    /// The server's limits may have changed: look at them again.
    pub const REFRESH_LIMITS: u8 = 4;
}

/// Bits of [`Connection::set_trait`].
pub(crate) mod traits {
    /// Takes header blocks.
    pub const HEADERS: u8 = 1;
    /// Wants its own messages back.
    pub const ECHO: u8 = 2;
    /// May answer requests it is sent (`allow_responses`).
    pub const REPLIES: u8 = 4;
    /// Understands INFO at any time.
    pub const ASYNC_INFO: u8 = 8;
    /// Was sent its first ping.
    pub const PINGED: u8 = 16;
    /// A route whose server has said who it is, and was accepted.
    pub const INTRODUCED: u8 = 32;
    /// Came over WebSocket.
    pub const WEBSOCKET: u8 = 64;
}

pub(crate) struct Connection {
    pub id: u64,
    pub kind: OriginKind,
    pub peer: SocketAddr,
    pub started: SystemTime,
    pub started_at: Instant,
    /// `None` for TLS, and after the connection ended: the descriptor must not live as long as the
    /// last cached match that names this connection.
    socket: RwLock<Option<TcpStream>>,
    pub out: Mutex<Outbound>,
    waker: AtomicWaker,
    wishes: AtomicU8,
    closed: AtomicBool,
    reason: Mutex<Option<CloseReason>>,
    pub max_pending: usize,
    /// What a deliverer must know about the receiver; see [`traits`].
    traits: AtomicU8,
    pub subs: Mutex<SubTable>,
    pub replies: Mutex<Option<Box<ReplyGrants>>>,
    pub in_messages: AtomicU64,
    pub in_bytes: AtomicU64,
    /// Milliseconds from `started_at` to the last thing the peer sent.
    pub last_in_ms: AtomicU64,
    /// Microseconds from `started_at` to the last ping sent to it.
    pub last_ping_us: AtomicU64,
    /// Milliseconds from `started_at` to the end of the present stage: without a login the auth
    /// timeout, after it the login's expiry.
    pub deadline_ms: AtomicU64,
    pub pings_out: AtomicU32,
    /// Round trip in microseconds; 0 = not measured.
    pub rtt_us: AtomicU64,
    /// Subscriptions a route's server has told this one about.
    pub remote_interest: AtomicUsize,
    pub facts: Mutex<Facts>,
}

/// What is rarely read: who is at the other end.
#[derive(Default)]
pub(crate) struct Facts {
    pub name: Box<str>,
    pub lang: Box<str>,
    pub version: Box<str>,
    /// The user name it gave; see `login` for who it is.
    pub claimed_user: Box<str>,
    /// It sent a CONNECT.
    pub introduced: bool,
    /// The whole CONNECT, kept when it carried credentials: they may have to be checked again.
    pub options: Option<Box<ConnectOptions>>,
    pub login: Option<Box<Login>>,
    pub account: Option<Arc<Account>>,
    pub tls: Option<Box<PeerTls>>,
    pub nonce: Box<str>,
    /// What the cookies of a WebSocket client say.
    pub cookies: Option<Box<CookieLogin>>,
}

/// What a new connection is made of.
pub(crate) struct NewConnection {
    pub id: u64,
    pub kind: OriginKind,
    pub peer: SocketAddr,
    pub socket: Option<TcpStream>,
    pub max_pending: usize,
    pub tls: Option<Box<PeerTls>>,
    pub nonce: Box<str>,
}

impl Connection {
    pub fn new(new: NewConnection) -> Arc<Connection> {
        Arc::new(Connection {
            id: new.id,
            kind: new.kind,
            peer: new.peer,
            started: SystemTime::now(),
            started_at: Instant::now(),
            socket: RwLock::new(new.socket),
            out: Mutex::new(Outbound::new()),
            waker: AtomicWaker::new(),
            wishes: AtomicU8::new(0),
            closed: AtomicBool::new(false),
            reason: Mutex::new(None),
            max_pending: new.max_pending,
            traits: AtomicU8::new(traits::ECHO),
            subs: Mutex::default(),
            replies: Mutex::new(None),
            in_messages: AtomicU64::new(0),
            in_bytes: AtomicU64::new(0),
            last_in_ms: AtomicU64::new(0),
            last_ping_us: AtomicU64::new(0),
            deadline_ms: AtomicU64::new(u64::MAX),
            pings_out: AtomicU32::new(0),
            rtt_us: AtomicU64::new(0),
            remote_interest: AtomicUsize::new(0),
            facts: Mutex::new(Facts {
                tls: new.tls,
                nonce: new.nonce,
                ..Facts::default()
            }),
        })
    }

    pub fn age_ms(&self) -> u64 {
        self.started_at.elapsed().as_millis() as u64
    }

    /// Unix time of the start.
    pub fn started_unix_ms(&self) -> u64 {
        let since_epoch = self.started.duration_since(SystemTime::UNIX_EPOCH);
        since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    pub fn age_us(&self) -> u64 {
        self.started_at.elapsed().as_micros() as u64
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn set_trait(&self, bit: u8, on: bool) {
        if on {
            self.traits.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.traits.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    pub fn has_trait(&self, bit: u8) -> bool {
        self.traits.load(Ordering::Relaxed) & bit != 0
    }

    /// Takes an ended subscription out of the table.
    pub fn forget(&self, sub: &Sub) {
        let mut subs = self.subs.lock();
        if subs.get(sub.sid()) == Some(sub) {
            subs.remove(sub.sid());
        }
    }

    /// The peer answered a ping.
    pub fn note_pong(&self) {
        if self.pings_out.swap(0, Ordering::Relaxed) > 0 {
            let sent_us = self.last_ping_us.load(Ordering::Relaxed);
            let rtt_us = self.age_us().saturating_sub(sent_us).max(1);
            self.rtt_us.store(rtt_us, Ordering::Relaxed);
        }
    }

    /// The peer pings on its own: its first ping comes right behind its CONNECT, which answers the
    /// INFO it was sent at the start. A better measurement follows.
    pub fn note_first_ping(&self) {
        if self.rtt_us.load(Ordering::Relaxed) == 0 {
            self.rtt_us.store(self.age_us().max(1), Ordering::Relaxed);
        }
    }

    /// Asks the connection's task to end it. The first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.reason.lock().get_or_insert(reason);
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn close_reason(&self) -> CloseReason {
        self.reason.lock().unwrap_or(CloseReason::ClientClosed)
    }

    /// Asks the connection's task for something; see [`wish`].
    pub fn wish(&self, what: u8) {
        self.wishes.fetch_or(what, Ordering::AcqRel);
        self.waker.wake();
    }

    pub fn take_wishes(&self) -> u8 {
        if self.wishes.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.wishes.swap(0, Ordering::AcqRel)
    }

    pub fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Runs `f` with the plain socket, if there still is one.
    pub fn with_socket<R>(&self, f: impl FnOnce(&TcpStream) -> R) -> Option<R> {
        self.socket.read().as_ref().map(f)
    }

    /// Closes the descriptor, whoever still holds this connection.
    pub fn drop_socket(&self) {
        self.socket.write().take();
    }

    /// Writes what waits, as far as the socket takes it without waiting. Whatever cannot be
    /// written here is left to the connection's own task.
    pub fn flush(&self) {
        let socket = self.socket.read();
        let mut out = self.out.lock();
        if matches!(out.writer, Writer::Writing | Writer::Blocked) {
            return;
        }
        let Some(socket) = socket.as_ref() else {
            let waiting = out.pending() > 0;
            out.writer = Writer::Nobody;
            drop(out);
            if waiting {
                self.wish(wish::FLUSH);
            }
            return;
        };
        while let Some(mut chunk) = out.take_for(Writer::Writing) {
            drop(out);
            let (written, result) = write_all_ready(socket, chunk.rest());
            chunk.advance(written);
            let blocked = matches!(&result, Err(error) if error.kind() == ErrorKind::WouldBlock);
            out = self.out.lock();
            out.put_back(
                chunk,
                written,
                if blocked {
                    Writer::Blocked
                } else {
                    Writer::Nobody
                },
            );
            if blocked {
                drop(out);
                self.waker.wake();
                return;
            }
            if result.is_err() {
                out.clear();
                drop(out);
                self.close(CloseReason::WriteError);
                return;
            }
        }
    }

    /// The connection's own task saw a full socket drain.
    pub fn unblock(&self) {
        let mut out = self.out.lock();
        if out.writer == Writer::Blocked {
            out.writer = Writer::Nobody;
        }
    }

    pub fn is_blocked(&self) -> bool {
        self.out.lock().writer == Writer::Blocked
    }
}

/// Writes until everything is written or the socket is full.
fn write_all_ready(socket: &TcpStream, bytes: &[u8]) -> (usize, std::io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match socket.try_write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
