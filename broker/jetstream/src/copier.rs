//! How a leader reads the origin of a mirror or source.
//!
//! A [`Copier`] asks the origin for an ephemeral push consumer that starts after what has been
//! copied, or has a durable one that a person made for it start there, follows its messages, and
//! hands out stretches of them for the stream's log. A message that is missing, an origin that falls
//! silent or refuses, or a stretch that the stream could not take makes it ask anew. What was copied
//! is decided by the log alone.

mod message;
mod request;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::api::source::SourceInfo;
use crate::command::{Copied, CopiedMessage, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};
use crate::config::StreamSource;
use crate::consumer::status;
use crate::error::ApiError;
use crate::stream::Position;
use subject::Transform;

use message::Kind;

/// The origin sends a heartbeat this often, nanoseconds.
const HEARTBEAT_NS: i64 = 1_000_000_000;
/// An origin that is silent for so long is asked anew, nanoseconds.
const SILENCE_NS: i64 = 5_000_000_000;
/// How long an answer is waited for, nanoseconds.
const ANSWER_NS: i64 = 3_000_000_000;
/// Whoever lacks fewer messages counts as having caught up.
const CAUGHT_UP_LAG: u64 = 10;
/// Shortest and longest pause before the origin is asked again, nanoseconds.
const RETRY_NS: (i64, i64) = (250_000_000, 10_000_000_000);
/// The origin drops a consumer nobody listens to after this time, nanoseconds.
const INACTIVE_NS: i64 = 10_000_000_000;
/// Most bytes that wait to be handed out. Beyond it the origin is not told to go on.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Who copies.
#[derive(Clone, Debug)]
pub struct Setup {
    pub account: String,
    pub stream: String,
    pub source: StreamSource,
    /// The stream is a mirror of the origin.
    pub is_mirror: bool,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Send {
    /// A request. Its answer is for [`Copier::answer`], and the messages that come to `deliver`
    /// are for [`Copier::message`] from then on.
    Request {
        subject: String,
        reply: String,
        headers: Bytes,
        payload: Bytes,
    },
    /// An empty message that tells the origin to go on, and where it needs to know what is stored.
    FlowControl { subject: Bytes, headers: Bytes },
}

/// A message that arrived at the deliver subject.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    pub subject: Bytes,
    pub reply: Bytes,
    pub headers: Bytes,
    pub payload: Bytes,
}

#[derive(Debug)]
enum Phase {
    /// The origin is asked at this time.
    Waiting { until_ns: i64 },
    /// The origin was asked to deliver there.
    Asking { deliver: String, until_ns: i64 },
    Following {
        deliver: String,
        /// Consumer sequence of the last message that came.
        consumer_seq: u64,
        silent_at_ns: i64,
    },
}

/// A request of the origin to be told that all before it has come.
#[derive(Debug)]
struct FlowControl {
    subject: Bytes,
    /// The last message before it.
    consumer_seq: u64,
    stream_seq: u64,
}

/// Reads one origin.
pub struct Copier {
    setup: Setup,
    key: String,
    transforms: Vec<Transform>,
    phase: Phase,
    /// How far the stretches handed out go.
    handed: Position,
    /// How far the messages that came go.
    seen_seq: u64,
    waiting: Vec<CopiedMessage>,
    waiting_bytes: usize,
    /// The origin waits for an answer here.
    flow_control: Option<FlowControl>,
    retry_ns: i64,
    lag: u64,
    last_heard_ns: Option<i64>,
    error: Option<ApiError>,
}

