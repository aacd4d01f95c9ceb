//! What the server tells about itself and its clients unasked.

use std::sync::Arc;
use std::time::Duration;

use hub::{ClientEvent, ClientInfo, ConnectionSnapshot};
use identity::authenticator::GLOBAL_ACCOUNT;
use monitor::{accountz, statsz};
use tokio::sync::mpsc;
use wire::CloseReason;

use super::{Shared, envelope};

const STATISTICS_INTERVAL: Duration = Duration::from_secs(10);
/// How often every account's connections are told although none came or went.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(30);
/// Comings and goings that wait to be told; more are not told at all.
const MAX_CHANGES: usize = 4096;

/// Sends the server's numbers regularly, while somebody listens.
pub async fn tell_statistics(shared: Arc<Shared>) {
    let subject = subject(&shared, "STATSZ");
    let mut ticks = tokio::time::interval(STATISTICS_INTERVAL);
    loop {
        ticks.tick().await;
        if shared.hub.has_interest(&shared.system, &subject) {
            let server = statsz::server_info(&shared.sources);
            let message = envelope::statistics(&server, &shared.sources);
            shared.publish(&shared.system, subject.as_bytes(), &message);
        }
    }
}

/// Tells who comes and goes.
pub async fn tell_changes(shared: Arc<Shared>) {
    let (sender, mut changes) = mpsc::channel(MAX_CHANGES);
    shared.hub.on_client_change(Arc::new(move |change| {
        // Clients do not wait for those who watch them.
        if sender.try_send(change).is_err() {
            tracing::debug!("too many clients come and go, one is not told of");
        }
    }));
    while let Some(change) = changes.recv().await {
        match change {
            ClientEvent::Connected(connection) => tell_connected(&shared, &connection),
            ClientEvent::Disconnected(connection) => tell_disconnected(&shared, &connection),
        }
    }
}

/// Tells how many connections the accounts have, for those who missed a change.
pub async fn tell_connections(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(CONNECTIONS_INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        for account in shared.hub.account_snapshots() {
            if account.connections > 0 {
                tell_account(&shared, &account.name);
            }
        }
    }
}

fn tell_connected(shared: &Shared, connection: &ConnectionSnapshot) {
    tell_account(shared, &connection.account);
    let mut client = ClientInfo::detailed(connection);
    client.name_tag.clone_from(&connection.account_tag);
    let subject = format!("$SYS.ACCOUNT.{}.CONNECT", connection.account);
    if shared.hub.has_interest(&shared.system, &subject) {
        let server = statsz::server_info(&shared.sources);
        let message = envelope::client_connected(&server, &client);
        shared.publish(&shared.system, subject.as_bytes(), &message);
    }
}

fn tell_disconnected(shared: &Shared, connection: &ConnectionSnapshot) {
    let mut client = ClientInfo::detailed(connection);
    if client.acc.is_empty() {
        // Who is refused belongs nowhere.
        client.acc = GLOBAL_ACCOUNT.to_owned();
    }
    client.name_tag = match connection.account_tag.as_str() {
        "" => client.acc.clone(),
        tag => tag.to_owned(),
    };
    let of_account = format!("$SYS.ACCOUNT.{}.DISCONNECT", client.acc);
    let refused = matches!(
        connection.reason,
        Some(CloseReason::AuthenticationFailure | CloseReason::AuthenticationTimeout)
    );
    let of_server = refused.then(|| subject(shared, "CLIENT.AUTH.ERR"));
    for subject in of_server.into_iter().chain([of_account]) {
        if shared.hub.has_interest(&shared.system, &subject) {
            let server = statsz::server_info(&shared.sources);
            let message = envelope::client_disconnected(&server, &client, connection);
            shared.publish(&shared.system, subject.as_bytes(), &message);
        }
    }
    // Who was not let in did not count.
    if !refused && connection.reason != Some(CloseReason::MaxAccountConnectionsExceeded) {
        tell_account(shared, &connection.account);
    }
}

/// Tells how many connections an account has, under the present subject and the older one.
fn tell_account(shared: &Shared, account: &str) {
    let subjects = [
        format!("$SYS.SERVER.ACCOUNT.{account}.CONNS"),
        format!("$SYS.ACCOUNT.{account}.SERVER.CONNS"),
    ];
    for subject in subjects {
        if shared.hub.has_interest(&shared.system, &subject)
            && let Some(stat) = accountz::account_stat(&shared.sources, account)
        {
            let server = statsz::server_info(&shared.sources);
            let message = envelope::account_connections(&server, stat);
            shared.publish(&shared.system, subject.as_bytes(), &message);
        }
    }
}

/// Sends an event that says nothing but who sends it.
pub fn tell(shared: &Shared, event: &str) {
    let message = envelope::server(&statsz::server_info(&shared.sources));
    shared.publish(&shared.system, subject(shared, event).as_bytes(), &message);
}

fn subject(shared: &Shared, event: &str) -> String {
    format!(
        "$SYS.SERVER.{}.{event}",
        shared.hub.options().server.server_id
    )
}
