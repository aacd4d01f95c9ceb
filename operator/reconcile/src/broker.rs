//! Requests to brokers, and what their answers mean.

mod nats;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use identity::Creds;
use identity::nkey::KeyPair;
use serde_json::Value;

pub use nats::{Servers, Tls};

/// How long one request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for claims that may be on no server.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// As whom a request is made.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A user of the account that this key belongs to, made for the purpose.
    Account(Box<KeyPair>),
    /// A user that somebody else has made.
    Creds(Arc<Creds>),
    /// Nobody, where servers ask nobody who they are.
    Anonymous,
}

impl Caller {
    /// The user of a credentials file.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_creds(text: &str) -> Result<Caller, identity::creds::Error> {
        Creds::parse(text).map(|creds| Caller::Creds(Arc::new(creds)))
    }

    /// What tells callers apart: a public key.
    pub fn id(&self) -> String {
        match self {
            Caller::Account(account) => account.public_key(),
            Caller::Creds(creds) => creds.key.public_key(),
            Caller::Anonymous => String::new(),
        }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No server could be reached.
    #[error("broker not reachable: {0}")]
    NotReachable(String),
    /// A server was reached, and nobody answered. There may be no leader yet.
    #[error("nobody answered {subject}; the cluster may have no leader yet")]
    NoAnswer { subject: String },
    /// The answer was an error.
    #[error("{description} ({error_code})")]
    Refused {
        /// As in HTTP.
        code: u64,
        /// The number of the error in the JetStream API, 0 if it has none.
        error_code: u64,
        description: String,
    },
    #[error("answer to {subject} is not understood: {reason}")]
    NotUnderstood { subject: String, reason: String },
}

/// A broker cluster to make requests to.
pub trait Broker: Send + Sync {
    /// Makes one request, and returns the first answer.
    fn request<'a>(
        &'a self,
        caller: &'a Caller,
        subject: &'a str,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, RequestError>>;

    /// Gives up what is kept for an account, when it is deleted.
    fn forget<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, ()>;
}

const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const STREAM_EXISTS: u64 = 10058;
const CONSUMER_NAME_EXISTS: u64 = 10013;
const CONSUMER_EXISTS: u64 = 10148;
const UNAVAILABLE: u64 = 503;

impl RequestError {
    /// Whether trying again may help although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            RequestError::NotReachable(_) | RequestError::NoAnswer { .. } => true,
            RequestError::Refused { code, .. } => *code == UNAVAILABLE,
            RequestError::NotUnderstood { .. } => false,
        }
    }

    /// Whether somebody else was faster with making something of that name.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(
            self,
            RequestError::Refused {
                error_code: STREAM_EXISTS | CONSUMER_NAME_EXISTS | CONSUMER_EXISTS,
                ..
            }
        )
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(
            self,
            RequestError::Refused {
                error_code: STREAM_NOT_FOUND | CONSUMER_NOT_FOUND,
                ..
            }
        )
    }
}

/// Makes a request whose answer is JSON, with `error` in it if it failed.
pub(crate) async fn call(
    broker: &dyn Broker,
    caller: &Caller,
    subject: &str,
    body: &Value,
) -> Result<Value, RequestError> {
    let payload = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let answer = broker
        .request(caller, subject, payload, REQUEST_TIMEOUT)
        .await?;
    read_answer(subject, &answer)
}

/// Reads an answer, which is an error if it says so.
pub(crate) fn read_answer(subject: &str, answer: &[u8]) -> Result<Value, RequestError> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| RequestError::NotUnderstood {
            subject: subject.to_owned(),
            reason: error.to_string(),
        })?;
    match answer.get("error") {
        None | Some(Value::Null) => Ok(answer),
        Some(error) => Err(RequestError::Refused {
            code: error["code"].as_u64().unwrap_or_default(),
            error_code: error["err_code"].as_u64().unwrap_or_default(),
            description: error["description"]
                .as_str()
                .unwrap_or("unknown error")
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let read = |answer: &str| read_answer("a", answer.as_bytes());
        assert!(read(r#"{"config":{}}"#).is_ok());
        let missing = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        let missing = read(missing).expect_err("an error");
        assert!(missing.is_not_found() && !missing.is_transient());
        assert_eq!(missing.to_string(), "stream not found (10059)");
        let busy = r#"{"error":{"code":503,"err_code":10008,"description":"unavailable"}}"#;
        assert!(read(busy).expect_err("an error").is_transient());
        let nonsense = read("[").expect_err("an error");
        assert!(!nonsense.is_transient());
    }
}
