//! Requests about streams.

use std::sync::Arc;
use std::time::Duration;

use jetstream::api::stream::{
    ConfigRequest, CreateResponse, InfoRequest, InfoResponse, ListRequest, NamesResponse,
    PurgeRequest, PurgeResponse, StreamInfo,
};
use jetstream::api::{ApiRequest, ClusterInfo, LIST_PAGE, NAMES_PAGE, Paged, Verb, respond};
use jetstream::command::Action;
use jetstream::config::{StreamSubjects, check_consumers, validate_create, validate_update};
use jetstream::stream::Answer;
use jetstream::timestamp::Timestamp;
use jetstream::{ApiError, StreamConfig};
use serde::Serialize;
use serde_json::Value;

use super::{Job, Outcome, account, leaders, optional, placing, shown};
use crate::allowance::replicas_of;
use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::engine::Engine;
use crate::meta::{Assignment, MetaCommand, Move, Origin};
use crate::peer::Question;

/// How long other servers are waited for when a list is put together.
const GATHER_TIMEOUT: Duration = Duration::from_secs(2);

pub async fn create(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let config = match checked_config(job, request) {
        Ok((config, pedantic)) => {
            if let Err(error) = account::check_tier(engine, &job.account, &config) {
                return error.into();
            }
            let context = context(engine, &job.account, &config, pedantic);
            match validate_create(&config, &context) {
                Ok(config) => config,
                Err(error) => return error.into(),
            }
        }
        Err(error) => return error.into(),
    };
    let existing = engine
        .meta()
        .read(|meta| meta.stream(&job.account, &config.name).cloned());
    if let Some(existing) = existing {
        if existing.config != config {
            return ApiError::STREAM_NAME_EXIST.into();
        }
        return gathered_info(engine, &job.account, &config.name, Verb::StreamCreate).await;
    }
    if let Err(error) = account::check_room_for_stream(engine, &job.account, &config, None) {
        return error.into();
    }
    let stream = match placing::assign(engine, &job.account, config) {
        Ok(assignment) => Box::new(assignment),
        Err(error) => return error.into(),
    };
    propose(
        engine,
        MetaCommand::AddStream {
            stream,
            reply: Some(job.reply_to()),
        },
    )
}

pub async fn update(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let (config, pedantic) = match checked_config(job, request) {
        Ok(checked) => checked,
        Err(error) => return error.into(),
    };
    let old = engine
        .meta()
        .read(|meta| meta.stream(&job.account, &config.name).cloned());
    let Some(old) = old else {
        return ApiError::STREAM_NOT_FOUND.into();
    };
    let context = context(engine, &job.account, &config, pedantic);
    let config = match validate_update(&old.config, &config, &context) {
        Ok(config) => config,
        Err(error) => return error.into(),
    };
    let checked = account::check_room_for_stream(engine, &job.account, &config, Some(&old.config))
        .and_then(|()| check_consumers_of(engine, &job.account, &config));
    if let Err(error) = checked {
        return error.into();
    }
    let moves =
        config.placement != old.config.placement || config.num_replicas != old.config.num_replicas;
    let replicas = match moves {
        false => old.replicas.clone(),
        true => match placing::place(engine, &config, &old.replicas) {
            Ok(replicas) => replicas,
            Err(error) => return error.into(),
        },
    };
    let origin = Origin::of(&old);
    let moving = moves.then(|| Move {
        begun_ns: engine.env().now_ns(),
        leaving: Vec::new(),
        origin: Some(origin),
    });
    let stream = Box::new(Assignment {
        config,
        replicas,
        moving: old.moving.clone().or(moving),
        ..old
    });
    propose(
        engine,
        MetaCommand::UpdateStream {
            stream,
            reply: Some(job.reply_to()),
        },
    )
}

/// Existing consumers must keep within the stream's new limits for them, as far as this server
/// knows them: one without a replica of the stream does not.
fn check_consumers_of(
    engine: &Engine,
    account: &str,
    config: &StreamConfig,
) -> Result<(), ApiError> {
    let Some(asset) = engine.asset(account, &config.name) else {
        return Ok(());
    };
    asset.read(|machine| {
        let consumers = machine.consumers().iter();
        let configs = consumers.map(|(name, consumer)| (name.as_str(), &consumer.config));
        check_consumers(&config.consumer_limits, configs)
    })
}