impl Copier {
    /// A copier that goes on at `position`. A source whose transforms are impossible copies
    /// nothing; validation refuses those.
    pub fn new(setup: Setup, position: Position) -> Copier {
        Copier {
            key: setup.source.key(),
            transforms: setup.source.transforms().unwrap_or_default(),
            setup,
            phase: Phase::Waiting { until_ns: 0 },
            seen_seq: position.seq,
            handed: position,
            waiting: Vec::new(),
            waiting_bytes: 0,
            flow_control: None,
            retry_ns: RETRY_NS.0,
            lag: 0,
            last_heard_ns: None,
            error: None,
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The subject on which messages are expected, once the origin has agreed.
    pub fn deliver_subject(&self) -> Option<&str> {
        match &self.phase {
            Phase::Following { deliver, .. } => Some(deliver),
            _ => None,
        }
    }

    /// Does what is due. `token` gives a fresh subject token, `copied_seq` is how far the log says the
    /// origin has been copied.
    pub fn run(
        &mut self,
        now_ns: i64,
        copied_seq: u64,
        token: impl FnMut() -> String,
        out: &mut Vec<Send>,
    ) {
        match &self.phase {
            Phase::Waiting { until_ns } if *until_ns <= now_ns => self.ask(now_ns, token, out),
            Phase::Asking { until_ns, .. } if *until_ns <= now_ns => self.retry(now_ns),
            Phase::Following { silent_at_ns, .. } if *silent_at_ns <= now_ns => self.retry(now_ns),
            _ => {}
        }
        // An origin whose consumer is durable forgets what it is told is stored.
        let is_durable = self.setup.source.consumer.is_some();
        let has_room = self.waiting_bytes < MAX_WAITING_BYTES;
        let answered = self
            .flow_control
            .take_if(|asked| has_room && (!is_durable || asked.stream_seq <= copied_seq));
        if let Some(asked) = answered {
            let headers = match is_durable {
                true => status::stored_through(asked.consumer_seq, asked.stream_seq),
                false => Bytes::new(),
            };
            let subject = asked.subject;
            out.push(Send::FlowControl { subject, headers });
        }
    }

    /// When [`run`](Copier::run) has something to do, nanoseconds since 1970.
    pub fn next_deadline(&self) -> i64 {
        match self.phase {
            Phase::Waiting { until_ns } | Phase::Asking { until_ns, .. } => until_ns,
            Phase::Following { silent_at_ns, .. } => silent_at_ns,
        }
    }

    /// The origin's answer to the request.
    pub fn answer(&mut self, now_ns: i64, headers: &[u8], payload: &[u8]) {
        let Phase::Asking { deliver, .. } = &self.phase else {
            return;
        };
        match request::read_answer(&self.setup, payload) {
            Ok(pending) => {
                let deliver = deliver.clone();
                if !self.setup.is_mirror {
                    self.handed.identity = request::identity(headers);
                }
                self.phase = Phase::Following {
                    deliver,
                    consumer_seq: 0,
                    silent_at_ns: now_ns.saturating_add(SILENCE_NS),
                };
                self.lag = pending;
                self.error = None;
                self.last_heard_ns = Some(now_ns);
            }
            Err(error) => {
                if error.err_code == ApiError::consumer_stream_identity_mismatch("").err_code {
                    // Another stream has the origin's name now, and is copied from its beginning.
                    self.handed = Position::default();
                    self.seen_seq = 0;
                }
                self.error = Some(error);
                self.retry(now_ns);
            }
        }
    }

    /// A message that came to the deliver subject.
    pub fn message(&mut self, now_ns: i64, delivered: Delivered) {
        let Phase::Following {
            consumer_seq,
            silent_at_ns,
            ..
        } = &mut self.phase
        else {
            return;
        };
        *silent_at_ns = now_ns.saturating_add(SILENCE_NS);
        self.last_heard_ns = Some(now_ns);
        let (is_next, copy) = match message::kind(&delivered) {
            Kind::FlowControl => {
                self.flow_control = Some(FlowControl {
                    subject: delivered.reply,
                    consumer_seq: *consumer_seq,
                    stream_seq: self.seen_seq,
                });
                return;
            }
            Kind::Heartbeat {
                last_consumer_seq,
                last_stream_seq,
                stalled_on,
            } => {
                let is_complete = last_consumer_seq == *consumer_seq;
                if is_complete && self.setup.is_mirror {
                    self.seen_seq = self.seen_seq.max(last_stream_seq);
                }
                if let Some(subject) = stalled_on {
                    self.flow_control = Some(FlowControl {
                        subject,
                        consumer_seq: *consumer_seq,
                        stream_seq: self.seen_seq,
                    });
                }
                (is_complete, None)
            }
            Kind::Message(token) => {
                let is_next = token.consumer_seq == *consumer_seq + 1;
                *consumer_seq = token.consumer_seq;
                self.lag = token.num_pending;
                (is_next, Some((token, delivered)))
            }
            Kind::Other => return,
        };
        if !is_next {
            return self.retry(now_ns);
        }
        self.retry_ns = RETRY_NS.0;
        if let Some((token, delivered)) = copy
            && token.stream_seq > self.seen_seq
        {
            self.take(token.stream_seq, token.time_ns, delivered);
        }
    }

    /// Whether there is something to hand out.
    pub fn has_stretch(&self) -> bool {
        self.seen_seq > self.handed.seq
    }

    /// The next stretch for the stream's log.
    pub fn take_stretch(&mut self) -> Option<Copied> {
        if !self.has_stretch() {
            return None;
        }
        let (mut count, mut bytes) = (0, 0);
        for copy in self.waiting.iter().take(MAX_BATCH_MESSAGES) {
            bytes += copy.message.size();
            if count > 0 && bytes > MAX_BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let rest = self.waiting.split_off(count);
        let messages = std::mem::replace(&mut self.waiting, rest);
        let taken: usize = messages.iter().map(|copy| copy.message.size()).sum();
        self.waiting_bytes -= taken;
        let after = self.handed.seq;
        self.handed.seq = match messages.last() {
            Some(last) if !self.waiting.is_empty() => last.seq,
            _ => self.seen_seq,
        };
        Some(Copied {
            source: self.key.clone(),
            identity: self.handed.identity.clone(),
            after,
            up_to: self.handed.seq,
            messages,
        })
    }

    /// Begins anew at `position`: the stream could not take a stretch, because of `error`.
    pub fn begin_anew(&mut self, now_ns: i64, position: Position, error: Option<ApiError>) {
        self.lag += self.handed.seq.saturating_sub(position.seq);
        self.seen_seq = position.seq;
        self.handed = position;
        self.error = error.or_else(|| self.error.take());
        self.retry(now_ns);
    }

    /// Whether nearly all that the origin has is here.
    pub fn has_caught_up(&self) -> bool {
        let lag = self.lag + self.waiting.len() as u64;
        matches!(self.phase, Phase::Following { .. }) && lag < CAUGHT_UP_LAG
    }

    /// What the API tells of the origin.
    pub fn info(&self, now_ns: i64, copied_seq: u64) -> SourceInfo {
        let source = &self.setup.source;
        let heard = self.last_heard_ns.map(|heard_ns| now_ns - heard_ns);
        SourceInfo {
            name: source.name.clone(),
            external: source.external.clone(),
            lag: self.lag + self.waiting.len() as u64,
            seq: if self.setup.is_mirror { 0 } else { copied_seq },
            active_ns: heard.map_or(-1, |ago_ns| ago_ns.max(0)),
            error: self.error.clone(),
            filter_subject: source.filter_subject.clone(),
            subject_transforms: source.subject_transforms.clone(),
        }
    }

    fn ask(&mut self, now_ns: i64, mut token: impl FnMut() -> String, out: &mut Vec<Send>) {
        let deliver = match &self.setup.source.consumer {
            Some(consumer) => consumer.deliver_subject.clone(),
            None => request::deliver_subject(&self.setup, &token()),
        };
        out.push(request::request(
            &self.setup,
            &self.handed,
            &deliver,
            &mut token,
        ));
        self.phase = Phase::Asking {
            deliver,
            until_ns: now_ns.saturating_add(ANSWER_NS),
        };
    }

    /// Asks the origin again after a pause that grows while it fails.
    fn retry(&mut self, now_ns: i64) {
        self.lag += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.flow_control = None;
        self.seen_seq = self.handed.seq;
        self.phase = Phase::Waiting {
            until_ns: now_ns.saturating_add(self.retry_ns),
        };
        self.retry_ns = (self.retry_ns * 2).min(RETRY_NS.1);
    }

    fn take(&mut self, seq: u64, time_ns: i64, delivered: Delivered) {
        self.seen_seq = seq;
        let subject = &delivered.subject;
        let rewritten = self
            .transforms
            .iter()
            .find_map(|transform| transform.apply(subject, seq));
        let headers = match self.setup.is_mirror {
            true => message::mirrored_headers(&delivered.headers),
            false => message::sourced_headers(
                &delivered.headers,
                &self
                    .setup
                    .source
                    .header(seq, subject, &self.handed.identity),
            ),
        };
        let message = crate::Publish {
            subject: rewritten.map_or_else(|| subject.clone(), Bytes::from),
            headers,
            payload: delivered.payload,
        };
        self.waiting_bytes += message.size();
        self.waiting.push(CopiedMessage {
            seq,
            time_ns,
            message,
        });
    }
}
