//! Requests about consumers; the stream's leader answers all of them.

use std::sync::Arc;

use jetstream::ApiError;
use jetstream::api::consumer::{
    CreateAction, CreateRequest, ListRequest, ListResponse, NamesResponse, PauseRequest,
    PauseResponse, ResetRequest, ResetResponse, UnpinRequest,
};
use jetstream::api::{
    ApiRequest, ClusterInfo, LIST_PAGE, NAMES_PAGE, Paged, SUCCESS, Verb, respond,
};
use jetstream::command::Action;
use jetstream::consumer::{
    ConsumerConfig, ConsumerInfo, CreateLimits, LiveInfo, State, StreamFacts, config as rules,
};
use jetstream::timestamp::Timestamp;
use wire::headers::Builder;

use super::{Job, Outcome, account, leaders, optional, shown};
use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::engine::Engine;
use crate::random::Random;

/// The header in which streams that copy each other say which stream of a name they mean.
const IDENTITY: &str = "Nats-Stream-Identity";
/// Letters of a name that the server chooses.
const NAME_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const NAME_LENGTH: usize = 8;
/// Consumers of one stream when neither the stream nor the account sets a limit.
const DEFAULT_MAX_CONSUMERS: i64 = 1000;

pub async fn create(
    engine: &Engine,
    asset: &Arc<Asset>,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    let outcome = created(engine, asset, job, request).await;
    match (wire::headers::get(&job.headers, IDENTITY), outcome) {
        (Some(_), Outcome::Response(response)) => {
            let headers = identity_header(asset);
            Outcome::Marked { headers, response }
        }
        (_, outcome) => outcome,
    }
}

async fn created(
    engine: &Engine,
    asset: &Arc<Asset>,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    match prepared(engine, asset, job, request) {
        Ok(Prepared::Unchanged(name)) => respond_info(engine, asset, request.verb, &name),
        Ok(Prepared::Change { name, action }) => {
            let is_new = matches!(action, Action::CreateConsumer { .. });
            match asset.request(action).await {
                Some(Ok(_)) => {
                    crate::advisory::consumer_created(engine, asset, &name, is_new);
                    if is_new {
                        crate::advisory::consumer_led(engine, asset, &name);
                    }
                    respond_info(engine, asset, request.verb, &name)
                }
                Some(Err(error)) => error.into(),
                None => Outcome::Silent,
            }
        }
        Err(error) => error.into(),
    }
}

/// What a create request comes down to.
enum Prepared {
    Unchanged(String),
    Change { name: String, action: Action },
}

