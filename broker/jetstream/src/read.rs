//! Reading a stream: its state, and its messages one by one or in batches.
//!
//! Everything here is a pure function of a message store. The engine calls it and sends the result.

mod direct;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use messages::{Filters, MessageStore, StoredMessage};

use crate::api::stream::{InfoRequest, MsgGetRequest, StoredMsg, StreamState};
use crate::api::{Paged, SUBJECTS_PAGE};
use crate::error::ApiError;
use crate::stream::StreamMachine;
use crate::timestamp::Timestamp;

pub use direct::{DirectGet, DirectReply, MULTI_LAST_MAX, Malformed, parse_request};

/// Most deleted sequences a stream info response lists.
pub const MAX_DELETED_DETAILS: usize = 1_000_000;

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What the client is told.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The store of this server failed; a damaged message may exist on another replica.
    #[error(transparent)]
    Store(#[from] messages::Error),
}

impl StreamMachine {
    /// What the stream holds, with the details the request asks for.
    pub fn info_state(&self, request: &InfoRequest) -> (Paged, StreamState) {
        let store = self.store();
        let mut state = summary(store);
        state.consumer_count = self.public_consumers().count();
        if request.deleted_details {
            let deleted = store.deleted().flatten().take(MAX_DELETED_DETAILS);
            state.deleted = deleted.collect();
        }
        let mut paged = Paged::default();
        if !request.subjects_filter.is_empty() {
            let filter = Bytes::copy_from_slice(request.subjects_filter.as_bytes());
            let subjects = store.subjects(&Filters::one(filter));
            let (page, counts) = Paged::slice(&subjects, request.offset, SUBJECTS_PAGE);
            paged = page;
            state.subjects = counts
                .iter()
                .map(|(subject, count)| (String::from_utf8_lossy(subject).into_owned(), *count))
                .collect();
        }
        (paged, state)
    }
}

/// The state of a store in the API's terms, without details.
pub fn summary(store: &dyn MessageStore) -> StreamState {
    let state = store.state();
    let time = |time_ns: i64, known: bool| {
        if known {
            Timestamp(time_ns)
        } else {
            Timestamp::UNSET
        }
    };
    StreamState {
        messages: state.messages,
        bytes: state.bytes,
        first_seq: state.first_seq,
        first_ts: time(state.first_time_ns, state.messages > 0),
        last_seq: state.last_seq,
        last_ts: time(state.last_time_ns, state.last_time_ns != 0),
        num_subjects: state.num_subjects,
        num_deleted: state.num_deleted,
        ..StreamState::default()
    }
}

/// Finds the message a `STREAM.MSG.GET` asks for.
///
/// # Errors
/// [`ApiError::BAD_REQUEST`] if the request contradicts itself, [`ApiError::NO_MESSAGE_FOUND`].
pub fn msg_get(store: &dyn MessageStore, request: &MsgGetRequest) -> Result<StoredMsg, ReadError> {
    let by_last = !request.last_by_subj.is_empty();
    let by_next = !request.next_by_subj.is_empty();
    let by_time = request.start_time.is_some();
    let batched = request.batch != 0 || request.max_bytes != 0 || !request.multi_last.is_empty();
    let nothing = request.seq == 0 && !by_last && !by_next && !by_time;
    let contradiction = (by_last && (request.seq > 0 || by_next || by_time))
        || (request.seq > 0 && by_time)
        || batched;
    if nothing || contradiction {
        return Err(ApiError::BAD_REQUEST.into());
    }
    let found = match by_last {
        true => last_message(store, &request.last_by_subj)?,
        false => first_message(store, request)?,
    };
    Ok(stored_msg(
        &found.ok_or(ApiError::NO_MESSAGE_FOUND)?,
        request.no_hdr,
    ))
}

/// The newest message of a subject or filter.
fn last_message(
    store: &dyn MessageStore,
    subject: &str,
) -> Result<Option<StoredMessage>, messages::Error> {
    let seq = match subject::is_literal(subject.as_bytes()) {
        true => store.last_for(subject.as_bytes()),
        false => store.last_matching(&filter(subject), u64::MAX),
    };
    seq.map_or(Ok(None), |seq| store.get(seq))
}

/// The message with the wanted sequence, or the first one from there or from a time on.
fn first_message(
    store: &dyn MessageStore,
    request: &MsgGetRequest,
) -> Result<Option<StoredMessage>, messages::Error> {
    let from = match request.start_time {
        Some(time) => store.seq_at_time(time.0)?,
        None => request.seq,
    };
    if request.next_by_subj.is_empty() && request.start_time.is_none() {
        return store.get(from);
    }
    let next = store.next_matching(&filter(&request.next_by_subj), from);
    next.map_or(Ok(None), |seq| store.get(seq))
}

/// A filter in which empty text means everything.
fn filter(subject: &str) -> Filters {
    match subject {
        "" => Filters::everything(),
        subject => Filters::one(Bytes::copy_from_slice(subject.as_bytes())),
    }
}

fn stored_msg(message: &StoredMessage, no_headers: bool) -> StoredMsg {
    StoredMsg {
        subject: String::from_utf8_lossy(&message.subject).into_owned(),
        seq: message.seq,
        hdrs: if no_headers {
            String::new()
        } else {
            STANDARD.encode(&message.headers)
        },
        data: STANDARD.encode(&message.payload),
        time: Timestamp(message.time_ns),
    }
}
