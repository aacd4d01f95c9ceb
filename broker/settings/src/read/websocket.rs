//! `websocket`.

use super::tls::Side;
use super::{Reader, set};
use crate::options::WebSocket;
use crate::value::Entry;

/// Header lines that the handshake itself decides.
const RESERVED_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "connection",
    "upgrade",
    "nats-no-masking",
    "transfer-encoding",
];
const RESERVED_PREFIX: &str = "sec-websocket-";

impl Reader<'_> {
    pub fn websocket(&mut self, entry: &Entry, websocket: &mut WebSocket) {
        let Some(map) = self.map(entry) else { return };
        for entry in &map.entries {
            let key = entry.key.to_ascii_lowercase();
            let known = self.websocket_listener(&key, entry, websocket)
                || self.websocket_security(&key, entry, websocket);
            if !known {
                self.unknown(entry);
            }
        }
    }

    fn websocket_listener(&mut self, key: &str, entry: &Entry, websocket: &mut WebSocket) -> bool {
        match key {
            "listen" => {
                if let Some(listen) = self.listen(entry) {
                    websocket.host = listen.host;
                    websocket.port = listen.port;
                }
            }
            "port" => set(&mut websocket.port, self.port(entry)),
            "host" | "net" => set(&mut websocket.host, self.text(entry)),
            "advertise" => set(&mut websocket.advertise, self.text(entry)),
            "handshake_timeout" => {
                set(
                    &mut websocket.handshake_timeout,
                    self.seconds(entry).map(Some),
                );
            }
            "compress" | "compression" => set(&mut websocket.compression, self.boolean(entry)),
            "headers" => self.websocket_headers(entry, websocket),
            "ping_interval" => {
                set(&mut websocket.ping_interval, self.duration(entry).map(Some));
            }
            _ => return false,
        }
        true
    }

    fn websocket_security(&mut self, key: &str, entry: &Entry, websocket: &mut WebSocket) -> bool {
        match key {
            "no_tls" => set(&mut websocket.no_tls, self.boolean(entry)),
            "tls" => set(&mut websocket.tls, self.tls(entry, Side::Clients).map(Some)),
            "same_origin" => set(&mut websocket.same_origin, self.boolean(entry)),
            "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins"
            | "origin" => set(&mut websocket.allowed_origins, self.strings(entry)),
            "authorization" | "authentication" => self.websocket_authorization(entry, websocket),
            "no_auth_user" => set(&mut websocket.no_auth_user, self.text(entry)),
            "jwt_cookie" => set(&mut websocket.jwt_cookie, self.text(entry)),
            "user_cookie" => set(&mut websocket.user_cookie, self.text(entry)),
            "pass_cookie" => set(&mut websocket.pass_cookie, self.text(entry)),
            "token_cookie" => set(&mut websocket.token_cookie, self.text(entry)),
            _ => return false,
        }
        true
    }

    fn websocket_authorization(&mut self, entry: &Entry, websocket: &mut WebSocket) {
        let Some(map) = self.map(entry) else { return };
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "user" | "username" => set(&mut websocket.user, self.text(entry)),
                "pass" | "password" => set(&mut websocket.password, self.text(entry)),
                "token" => set(&mut websocket.token, self.text(entry)),
                "timeout" => {
                    set(&mut websocket.auth_timeout, self.seconds(entry).map(Some));
                }
                _ => self.unknown(entry),
            }
        }
    }

    fn websocket_headers(&mut self, entry: &Entry, websocket: &mut WebSocket) {
        let headers = self.string_map(entry).unwrap_or_default();
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let is_reserved =
                RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX);
            if is_reserved || !is_token(&name) || value.contains(['\r', '\n']) {
                let reason = format!("websocket: invalid header {name:?} not allowed");
                self.problem(&entry.position, reason);
                continue;
            }
            websocket.headers.push((name, value));
        }
    }
}

/// Whether this can be the name of a header line (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}
