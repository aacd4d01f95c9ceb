//! INFO lines: what clients and servers are told about this server.

use std::sync::{Arc, atomic::Ordering};

use identity::authenticator::ConnectionKind;
use rand::Rng;
use wire::ServerInfo;

use crate::{batch, connection::Connection, connection::traits, hub::Hub, hub::Phase};

/// Random bytes in a nonce; 15 characters in base64.
const NONCE_BYTES: usize = 11;
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Through which listener a client came. It is told where others of this kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Clients,
    WebSockets,
}

impl Door {
    /// The door that a connection came through.
    pub fn of(connection: &Connection) -> Door {
        match connection.has_trait(traits::WEBSOCKET) {
            true => Door::WebSockets,
            false => Door::Clients,
        }
    }

    pub fn kind(self) -> ConnectionKind {
        match self {
            Door::Clients => ConnectionKind::Standard,
            Door::WebSockets => ConnectionKind::WebSocket,
        }
    }
}

impl Hub {
    /// What every connection of this server is told.
    pub(crate) fn base_info(&self) -> ServerInfo {
        let options = self.options();
        let server = &options.server;
        let limits = self.limits();
        ServerInfo {
            server_id: server.server_id.clone(),
            server_name: server.server_name.clone(),
            version: server.version.clone(),
            proto: 1,
            git_commit: server.git_commit.clone().unwrap_or_default(),
            go: server.go.clone(),
            host: server.host.clone(),
            port: self.client_port.load(Ordering::Relaxed) as u16,
            headers: !limits.no_header_support,
            max_payload: i32::try_from(limits.max_payload).unwrap_or(i32::MAX),
            jetstream: server.jetstream,
            domain: server.domain.clone().unwrap_or_default(),
            xkey: server.xkey.clone().unwrap_or_default(),
            api_lvl: u64::from(server.api_level),
            ..ServerInfo::default()
        }
    }

    fn client_info_base(&self, door: Door) -> ServerInfo {
        let mut info = self.base_info();
        info.auth_required = self.authenticator().auth_required_of(door.kind());
        match (door, self.websocket()) {
            (Door::WebSockets, Some(websocket)) => {
                info.host = websocket.host.clone();
                info.port = self.websocket_port.load(Ordering::Relaxed) as u16;
                info.tls_required = websocket.tls.is_some();
                info.tls_verify = websocket.tls.as_ref().is_some_and(|tls| tls.verify);
            }
            _ => {
                if let Some(tls) = self.tls() {
                    info.tls_required = !tls.allow_non_tls;
                    info.tls_available = tls.allow_non_tls;
                    info.tls_verify = tls.verify;
                }
            }
        }
        if let Some(cluster) = &self.options().cluster {
            info.cluster = cluster.name.clone();
        }
        info.connect_urls = self.connect_urls(door);
        info.ldm = self.phase() >= Phase::LameDuck;
        info
    }

    /// The INFO a client sees first.
    pub(crate) fn first_info(&self, door: Door, cid: u64, ip: String, nonce: &str) -> ServerInfo {
        let mut info = self.client_info_base(door);
        info.client_id = cid;
        info.client_ip = ip;
        info.nonce = nonce.to_owned();
        info
    }

    /// The INFO a client sees after its first PING, and when the topology changes.
    pub(crate) fn connect_info(&self, connection: &Connection) -> ServerInfo {
        let (account, nonce) = {
            let facts = connection.facts.lock();
            (facts.account.clone(), facts.nonce.to_string())
        };
        let door = Door::of(connection);
        let ip = connection.peer.ip().to_string();
        let mut info = self.first_info(door, connection.id, ip, &nonce);
        if let Some(account) = account {
            info.connect_info = true;
            info.remote_account = account.name().to_owned();
            info.acc_is_sys = account.name() == self.options().system_account;
            if let Ok(max) = i32::try_from(account.limits().max_payload) {
                info.max_payload = if max < 0 { info.max_payload } else { max };
            }
        }
        info
    }

    /// Tells every client that understands it about a new topology.
    pub(crate) fn announce_to_clients(self: &Arc<Self>) {
        if self.advertised.load().nothing && self.phase() == Phase::Running {
            return;
        }
        let clients: Vec<_> = self.clients.lock().values().cloned().collect();
        batch::run(|| {
            for client in clients
                .iter()
                .filter(|client| client.has_trait(traits::ASYNC_INFO))
            {
                let mut info = self.connect_info(client);
                info.connect_info = false;
                info.remote_account.clear();
                info.acc_is_sys = false;
                client.send(0, |out| wire::encode::info(out, &info));
            }
        });
    }
}

/// A fresh nonce, base64url without padding.
pub(crate) fn nonce() -> String {
    let bytes: [u8; NONCE_BYTES] = rand::rng().random();
    let mut bits = 0u32;
    let mut count = 0;
    let mut text = String::with_capacity(NONCE_BYTES * 4 / 3 + 1);
    for byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 6 {
            count -= 6;
            text.push(char::from(BASE64_URL[(bits >> count & 63) as usize]));
        }
    }
    text.push(char::from(BASE64_URL[(bits << (6 - count) & 63) as usize]));
    text
}

#[cfg(test)]
mod tests {
    use super::nonce;

    #[test]
    fn a_nonce_has_fifteen_characters_and_does_not_repeat() {
        let (one, two) = (nonce(), nonce());
        assert_eq!(one.len(), 15);
        assert_ne!(one, two);
    }
}
