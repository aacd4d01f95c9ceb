//! Pull requests, as clients send them.

use serde::Deserialize;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// How many messages, at least 1.
    pub batch: u64,
    /// How many bytes at most; 0 for no limit.
    pub max_bytes: u64,
    /// Answer at once, even if there is nothing to deliver.
    pub no_wait: bool,
    /// How long to wait for messages, nanoseconds; 0 for as long as the client listens.
    pub expires_ns: i64,
    /// Time without a message after which a heartbeat is sent, nanoseconds; 0 for none.
    pub idle_heartbeat_ns: i64,
}

/// Why a request is refused: the text after `400 Bad Request - `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    batch: Option<i64>,
    max_bytes: Option<i64>,
    no_wait: Option<bool>,
    expires: Option<i64>,
    idle_heartbeat: Option<i64>,
    min_pending: Option<i64>,
    min_ack_pending: Option<i64>,
    id: Option<String>,
    priority: Option<i64>,
}

impl PullRequest {
    /// Asks for a number of messages and waits without end.
    pub fn of(batch: u64) -> PullRequest {
        PullRequest {
            batch,
            ..PullRequest::default()
        }
    }

    /// Reads an empty payload, a number, or JSON. Text that is neither asks for one message.
    pub fn parse(payload: &[u8]) -> Result<PullRequest, BadRequest> {
        let text = payload.trim_ascii();
        if !text.starts_with(b"{") {
            let number = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<i64>().ok());
            return Ok(PullRequest::of(positive(number).max(1)));
        }
        let body: Body =
            serde_json::from_slice(text).map_err(|error| BadRequest(error.to_string()))?;
        body.refuse_priorities()?;
        let expires_ns = body.expires.unwrap_or(0).max(0);
        let idle_heartbeat_ns = body.idle_heartbeat.unwrap_or(0).max(0);
        if idle_heartbeat_ns.saturating_mul(2) > expires_ns {
            return Err(BadRequest("heartbeat value too large".to_owned()));
        }
        Ok(PullRequest {
            batch: positive(body.batch).max(1),
            max_bytes: positive(body.max_bytes),
            no_wait: body.no_wait.unwrap_or(false),
            expires_ns,
            idle_heartbeat_ns,
        })
    }
}

impl Body {
    fn refuse_priorities(&self) -> Result<(), BadRequest> {
        let refusal =
            if self.min_pending.unwrap_or(0) != 0 || self.min_ack_pending.unwrap_or(0) != 0 {
                "Not a Overflow Priority consumer"
            } else if self.id.as_ref().is_some_and(|id| !id.is_empty()) {
                "Not a Pinned Client Priority consumer"
            } else if !(0..=9).contains(&self.priority.unwrap_or(0)) {
                "Priority must be between 0 and 9"
            } else {
                return Ok(());
            };
        Err(BadRequest(refusal.to_owned()))
    }
}

fn positive(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_as_nothing_a_number_or_json() {
        let json =
            br#" {"batch":5,"max_bytes":100,"no_wait":true,"expires":4,"idle_heartbeat":2} "#;
        let full = PullRequest {
            batch: 5,
            max_bytes: 100,
            no_wait: true,
            expires_ns: 4,
            idle_heartbeat_ns: 2,
        };
        let cases: [(&[u8], PullRequest); 6] = [
            (b"", PullRequest::of(1)),
            (b" 17 ", PullRequest::of(17)),
            (b"-3", PullRequest::of(1)),
            (b"many", PullRequest::of(1)),
            (b"{}", PullRequest::of(1)),
            (json, full),
        ];
        for (payload, expected) in cases {
            assert_eq!(PullRequest::parse(payload), Ok(expected));
        }
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused() {
        let cases: [(&[u8], &str); 3] = [
            (
                br#"{"expires":3,"idle_heartbeat":2}"#,
                "heartbeat value too large",
            ),
            (br#"{"min_pending":1}"#, "Not a Overflow Priority consumer"),
            (br#"{"id":"x"}"#, "Not a Pinned Client Priority consumer"),
        ];
        for (payload, expected) in cases {
            assert_eq!(
                PullRequest::parse(payload),
                Err(BadRequest(expected.to_owned()))
            );
        }
        assert!(PullRequest::parse(b"{").is_err());
    }
}
