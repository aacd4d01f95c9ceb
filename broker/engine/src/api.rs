//! The JetStream API: which server answers which request, and how.
//!
//! Every server with JetStream hears every request. The meta leader answers those about the set of
//! streams, a stream's leader those about the stream; all others keep silent.

mod account;
mod backups;
mod consumers;
mod desired;
mod leaders;
mod messages;
mod moves;
mod placing;
mod servers;
mod shown;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use consensus::BoxFuture;
use jetstream::ApiError;
use jetstream::api::{self, ApiRequest, Verb};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::asset::Asset;
use crate::audit::{self, Audit};
use crate::bus::{Handler, Incoming, Outgoing, SubscriptionId};
use crate::engine::Engine;
use crate::env::Env;
use crate::meta::ReplyTo;

pub use consumers::{consumer_info, limits as consumer_limits};
pub use leaders::cluster_info;
pub use messages::direct_get;
pub use shown::VERSION;
pub use streams::{announce, local_stream_infos, stream_info};

/// A request waiting for a worker.
#[derive(Debug)]
pub struct Job {
    pub account: String,
    pub subject: String,
    pub reply: String,
    pub headers: Bytes,
    pub payload: Bytes,
    /// The client of this server that asks; 0 if it is not one of them.
    pub connection: u64,
    /// Who asks, as the server describes clients; null as long as nobody needs to know.
    pub client: Value,
    /// Somebody listens to what is asked and answered.
    pub is_audited: bool,
}

impl Job {
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo {
            account: self.account.clone(),
            subject: self.reply.clone(),
            client: self.client.clone(),
            audit: self.is_audited.then(|| Box::new(Audit::of(self))),
        }
    }
}

/// How a request ends on this server.
pub enum Outcome {
    /// The response, complete with its type.
    Response(Vec<u8>),
    /// The same, with a header block.
    Marked {
        headers: Vec<u8>,
        response: Vec<u8>,
    },
    Refused(ApiError),
    /// The response, and what goes on after it.
    Begun {
        response: Vec<u8>,
        work: BoxFuture<'static, ()>,
    },
    /// Another server answers, or this one does later.
    Silent,
}

impl Outcome {
    pub fn respond<T: Serialize>(verb: Verb, body: &T) -> Self {
        Outcome::Response(api::respond(verb.response_name(), body))
    }
}

impl From<ApiError> for Outcome {
    fn from(error: ApiError) -> Self {
        Outcome::Refused(error)
    }
}

/// The subjects of the API that do not belong to one stream's leader alone.
const SUBJECTS: &[&str] = &[
    "INFO",
    "STREAM.CREATE.*",
    "STREAM.UPDATE.*",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.INFO.*",
    "STREAM.DELETE.*",
    "STREAM.PURGE.*",
    "STREAM.SNAPSHOT.*",
    "STREAM.RESTORE.*",
    "STREAM.MSG.>",
    "STREAM.PEER.>",
    "STREAM.LEADER.>",
    "STREAM.CANCEL_MOVE.*",
    "CONSUMER.CREATE.>",
    "CONSUMER.DURABLE.>",
    "CONSUMER.NAMES.*",
    "CONSUMER.LIST.*",
    "CONSUMER.INFO.>",
    "CONSUMER.DELETE.>",
    "CONSUMER.PAUSE.>",
    "CONSUMER.UNPIN.>",
    "CONSUMER.RESET.>",
    "CONSUMER.LEADER.>",
    "CONSUMER.PEER.>",
];

/// Calls that only users of the system account may make.
const SYSTEM_SUBJECTS: &[&str] = &["META.>", "SERVER.>", "ACCOUNT.>"];

/// Listens for the API requests of one account.
pub fn subscribe(env: &Arc<Env>, account: &str, waiting: &Waiting) -> Vec<SubscriptionId> {
    listen(env, account, waiting, SUBJECTS)
}

/// Listens for the calls of the system account.
pub fn subscribe_system(env: &Arc<Env>, account: &str, waiting: &Waiting) -> Vec<SubscriptionId> {
    listen(env, account, waiting, SYSTEM_SUBJECTS)
}

