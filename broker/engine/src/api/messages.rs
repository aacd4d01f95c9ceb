//! Requests for single messages.

use std::sync::Arc;

use bytes::Bytes;
use jetstream::ApiError;
use jetstream::api::stream::{MsgDeleteRequest, MsgGetRequest, MsgGetResponse};
use jetstream::api::{SUCCESS, Verb};
use jetstream::command::Action;
use jetstream::read::{self, DirectGet, DirectReply, ReadError};

use super::{Job, Outcome};
use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::inbox::Request;

/// Most bytes sent for one direct get.
const DIRECT_GET_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub fn get(asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: MsgGetRequest = match jetstream::json::parse(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    match asset.read(|machine| read::msg_get(machine.store(), &request)) {
        Ok(message) => Outcome::respond(Verb::StreamMsgGet, &MsgGetResponse { message }),
        Err(ReadError::Api(error)) => error.into(),
        Err(ReadError::Store(error)) => {
            repair_if_damaged(asset, &error);
            ApiError::stream_general_error(error).into()
        }
    }
}

pub async fn delete(asset: &Arc<Asset>, job: &Job) -> Outcome {
    let request: MsgDeleteRequest = match jetstream::json::parse(&job.payload) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let action = Action::DeleteMsg {
        seq: request.seq,
        no_erase: request.no_erase,
    };
    match asset.request(action).await {
        Some(Ok(_)) => Outcome::respond(Verb::StreamMsgDelete, &SUCCESS),
        Some(Err(error)) => error.into(),
        None => Outcome::Silent,
    }
}

/// Answers `DIRECT.GET.<stream>[.<subject>]` with plain messages.
pub fn direct_get(asset: &Asset, request: &Request, out: &mut Vec<Outgoing>) {
    let Some(reply) = &request.reply else { return };
    let (_, stream) = asset.key();
    let Ok(subject) = std::str::from_utf8(&request.subject) else {
        return;
    };
    // The name may be that of the stream which this one mirrors.
    let wanted = subject
        .split_once("DIRECT.GET.")
        .and_then(|(_, name)| name.split_once('.'))
        .map_or("", |(_, wanted)| wanted);
    let mut send = |message: DirectReply| {
        out.push(Outgoing {
            headers: message.headers,
            payload: message.payload,
            ..Outgoing::new(reply.clone(), "")
        });
    };
    if request.payload.is_empty() && wanted.is_empty() {
        send(plain_status("408 Empty Request"));
        return;
    }
    let Ok(wanted) = read::parse_request(&request.payload, wanted) else {
        send(plain_status("408 Malformed Request"));
        return;
    };
    let failed = asset.read(|machine| -> Result<(), messages::Error> {
        let store = machine.store();
        match DirectGet::start(store, &stream, &wanted, DIRECT_GET_BYTES_MAX)? {
            Err(refusal) => send(refusal),
            Ok(mut get) => {
                while let Some(message) = get.next(store)? {
                    send(message);
                }
            }
        }
        Ok(())
    });
    if let Err(error) = failed {
        repair_if_damaged(asset, &error);
    }
}

fn plain_status(status: &str) -> DirectReply {
    DirectReply {
        headers: jetstream::consumer::status::line(status),
        payload: Bytes::new(),
    }
}

fn repair_if_damaged(asset: &Asset, error: &messages::Error) {
    if let messages::Error::Damaged { seq } = error {
        crate::repair::request(asset, *seq);
    } else {
        let (account, stream) = asset.key();
        tracing::error!(account, stream, %error, "message store cannot be read");
    }
}
