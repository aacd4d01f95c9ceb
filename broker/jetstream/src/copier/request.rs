//! The request for a consumer at the origin, and its answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::headers::Builder;

use super::{HEARTBEAT_NS, INACTIVE_NS, Send, Setup};
use crate::api::API_LEVEL;
use crate::api::consumer::ResetRequest;
use crate::consumer::config::DeliverPolicy;
use crate::consumer::{AckPolicy, ConsumerConfig};
use crate::error::ApiError;
use crate::stream::Position;

/// An origin never acknowledges, so this only has to be long. Nanoseconds.
const ACK_WAIT_NS: i64 = 22 * 3600 * 1_000_000_000;
const IDENTITY: &str = "Nats-Stream-Identity";

#[derive(Serialize)]
struct Body<'a> {
    stream_name: &'a str,
    config: ConsumerConfig,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<ApiError>,
    #[serde(default)]
    num_pending: u64,
    #[serde(default)]
    config: Option<Agreed>,
}

/// What matters of a durable consumer.
#[derive(Deserialize)]
struct Agreed {
    #[serde(default)]
    deliver_subject: String,
    #[serde(default)]
    ack_policy: AckPolicy,
}

/// Where the origin is to deliver.
pub(super) fn deliver_subject(setup: &Setup, token: &str) -> String {
    let kind = if setup.is_mirror { 'M' } else { 'S' };
    let external = setup.source.external.as_ref();
    match external.map(|external| external.deliver.as_str()) {
        None | Some("") => format!("$JS.{kind}.{token}"),
        Some(prefix) => format!("{prefix}.{kind}.{token}"),
    }
}

/// Asks for the origin's messages after `position`: for a consumer, or for the one that there is to
/// start there.
pub(super) fn request(
    setup: &Setup,
    position: &Position,
    deliver: &str,
    token: &mut impl FnMut() -> String,
) -> Send {
    let api = match &setup.source.external {
        Some(external) if !external.api.is_empty() => external.api.as_str(),
        _ => "$JS.API",
    };
    let origin = &setup.source.name;
    let (subject, payload) = match &setup.source.consumer {
        Some(durable) => {
            let next = (position.seq > 0).then(|| ResetRequest {
                seq: position.seq + 1,
            });
            let payload = next.map_or_else(Vec::new, |next| crate::json::to_vec(&next));
            let name = &durable.name;
            (format!("{api}.CONSUMER.RESET.{origin}.{name}"), payload)
        }
        None => {
            let config = consumer(setup, position, deliver, &token());
            let subject = match config.filter_subject.as_str() {
                "" => format!("{api}.CONSUMER.CREATE.{origin}"),
                filter => format!("{api}.CONSUMER.CREATE.{origin}.{}.{filter}", config.name),
            };
            let body = Body {
                stream_name: origin,
                config,
            };
            (subject, crate::json::to_vec(&body))
        }
    };
    let headers = Builder::new()
        .add("Nats-Required-Api-Level", API_LEVEL.to_string())
        .add(IDENTITY, &position.identity);
    Send::Request {
        subject,
        reply: format!("$JSC.R.{}", token()),
        headers: headers.build().into(),
        payload: payload.into(),
    }
}

fn consumer(setup: &Setup, position: &Position, deliver: &str, token: &str) -> ConsumerConfig {
    let source = &setup.source;
    let (prefix, kind) = match setup.is_mirror {
        true => ("JS_MIRROR", "mirror"),
        false => ("JS_SRC", "src"),
    };
    let metadata = [
        (format!("_nats.{kind}.acc"), setup.account.clone()),
        (format!("_nats.{kind}.stream"), setup.stream.clone()),
    ];
    let mut config = ConsumerConfig {
        name: format!("{prefix}_{token}"),
        ack_policy: AckPolicy::None,
        ack_wait_ns: ACK_WAIT_NS,
        max_deliver: 1,
        flow_control: true,
        deliver_subject: deliver.to_owned(),
        idle_heartbeat_ns: HEARTBEAT_NS,
        inactive_threshold_ns: INACTIVE_NS,
        direct: true,
        sourcing: true,
        metadata: BTreeMap::from(metadata),
        ..ConsumerConfig::default()
    };
    match source.filters()[..] {
        [] => {}
        [filter] => config.filter_subject = filter.to_owned(),
        ref filters => {
            config.filter_subjects = filters.iter().map(|filter| (*filter).to_owned()).collect();
        }
    }
    if position.seq > 0 {
        config.deliver_policy = DeliverPolicy::ByStartSequence;
        config.opt_start_seq = position.seq + 1;
    } else if source.opt_start_seq > 0 {
        config.deliver_policy = DeliverPolicy::ByStartSequence;
        config.opt_start_seq = source.opt_start_seq;
    } else if source.opt_start_time.is_some() {
        config.deliver_policy = DeliverPolicy::ByStartTime;
        config.opt_start_time = source.opt_start_time;
    }
    config
}

/// How many messages the origin has for the new consumer.
pub(super) fn read_answer(setup: &Setup, payload: &[u8]) -> Result<u64, ApiError> {
    let answer: Answer =
        serde_json::from_slice(payload).map_err(ApiError::source_consumer_setup_failed)?;
    if let Some(error) = answer.error {
        return Err(error);
    }
    if let Some(durable) = &setup.source.consumer {
        let agreed = answer.config.as_ref();
        let acknowledges = agreed.is_some_and(|agreed| agreed.ack_policy == AckPolicy::FlowControl);
        let delivers = agreed.is_some_and(|agreed| {
            // One of another account delivers under that account's name of the subject.
            setup.source.external.is_some() || agreed.deliver_subject == durable.deliver_subject
        });
        return match (setup.is_mirror, acknowledges, delivers) {
            (_, true, true) => Ok(answer.num_pending),
            (true, false, _) => Err(ApiError::MIRROR_CONSUMER_REQUIRES_ACK_FC),
            (false, false, _) => Err(ApiError::SOURCE_CONSUMER_REQUIRES_ACK_FC),
            (true, ..) => Err(ApiError::MIRROR_DURABLE_CONSUMER_CFG_INVALID),
            (false, ..) => Err(ApiError::SOURCE_DURABLE_CONSUMER_CFG_INVALID),
        };
    }
    Ok(answer.num_pending)
}

/// Which stream of the origin's name answered; empty if it does not say.
pub(super) fn identity(headers: &[u8]) -> String {
    let identity = wire::headers::get(headers, IDENTITY).unwrap_or_default();
    String::from_utf8_lossy(identity).into_owned()
}
