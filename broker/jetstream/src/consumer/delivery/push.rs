//! The receiver of a push consumer: interest, heartbeats, flow control.

use bytes::Bytes;

use crate::consumer::action::Action;
use crate::consumer::config::{AckPolicy, ConsumerConfig};
use crate::consumer::status;

/// Most bytes that may be on their way to a client with flow control: 32 MiB.
const MAX_WINDOW_BYTES: u64 = 32 * 1024 * 1024;
/// The window a client starts with.
const FIRST_WINDOW_BYTES: u64 = MAX_WINDOW_BYTES / 16;

#[derive(Debug)]
pub(super) struct Push {
    deliver_subject: Bytes,
    active: bool,
    /// 0 for none.
    idle_heartbeat_ns: i64,
    heartbeat_due_ns: i64,
    window: Option<Window>,
    /// Replies to flow control requests acknowledge, so that each message is followed by one.
    acknowledges: bool,
}

/// How much is on its way to the client, and how much may be.
#[derive(Debug)]
struct Window {
    /// `$JS.FC.<stream>.<consumer>.`
    prefix: Box<str>,
    /// Makes each request's subject different from all others.
    nonce: u64,
    limit_bytes: u64,
    sent_bytes: u64,
    request: Option<Request>,
}

/// A flow control request that the client has not replied to.
#[derive(Debug)]
struct Request {
    subject: Bytes,
    /// The bytes that its reply confirms.
    bytes: u64,
}

impl Push {
    pub(super) fn new(stream: &str, consumer: &str, config: &ConsumerConfig, now_ns: i64) -> Push {
        let window = config.flow_control.then(|| Window {
            prefix: format!("$JS.FC.{stream}.{consumer}.").into(),
            nonce: now_ns.unsigned_abs(),
            limit_bytes: FIRST_WINDOW_BYTES,
            sent_bytes: 0,
            request: None,
        });
        Push {
            deliver_subject: Bytes::from(config.deliver_subject.clone()),
            active: false,
            idle_heartbeat_ns: config.idle_heartbeat_ns,
            heartbeat_due_ns: now_ns.saturating_add(config.idle_heartbeat_ns),
            window,
            acknowledges: config.ack_policy == AckPolicy::FlowControl,
        }
    }

    pub(super) fn deliver_subject(&self) -> Bytes {
        self.deliver_subject.clone()
    }

    pub(super) fn set_deliver_subject(&mut self, config: &ConsumerConfig) {
        if self.deliver_subject != config.deliver_subject.as_bytes() {
            self.deliver_subject = Bytes::from(config.deliver_subject.clone());
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Whether messages may be sent.
    pub(super) fn is_open(&self) -> bool {
        let has_room = |window: &Window| window.sent_bytes <= window.limit_bytes;
        self.active && self.window.as_ref().is_none_or(has_room)
    }

    /// Notes whether somebody listens; true if that is news.
    pub(super) fn set_active(&mut self, now_ns: i64, active: bool) -> bool {
        if self.active == active {
            return false;
        }
        self.active = active;
        self.heartbeat_due_ns = now_ns.saturating_add(self.idle_heartbeat_ns);
        if active {
            self.restart();
        }
        true
    }

    /// Whoever listens now owes no replies.
    pub(super) fn restart(&mut self) {
        if let Some(window) = &mut self.window {
            window.sent_bytes = 0;
            window.request = None;
        }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        (self.active && self.idle_heartbeat_ns > 0).then_some(self.heartbeat_due_ns)
    }

    /// Sends a heartbeat if one is due, and asks for acknowledgements if there are messages without.
    /// `last` is the last consumer and stream sequence.
    pub(super) fn keep_time(
        &mut self,
        now_ns: i64,
        last: (u64, u64),
        is_unacknowledged: bool,
        out: &mut Vec<Action>,
    ) {
        if self.next_deadline().is_none_or(|due_ns| now_ns < due_ns) {
            return;
        }
        let stalled_on = self
            .window
            .as_ref()
            .and_then(|window| window.request.as_ref());
        let headers = status::idle_heartbeat(last.0, last.1, stalled_on.map(|r| &r.subject));
        out.push(Action::Status {
            to: self.deliver_subject(),
            reply: Bytes::new(),
            headers,
        });
        self.heartbeat_due_ns = now_ns.saturating_add(self.idle_heartbeat_ns);
        if self.acknowledges && is_unacknowledged {
            let request = self.window.as_mut().and_then(Window::request);
            self.ask(request, out);
        }
    }

    /// A message of `size` bytes was sent; whether it is the last that may be without an
    /// acknowledgement.
    pub(super) fn delivered(
        &mut self,
        now_ns: i64,
        size: u64,
        is_last: bool,
        out: &mut Vec<Action>,
    ) {
        self.heartbeat_due_ns = now_ns.saturating_add(self.idle_heartbeat_ns);
        let must_ask = self.acknowledges && is_last;
        let request = self.window.as_mut().and_then(|window| {
            let due = window.sent(size);
            due.or_else(|| must_ask.then(|| window.request()).flatten())
        });
        self.ask(request, out);
    }

    fn ask(&self, request: Option<Bytes>, out: &mut Vec<Action>) {
        if let Some(subject) = request {
            let headers = status::line(status::FLOW_CONTROL_REQUEST);
            out.push(Action::Status {
                to: self.deliver_subject(),
                reply: subject,
                headers,
            });
        }
    }

    /// Whether this is the reply that was waited for.
    pub(super) fn flow_control_reply(&mut self, subject: &[u8]) -> bool {
        self.window
            .as_mut()
            .is_some_and(|window| window.replied(subject))
    }
}

impl Window {
    /// Counts a message. Returns the reply subject of the request that has to follow it, if any.
    fn sent(&mut self, size: u64) -> Option<Bytes> {
        self.sent_bytes += size;
        match &mut self.request {
            Some(request) => {
                if self.sent_bytes.saturating_sub(request.bytes) >= self.limit_bytes {
                    request.bytes += size;
                }
                None
            }
            None if self.sent_bytes > self.limit_bytes / 2 => self.request(),
            None => None,
        }
    }

    /// The reply subject of a request that is due now; none if another waits for its reply.
    fn request(&mut self) -> Option<Bytes> {
        if self.request.is_some() {
            return None;
        }
        self.nonce += 1;
        let subject = Bytes::from(format!("{}{}", self.prefix, token(self.nonce)));
        self.request = Some(Request {
            subject: subject.clone(),
            bytes: self.sent_bytes,
        });
        Some(subject)
    }

    fn replied(&mut self, subject: &[u8]) -> bool {
        let Some(request) = self.request.take_if(|request| request.subject == subject) else {
            return false;
        };
        self.limit_bytes = (self.limit_bytes * 2).min(MAX_WINDOW_BYTES);
        self.sent_bytes = self.sent_bytes.saturating_sub(request.bytes);
        true
    }
}

/// A short subject token that differs for neighbouring numbers.
fn token(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(6);
    for _ in 0..6 {
        text.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    text
}
