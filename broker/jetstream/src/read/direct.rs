//! Direct gets: messages sent as they are, without an API response around them.

use std::vec;

use bytes::Bytes;
use messages::{Filters, MessageStore, StoredMessage};
use wire::headers::Builder;

use super::{filter, last_message};
use crate::api::stream::MsgGetRequest;
use crate::timestamp::Timestamp;

/// Most subjects a request for the last message of many can match.
pub const MULTI_LAST_MAX: usize = 1024;

/// The body of a direct get is not JSON; the client is told `408 Malformed Request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One message to send to the reply subject of a direct get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectReply {
    /// The header block; empty to send none.
    pub headers: Bytes,
    pub payload: Bytes,
}

/// Reads the body of a direct get. Unlike other requests it may have unknown fields. `subject` is
/// the last part of `DIRECT.GET.<stream>.<subject>`, empty without one.
pub fn parse_request(body: &[u8], subject: &str) -> Result<MsgGetRequest, Malformed> {
    let mut request = MsgGetRequest::default();
    if !body.is_empty() {
        let value = serde_json::from_slice(body).map_err(|_| Malformed)?;
        let serde_json::Value::Object(mut fields) = value else {
            return Err(Malformed);
        };
        fields.retain(|name, value| FIELDS.contains(&name.as_str()) && !value.is_null());
        request = serde_json::from_value(fields.into()).map_err(|_| Malformed)?;
    }
    if !subject.is_empty() {
        request.last_by_subj = subject.to_owned();
    }
    Ok(request)
}

const FIELDS: [&str; 10] = [
    "seq",
    "last_by_subj",
    "next_by_subj",
    "batch",
    "max_bytes",
    "start_time",
    "multi_last",
    "up_to_seq",
    "up_to_time",
    "no_hdr",
];

/// The state of one direct get, between its replies.
///
/// It does not borrow the store: the engine may send one reply, let others use the stream, and
/// come back. Call [`next`](DirectGet::next) until it gives `None`.
#[derive(Debug)]
pub struct DirectGet {
    stream: String,
    source: Source,
    no_headers: bool,
    /// Replies carry how many follow, and a last one ends the batch.
    batch: bool,
    remaining_messages: u64,
    remaining_bytes: u64,
    num_pending: u64,
    last_seq: u64,
    up_to_seq: Option<u64>,
    sent: u64,
    done: bool,
}

#[derive(Debug)]
enum Source {
    /// One sequence, without looking further.
    Exact(u64),
    /// The newest of a subject.
    Last(String),
    /// From a sequence on.
    Next { filters: Filters, from_seq: u64 },
    /// Chosen sequences.
    Chosen(vec::IntoIter<u64>),
}

impl DirectGet {
    /// Judges a request. `max_bytes` is the most the server sends for one request.
    ///
    /// # Errors
    /// The outer error is the store's. The inner one is the only reply to send.
    pub fn start(
        store: &dyn MessageStore,
        stream: &str,
        request: &MsgGetRequest,
        max_bytes: u64,
    ) -> Result<Result<DirectGet, DirectReply>, messages::Error> {
        if let Some(reason) = contradiction(request) {
            return Ok(Err(status(408, reason)));
        }
        let limit = u64::try_from(request.max_bytes).unwrap_or(0);
        let batch = u64::try_from(request.batch).unwrap_or(0);
        let mut get = DirectGet {
            stream: stream.to_owned(),
            source: Source::Last(request.last_by_subj.clone()),
            no_headers: request.no_hdr,
            batch: batch > 0,
            remaining_messages: batch.max(1),
            remaining_bytes: if limit > 0 {
                limit.min(max_bytes)
            } else {
                max_bytes
            },
            num_pending: 0,
            last_seq: 0,
            up_to_seq: None,
            sent: 0,
            done: false,
        };
        if !request.multi_last.is_empty() {
            return get.choose(store, request);
        }
        if request.last_by_subj.is_empty() {
            get.source = get.first(store, request)?;
        }
        Ok(Ok(get))
    }

    /// The next reply; `None` when all has been sent.
    pub fn next(
        &mut self,
        store: &dyn MessageStore,
    ) -> Result<Option<DirectReply>, messages::Error> {
        if self.done {
            return Ok(None);
        }
        if self.remaining_messages == 0 || self.remaining_bytes == 0 {
            return Ok(self.end());
        }
        match self.message(store)? {
            Some(message) => Ok(Some(self.reply(&message))),
            None if self.sent == 0 => {
                self.done = true;
                Ok(Some(status(404, "Message Not Found")))
            }
            None => Ok(self.end()),
        }
    }

    fn first(
        &mut self,
        store: &dyn MessageStore,
        request: &MsgGetRequest,
    ) -> Result<Source, messages::Error> {
        let from_seq = match request.start_time {
            Some(time) => store.seq_at_time(time.0)?,
            None => request.seq,
        };
        if request.next_by_subj.is_empty() && !self.batch {
            return Ok(Source::Exact(from_seq));
        }
        let filters = filter(&request.next_by_subj);
        if self.batch {
            self.num_pending = store.count_matching(&filters, from_seq);
        }
        Ok(Source::Next { filters, from_seq })
    }

