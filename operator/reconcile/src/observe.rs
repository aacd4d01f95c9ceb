//! What servers have: one stream or consumer at a time, or all streams of an account at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::broker::{Broker, Caller, RequestError, call};
use crate::validate::Address;

/// So many questions about single streams within one age are cheaper than a list.
const QUESTIONS_BEFORE_LIST: u32 = 16;
/// Lists longer than this are not kept. A page holds 256 streams.
const PAGES_MAX: u32 = 64;

/// Asks as one caller within one JetStream domain.
#[derive(Clone, Copy)]
pub(crate) struct Observer<'a> {
    pub(crate) broker: &'a dyn Broker,
    pub(crate) caller: &'a Caller,
    pub(crate) domain: Option<&'a str>,
    pub(crate) listings: &'a Listings,
    pub(crate) now: Timestamp,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As old as a list of all streams may be.
    Listed,
    Now,
}

/// Lists of streams, so that comparing thousands of them costs few requests.
pub(crate) struct Listings {
    age_max: Duration,
    /// By caller and domain; as large as the number of accounts.
    accounts: Mutex<HashMap<(String, String), SharedListing>>,
}

/// Held while a list is asked for: the others wait for it.
type SharedListing = Arc<tokio::sync::Mutex<Listing>>;

#[derive(Default)]
struct Listing {
    since: Option<Timestamp>,
    questions: u32,
    /// By name, as text: a parsed answer takes several times as much memory.
    streams: Option<HashMap<String, Box<str>>>,
}

impl Listings {
    /// Lists are used for this long; never if it is zero.
    pub(crate) fn new(age_max: Duration) -> Listings {
        Listings {
            age_max,
            accounts: Mutex::new(HashMap::new()),
        }
    }
}

impl Observer<'_> {
    pub(crate) fn subject(&self, request: &str) -> String {
        match self.domain {
            Some(domain) => format!("$JS.{domain}.API.{request}"),
            None => format!("$JS.API.{request}"),
        }
    }

    /// What the server says about an asset, if it has it.
    pub(crate) async fn info(
        &self,
        address: &Address,
        freshness: Freshness,
    ) -> Result<Option<Value>, RequestError> {
        if let (Address::Stream(name), Freshness::Listed) = (address, freshness)
            && let Some(info) = self.listed(name).await?
        {
            return Ok(Some(info));
        }
        let request = match address {
            Address::Stream(name) => format!("STREAM.INFO.{name}"),
            Address::Consumer { stream, name } => format!("CONSUMER.INFO.{stream}.{name}"),
        };
        match call(
            self.broker,
            self.caller,
            &self.subject(&request),
            &Value::Null,
        )
        .await
        {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Something about a stream changes: what a list says about it is out of date.
    pub(crate) async fn changes(&self, address: &Address) {
        let (Address::Stream(stream) | Address::Consumer { stream, .. }) = address;
        let listing = self.listing();
        if let Some(streams) = &mut listing.lock().await.streams {
            streams.remove(stream);
        }
    }

    async fn listed(&self, name: &str) -> Result<Option<Value>, RequestError> {
        let age_max = self.listings.age_max;
        if age_max.is_zero() {
            return Ok(None);
        }
        let listing = self.listing();
        let mut listing = listing.lock().await;
        let age = listing
            .since
            .map(|since| self.now.duration_since(since).unsigned_abs());
        if age.is_none_or(|age| age > age_max) {
            *listing = Listing {
                since: Some(self.now),
                ..Listing::default()
            };
        }
        listing.questions = listing.questions.saturating_add(1);
        if listing.questions == QUESTIONS_BEFORE_LIST {
            listing.streams = self.list().await?;
        }
        let streams = listing.streams.as_ref();
        let found = streams.and_then(|streams| streams.get(name));
        Ok(found.and_then(|info| serde_json::from_str(info).ok()))
    }

    /// All streams of the account; nothing if there are too many.
    async fn list(&self) -> Result<Option<HashMap<String, Box<str>>>, RequestError> {
        let subject = self.subject("STREAM.LIST");
        let mut streams = HashMap::new();
        let mut offset = 0;
        for _ in 0..PAGES_MAX {
            let from = json!({ "offset": offset });
            let page = call(self.broker, self.caller, &subject, &from).await?;
            let found = page["streams"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            for info in found {
                if let Some(name) = info["config"]["name"].as_str() {
                    streams.insert(name.to_owned(), info.to_string().into_boxed_str());
                }
            }
            offset += found.len() as u64;
            if found.is_empty() || offset >= page["total"].as_u64().unwrap_or_default() {
                return Ok(Some(streams));
            }
        }
        Ok(None)
    }

    fn listing(&self) -> SharedListing {
        let key = (self.caller.id(), self.domain.unwrap_or_default().to_owned());
        Arc::clone(self.listings.accounts.lock().entry(key).or_default())
    }
}
