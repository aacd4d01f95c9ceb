//! `connz`: the client connections.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use hub::{ConnectionSnapshot, Hub, SubscriptionSnapshot};
use jetstream::timestamp::Timestamp;
use serde::Serialize;

use crate::options::{ConnectionState, ConnzOptions, Sort, window};
use crate::query::BadRequest;
use crate::subsz::SubDetail;
use crate::{Sources, text};

#[derive(Debug, Serialize)]
pub struct Connz {
    pub server_id: String,
    pub now: Timestamp,
    /// Connections on this page.
    pub num_connections: usize,
    /// Connections that were asked for, on all pages.
    pub total: usize,
    pub offset: usize,
    pub limit: usize,
    pub connections: Vec<ConnInfo>,
}

#[derive(Debug, Serialize)]
pub struct ConnInfo {
    pub cid: u64,
    pub kind: &'static str,
    #[serde(rename = "type")]
    pub client_type: &'static str,
    pub ip: String,
    pub port: u16,
    pub start: Timestamp,
    pub last_activity: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<String>,
    pub uptime: String,
    pub idle: String,
    pub pending_bytes: usize,
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cipher_suite: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorized_user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list_detail: Vec<SubDetail>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The connections that the options ask for, in the order they ask for.
pub fn connz(sources: &Sources, options: &ConnzOptions) -> Result<Connz, BadRequest> {
    let sort = options.sort()?;
    let hub = &sources.hub;
    let mut found = candidates(hub, options);
    found.retain(|connection| is_wanted(hub, connection, options));
    order(&mut found, sort);
    let total = match options.cid {
        0 => found.len(),
        _ => hub.totals().connections,
    };
    let (offset, mut limit) = window(options.offset, options.limit);
    if options.cid != 0 {
        limit = 1;
    }
    let page = found.into_iter().skip(offset).take(limit);
    let connections: Vec<_> = page
        .map(|connection| info(hub, connection, options))
        .collect();
    Ok(Connz {
        server_id: hub.options().server.server_id.clone(),
        now: text::now(),
        num_connections: connections.len(),
        total,
        offset,
        limit,
        connections,
    })
}

fn candidates(hub: &Hub, options: &ConnzOptions) -> Vec<ConnectionSnapshot> {
    if options.cid != 0 {
        let live = hub.connection(options.cid);
        let closed = || {
            let mut closed = hub.closed_connections().into_iter();
            closed.find(|connection| connection.cid == options.cid)
        };
        return live.or_else(closed).into_iter().collect();
    }
    let mut found = Vec::new();
    if options.state != ConnectionState::Open {
        found.extend(hub.closed_connections());
    }
    if options.state != ConnectionState::Closed {
        found.extend(hub.connections());
    }
    found
}

fn is_wanted(hub: &Hub, connection: &ConnectionSnapshot, options: &ConnzOptions) -> bool {
    // This server has no MQTT clients to find.
    if !options.mqtt_client.is_empty() {
        return false;
    }
    let suits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    suits(&options.user, &connection.user)
        && suits(&options.acc, &connection.account)
        && (options.filter_subject.is_empty()
            || hub.subscriptions_of(connection.cid).iter().any(|sub| {
                subject::matches(sub.subject.as_bytes(), options.filter_subject.as_bytes())
            }))
}

fn order(found: &mut [ConnectionSnapshot], sort: Sort) {
    match sort {
        Sort::Cid | Sort::Start => found.sort_by_key(|one| one.cid),
        Sort::Subs => found.sort_by_key(|one| Reverse(one.subscriptions)),
        Sort::Pending => found.sort_by_key(|one| Reverse(one.pending_bytes)),
        Sort::MsgsTo => found.sort_by_key(|one| Reverse(one.out_messages)),
        Sort::MsgsFrom => found.sort_by_key(|one| Reverse(one.in_messages)),
        Sort::BytesTo => found.sort_by_key(|one| Reverse(one.out_bytes)),
        Sort::BytesFrom => found.sort_by_key(|one| Reverse(one.in_bytes)),
        Sort::Last => found.sort_by_key(|one| Reverse(one.last_activity)),
        Sort::Idle => found.sort_by_key(|one| one.last_activity),
        Sort::Uptime => found.sort_by_key(|one| one.uptime),
        Sort::Stop => found.sort_by_key(|one| Reverse(one.stop)),
        Sort::Reason => found.sort_by_key(|one| one.reason.map(wire::CloseReason::name)),
        Sort::Rtt => found.sort_by_key(|one| Reverse(one.rtt)),
    }
}

fn info(hub: &Hub, connection: ConnectionSnapshot, options: &ConnzOptions) -> ConnInfo {
    let detailed = options.subscriptions_detail;
    let subscriptions: Vec<SubscriptionSnapshot> = match options.subscriptions || detailed {
        true => hub.subscriptions_of(connection.cid),
        false => Vec::new(),
    };
    let login = connection.login.as_deref().filter(|_| options.auth);
    let (authorized_user, account) = match options.auth {
        true => (connection.user.clone(), connection.account.clone()),
        false => Default::default(),
    };
    let idle = match connection.stop {
        Some(stop) => since(connection.last_activity, stop),
        None => connection.idle,
    };
    ConnInfo {
        cid: connection.cid,
        kind: "Client",
        client_type: match connection.is_websocket {
            true => "websocket",
            false => "nats",
        },
        ip: connection.peer.ip().to_canonical().to_string(),
        port: connection.peer.port(),
        start: text::timestamp(connection.start),
        last_activity: text::timestamp(connection.last_activity),
        stop: connection.stop.map(text::timestamp),
        reason: connection.reason.map(wire::CloseReason::name),
        rtt: connection.rtt.map(text::precise),
        uptime: text::lasted(connection.uptime),
        idle: text::lasted(idle),
        pending_bytes: connection.pending_bytes,
        in_msgs: connection.in_messages,
        out_msgs: connection.out_messages,
        in_bytes: connection.in_bytes,
        out_bytes: connection.out_bytes,
        subscriptions: connection.subscriptions,
        issuer_key: login
            .and_then(|login| login.issuer.clone())
            .unwrap_or_default(),
        name_tag: connection.account_tag.clone(),
        tags: login.map(|login| login.tags.clone()).unwrap_or_default(),
        subscriptions_list: match detailed {
            true => Vec::new(),
            false => subscriptions
                .iter()
                .map(|sub| sub.subject.clone())
                .collect(),
        },
        subscriptions_list_detail: match detailed {
            true => subscriptions
                .into_iter()
                .map(SubDetail::of_connection)
                .collect(),
            false => Vec::new(),
        },
        name: connection.name,
        lang: connection.lang,
        version: connection.version,
        tls_version: connection.tls_version,
        tls_cipher_suite: connection.tls_cipher,
        authorized_user,
        account,
    }
}

fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
