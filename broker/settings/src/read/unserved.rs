//! Blocks that this server does not serve. They are checked as far as spelling and kinds go, so
//! that a file is judged as a whole, and then remembered so that the server can refuse to start.

use super::tls::Side;
use super::{Reader, is_url, nkey};
use crate::options::{Options, Unserved};
use crate::value::{Entry, Map, Value};

/// What may stand behind a key.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Texts,
    Flag,
    Integer,
    Duration,
    Durations,
    Seconds,
    AuthenticationTimeout,
    Name,
    UserKey,
    Listen,
    Port,
    Subjects,
    Url,
    Urls,
    FlagOrText,
    WriteTimeout,
    Tls(Side),
    Block(&'static [Key]),
    Blocks(&'static [Key]),
    FlagOrBlock(&'static [Key]),
    FlagTextOrBlock(&'static [Key]),
}

type Key = (&'static [&'static str], Shape);

use Shape::*;

const COMPRESSION: &[Key] = &[
    (&["mode"], Text),
    (&["rtt_thresholds", "thresholds", "rtts", "rtt"], Durations),
];

const SIMPLE_AUTHORIZATION: &[Key] = &[
    (&["user", "username"], Text),
    (&["pass", "password"], Text),
    (&["token"], Text),
    (&["timeout"], Seconds),
];

const GATEWAY: &[Key] = &[
    (&["name"], Name),
    (&["listen"], Listen),
    (&["port"], Port),
    (&["host", "net"], Text),
    (
        &["authorization"],
        Block(&[
            (&["user", "username"], Text),
            (&["pass", "password"], Text),
            (&["timeout"], AuthenticationTimeout),
            (&["proxy_required"], Flag),
        ]),
    ),
    (&["tls"], Tls(Side::Servers)),
    (&["advertise"], Text),
    (&["connect_retries"], Integer),
    (&["connect_backoff"], Flag),
    (
        &["gateways"],
        Blocks(&[
            (&["name"], Text),
            (&["url"], Url),
            (&["urls"], Urls),
            (&["tls"], Tls(Side::Servers)),
        ]),
    ),
    (&["reject_unknown", "reject_unknown_cluster"], Flag),
    (&["write_deadline"], Duration),
    (&["write_timeout"], WriteTimeout),
];

const LEAFNODES: &[Key] = &[
    (&["listen"], Listen),
    (&["port"], Port),
    (&["host", "net"], Text),
    (
        &["authorization"],
        Block(&[
            (&["user", "username"], Text),
            (&["pass", "password"], Text),
            (&["nkey"], UserKey),
            (&["timeout"], AuthenticationTimeout),
            (&["account"], Text),
            (&["proxy_required"], Flag),
            (&["users"], Blocks(LEAF_USER)),
        ]),
    ),
    (&["remotes"], Blocks(REMOTE)),
    (
        &["reconnect", "reconnect_delay", "reconnect_interval"],
        Duration,
    ),
    (&["dial_timeout"], Duration),
    (&["tls"], Tls(Side::Clients)),
    (&["leafnode_advertise", "advertise"], Text),
    (&["no_advertise"], Flag),
    (&["min_version", "minimum_version"], Text),
    (&["compression"], FlagTextOrBlock(COMPRESSION)),
    (&["isolate_leafnode_interest", "isolate"], Flag),
    (&["write_deadline"], Duration),
    (&["write_timeout"], WriteTimeout),
];

const LEAF_USER: &[Key] = &[
    (&["user", "username"], Text),
    (&["pass", "password"], Text),
    (&["account"], Text),
    (&["proxy_required"], Flag),
];

const REMOTE: &[Key] = &[
    (&["no_randomize", "dont_randomize"], Flag),
    (&["url", "urls"], Urls),
    (&["account", "local"], Text),
    (&["creds", "credentials"], Text),
    (&["nkey", "seed"], Text),
    (&["tls"], Tls(Side::Clients)),
    (&["hub"], Flag),
    (&["deny_imports", "deny_import"], Subjects),
    (&["deny_exports", "deny_export"], Subjects),
    (
        &[
            "ws_compress",
            "ws_compression",
            "websocket_compress",
            "websocket_compression",
        ],
        Flag,
    ),
    (&["ws_no_masking", "websocket_no_masking"], Flag),
    (
        &["jetstream_cluster_migrate", "js_cluster_migrate"],
        FlagOrBlock(&[(&["leader_migrate_delay"], Duration)]),
    ),
    (&["isolate_leafnode_interest", "isolate"], Flag),
    (&["request_isolation"], Flag),
    (&["compression"], FlagTextOrBlock(COMPRESSION)),
    (&["first_info_timeout"], Duration),
    (&["dial_timeout"], Duration),
    (&["disabled"], Flag),
    (
        &["proxy"],
        Block(&[
            (&["url"], Text),
            (&["username"], Text),
            (&["password"], Text),
            (&["timeout"], Duration),
            (&["tls"], Tls(Side::Clients)),
        ]),
    ),
    (&["ignore_discovered_servers"], Flag),
];

const MQTT: &[Key] = &[
    (&["listen"], Listen),
    (&["port"], Port),
    (&["host", "net"], Text),
    (&["tls"], Tls(Side::Clients)),
    (
        &["authorization", "authentication"],
        Block(SIMPLE_AUTHORIZATION),
    ),
    (&["no_auth_user"], Text),
    (&["ack_wait", "ackwait"], Duration),
    (&["js_api_timeout", "api_timeout"], Duration),
    (&["max_ack_pending", "max_pending", "max_inflight"], Integer),
    (&["js_domain"], Text),
    (&["stream_replicas"], Integer),
    (&["consumer_replicas"], Integer),
    (&["consumer_memory_storage"], Flag),
    (
        &["consumer_inactive_threshold", "consumer_auto_cleanup"],
        Duration,
    ),
    (&["reject_qos2_publish"], Flag),
    (&["downgrade_qos2_subscribe"], Flag),
];

const OCSP: &[Key] = &[(&["mode"], Text), (&["urls"], Texts), (&["url"], Text)];

const OCSP_CACHE: &[Key] = &[
    (&["type"], Text),
    (&["local_store"], Text),
    (&["preserve_revoked"], Flag),
    (&["save_interval"], Seconds),
];

const TPM: &[Key] = &[
    (&["keys_file"], Text),
    (&["encryption_password"], Text),
    (&["srk_password"], Text),
    (&["pcr"], Integer),
    (&["cipher"], Text),
];

/// Reads one of the blocks of the top level; false if the key names none.
pub fn read(reader: &mut Reader<'_>, key: &str, entry: &Entry, options: &mut Options) -> bool {
    let shape = match key {
        "gateway" => Block(GATEWAY),
        "leaf" | "leafnodes" => Block(LEAFNODES),
        "mqtt" => Block(MQTT),
        "ocsp" => FlagOrBlock(OCSP),
        "ocsp_cache" => FlagOrBlock(OCSP_CACHE),
        _ => return false,
    };
    reader.check(entry, shape);
    // Where stapling is turned off there is nothing to refuse.
    if !(key.starts_with("ocsp") && entry.value.value == Value::Bool(false)) {
        remember(&entry.key, entry, options);
    }
    true
}

pub fn read_tpm(reader: &mut Reader<'_>, entry: &Entry, options: &mut Options) {
    reader.check(entry, Block(TPM));
    remember("jetstream.tpm", entry, options);
}

fn remember(block: &str, entry: &Entry, options: &mut Options) {
    let position = entry.position.clone();
    options.unserved.push(Unserved {
        block: block.to_owned(),
        position,
    });
}

impl Reader<'_> {
    fn check_map(&mut self, map: &Map, keys: &'static [Key]) {
        for entry in &map.entries {
            let name = entry.key.to_ascii_lowercase();
            match keys
                .iter()
                .find(|(names, _)| names.contains(&name.as_str()))
            {
                Some((_, shape)) => self.check(entry, *shape),
                None => self.unknown(entry),
            }
        }
    }

    fn check(&mut self, entry: &Entry, shape: Shape) {
        // Only problems are of interest here, and they are collected where the value is read.
        match shape {
            Text => drop(self.string(entry)),
            Texts => drop(self.strings(entry)),
            Flag => drop(self.boolean(entry)),
            Integer => drop(self.integer(entry)),
            Duration => drop(self.duration(entry)),
            Durations => {
                for node in self.array(entry).unwrap_or_default() {
                    self.signed_duration(&entry.key, node);
                }
            }
            AuthenticationTimeout => drop(self.authentication_timeout(entry)),
            Name => drop(self.name(entry, "gateway")),
            UserKey => drop(self.key(entry, nkey::Kind::User, "nkey")),
            Seconds => drop(self.seconds(entry)),
            Listen => drop(self.listen(entry)),
            Port => drop(self.port(entry)),
            Subjects => drop(self.subjects(entry, false)),
            Url => self.check_url(entry),
            Urls => match entry.value.value {
                Value::Array(_) => drop(self.urls(entry, "remote")),
                _ => self.check_url(entry),
            },
            WriteTimeout => drop(self.write_timeout(entry)),
            Tls(side) => drop(self.tls(entry, side)),
            FlagOrText => match entry.value.value {
                Value::Bool(_) => {}
                _ => drop(self.string(entry)),
            },
            Block(keys) => {
                if let Some(map) = self.map(entry) {
                    self.check_map(map, keys);
                }
            }
            FlagOrBlock(keys) => match &entry.value.value {
                Value::Bool(_) => {}
                _ => self.check(entry, Block(keys)),
            },
            FlagTextOrBlock(keys) => match &entry.value.value {
                Value::Map(_) => self.check(entry, Block(keys)),
                _ => self.check(entry, FlagOrText),
            },
            Blocks(keys) => {
                for node in self.array(entry).unwrap_or_default() {
                    if let Some(map) = self.map_node(&entry.key, node) {
                        self.check_map(map, keys);
                    }
                }
            }
        }
    }

    fn check_url(&mut self, entry: &Entry) {
        let Some(url) = self.string(entry) else {
            return;
        };
        if !is_url(&url) {
            self.problem(
                &entry.value.position,
                format!("error parsing url [{url:?}]"),
            );
        }
    }
}
