//! How long services take, as their exporters asked to know.

use std::{
    collections::BTreeMap,
    sync::Weak,
    time::{Duration, Instant, SystemTime},
};

use rand::{Rng, distr::Alphanumeric};
use serde::Serialize;
use wire::headers;

use super::{
    Sampling,
    who::{self, ClientInfo, rfc3339},
};
use crate::{
    account::Account,
    delivery::{Origin, Publish},
    hub::Hub,
};

const EVENT: &str = "io.nats.server.metric.v1.service_latency";
/// Letters of an event's id.
const ID_LEN: usize = 22;

/// The headers that asked for a trace, by name.
pub(super) type TraceHeaders = BTreeMap<String, Vec<String>>;

/// One request that is measured.
pub(crate) struct Measure {
    pub hub: Weak<Hub>,
    pub exporter: Weak<Account>,
    /// Where the result is published.
    pub subject: String,
    pub requestor: ClientInfo,
    pub header: TraceHeaders,
    pub started: SystemTime,
    pub started_at: Instant,
}

/// How a measured request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Origin),
    /// Who asked does not listen any more.
    RequestTimeout,
    Unavailable,
    ServiceTimeout,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    id: String,
    timestamp: String,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    requestor: &'a ClientInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder: Option<ClientInfo>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: &'a TraceHeaders,
    start: String,
    /// Nanoseconds, as the next two.
    service: u64,
    system: u64,
    total: u64,
}

impl Measure {
    /// Publishes the result.
    pub fn report(&self, outcome: Outcome) {
        let measured = self.started_at.elapsed();
        let reporting = Instant::now();
        let (Some(hub), Some(exporter)) = (self.hub.upgrade(), self.exporter.upgrade()) else {
            return;
        };
        let (status, description) = match outcome {
            Outcome::Answered(_) => (200, ""),
            Outcome::RequestTimeout => (408, "Request Timeout"),
            Outcome::Unavailable => (503, "Service Unavailable"),
            Outcome::ServiceTimeout => (504, "Service Timeout"),
        };
        let responder = match outcome {
            Outcome::Answered(origin) => Some(who::about(&hub, origin, &exporter, true)),
            _ => None,
        };
        let asked_before = Duration::from_nanos(self.requestor.rtt);
        let mut event = Event {
            r#type: EVENT,
            id: rand::rng()
                .sample_iter(Alphanumeric)
                .take(ID_LEN)
                .map(char::from)
                .collect(),
            timestamp: rfc3339(SystemTime::now()),
            status,
            description,
            requestor: &self.requestor,
            responder: None,
            header: &self.header,
            start: rfc3339(
                self.started
                    .checked_sub(asked_before)
                    .unwrap_or(self.started),
            ),
            service: 0,
            system: 0,
            total: 0,
        };
        if let Some(responder) = responder {
            let measured_ns = measured.as_nanos() as u64;
            event.service = measured_ns.saturating_sub(responder.rtt);
            event.system = reporting.elapsed().as_nanos() as u64;
            event.total = self.requestor.rtt + measured_ns + event.system;
            event.responder = Some(responder);
        }
        let payload = serde_json::to_vec(&event).unwrap_or_default();
        let publish = Publish {
            subject: self.subject.as_bytes(),
            payload: &payload,
            ..Publish::default()
        };
        hub.publish(&exporter, &publish);
    }
}

/// Whether a request is measured, and then the headers that asked for it, if any did.
pub(super) fn sampled(sampling: Sampling, block: &[u8]) -> Option<TraceHeaders> {
    if let Sampling::Percent(percent) = sampling
        && (percent >= 100 || rand::random_range(0..100) < percent)
    {
        return Some(TraceHeaders::new());
    }
    traced(block)
}

