//! What may change while connections live, and how they come to know.

use std::sync::Arc;

use wire::{CloseReason, Error, encode};

use crate::{
    connection::{Connection, wish},
    hub::Hub,
    options::{Advertised, ClusterOptions, Limits, TlsOptions},
    websocket::WebSocketOptions,
};

impl Hub {
    /// Replaces the limits. Connections see the new ones at their next operation; of more clients
    /// than are allowed now the youngest are ended.
    pub fn set_limits(&self, limits: Limits) {
        let max = limits.max_connections;
        self.limits.store(Arc::new(limits));
        let mut clients: Vec<_> = self.clients.lock().values().cloned().collect();
        for client in &clients {
            client.wish(wish::REFRESH_LIMITS);
        }
        clients.sort_unstable_by_key(|client| client.id);
        for client in clients.iter().skip(max) {
            send_away(
                client,
                &Error::MaxConnections,
                CloseReason::MaxConnectionsExceeded,
            );
        }
    }

    /// Replaces certificates and everything else about TLS on the client port. Live connections
    /// keep what they have.
    pub fn set_tls(&self, tls: Option<TlsOptions>) {
        self.tls.store(tls.map(Arc::new));
    }

    /// The WebSocket listener, as new clients meet it.
    pub fn websocket(&self) -> Option<Arc<WebSocketOptions>> {
        self.websocket.load_full()
    }

    /// Replaces everything about the WebSocket listener but where it listens. Live connections keep
    /// what they have.
    pub fn set_websocket(&self, websocket: Option<WebSocketOptions>) {
        self.websocket.store(websocket.map(Arc::new));
    }

    /// Replaces the addresses that clients are told, and tells the cluster and the clients.
    pub fn set_advertised(self: &Arc<Self>, advertised: Advertised) {
        if **self.advertised.load() == advertised {
            return;
        }
        self.advertised.store(Arc::new(advertised));
        self.announce_to_routes();
        self.announce_to_clients();
    }

    /// Replaces what this server tells and demands of its peers. Routes that are up keep what they
    /// were made with. Does nothing on a lone server: whether a server is a member of a cluster,
    /// and of which, is decided when it starts.
    pub fn set_cluster(self: &Arc<Self>, cluster: ClusterOptions) {
        if self.routes.set_options(cluster) {
            self.announce_to_routes();
        }
    }

    /// Checks the credentials of one account's clients again; see [`Hub::reauthenticate_all`].
    pub fn reauthenticate(&self, account: &str) {
        if let Some(account) = self.existing_account(account) {
            for connection in self.members(&account) {
                connection.wish(wish::REAUTHENTICATE);
            }
        }
    }

    /// Checks every client's credentials again, after users, permissions or account claims have
    /// changed. Who is refused is disconnected; subscriptions no longer allowed end.
    pub fn reauthenticate_all(&self) {
        for connection in self.clients.lock().values() {
            connection.wish(wish::REAUTHENTICATE);
        }
    }
}

/// Tells a client why, and ends its connection.
pub(crate) fn send_away(client: &Arc<Connection>, error: &Error, reason: CloseReason) {
    if let Some(text) = error.text() {
        client.send(text.len(), |out| encode::err(out, &text));
    }
    client.flush();
    client.close(reason);
}
