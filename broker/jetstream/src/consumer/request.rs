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
    /// The priority group it belongs to.
    pub group: String,
    /// Serve it only if so many messages wait; 0 for any number.
    pub min_pending: u64,
    /// Serve it only if so many messages lack an acknowledgement; 0 for any number.
    pub min_ack_pending: u64,
    /// The pin its client was told of.
    pub id: String,
    /// 0 is served first, 9 last.
    pub priority: u8,
}

/// The lowest priority.
const MAX_PRIORITY: u8 = 9;

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
    group: Option<String>,
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
        let priority = match u8::try_from(body.priority.unwrap_or(0)) {
            Ok(priority) if priority <= MAX_PRIORITY => priority,
            _ => return Err(BadRequest("Priority must be between 0 and 9".to_owned())),
        };
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
            group: body.group.unwrap_or_default(),
            min_pending: positive(body.min_pending),
            min_ack_pending: positive(body.min_ack_pending),
            id: body.id.unwrap_or_default(),
            priority,
        })
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
        let json = br#" {"batch":5,"max_bytes":100,"no_wait":true,"expires":4,"idle_heartbeat":2,
            "group":"A","min_pending":3,"min_ack_pending":4,"id":"pin","priority":9} "#;
        let full = PullRequest {
            batch: 5,
            max_bytes: 100,
            no_wait: true,
            expires_ns: 4,
            idle_heartbeat_ns: 2,
            group: "A".to_owned(),
            min_pending: 3,
            min_ack_pending: 4,
            id: "pin".to_owned(),
            priority: 9,
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
            (br#"{"priority":10}"#, "Priority must be between 0 and 9"),
            (br#"{"priority":-1}"#, "Priority must be between 0 and 9"),
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
