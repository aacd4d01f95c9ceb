//! `tls` blocks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::{Reader, duration, set};
use crate::options::{CertificatePair, HandshakeFirst, OcspPeer, Tls, TlsVersion};
use crate::value::{Entry, Value};

/// How long to wait for a client hello before INFO is sent, with `handshake_first: auto`.
const FALLBACK_DELAY: Duration = Duration::from_millis(50);
/// Hex digits of a SHA-256.
const PIN_LENGTH: usize = 64;

const CURVES: [&str; 7] = [
    "SecP384r1MLKEM1024",
    "SecP256r1MLKEM768",
    "X25519MLKEM768",
    "X25519",
    "CurveP256",
    "CurveP384",
    "CurveP521",
];

const CIPHER_SUITES: [&str; 14] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_FALLBACK_SCSV",
];

const INSECURE_CIPHER_SUITES: [&str; 9] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_RC4_128_SHA",
];

/// Who connects where the TLS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Clients,
    /// Routes and gateways, whose URLs are known.
    Servers,
}

impl Reader<'_> {
    pub fn tls(&mut self, entry: &Entry, side: Side) -> Option<Tls> {
        let map = self.map(entry)?;
        let mut tls = Tls::default();
        for entry in &map.entries {
            let key = entry.key.to_ascii_lowercase();
            if !self.tls_files(&key, entry, &mut tls)
                && !self.tls_verification(&key, entry, side, &mut tls)
                && !self.tls_handshake(&key, entry, &mut tls)
            {
                self.unknown(entry);
            }
        }
        self.check_tls(entry, &tls);
        Some(tls)
    }

    fn tls_files(&mut self, key: &str, entry: &Entry, tls: &mut Tls) -> bool {
        match key {
            "cert_file" => set(&mut tls.cert_file, self.path(entry)),
            "key_file" => set(&mut tls.key_file, self.path(entry)),
            "ca_file" => set(&mut tls.ca_file, self.path(entry)),
            "certs" | "certificates" => {
                set(&mut tls.certificates, self.certificates(entry));
            }
            "cert_store"
            | "cert_match_by"
            | "cert_match"
            | "cert_match_skip_invalid"
            | "ca_certs_match" => {
                let reason = format!("{:?} is only supported on Windows", entry.key);
                self.problem(&entry.position, reason);
            }
            _ => return false,
        }
        true
    }

    fn tls_verification(&mut self, key: &str, entry: &Entry, side: Side, tls: &mut Tls) -> bool {
        match key {
            "insecure" => set(&mut tls.insecure, self.boolean(entry)),
            "verify" => {
                if let Some(verify) = self.boolean(entry) {
                    // What implies it may have come before.
                    let implied = tls.verify_and_map || tls.verify_cert_and_check_known_urls;
                    tls.verify = verify || implied;
                }
            }
            "verify_and_map" => {
                set(&mut tls.verify_and_map, self.boolean(entry));
                tls.verify |= tls.verify_and_map;
            }
            "verify_cert_and_check_known_urls" => {
                let verify = self.boolean(entry);
                if verify == Some(true) && side == Side::Clients {
                    let reason = "verify_cert_and_check_known_urls not supported in this context";
                    self.problem(&entry.position, reason);
                }
                set(&mut tls.verify_cert_and_check_known_urls, verify);
                tls.verify |= tls.verify_cert_and_check_known_urls;
            }
            "pinned_certs" => set(&mut tls.pinned_certs, self.pinned_certs(entry)),
            "ocsp_peer" => set(&mut tls.ocsp_peer, self.ocsp_peer(entry).map(Some)),
            _ => return false,
        }
        true
    }

    fn tls_handshake(&mut self, key: &str, entry: &Entry, tls: &mut Tls) -> bool {
        match key {
            "allow_insecure_cipher_suites" => {
                set(&mut tls.allow_insecure_cipher_suites, self.boolean(entry));
            }
            "cipher_suites" => {
                let known = |name: &str| {
                    CIPHER_SUITES.contains(&name) || INSECURE_CIPHER_SUITES.contains(&name)
                };
                set(&mut tls.cipher_suites, self.names(entry, "cipher", known));
            }
            "curve_preferences" => {
                let known = |name: &str| CURVES.contains(&name);
                set(
                    &mut tls.curve_preferences,
                    self.names(entry, "curve preference", known),
                );
            }
            "timeout" => {
                set(
                    &mut tls.timeout,
                    self.seconds(entry).filter(|timeout| !timeout.is_zero()),
                );
            }
            "connection_rate_limit" => {
                set(&mut tls.connection_rate_limit, self.positive_limit(entry));
            }
            "handshake_first" | "first" | "immediate" => {
                set(&mut tls.handshake_first, self.handshake_first(entry));
            }
            "min_version" => set(&mut tls.min_version, self.tls_version(entry)),
            _ => return false,
        }
        true
    }

    /// What must hold between the fields, and whether the files are there.
    fn check_tls(&mut self, entry: &Entry, tls: &Tls) {
        let position = &entry.position;
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => self.problem(position, "missing 'key_file' in TLS configuration"),
            (None, Some(_)) => self.problem(position, "missing 'cert_file' in TLS configuration"),
            _ => {}
        }
        if tls.cert_file.is_some() && !tls.certificates.is_empty() {
            let reason =
                "error parsing tls config, cannot combine 'cert_file' option with 'certs' option";
            self.problem(position, reason);
        }
        let insecure: Vec<&str> = tls
            .cipher_suites
            .iter()
            .map(String::as_str)
            .filter(|name| INSECURE_CIPHER_SUITES.contains(name))
            .collect();
        if !insecure.is_empty() && !tls.allow_insecure_cipher_suites {
            let reason = format!(
                "insecure cipher suites configured without 'allow_insecure_cipher_suites' option \
                 set: {}",
                insecure.join(", ")
            );
            self.problem(position, reason);
        }
        let single = [&tls.cert_file, &tls.key_file, &tls.ca_file]
            .into_iter()
            .flatten();
        let pairs = tls
            .certificates
            .iter()
            .flat_map(|pair| [&pair.cert_file, &pair.key_file]);
        for file in single.chain(pairs) {
            self.require_file(position, file);
        }
    }

    fn certificates(&mut self, entry: &Entry) -> Option<Vec<CertificatePair>> {
        let mut pairs = Vec::new();
        for node in self.array(entry)? {
            let map = self.map_node(&entry.key, node)?;
            let mut cert_file: Option<PathBuf> = None;
            let mut key_file: Option<PathBuf> = None;
            for entry in &map.entries {
                match entry.key.to_ascii_lowercase().as_str() {
                    "cert_file" => set(&mut cert_file, self.path(entry)),
                    "key_file" => set(&mut key_file, self.path(entry)),
                    _ => self.unknown(entry),
                }
            }
            match (cert_file, key_file) {
                (Some(cert_file), Some(key_file)) => {
                    pairs.push(CertificatePair {
                        cert_file,
                        key_file,
                    });
                }
                _ => {
                    let reason = "certificates need both 'cert_file' and 'key_file'";
                    self.problem(&node.position, reason);
                }
            }
        }
        Some(pairs)
    }

    fn names(
        &mut self,
        entry: &Entry,
        what: &str,
        known: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let names = self.string_array(entry)?;
        if names.is_empty() {
            let reason = format!("error parsing tls config, '{}' cannot be empty", entry.key);
            self.problem(&entry.value.position, reason);
        }
        for name in names.iter().filter(|name| !known(name)) {
            self.problem(&entry.value.position, format!("unrecognized {what} {name}"));
        }
        Some(names)
    }

    fn pinned_certs(&mut self, entry: &Entry) -> Option<BTreeSet<String>> {
        let pins = self.string_array(entry)?;
        for pin in &pins {
            if pin.len() != PIN_LENGTH || !pin.bytes().all(|c| c.is_ascii_hexdigit()) {
                let reason = format!(
                    "error parsing tls config, 'pinned_certs' key {pin} does not look like \
                     hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
                );
                self.problem(&entry.value.position, reason);
            }
        }
        Some(
            pins.into_iter()
                .map(|pin| pin.to_ascii_lowercase())
                .collect(),
        )
    }

    fn handshake_first(&mut self, entry: &Entry) -> Option<HandshakeFirst> {
        let text = match &entry.value.value {
            Value::Bool(true) => return Some(HandshakeFirst::Always),
            Value::Bool(false) => return Some(HandshakeFirst::No),
            Value::String(text) => text,
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "true, false, auto or a duration");
                return None;
            }
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" => return Some(HandshakeFirst::Always),
            "false" | "off" => return Some(HandshakeFirst::No),
            "auto" | "auto_fallback" => return Some(HandshakeFirst::Fallback(FALLBACK_DELAY)),
            _ => {}
        }
        let delay = duration::parse(text).ok().and_then(duration::from_nanos);
        if delay.is_none() {
            let reason = format!("field {:?}'s value {text:?} is invalid", entry.key);
            self.problem(&entry.value.position, reason);
        }
        delay.map(HandshakeFirst::Fallback)
    }

    fn tls_version(&mut self, entry: &Entry) -> Option<TlsVersion> {
        let reason = match &entry.value.value {
            Value::String(version) => match version.as_str() {
                "1.2" => return Some(TlsVersion::V1_2),
                "1.3" => return Some(TlsVersion::V1_3),
                "1.0" | "1.1" => format!("unsupported TLS version: {version}"),
                _ => format!("unknown version: {version}"),
            },
            _ => "'min_version' wrong type, expected \"1.2\" or \"1.3\" in quotes".into(),
        };
        self.problem(
            &entry.value.position,
            format!("error parsing tls config: {reason}"),
        );
        None
    }

    fn ocsp_peer(&mut self, entry: &Entry) -> Option<OcspPeer> {
        let map = match &entry.value.value {
            Value::Bool(verify) => {
                return Some(OcspPeer {
                    verify: *verify,
                    ..OcspPeer::default()
                });
            }
            Value::Map(map) => map,
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "true, false or a block");
                return None;
            }
        };
        let mut peer = OcspPeer::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "verify" => set(&mut peer.verify, self.boolean(entry)),
                "allowed_clockskew" => set(&mut peer.allowed_clock_skew, self.seconds(entry)),
                "ca_timeout" => set(&mut peer.ca_timeout, self.seconds(entry)),
                "cache_ttl_when_next_update_unset" => {
                    set(
                        &mut peer.cache_ttl_when_next_update_unset,
                        self.seconds(entry),
                    );
                }
                "warn_only" => set(&mut peer.warn_only, self.boolean(entry)),
                "unknown_is_good" => set(&mut peer.unknown_is_good, self.boolean(entry)),
                "allow_when_ca_unreachable" => {
                    set(&mut peer.allow_when_ca_unreachable, self.boolean(entry));
                }
                _ => self.unknown(entry),
            }
        }
        Some(peer)
    }
}