fn listen(
    env: &Arc<Env>,
    account: &str,
    waiting: &Waiting,
    subjects: &[&str],
) -> Vec<SubscriptionId> {
    let handler: Arc<dyn Handler> = Arc::new(waiting.clone());
    let mut prefixes = vec!["$JS.API.".to_owned()];
    if !env.options.domain.is_empty() {
        prefixes.push(format!("$JS.{}.API.", env.options.domain));
    }
    let mut ids = Vec::new();
    for prefix in prefixes {
        for subject in subjects {
            ids.push(
                env.bus
                    .subscribe(account, &format!("{prefix}{subject}"), handler.clone()),
            );
        }
    }
    ids
}

/// Where requests wait for a worker.
#[derive(Clone)]
pub struct Waiting {
    jobs: mpsc::Sender<Job>,
    /// Requests that found no room.
    dropped: Arc<AtomicU64>,
}

impl Waiting {
    pub fn new(jobs: mpsc::Sender<Job>) -> Self {
        Waiting {
            jobs,
            dropped: Arc::default(),
        }
    }

    /// How many requests were dropped since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

impl Handler for Waiting {
    fn deliver(&self, message: &Incoming<'_>) {
        // A request without a reply subject has nobody to answer; one that is not text is none.
        let Some(reply) = message
            .reply
            .and_then(|reply| std::str::from_utf8(reply).ok())
        else {
            return;
        };
        let Ok(subject) = std::str::from_utf8(message.subject) else {
            return;
        };
        let job = Job {
            account: message.account.to_owned(),
            subject: subject.to_owned(),
            reply: reply.to_owned(),
            headers: Bytes::copy_from_slice(message.headers),
            payload: Bytes::copy_from_slice(message.payload),
            connection: message.connection,
            client: Value::Null,
            is_audited: false,
        };
        if self.jobs.try_send(job).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Handles one request.
pub async fn serve(engine: &Engine, mut job: Job) {
    let Some(request) = ApiRequest::parse(&job.subject) else {
        return;
    };
    job.is_audited = audit::is_wanted(engine, &job.account);
    if job.is_audited || matches!(request.verb, Verb::StreamSnapshot | Verb::StreamRestore) {
        job.client = audit::client(engine, &job);
    }
    let outcome = match required_level(&job) {
        Some(level) if level > api::API_LEVEL => Outcome::Refused(ApiError::REQUIRED_API_LEVEL),
        _ if engine.is_unavailable() => Outcome::Refused(ApiError::CLUSTER_NOT_AVAIL),
        _ if !engine.is_ready() => Outcome::Silent,
        _ => dispatch(engine, &job, &request).await,
    };
    let mut work = None;
    let mut is_refused = false;
    let (headers, response) = match outcome {
        Outcome::Silent => return,
        Outcome::Response(response) => (Vec::new(), response),
        Outcome::Marked { headers, response } => (headers, response),
        Outcome::Begun {
            response,
            work: begun,
        } => {
            work = Some(begun);
            (Vec::new(), response)
        }
        Outcome::Refused(error) => {
            is_refused = true;
            let response = api::refuse(request.verb.response_name(), &error);
            (Vec::new(), response)
        }
    };
    engine.count_request(&job.account, is_refused);
    let message = Outgoing {
        headers: headers.into(),
        ..Outgoing::new(job.reply.clone(), response)
    };
    engine
        .env()
        .bus
        .publish(&job.account, std::slice::from_ref(&message));
    if job.is_audited {
        audit::tell(
            engine,
            &job.account,
            &Audit::of(&job),
            &job.client,
            &message.payload,
        );
    }
    if let Some(work) = work {
        engine.spawn(work);
    }
}

async fn dispatch(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    use Verb::*;
    if job.account != engine.system_account() && engine.allowance(&job.account).is_none() {
        return match engine.meta().is_leader() {
            true => ApiError::NOT_ENABLED_FOR_ACCOUNT.into(),
            false => Outcome::Silent,
        };
    }
    match request.verb {
        AccountInfo => account::info(engine, job).await,
        StreamCreate => streams::create(engine, job, request).await,
        StreamUpdate => streams::update(engine, job, request).await,
        StreamDelete => streams::delete(engine, job, request),
        StreamRestore => backups::restore(engine, job, request),
        StreamNames => streams::names(engine, job),
        StreamList => streams::list(engine, job).await,
        MetaLeaderStepDown => leaders::meta_step_down(engine, job).await,
        ServerRemove => servers::remove(engine, job).await,
        ServerEvacuate => servers::evacuate(engine, job),
        AccountPurge => servers::purge_account(engine, request),
        AccountStreamMove => moves::move_stream(engine, job, request),
        AccountStreamCancelMove => moves::cancel_move(engine, request.rest, request).await,
        StreamCancelMove => moves::cancel_move(engine, &job.account, request).await,
        StreamPeerRemove | StreamPeerEvacuate => moves::remove_peer(engine, job, request),
        verb if verb.is_system_only() => Outcome::Refused(ApiError::BAD_REQUEST),
        _ => match of_stream(engine, job, request) {
            Ok(asset) => dispatch_to_stream(engine, &asset, job, request).await,
            Err(outcome) => outcome,
        },
    }
}

async fn dispatch_to_stream(
    engine: &Engine,
    asset: &Arc<Asset>,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    use Verb::*;
    if matches!(request.verb, StreamInfo | StreamMsgGet)
        && let Some(live) = asset.live()
    {
        live.inbox.settle().await;
    }
    match request.verb {
        StreamInfo => streams::info(engine, asset, job),
        StreamSnapshot => backups::snapshot(engine, asset, job),
        StreamPurge => streams::purge(asset, job).await,
        StreamMsgGet => messages::get(asset, job),
        StreamMsgDelete => messages::delete(asset, job).await,
        StreamLeaderStepDown | ConsumerLeaderStepDown => {
            leaders::step_down(engine, asset, job, request).await
        }
        ConsumerPeerRemove | ConsumerPeerEvacuate => {
            moves::remove_consumer_peer(engine, asset, job, request)
        }
        ConsumerCreate | ConsumerDurableCreate => {
            consumers::create(engine, asset, job, request).await
        }
        ConsumerNames => consumers::names(asset, job),
        ConsumerList => consumers::list(engine, asset, job),
        ConsumerInfo => consumers::info(engine, asset, request),
        ConsumerDelete => consumers::delete(engine, asset, request).await,
        ConsumerPause => consumers::pause(asset, job, request).await,
        ConsumerReset => consumers::reset(engine, asset, job, request),
        ConsumerUnpin => consumers::unpin(asset, job, request),
        _ => Outcome::Refused(ApiError::stream_general_error("not served by this version")),
    }
}

/// The stream replica that has to answer, if it is on this server.
fn of_stream(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Result<Arc<Asset>, Outcome> {
    let shared = &engine.shared;
    if let Some(asset) = engine.asset(&job.account, request.stream) {
        if asset.is_leader() {
            return match asset.failure() {
                Some(reason) => Err(ApiError::stream_offline_reason(reason).into()),
                None if asset.read(|machine| machine.is_complete()) => Ok(asset),
                None if request.verb == Verb::StreamInfo => Ok(asset),
                None => Err(ApiError::stream_restore("not all of the backup is here").into()),
            };
        }
        return Err(Outcome::Silent);
    }
    let exists = shared
        .meta
        .read(|meta| meta.stream(&job.account, request.stream).is_some());
    if let Some(reason) = offline_reason(engine, job, request.stream) {
        return Err(ApiError::stream_offline_reason(reason).into());
    }
    match exists {
        false if shared.meta.is_leader() => Err(ApiError::STREAM_NOT_FOUND.into()),
        _ => Err(Outcome::Silent),
    }
}

/// Why a stream is out of service whose only replica is that of this server.
fn offline_reason(engine: &Engine, job: &Job, stream: &str) -> Option<String> {
    let shared = &engine.shared;
    let key = (job.account.clone(), stream.to_owned());
    let reason = shared.troubles.reason(&key)?;
    let here = shared.env.node();
    let is_only = shared.meta.read(|meta| {
        let assignment = meta.stream(&key.0, &key.1);
        assignment.is_some_and(|assignment| assignment.replicas == [here])
    });
    is_only.then_some(reason)
}

fn required_level(job: &Job) -> Option<u32> {
    let value = wire::headers::get(&job.headers, "Nats-Required-Api-Level")?;
    // A level that cannot be read is one this server does not know.
    Some(
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(u32::MAX),
    )
}

/// Reads a body that may be left out.
fn optional<T: serde::de::DeserializeOwned + Default>(payload: &[u8]) -> Result<T, ApiError> {
    if jetstream::json::says_nothing(payload) {
        Ok(T::default())
    } else {
        jetstream::json::parse(payload)
    }
}