    fn choose(
        mut self,
        store: &dyn MessageStore,
        request: &MsgGetRequest,
    ) -> Result<Result<DirectGet, DirectReply>, messages::Error> {
        let last_seq = store.state().last_seq;
        let up_to_seq = match request.up_to_time {
            Some(time) => store.seq_at_time(time.0)?.saturating_sub(1),
            None if request.up_to_seq > 0 => request.up_to_seq,
            None => last_seq,
        };
        let subjects = request.multi_last.iter();
        let filters = Filters::new(subjects.map(|text| Bytes::copy_from_slice(text.as_bytes())));
        let mut chosen = store.last_per_subject(&filters, up_to_seq);
        if chosen.len() > MULTI_LAST_MAX {
            return Ok(Err(status(413, "Too Many Results")));
        }
        chosen.retain(|seq| *seq >= request.seq);
        if chosen.is_empty() {
            return Ok(Err(status(404, "No Results")));
        }
        if !self.batch {
            self.remaining_messages = u64::MAX;
        }
        self.batch = true;
        self.no_headers = false;
        self.num_pending = chosen.len() as u64;
        self.up_to_seq = Some(up_to_seq);
        self.source = Source::Chosen(chosen.into_iter());
        Ok(Ok(self))
    }

    fn message(
        &mut self,
        store: &dyn MessageStore,
    ) -> Result<Option<StoredMessage>, messages::Error> {
        match &mut self.source {
            Source::Exact(seq) => store.get(*seq),
            Source::Last(subject) => last_message(store, subject),
            Source::Next { filters, from_seq } => {
                let Some(seq) = store.next_matching(filters, *from_seq) else {
                    return Ok(None);
                };
                *from_seq = seq + 1;
                store.get(seq)
            }
            // A chosen message may be gone by now; the ones after it are still wanted.
            Source::Chosen(chosen) => {
                for seq in chosen {
                    if let Some(message) = store.get(seq)? {
                        return Ok(Some(message));
                    }
                    self.num_pending = self.num_pending.saturating_sub(1);
                }
                Ok(None)
            }
        }
    }

    fn reply(&mut self, message: &StoredMessage) -> DirectReply {
        self.num_pending = self.num_pending.saturating_sub(1);
        let size = message.subject.len() + message.headers.len() + message.payload.len();
        self.remaining_bytes = self.remaining_bytes.saturating_sub(size as u64);
        self.remaining_messages -= 1;
        self.sent += 1;
        let headers = if self.no_headers {
            Bytes::new()
        } else {
            self.headers(message)
        };
        self.last_seq = message.seq;
        if !self.batch {
            self.done = true;
        }
        DirectReply {
            headers,
            payload: message.payload.clone(),
        }
    }

    fn headers(&self, message: &StoredMessage) -> Bytes {
        let headers = Builder::extending(&message.headers)
            .add("Nats-Stream", &self.stream)
            .add("Nats-Subject", &message.subject)
            .add("Nats-Sequence", message.seq.to_string())
            .add("Nats-Time-Stamp", Timestamp(message.time_ns).to_string());
        match self.batch {
            true => self.add_progress(headers).build().into(),
            false => headers.build().into(),
        }
    }

    fn add_progress(&self, headers: Builder) -> Builder {
        headers
            .add("Nats-Num-Pending", self.num_pending.to_string())
            .add("Nats-Last-Sequence", self.last_seq.to_string())
    }

    /// The reply that ends a batch.
    fn end(&mut self) -> Option<DirectReply> {
        self.done = true;
        if !self.batch {
            return None;
        }
        let mut headers = self.add_progress(Builder::with_status(204, "EOB"));
        if let Some(seq) = self.up_to_seq {
            headers = headers.add("Nats-UpTo-Sequence", seq.to_string());
        }
        Some(DirectReply {
            headers: headers.build().into(),
            payload: Bytes::new(),
        })
    }
}

/// A reply that is only a status.
fn status(code: u16, description: &str) -> DirectReply {
    let headers = Builder::with_status(code, description).build().into();
    DirectReply {
        headers,
        payload: Bytes::new(),
    }
}

impl Malformed {
    /// What the client is sent.
    pub fn reply(self) -> DirectReply {
        status(408, "Malformed Request")
    }
}

fn contradiction(request: &MsgGetRequest) -> Option<&'static str> {
    let by_seq = request.seq > 0;
    let by_last = !request.last_by_subj.is_empty();
    let by_next = !request.next_by_subj.is_empty();
    let by_time = request.start_time.is_some();
    let multi = !request.multi_last.is_empty();
    if !by_seq && !by_last && !by_next && !by_time && !multi {
        return Some("Empty Request");
    }
    let bad = (by_last && (by_seq || by_next || by_time || multi || request.batch > 0))
        || (by_seq && by_time)
        || (by_next && multi)
        || (request.up_to_seq > 0 && request.up_to_time.is_some());
    bad.then_some("Bad Request")
}