/// The headers of a request that is traced.
fn traced(block: &[u8]) -> Option<TraceHeaders> {
    let mut given = TraceHeaders::new();
    for (name, value) in headers::iter(block) {
        let name = canonical(name);
        given
            .entry(name)
            .or_default()
            .push(String::from_utf8_lossy(value).into_owned());
    }
    let first = |name: &str| {
        let value = given.get(name)?.first()?;
        (!value.is_empty()).then_some(value.as_str())
    };
    let copied = |wanted: &dyn Fn(&str) -> bool| -> TraceHeaders {
        let wanted = given.iter().filter(|(name, _)| wanted(name));
        wanted
            .map(|(name, values)| (name.clone(), values.clone()))
            .collect()
    };
    if let Some(id) = first("Uber-Trace-Id") {
        let parts: Vec<&str> = id.split(':').collect();
        let flags = parts
            .get(3)
            .filter(|flags| parts.len() == 4 && flags.len() <= 2);
        let is_sampled = flags
            .and_then(|flags| u8::from_str_radix(flags, 16).ok())
            .is_some_and(|flags| flags & 1 == 1);
        return is_sampled
            .then(|| copied(&|name| name == "Uber-Trace-Id" || name.starts_with("Uberctx-")));
    }
    match first("X-B3-Sampled") {
        Some("1") => return Some(copied(&is_b3)),
        Some("0") => return None,
        _ if given.contains_key("X-B3-Traceid") => return Some(copied(&is_b3)),
        _ => {}
    }
    if let Some(b3) = first("B3") {
        let parts: Vec<&str> = b3.split('-').collect();
        let is_denied = parts == ["0"] || parts.get(2) == Some(&"0");
        return (!is_denied).then(|| copied(&|name| name == "B3"));
    }
    let parent: Vec<&str> = first("Traceparent")?.split('-').collect();
    let flags = parent.get(3).filter(|_| parent.len() == 4)?;
    let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    is_sampled.then(|| copied(&|name| name == "Traceparent" || name == "Tracestate"))
}

fn is_b3(name: &str) -> bool {
    [
        "X-B3-Sampled",
        "X-B3-Traceid",
        "X-B3-Parentspanid",
        "X-B3-Spanid",
    ]
    .contains(&name)
}

/// A header's name as tracing tools compare it: capitals at the beginning of each word only.
fn canonical(name: &[u8]) -> String {
    let mut is_start = true;
    let letter = |byte: &u8| {
        let letter = match is_start {
            true => byte.to_ascii_uppercase(),
            false => byte.to_ascii_lowercase(),
        };
        is_start = *byte == b'-';
        char::from(letter)
    };
    name.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lines: &str) -> Option<Vec<String>> {
        let block = format!("NATS/1.0\r\n{lines}\r\n");
        sampled(Sampling::Headers, block.as_bytes()).map(|headers| headers.into_keys().collect())
    }

    #[test]
    fn requests_are_measured_when_their_headers_ask_for_a_trace() {
        let measured: [(&str, &[&str]); 6] = [
            (
                "x-b3-sampled: 1\r\nX-B3-TraceId: a\r\nOther: b\r\n",
                &["X-B3-Sampled", "X-B3-Traceid"],
            ),
            ("X-B3-TraceId: a\r\n", &["X-B3-Traceid"]),
            ("B3: 80f1-05e3-1\r\n", &["B3"]),
            (
                "Uber-Trace-Id: 1:2:3:1\r\nUberctx-X: y\r\n",
                &["Uber-Trace-Id", "Uberctx-X"],
            ),
            (
                "traceparent: 00-a-b-01\r\ntracestate: q\r\n",
                &["Traceparent", "Tracestate"],
            ),
            ("Uber-Trace-Id: 1:2:3:0f\r\n", &["Uber-Trace-Id"]),
        ];
        for (lines, expected) in measured {
            assert_eq!(
                names(lines).as_deref(),
                Some(
                    &expected
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{lines}"
            );
        }
        for lines in [
            "",
            "A: b\r\n",
            "X-B3-Sampled: 0\r\nX-B3-TraceId: a\r\n",
            "B3: 0\r\n",
            "B3: a-b-0\r\n",
            "Uber-Trace-Id: 1:2:3:2\r\n",
            "Traceparent: 00-a-b-00\r\n",
            "Traceparent: x\r\n",
        ] {
            assert_eq!(names(lines), None, "{lines}");
        }
    }

    #[test]
    fn a_hundred_percent_are_all() {
        assert_eq!(
            sampled(Sampling::Percent(100), b""),
            Some(TraceHeaders::new())
        );
    }
}
