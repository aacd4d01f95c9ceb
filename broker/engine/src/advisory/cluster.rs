//! Events about who leads, and about servers.

use consensus::NodeId;
use jetstream::api::advisory::{Advisory, DomainLeader, Leader, ServerEvent};

use super::message;
use crate::asset::Asset;
use crate::engine::Engine;

/// Tells that this server leads a replicated stream now, and its consumers with it.
pub fn leader_elected(engine: &Engine, asset: &Asset) {
    let Some(event) = leader(engine, asset) else {
        return;
    };
    tell(engine, &event, Advisory::LeaderElected);
    for consumer in consumers(asset) {
        let event = Leader {
            consumer,
            ..event.clone()
        };
        tell(engine, &event, Advisory::LeaderElected);
    }
}

/// Tells that a new consumer of a replicated stream has a leader: that of the stream.
pub fn consumer_led(engine: &Engine, asset: &Asset, consumer: &str) {
    if let Some(event) = leader(engine, asset) {
        let consumer = consumer.to_owned();
        let event = Leader { consumer, ..event };
        tell(engine, &event, Advisory::LeaderElected);
    }
}

/// Tells that a stream, and its consumers with it, cannot go on: too many of its servers are away.
pub fn quorum_lost(engine: &Engine, asset: &Asset) {
    let Some(event) = leader(engine, asset) else {
        return;
    };
    let stalled = Leader {
        leader: String::new(),
        ..event
    };
    tell(engine, &stalled, Advisory::QuorumLost);
    for consumer in consumers(asset) {
        let event = Leader {
            consumer,
            ..stalled.clone()
        };
        tell(engine, &event, Advisory::QuorumLost);
    }
}

/// Tells the system account that this server leads the meta group now.
pub fn domain_leader_elected(engine: &Engine) {
    let Some(cluster) = engine.meta_cluster() else {
        return;
    };
    let event = DomainLeader {
        leader: cluster.leader_peer,
        replicas: cluster.replicas,
        cluster: cluster.name,
        domain: engine.env().options.domain.clone(),
    };
    publish_to_system(engine, &Advisory::DomainLeaderElected(event));
}

/// Tells the system account that a server was taken out of the cluster.
pub fn server_removed(engine: &Engine, server: String, node: NodeId) {
    let event = ServerEvent {
        server,
        // A server that is gone cannot be asked for its key any more.
        server_id: node.to_string(),
        ..here(engine)
    };
    publish_to_system(engine, &Advisory::ServerRemoved(event));
}

/// Tells the system account that this server has no room for what streams are sent; `stream` is one that
/// noticed, if it was a stream.
pub fn out_of_storage(engine: &Engine, stream: String) {
    let event = ServerEvent {
        stream,
        ..here(engine)
    };
    publish_to_system(engine, &Advisory::ServerOutOfStorage(event));
}

fn here(engine: &Engine) -> ServerEvent {
    let options = &engine.env().options;
    ServerEvent {
        server: options.server_name.clone(),
        server_id: options.server_id.clone(),
        stream: String::new(),
        cluster: options.cluster.clone().unwrap_or_default(),
        domain: options.domain.clone(),
    }
}

/// Who leads a replicated stream; `None` if it has only one server.
fn leader(engine: &Engine, asset: &Asset) -> Option<Leader> {
    let cluster = crate::api::cluster_info(engine, asset)?;
    if cluster.replicas.is_empty() {
        return None;
    }
    let (account, stream) = asset.key();
    Some(Leader {
        account,
        stream,
        leader: cluster.leader,
        replicas: cluster.replicas,
        domain: engine.env().options.domain.clone(),
        ..Leader::default()
    })
}

fn consumers(asset: &Asset) -> Vec<String> {
    asset.read(|machine| {
        let consumers = machine.public_consumers();
        consumers.map(|(name, _)| name.clone()).collect()
    })
}

/// The account is told without its name, and the system account with it.
fn tell(engine: &Engine, event: &Leader, advisory: impl Fn(Leader) -> Advisory) {
    let own = advisory(Leader {
        account: String::new(),
        ..event.clone()
    });
    if event.account != engine.system_account() {
        publish_if_wanted(engine, &event.account, &own);
    }
    publish_to_system(engine, &advisory(event.clone()));
}

fn publish_to_system(engine: &Engine, event: &Advisory) {
    let account = engine.system_account();
    if !account.is_empty() {
        publish_if_wanted(engine, account, event);
    }
}

/// A stream may have many consumers: what nobody listens to is not written.
fn publish_if_wanted(engine: &Engine, account: &str, event: &Advisory) {
    let bus = &engine.env().bus;
    if bus.has_interest(account, &event.subject()) {
        bus.publish(account, &[message(engine.env(), event)]);
    }
}
