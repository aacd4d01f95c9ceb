//! Requests for backups of streams, and for streams made of backups.

use std::sync::Arc;

use jetstream::api::stream::{RestoreRequest, SnapshotRequest, SnapshotResponse};
use jetstream::api::{ApiRequest, Verb, respond};
use jetstream::config::{Storage, validate_create};
use jetstream::snapshot::Contents;
use jetstream::{ApiError, StreamConfig};

use super::{Job, Outcome, account, placing, shown, streams};
use crate::advisory::Transfer;
use crate::asset::Asset;
use crate::backup;
use crate::engine::Engine;
use crate::meta::{Assignment, MetaCommand};

pub fn snapshot(engine: &Engine, asset: &Arc<Asset>, job: &Job) -> Outcome {
    if jetstream::json::says_nothing(&job.payload) {
        return ApiError::BAD_REQUEST.into();
    }
    let request: SnapshotRequest = match jetstream::json::parse(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    if !subject::is_valid_publish(request.deliver_subject.as_bytes()) {
        return ApiError::SNAPSHOT_DELIVER_SUBJECT_INVALID.into();
    }
    let Ok(slot) = engine.shared.backups.clone().try_acquire_owned() else {
        return ApiError::stream_snapshot("too many backups at once, try again later").into();
    };
    let now_ns = engine.env().now_ns();
    let (config, contents) = asset.read(|machine| {
        let contents = Contents::of(machine, !request.no_consumers, now_ns);
        (machine.config().clone(), contents)
    });
    let response = SnapshotResponse {
        config,
        state: contents.state.clone(),
    };
    let transfer = Transfer::new(now_ns, job.client.clone());
    let (sending, asset) = (engine.clone(), asset.clone());
    let work = async move {
        backup::send::send(sending, asset, request, contents, transfer).await;
        drop(slot);
    };
    Outcome::Begun {
        response: respond(Verb::StreamSnapshot.response_name(), &response),
        work: Box::pin(work),
    }
}

pub fn restore(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    match prepared(engine, job, request) {
        Ok(stream) => streams::propose(
            engine,
            MetaCommand::AddStream {
                stream: Box::new(stream),
                reply: Some(job.reply_to()),
            },
        ),
        Err(error) => error.into(),
    }
}

/// The stream that the backup goes into.
fn prepared(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Result<Assignment, ApiError> {
    if engine.account_limits(&job.account).is_none() {
        return Err(ApiError::NOT_ENABLED_FOR_ACCOUNT);
    }
    if jetstream::json::says_nothing(&job.payload) {
        return Err(ApiError::BAD_REQUEST);
    }
    let body: RestoreRequest = jetstream::json::parse(&job.payload)?;
    let mut config = body.config;
    if config.name.is_empty() {
        request.stream.clone_into(&mut config.name);
    }
    if config.name != request.stream {
        return Err(ApiError::STREAM_MISMATCH);
    }
    shown::remove_levels(&mut config.metadata);
    let context = streams::context(engine, &job.account, &config, false);
    let existing = engine
        .meta()
        .read(|meta| meta.stream(&job.account, &config.name).is_some());
    if existing {
        return Err(ApiError::STREAM_NAME_EXIST_RESTORE_FAILED);
    }
    let config = validate_create(&config, &context)?;
    check_room(engine, &job.account, &config, body.state.bytes)?;
    Ok(Assignment {
        is_restored: true,
        ..placing::assign(engine, &job.account, config)?
    })
}

/// The account must have room for all that the backup holds.
fn check_room(
    engine: &Engine,
    account: &str,
    config: &StreamConfig,
    bytes: u64,
) -> Result<(), ApiError> {
    let bytes = i64::try_from(bytes).map_err(|_| match config.storage {
        Storage::File => ApiError::STORAGE_RESOURCES_EXCEEDED,
        Storage::Memory => ApiError::MEMORY_RESOURCES_EXCEEDED,
    })?;
    let filled = StreamConfig {
        max_bytes: config.max_bytes.max(bytes),
        ..config.clone()
    };
    account::check_room_for_stream(engine, account, &filled, None)
}
