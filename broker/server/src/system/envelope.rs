//! How system messages are wrapped.

use hub::{ClientInfo, ConnectionSnapshot};
use jetstream::timestamp::Timestamp;
use monitor::Sources;
use monitor::accountz::{AccountStat, DataStats};
use monitor::statsz::{self, ServerInfo, ServerStats};
use serde::Serialize;

/// A page, and whose it is.
#[derive(Serialize)]
struct Response<'a, T> {
    server: &'a ServerInfo,
    /// `null` when there is an error instead.
    data: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// An order was carried out, or was not.
#[derive(Serialize)]
struct Done<'a> {
    server: &'a ServerInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    code: u16,
    description: String,
}

/// The request made no sense.
pub const BAD_REQUEST: u16 = 400;
/// It did, but what it asks for cannot be had.
pub const FAILED: u16 = 500;

pub fn data(server: &ServerInfo, data: impl Serialize) -> Vec<u8> {
    json(&Response {
        server,
        data: Some(data),
        error: None,
    })
}

/// The page that was asked for, or why there is none.
pub fn result<T: Serialize, E: ToString>(server: &ServerInfo, page: Result<T, E>) -> Vec<u8> {
    match page {
        Ok(page) => data(server, page),
        Err(error) => json(&Response::<T> {
            server,
            data: None,
            error: Some(Failure {
                code: FAILED,
                description: error.to_string(),
            }),
        }),
    }
}

/// Without `error`, an order was carried out.
pub fn done(server: &ServerInfo, error: Option<(u16, String)>) -> Vec<u8> {
    let error = error.map(|(code, description)| Failure { code, description });
    json(&Done { server, error })
}

#[derive(Serialize)]
struct Statistics<'a> {
    server: &'a ServerInfo,
    statsz: ServerStats,
}

pub fn statistics(server: &ServerInfo, sources: &Sources) -> Vec<u8> {
    json(&Statistics {
        server,
        statsz: statsz::statsz(sources),
    })
}

/// The short form in which a server names itself.
#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
}

pub fn identity(server: &ServerInfo) -> Vec<u8> {
    json(&Identity {
        name: &server.name,
        host: &server.host,
        id: &server.id,
    })
}

/// The whole of who a server is, without anything else.
pub fn server(server: &ServerInfo) -> Vec<u8> {
    json(server)
}

#[derive(Serialize)]
struct ClientChange<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    timestamp: Timestamp,
    server: &'a ServerInfo,
    client: &'a ClientInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<DataStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<DataStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub fn client_connected(server: &ServerInfo, client: &ClientInfo) -> Vec<u8> {
    json(&ClientChange {
        kind: "io.nats.server.advisory.v1.client_connect",
        id: event_id(),
        timestamp: server.time,
        server,
        client,
        sent: None,
        received: None,
        reason: None,
    })
}

/// `connection` as it ended.
pub fn client_disconnected(
    server: &ServerInfo,
    client: &ClientInfo,
    connection: &ConnectionSnapshot,
) -> Vec<u8> {
    json(&ClientChange {
        kind: "io.nats.server.advisory.v1.client_disconnect",
        id: event_id(),
        timestamp: server.time,
        server,
        client,
        sent: Some(DataStats::new(
            connection.out_messages,
            connection.out_bytes,
        )),
        received: Some(DataStats::new(connection.in_messages, connection.in_bytes)),
        reason: connection.reason.map(|reason| reason.name()),
    })
}

#[derive(Serialize)]
struct AccountConnections<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    timestamp: Timestamp,
    server: &'a ServerInfo,
    #[serde(flatten)]
    stat: AccountStat,
}

pub fn account_connections(server: &ServerInfo, stat: AccountStat) -> Vec<u8> {
    json(&AccountConnections {
        kind: "io.nats.server.advisory.v1.account_connections",
        id: event_id(),
        timestamp: server.time,
        server,
        stat,
    })
}

/// A name that no other event has.
fn event_id() -> String {
    const LETTERS: usize = 22;
    let letters = rand::Rng::sample_iter(rand::rng(), rand::distr::Alphanumeric);
    letters.take(LETTERS).map(char::from).collect()
}

fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_else(|error| {
        tracing::error!(%error, "system message cannot be written");
        Vec::new()
    })
}
