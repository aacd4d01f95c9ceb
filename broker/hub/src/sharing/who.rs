//! What services and events are told about a client.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    account::Account,
    delivery::{Origin, OriginKind},
    hub::Hub,
    snapshot::ConnectionSnapshot,
};

/// The header that tells a service who asks.
pub(super) const HEADER: &str = "Nats-Request-Info";

/// A client as services and events see it. Empty fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientInfo {
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acc: String,
    /// The last account that passed a request on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub svc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ver: String,
    /// Nanoseconds; 0 when not measured.
    #[serde(skip_serializing_if = "is_zero")]
    pub rtt: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// When the connection ended, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_type: String,
}

impl Hub {
    /// Everything there is to say about a client of this server; `None` if it is gone.
    pub fn client_info(&self, connection: u64) -> Option<ClientInfo> {
        let mut info = ClientInfo::detailed(&self.connection(connection)?);
        info.place(self);
        Some(info)
    }
}

impl ClientInfo {
    /// Everything there is to say about a connection, but where it is.
    pub fn detailed(connection: &ConnectionSnapshot) -> ClientInfo {
        let login = connection.login.as_deref();
        ClientInfo {
            start: rfc3339(connection.start),
            host: connection.peer.ip().to_string(),
            id: connection.cid,
            user: connection.user.clone(),
            name: connection.name.clone(),
            lang: connection.lang.clone(),
            ver: connection.version.clone(),
            stop: connection.stop.map(rfc3339).unwrap_or_default(),
            issuer_key: login
                .and_then(|login| login.issuer.clone())
                .unwrap_or_default(),
            name_tag: login.map_or(String::new(), |login| login.name_tag.clone()),
            tags: login.map_or(Vec::new(), |login| login.tags.clone()),
            kind: "Client".to_owned(),
            client_type: match connection.is_websocket {
                true => "websocket".to_owned(),
                false => "nats".to_owned(),
            },
            ..ClientInfo::brief(connection)
        }
    }

    /// What an account that shares nothing shows.
    fn brief(connection: &ConnectionSnapshot) -> ClientInfo {
        ClientInfo {
            acc: connection.account.clone(),
            rtt: connection.rtt.map_or(0, |rtt| rtt.as_nanos() as u64),
            ..ClientInfo::default()
        }
    }

    /// Adds where the client is.
    fn place(&mut self, hub: &Hub) {
        let options = hub.options();
        self.server = options.server.server_name.clone();
        self.cluster = options
            .cluster
            .as_ref()
            .map_or(String::new(), |cluster| cluster.name.clone());
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Who sent a message in an account.
pub(super) fn about(hub: &Hub, origin: Origin, account: &Account, share: bool) -> ClientInfo {
    let connection = match origin.kind {
        OriginKind::Client => hub.connection(origin.connection),
        OriginKind::Route | OriginKind::System => None,
    };
    match connection {
        Some(connection) if share => {
            let mut info = ClientInfo::detailed(&connection);
            info.place(hub);
            info
        }
        Some(connection) => ClientInfo::brief(&connection),
        None => ClientInfo {
            acc: account.name().to_owned(),
            ..ClientInfo::default()
        },
    }
}

/// The header's value for the first account a request comes into. Servers themselves learn where
/// who asks is, whatever is shared.
pub(super) fn asks(
    hub: &Hub,
    origin: Origin,
    account: &Account,
    share: bool,
    is_system: bool,
) -> String {
    let mut info = about(hub, origin, account, share);
    if is_system {
        info.place(hub);
    }
    info.json()
}

/// The header's value for the next account.
pub(super) fn passed_on(earlier: &[u8], by: &Account, show_place: bool, hub: &Hub) -> String {
    let mut info: ClientInfo = serde_json::from_slice(earlier).unwrap_or_default();
    info.svc = by.name().to_owned();
    if show_place && info.server.is_empty() {
        info.place(hub);
    }
    info.json()
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
