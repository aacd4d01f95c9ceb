//! Events about streams and consumers, published in the account they belong to; those about the cluster go
//! to the system account, too.

mod cluster;

use jetstream::api::advisory::{
    ActionKind, Advisory, ApiAudit, ApiLimitReached, BatchAbandoned, ConsumerAction, ConsumerPause,
    Delivery, Pin, RestoreComplete, RestoreCreate, SnapshotComplete, SnapshotCreate, StreamAction,
};
use jetstream::api::stream::StreamState;
use jetstream::consumer;
use jetstream::staging::Abandoned;
use jetstream::timestamp::Timestamp;
use serde_json::Value;

use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::engine::Engine;
use crate::env::Env;

pub use cluster::{
    consumer_led, domain_leader_elected, leader_elected, out_of_storage, quorum_lost,
    server_removed,
};

pub fn stream_action(engine: &Engine, account: &str, stream: &str, action: ActionKind) {
    let domain = engine.env().options.domain.clone();
    let event = StreamAction {
        stream: stream.to_owned(),
        action,
        domain,
    };
    publish(engine.env(), account, &Advisory::StreamAction(event));
}

/// Tells that a consumer was created, or else updated.
pub fn consumer_created(engine: &Engine, asset: &Asset, consumer: &str, is_new: bool) {
    let action = if is_new {
        ActionKind::Create
    } else {
        ActionKind::Modify
    };
    consumer_action(engine, asset, consumer, action);
}

pub fn consumer_deleted(engine: &Engine, asset: &Asset, consumer: &str) {
    consumer_action(engine, asset, consumer, ActionKind::Delete);
}

fn consumer_action(engine: &Engine, asset: &Asset, consumer: &str, action: ActionKind) {
    let (account, stream) = asset.key();
    let domain = engine.env().options.domain.clone();
    let event = ConsumerAction {
        stream,
        consumer: consumer.to_owned(),
        action,
        domain,
    };
    publish(engine.env(), &account, &Advisory::ConsumerAction(event));
}

/// Tells that deliveries of a consumer were stopped until a time, or go on.
pub fn consumer_paused(asset: &Asset, consumer: &str, paused: bool, pause_until: Timestamp) {
    let (account, stream) = asset.key();
    let event = ConsumerPause {
        stream,
        consumer: consumer.to_owned(),
        paused,
        pause_until,
        domain: asset.env.options.domain.clone(),
    };
    publish(&asset.env, &account, &Advisory::ConsumerPause(event));
}

/// The event about an atomic batch that will not be stored.
pub fn batch_abandoned(asset: &Asset, batch: Abandoned) -> Outgoing {
    let (_, stream) = asset.key();
    let event = BatchAbandoned {
        stream,
        domain: asset.env.options.domain.clone(),
        batch: batch.id,
        reason: batch.reason.to_owned(),
    };
    message(&asset.env, &Advisory::BatchAbandoned(event))
}

/// A backup on its way.
#[derive(Debug, Clone)]
pub struct Transfer {
    begun_ns: i64,
    /// Who asked, as the server describes clients.
    client: Value,
    /// How much was received.
    pub bytes: u64,
}

impl Transfer {
    pub fn new(begun_ns: i64, client: Value) -> Self {
        Transfer {
            begun_ns,
            client,
            bytes: 0,
        }
    }
}

/// Tells what the API was asked and what it answered.
pub fn api_audit(env: &Env, account: &str, event: ApiAudit) {
    publish(env, account, &Advisory::ApiAudit(event));
}

/// Tells the system account that requests were dropped because too many waited.
pub fn api_limit_reached(engine: &Engine, dropped: u64) {
    let options = &engine.env().options;
    let event = ApiLimitReached {
        server: options.server_name.clone(),
        domain: options.domain.clone(),
        dropped,
    };
    let event = Advisory::ApiLimitReached(event);
    publish(engine.env(), engine.system_account(), &event);
}

pub fn snapshot_begun(asset: &Asset, state: &StreamState, transfer: &Transfer) {
    let event = SnapshotCreate {
        stream: asset.key().1,
        state: state.clone(),
        client: transfer.client.clone(),
        domain: asset.env.options.domain.clone(),
    };
    publish(
        &asset.env,
        &asset.account(),
        &Advisory::SnapshotCreate(event),
    );
}

