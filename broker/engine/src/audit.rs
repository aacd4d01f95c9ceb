//! Tells who listens to it what the API is asked and what it answers.

use jetstream::api::advisory::ApiAudit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::advisory;
use crate::api::Job;
use crate::engine::Engine;
use crate::meta::ReplyTo;

const SUBJECT: &str = "$JS.EVENT.ADVISORY.API";
/// What a service that is imported from another account is told about who asks.
const REQUEST_INFO: &str = "Nats-Request-Info";

/// A request that was not answered when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    subject: String,
    request: String,
}

impl Audit {
    pub fn of(job: &Job) -> Self {
        Audit {
            subject: job.subject.clone(),
            request: String::from_utf8_lossy(&job.payload).into_owned(),
        }
    }
}

/// Whether anybody listens.
pub fn is_wanted(engine: &Engine, account: &str) -> bool {
    engine.env().bus.has_interest(account, SUBJECT)
}

/// Who asks, as far as this server knows.
pub fn client(engine: &Engine, job: &Job) -> Value {
    let shared = wire::headers::get(&job.headers, REQUEST_INFO);
    if let Some(Ok(info)) = shared.map(serde_json::from_slice) {
        return info;
    }
    match engine.env().bus.client(job.connection) {
        Value::Null => json!({ "acc": job.account }),
        known => known,
    }
}

/// Tells what a request was answered.
pub fn tell(engine: &Engine, account: &str, asked: &Audit, client: &Value, response: &[u8]) {
    let event = ApiAudit {
        server: engine.env().options.server_name.clone(),
        client: client.clone(),
        subject: asked.subject.clone(),
        request: asked.request.clone(),
        response: String::from_utf8_lossy(response).into_owned(),
        domain: engine.env().options.domain.clone(),
    };
    advisory::api_audit(engine.env(), account, event);
}

/// The same of an answer that came later.
pub fn tell_late(engine: &Engine, reply: &ReplyTo, response: &[u8]) {
    if let Some(asked) = &reply.audit {
        tell(engine, &reply.account, asked, &reply.client, response);
    }
}
