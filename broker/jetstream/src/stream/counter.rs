//! Counters: messages that add to a number kept for each subject.
//!
//! A publish carries an increment; what is stored is the sum so far, `{"val":"n"}`. A message that
//! was copied from another counter stream replaces that stream's share of the sum, which the
//! header `Nats-Counter-Sources` keeps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wire::headers::Builder;

use super::StreamMachine;
use super::ahead::Ahead;
use super::headers::PublishHeaders;
use super::publish::Refusal;
use crate::command::Publish;
use crate::decimal::Integer;
use crate::error::ApiError;

const INCREMENT: &str = "Nats-Incr";
const SOURCES: &str = "Nats-Counter-Sources";

/// The payload of a counter's message.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Value {
    #[serde(default)]
    val: String,
}

/// What other streams have contributed: by stream, by subject there.
type Shares = BTreeMap<String, BTreeMap<String, String>>;

/// The state of one counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    total: Integer,
    shares: Shares,
}

impl Counter {
    /// Reads a counter's newest message; `None` if it is none.
    fn read(headers: &[u8], payload: &[u8]) -> Option<Counter> {
        let shares = match wire::headers::get(headers, SOURCES) {
            Some(text) => serde_json::from_slice(text).ok()?,
            None => Shares::new(),
        };
        let total = value(payload)?;
        Some(Counter { total, shares })
    }
}

/// A counted message: as it is to be stored, and the counter after it.
pub(super) struct Counted {
    pub(super) message: Publish,
    pub(super) counter: Counter,
    pub(super) value: String,
}

/// Whether the headers of a publish go together with an increment, in the order in which clients
/// learn of it.
pub(super) fn check_headers(
    headers: &PublishHeaders<'_>,
    payload: &[u8],
    is_copy: bool,
) -> Result<(), ApiError> {
    let Some(increment) = headers.increment else {
        return Err(ApiError::MESSAGE_INCR_MISSING);
    };
    if Integer::parse(increment).is_none() {
        return Err(ApiError::MESSAGE_INCR_INVALID);
    }
    if !is_copy && !payload.is_empty() {
        return Err(ApiError::MESSAGE_INCR_PAYLOAD);
    }
    if headers.rollup.is_some() || headers.has_expectations() {
        return Err(ApiError::MESSAGE_INCR_INVALID);
    }
    Ok(())
}

impl StreamMachine {
    /// Adds the message to the counter of its subject.
    pub(super) fn count(
        &self,
        subject: &Bytes,
        message: &Publish,
        ahead: &Ahead,
    ) -> Result<Counted, Refusal> {
        let mut counter = match ahead.counter(subject) {
            Some(counter) => counter.clone(),
            None => self.stored_counter(subject)?,
        };
        let mut headers = Cow::Borrowed(&message.headers[..]);
        let increment = match wire::headers::get(&message.headers, "Nats-Stream-Source") {
            Some(source) => {
                let increment = take_share(&mut counter.shares, source, subject, &message.payload)?;
                headers = replaced(&headers, INCREMENT, &increment.to_string()).into();
                increment
            }
            None => wire::headers::get(&message.headers, INCREMENT)
                .and_then(Integer::parse)
                .ok_or(ApiError::MESSAGE_INCR_INVALID)?,
        };
        counter.total = counter.total.plus(&increment);
        if !counter.shares.is_empty() {
            let shares = crate::json::to_vec(&counter.shares);
            headers = replaced(&headers, SOURCES, &String::from_utf8_lossy(&shares)).into();
        }
        let value = counter.total.to_string();
        let payload = crate::json::to_vec(&Value { val: value.clone() });
        let message = Publish {
            subject: message.subject.clone(),
            headers: Bytes::copy_from_slice(&headers),
            payload: payload.into(),
        };
        Ok(Counted {
            message,
            counter,
            value,
        })
    }

    fn stored_counter(&self, subject: &[u8]) -> Result<Counter, Refusal> {
        let Some(seq) = self.store.last_for(subject) else {
            return Ok(Counter::default());
        };
        match self.read_to_decide(seq)? {
            Some(last) => Counter::read(&last.headers, &last.payload)
                .ok_or(ApiError::MESSAGE_COUNTER_BROKEN.into()),
            None => Err(ApiError::MESSAGE_COUNTER_BROKEN.into()),
        }
    }
}

/// Replaces what the origin named in a `Nats-Stream-Source` header has contributed so far.
/// Returns the difference.
fn take_share(
    shares: &mut Shares,
    source: &[u8],
    subject: &[u8],
    payload: &[u8],
) -> Result<Integer, ApiError> {
    let total = value(payload).ok_or(ApiError::MESSAGE_COUNTER_BROKEN)?;
    let source = String::from_utf8_lossy(source);
    let mut fields = source.split(' ');
    let stream = fields.next().unwrap_or_default();
    let origin_subject = fields
        .nth(3)
        .map_or_else(|| String::from_utf8_lossy(subject), Cow::from);
    let of_stream = shares.entry(stream.to_owned()).or_default();
    let before = of_stream
        .insert(origin_subject.into_owned(), total.to_string())
        .map_or(Some(Integer::default()), |text| {
            Integer::parse(text.as_bytes())
        });
    Ok(total.minus(&before.ok_or(ApiError::MESSAGE_COUNTER_BROKEN)?))
}

fn value(payload: &[u8]) -> Option<Integer> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    Integer::parse(value.val.as_bytes())
}

/// The header block with this header set once, at its end.
fn replaced(block: &[u8], name: &str, value: &str) -> Vec<u8> {
    if wire::headers::get(block, name) == Some(value.as_bytes()) {
        return block.to_vec();
    }
    let rest = wire::headers::without(block, |header| header == name.as_bytes());
    Builder::extending(&rest).add(name, value).build()
}