pub fn delete(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    if !jetstream::json::says_nothing(&job.payload) {
        return ApiError::NOT_EMPTY_REQUEST.into();
    }
    let (account, name) = (job.account.clone(), request.stream.to_owned());
    if engine
        .meta()
        .read(|meta| meta.stream(&account, &name).is_none())
    {
        return ApiError::STREAM_NOT_FOUND.into();
    }
    propose(
        engine,
        MetaCommand::RemoveStream {
            account,
            name,
            reply: Some(job.reply_to()),
        },
    )
}

/// Proposes a change that is answered once it is applied.
pub fn propose(engine: &Engine, command: MetaCommand) -> Outcome {
    match engine.meta().propose(&command) {
        Ok(()) => Outcome::Silent,
        Err(consensus::ProposeError::Full) => ApiError::STORAGE_RESOURCES_EXCEEDED.into(),
        Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}

pub fn names(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let request: ListRequest = match optional(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let names = names_matching(engine, &job.account, &request.subject);
    let (paged, streams) = Paged::slice(&names, request.offset, NAMES_PAGE);
    Outcome::respond(
        Verb::StreamNames,
        &NamesResponse {
            paged,
            streams: streams.to_vec(),
        },
    )
}

#[derive(Serialize)]
struct List {
    #[serde(flatten)]
    paged: Paged,
    streams: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

pub async fn list(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let request: ListRequest = match optional(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let names = names_matching(engine, &job.account, &request.subject);
    let (paged, page) = Paged::slice(&names, request.offset, LIST_PAGE);
    if page.is_empty() {
        let empty = List {
            paged,
            streams: Vec::new(),
            missing: Vec::new(),
        };
        return Outcome::respond(Verb::StreamList, &empty);
    }
    let streams = gather_infos(engine, &job.account, page).await;
    let found: Vec<&str> = streams.iter().filter_map(name_of).collect();
    let missing = page
        .iter()
        .filter(|name| !found.contains(&name.as_str()))
        .cloned()
        .collect();
    Outcome::respond(
        Verb::StreamList,
        &List {
            paged,
            streams: streams.clone(),
            missing,
        },
    )
}

pub fn info(engine: &Engine, asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: InfoRequest = match optional(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let (paged, state) = asset.read(|machine| machine.info_state(&request));
    let mut info = stream_info(engine, asset);
    info.state = state;
    // Who asks a server of its own learns its name this way, too.
    info.cluster.get_or_insert_with(|| ClusterInfo {
        leader: engine.env().options.server_name.clone(),
        ..ClusterInfo::default()
    });
    Outcome::respond(Verb::StreamInfo, &InfoResponse { paged, info })
}

pub async fn purge(asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: Result<PurgeRequest, ApiError> = optional(&job.payload);
    let purge = match request.and_then(PurgeRequest::command) {
        Ok(purge) => purge,
        Err(error) => return error.into(),
    };
    match asset.request(Action::Purge(purge)).await {
        Some(Ok(Answer::Purged { purged })) => Outcome::respond(
            Verb::StreamPurge,
            &PurgeResponse {
                success: true,
                purged,
            },
        ),
        Some(Err(error)) => error.into(),
        _ => Outcome::Silent,
    }
}

/// Everything the API tells about a stream led here.
pub fn stream_info(engine: &Engine, asset: &Asset) -> StreamInfo {
    let cluster = leaders::cluster_info(engine, asset);
    let origins = asset
        .live()
        .map(|live| live.copying.lock().infos(asset))
        .unwrap_or_default();
    asset.read(|machine| {
        let mut config = machine.config().clone();
        shown::add_levels(&mut config.metadata);
        StreamInfo {
            config,
            created: Timestamp(machine.created_ns()),
            state: machine.info_state(&InfoRequest::default()).1,
            domain: engine.env().options.domain.clone(),
            cluster,
            mirror: machine
                .config()
                .mirror
                .as_ref()
                .and(origins.first().cloned()),
            sources: match machine.config().mirror {
                Some(_) => Vec::new(),
                None => origins,
            },
            ts: Timestamp(engine.env().now_ns()),
        }
    })
}

/// Answers the requests that created the stream, now that it has a leader.
pub fn announce(engine: &Engine, asset: &Arc<Asset>) {
    let replies = asset.take_announcements();
    let (account, stream) = asset.key();
    crate::advisory::leader_elected(engine, asset);
    // Whoever led before answered before it did anything else.
    let is_first = asset.read(|machine| machine.applied_index() == 0);
    if replies.is_empty() || !is_first {
        return;
    }
    let info = stream_info(engine, asset);
    let response = respond(
        Verb::StreamCreate.response_name(),
        &CreateResponse {
            info,
            did_create: true,
        },
    );
    for reply in replies {
        engine.count_request(&account, false);
        let message = Outgoing::new(reply.subject.clone(), response.clone());
        engine.env().bus.publish(&reply.account, &[message]);
        crate::audit::tell_late(engine, &reply, &response);
    }
    crate::advisory::stream_action(
        engine,
        &account,
        &stream,
        jetstream::api::advisory::ActionKind::Create,
    );
}

/// The infos of those of an account's streams that this server leads; all of them if `names` is
/// empty.
pub fn local_stream_infos(engine: &Engine, account: &str, names: &[String]) -> Vec<Value> {
    let wanted = engine.assets().into_iter().filter(|asset| {
        let (theirs, name) = asset.key();
        theirs == account && asset.is_leader() && (names.is_empty() || names.contains(&name))
    });
    wanted
        .filter_map(|asset| serde_json::to_value(stream_info(engine, &asset)).ok())
        .collect()
}

/// The infos of streams led anywhere in the cluster, in the order of their names.
async fn gather_infos(engine: &Engine, account: &str, names: &[String]) -> Vec<Value> {
    let mut infos = local_stream_infos(engine, account, names);
    let here = engine.env().node();
    let others: Vec<_> = engine.meta().read(|meta| {
        meta.servers()
            .keys()
            .copied()
            .filter(|node| *node != here)
            .collect()
    });
    let question = Question::StreamInfos {
        account: account.to_owned(),
        names: names.to_vec(),
    }
    .encode();
    let peers = &engine.env().peers;
    let calls: Vec<_> = others
        .into_iter()
        .filter(|node| peers.is_online(*node))
        .map(|node| peers.call(node, question.clone(), GATHER_TIMEOUT))
        .collect();
    for call in calls {
        if let Some(answer) = call.await
            && let Ok(theirs) = serde_json::from_slice::<Vec<Value>>(&answer)
        {
            infos.extend(theirs);
        }
    }
    infos.sort_by(|a, b| name_of(a).cmp(&name_of(b)));
    infos.dedup_by(|a, b| name_of(a) == name_of(b));
    infos
}

/// The info of a stream, whoever leads it.
pub async fn gathered_info(engine: &Engine, account: &str, name: &str, verb: Verb) -> Outcome {
    let infos = gather_infos(engine, account, &[name.to_owned()]).await;
    match infos.first() {
        Some(info) => Outcome::respond(verb, info),
        None => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}

fn name_of(info: &Value) -> Option<&str> {
    info.pointer("/config/name")?.as_str()
}

fn checked_config(job: &Job, request: &ApiRequest<'_>) -> Result<(StreamConfig, bool), ApiError> {
    let ConfigRequest {
        mut config,
        pedantic,
    } = ConfigRequest::parse(&job.payload)?;
    shown::remove_levels(&mut config.metadata);
    if config.name != request.stream {
        return Err(ApiError::STREAM_MISMATCH);
    }
    Ok((config, pedantic))
}

pub fn context(
    engine: &Engine,
    account: &str,
    config: &StreamConfig,
    pedantic: bool,
) -> jetstream::config::Context {
    let streams = engine.meta().read(|meta| {
        let streams = meta.streams_of(account);
        streams
            .map(|stream| StreamSubjects::of(&stream.config))
            .collect()
    });
    jetstream::config::Context {
        limits: account::config_limits(engine, account, replicas_of(config)),
        clustered: engine.env().is_clustered(),
        pedantic,
        streams,
    }
}

fn names_matching(engine: &Engine, account: &str, filter: &str) -> Vec<String> {
    engine.meta().read(|meta| {
        let streams = meta.streams_of(account).filter(|stream| {
            let subjects = &stream.config.subjects;
            filter.is_empty()
                || subjects
                    .iter()
                    .any(|s| subject::overlaps(s.as_bytes(), filter.as_bytes()))
        });
        streams.map(|stream| stream.config.name.clone()).collect()
    })
}
