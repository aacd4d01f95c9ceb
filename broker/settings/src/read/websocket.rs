//! `websocket`.

use super::tls::Side;
use super::{Reader, set};
use crate::options::WebSocket;
use crate::value::Entry;

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
            "headers" => set(&mut websocket.headers, self.string_map(entry)),
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
}