fn prepared(
    engine: &Engine,
    asset: &Asset,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Result<Prepared, ApiError> {
    let body: CreateRequest = jetstream::json::parse(&job.payload)?;
    if body.stream_name != request.stream {
        return Err(ApiError::STREAM_MISMATCH);
    }
    let mut config = body.config;
    if config.sourcing {
        check_identity(asset, job)?;
    }
    shown::remove_levels(&mut config.metadata);
    check_names(&config, request)?;
    config.name = if !request.consumer.is_empty() {
        // The subject names the consumer; clients may leave the name out of the body.
        request.consumer.to_owned()
    } else {
        match config.consumer_name() {
            "" => chosen_name(&engine.env().random),
            name => name.to_owned(),
        }
    };
    let replicas = asset.read(|machine| config.replicas(machine.config()));
    let limits = limits(engine, asset, replicas, body.pedantic);
    asset.read(|machine| {
        let name = config.name.clone();
        let existing = machine.consumers().get(&name);
        let others: Vec<&ConsumerConfig> = machine
            .consumers()
            .iter()
            .filter(|(other, _)| **other != name)
            .map(|(_, consumer)| &consumer.config)
            .collect();
        let facts = StreamFacts {
            config: machine.config(),
            consumer_count: machine.public_consumers().count() as u64,
            others: &others,
        };
        let Some(existing) = existing else {
            if body.action == CreateAction::Update {
                return Err(ApiError::CONSUMER_DOES_NOT_EXIST);
            }
            let config = rules::validate_create(config, &facts, &limits)?;
            let action = Action::CreateConsumer {
                name: name.clone(),
                config: Box::new(config),
            };
            return Ok(Prepared::Change { name, action });
        };
        let bound = live_consumer(asset, &name).is_some_and(|(live, _)| live.push_bound);
        let updated = rules::validate_update(&existing.config, config, &facts, &limits, bound);
        if updated.as_ref() == Ok(&existing.config) {
            return Ok(Prepared::Unchanged(name));
        }
        if body.action == CreateAction::Create {
            return Err(ApiError::CONSUMER_ALREADY_EXISTS);
        }
        let action = Action::UpdateConsumer {
            name: name.clone(),
            config: Box::new(updated?),
        };
        Ok(Prepared::Change { name, action })
    })
}

/// A stream that copies this one says which stream of this name it began with.
fn check_identity(asset: &Asset, job: &Job) -> Result<(), ApiError> {
    let theirs = wire::headers::get(&job.headers, IDENTITY).unwrap_or_default();
    let ours = asset.read(|machine| machine.identity());
    match theirs.is_empty() || theirs == ours.as_bytes() {
        true => Ok(()),
        false => Err(ApiError::consumer_stream_identity_mismatch(ours)),
    }
}

fn identity_header(asset: &Asset) -> Vec<u8> {
    let identity = asset.read(|machine| machine.identity());
    Builder::new().add(IDENTITY, identity).build()
}

/// The durable names in the subject and in the body must say the same.
fn check_names(config: &ConsumerConfig, request: &ApiRequest<'_>) -> Result<(), ApiError> {
    if request.verb == Verb::ConsumerDurableCreate {
        if config.durable_name.is_empty() {
            return Err(ApiError::CONSUMER_DURABLE_NAME_NOT_SET);
        }
        return match config.durable_name == request.consumer {
            true => Ok(()),
            false => Err(ApiError::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT),
        };
    }
    if request.consumer.is_empty() {
        return match config.durable_name.is_empty() {
            true => Ok(()),
            false => Err(ApiError::CONSUMER_EPHEMERAL_WITH_DURABLE_NAME),
        };
    }
    if !config.durable_name.is_empty() && config.durable_name != request.consumer {
        return Err(ApiError::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT);
    }
    if !request.rest.is_empty() {
        if !config.filter_subjects.is_empty() {
            return Err(ApiError::CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED);
        }
        if config.filter_subject != request.rest {
            return Err(ApiError::CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH);
        }
    }
    Ok(())
}

fn chosen_name(random: &Random) -> String {
    let letters = (0..NAME_LENGTH).map(|_| {
        let index = random.draw() % NAME_ALPHABET.len() as u64;
        char::from(NAME_ALPHABET[index as usize])
    });
    letters.collect()
}

/// What a consumer with this number of replicas must keep to.
pub fn limits(engine: &Engine, asset: &Asset, replicas: u64, pedantic: bool) -> CreateLimits {
    let of_account = account::limits_of(engine, &asset.account(), replicas);
    CreateLimits {
        account_max_ack_pending: of_account.max_ack_pending.max(0),
        account_max_consumers: of_account.max_consumers.max(0),
        default_max_consumers: DEFAULT_MAX_CONSUMERS,
        pedantic,
        ..CreateLimits::default()
    }
}

pub fn names(asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: ListRequest = match optional(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let names = public_names(asset);
    let (paged, consumers) = Paged::slice(&names, request.offset, NAMES_PAGE);
    Outcome::respond(
        Verb::ConsumerNames,
        &NamesResponse {
            paged,
            consumers: consumers.to_vec(),
        },
    )
}

fn public_names(asset: &Asset) -> Vec<String> {
    asset.read(|machine| {
        let consumers = machine.public_consumers();
        consumers.map(|(name, _)| name.clone()).collect()
    })
}

pub fn list(engine: &Engine, asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: ListRequest = match optional(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let names = public_names(asset);
    let (paged, page) = Paged::slice(&names, request.offset, LIST_PAGE);
    let consumers = page
        .iter()
        .filter_map(|name| consumer_info(engine, asset, name))
        .collect();
    Outcome::respond(
        Verb::ConsumerList,
        &ListResponse {
            paged,
            consumers,
            missing: Vec::new(),
        },
    )
}

pub fn info(engine: &Engine, asset: &Arc<Asset>, request: &ApiRequest<'_>) -> Outcome {
    respond_info(engine, asset, request.verb, request.consumer)
}

pub async fn delete(engine: &Engine, asset: &Arc<Asset>, request: &ApiRequest<'_>) -> Outcome {
    let name = request.consumer.to_owned();
    match asset.request(Action::DeleteConsumer { name }).await {
        Some(Ok(_)) => {
            crate::advisory::consumer_deleted(engine, asset, request.consumer);
            Outcome::respond(request.verb, &SUCCESS)
        }
        Some(Err(error)) => error.into(),
        None => Outcome::Silent,
    }
}

pub async fn pause(asset: &Arc<Asset>, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    let body: PauseRequest = match optional(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let name = request.consumer.to_owned();
    let config = asset.read(|machine| {
        machine
            .consumers()
            .get(&name)
            .map(|consumer| consumer.config.clone())
    });
    let Some(mut config) = config else {
        return ApiError::CONSUMER_NOT_FOUND.into();
    };
    let now_ns = asset.env.now_ns();
    config.pause_until = body.pause_until.filter(|until| until.0 > now_ns);
    let until = config.pause_until;
    match asset
        .request(Action::UpdateConsumer {
            name: name.clone(),
            config: Box::new(config),
        })
        .await
    {
        Some(Ok(_)) => {
            let response = PauseResponse {
                paused: until.is_some(),
                pause_until: until.or(body.pause_until).unwrap_or_default(),
                pause_remaining_ns: until.map_or(0, |until| until.0 - now_ns),
            };
            crate::advisory::consumer_paused(asset, &name, response.paused, response.pause_until);
            Outcome::respond(request.verb, &response)
        }
        Some(Err(error)) => error.into(),
        None => Outcome::Silent,
    }
}

/// Starts a consumer again at another message. The answer comes when the log has it, so that no
/// new leader of the stream goes back on it.
pub fn reset(engine: &Engine, asset: &Arc<Asset>, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    let body: ResetRequest = match optional(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    if let Err(error) = check_identity(asset, job) {
        return error.into();
    }
    let Some(live) = asset.live() else {
        return Outcome::Silent;
    };
    let name = request.consumer;
    let started =
        live.with_settled_consumers(asset, |consumers| consumers.reset(asset, name, body.seq));
    let reset_seq = match started {
        Some(Ok(reset_seq)) => reset_seq,
        Some(Err(error)) => return error.into(),
        None => return ApiError::CONSUMER_NOT_FOUND.into(),
    };
    let Some(info) = consumer_info(engine, asset, name) else {
        return ApiError::CONSUMER_NOT_FOUND.into();
    };
    let response = respond(
        request.verb.response_name(),
        &ResetResponse { info, reset_seq },
    );
    let headers = match wire::headers::get(&job.headers, IDENTITY) {
        Some(_) => identity_header(asset),
        None => Vec::new(),
    };
    let message = Outgoing {
        headers: headers.into(),
        ..Outgoing::new(job.reply.clone(), response)
    };
    live.with_consumers(asset, |consumers| consumers.confirm(message));
    live.inbox.wake.notify_one();
    Outcome::Silent
}

/// Lets another client of a priority group be served.
pub fn unpin(asset: &Arc<Asset>, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    let body: UnpinRequest = match jetstream::json::parse(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    if body.group.is_empty() {
        return ApiError::invalid_json("consumer group not specified").into();
    }
    let Some(live) = asset.live() else {
        return Outcome::Silent;
    };
    let mut out = Vec::new();
    let known = live.with_settled_consumers(asset, |consumers| {
        consumers.unpin(asset, request.consumer, &body.group, &mut out)
    });
    asset.env.bus.publish(&asset.account(), &out);
    match known {
        Some(true) => Outcome::respond(request.verb, &serde_json::Map::new()),
        Some(false) => ApiError::CONSUMER_INVALID_PRIORITY_GROUP.into(),
        None => ApiError::CONSUMER_NOT_FOUND.into(),
    }
}

fn respond_info(engine: &Engine, asset: &Asset, verb: Verb, name: &str) -> Outcome {
    match consumer_info(engine, asset, name) {
        Some(info) => Outcome::respond(verb, &info),
        None => ApiError::CONSUMER_NOT_FOUND.into(),
    }
}

/// Everything the API tells about a consumer of a stream led here.
pub fn consumer_info(
    engine: &Engine,
    asset: &Asset,
    name: &str,
) -> Option<ConsumerInfo<ClusterInfo>> {
    let (live, working_copy) = live_consumer(asset, name).unzip();
    let cluster = leaders::cluster_info(engine, asset);
    let now_ns = engine.env().now_ns();
    asset.read(|machine| {
        let consumer = machine.consumers().get(name)?;
        let names = (machine.config().name.as_str(), name);
        let created = Timestamp(consumer.created_ns);
        let mut info = ConsumerInfo::new(
            names,
            created,
            &consumer.config,
            // What was delivered shows at once, not when the log has it.
            working_copy.as_ref().unwrap_or(&consumer.state),
            live.unwrap_or_default(),
            now_ns,
        );
        if let Some(config) = &mut info.config {
            shown::add_levels(&mut config.metadata);
        }
        info.cluster = cluster;
        Some(info)
    })
}

/// What delivery knows about a consumer, and its copy of the state.
fn live_consumer(asset: &Asset, name: &str) -> Option<(LiveInfo, State)> {
    let live = asset.live()?;
    live.with_settled_consumers(asset, |consumers| {
        let delivery = consumers.delivery(name)?;
        Some((delivery.live_info(), delivery.state().clone()))
    })
}