/// Tells that no more of a backup is sent; `error` says why if it ended early, and is empty else.
pub fn snapshot_complete(asset: &Asset, transfer: &Transfer, error: String) {
    let event = SnapshotComplete {
        stream: asset.key().1,
        start: Timestamp(transfer.begun_ns),
        end: Timestamp(asset.env.now_ns()),
        client: transfer.client.clone(),
        domain: asset.env.options.domain.clone(),
        error,
    };
    publish(
        &asset.env,
        &asset.account(),
        &Advisory::SnapshotComplete(event),
    );
}

pub fn restore_begun(asset: &Asset, transfer: &Transfer) {
    let event = RestoreCreate {
        stream: asset.key().1,
        client: transfer.client.clone(),
        domain: asset.env.options.domain.clone(),
    };
    publish(
        &asset.env,
        &asset.account(),
        &Advisory::RestoreCreate(event),
    );
}

pub fn restore_complete(asset: &Asset, transfer: &Transfer) {
    let event = RestoreComplete {
        stream: asset.key().1,
        start: Timestamp(transfer.begun_ns),
        end: Timestamp(asset.env.now_ns()),
        bytes: transfer.bytes,
        client: transfer.client.clone(),
        domain: asset.env.options.domain.clone(),
    };
    publish(
        &asset.env,
        &asset.account(),
        &Advisory::RestoreComplete(event),
    );
}

/// The event about one delivery of a consumer.
pub fn of_consumer(asset: &Asset, consumer: &str, advisory: &consumer::Advisory) -> Outgoing {
    let (_, stream) = asset.key();
    let base = Delivery {
        stream,
        consumer: consumer.to_owned(),
        domain: asset.env.options.domain.clone(),
        ..Delivery::default()
    };
    let event = match advisory.clone() {
        consumer::Advisory::MaxDeliveries {
            stream_seq,
            deliveries,
        } => Advisory::MaxDeliveries(Delivery {
            stream_seq,
            deliveries,
            ..base
        }),
        consumer::Advisory::Nak {
            stream_seq,
            consumer_seq,
            deliveries,
        } => {
            let consumer_seq = Some(consumer_seq);
            Advisory::Nak(Delivery {
                stream_seq,
                consumer_seq,
                deliveries,
                ..base
            })
        }
        consumer::Advisory::Terminated {
            stream_seq,
            consumer_seq,
            deliveries,
            reason,
        } => {
            let consumer_seq = Some(consumer_seq);
            Advisory::Terminated(Delivery {
                stream_seq,
                consumer_seq,
                deliveries,
                reason,
                ..base
            })
        }
        consumer::Advisory::Pinned { group, id } => Advisory::Pinned(Pin {
            pinned_id: id,
            ..pin_of(asset, consumer, group)
        }),
        consumer::Advisory::Unpinned { group, reason } => Advisory::Unpinned(Pin {
            reason: reason.to_owned(),
            ..pin_of(asset, consumer, group)
        }),
        consumer::Advisory::Acked {
            stream_seq,
            consumer_seq,
            deliveries,
            ack_time_ns,
        } => Advisory::AckMetric(Delivery {
            stream_seq,
            consumer_seq: Some(consumer_seq),
            deliveries,
            ack_time_ns: Some(ack_time_ns),
            ..base
        }),
    };
    message(&asset.env, &event)
}

fn pin_of(asset: &Asset, consumer: &str, group: String) -> Pin {
    let (account, stream) = asset.key();
    Pin {
        account,
        stream,
        consumer: consumer.to_owned(),
        domain: asset.env.options.domain.clone(),
        group,
        ..Pin::default()
    }
}

fn publish(env: &Env, account: &str, event: &Advisory) {
    env.bus.publish(account, &[message(env, event)]);
}

fn message(env: &Env, event: &Advisory) -> Outgoing {
    let id = format!("{:016x}{:06x}", env.random.draw(), env.now_ns() & 0xff_ffff);
    Outgoing::new(event.subject(), event.encode(id, Timestamp(env.now_ns())))
}
