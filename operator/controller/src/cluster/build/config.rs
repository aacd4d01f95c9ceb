//! The servers' configuration, in nats-server's language. It holds keys, so that it is a Secret.
//!
//! Each server has a file of its own with all it needs. The hash of the file, and of certificates
//! that it names, is in the server's metadata: what a running server shows there tells which
//! configuration it has read.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use api::cluster::{ClientTls, LogLevel};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

use super::super::certificates::Listener;
use super::super::names;
use super::super::validate::{ValidCluster, ValidPool};
use super::{Sizes, metadata, servers};

/// Hashes are compared by people too, so they are short. 64 bits tell all versions apart.
const HASH_BYTES: usize = 8;

/// One server's configuration.
pub struct Config {
    pub text: String,
    pub hash: String,
}

/// The configuration of every server, by its name.
pub fn render(cluster: &ValidCluster, sizes: &Sizes) -> BTreeMap<String, Config> {
    let servers = servers(cluster, sizes);
    let routes: Vec<String> = servers
        .iter()
        .map(|(_, server)| {
            let host = names::server_host(&cluster.name, &cluster.namespace, server);
            quoted(&format!("nats://{host}:{}", names::CLUSTER_PORT))
        })
        .collect();
    servers
        .iter()
        .map(|(pool, server)| {
            let mut text = String::new();
            // Writing to a text does not fail.
            write(&mut text, cluster, pool, server, &routes).ok();
            let hash = hash(&text, cluster);
            let key = names::CONFIG_METADATA;
            writeln!(text, "server_metadata {{ {key}: {} }}", quoted(&hash)).ok();
            (server.clone(), Config { text, hash })
        })
        .collect()
}

/// The certificates that servers show, if any connection is encrypted.
pub fn certificates(cluster: &ValidCluster) -> Option<Secret> {
    let data = cluster.certificates.data();
    (!data.is_empty()).then(|| Secret {
        metadata: metadata::owned(cluster, &names::certificates_secret(&cluster.name)),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

pub fn secret(cluster: &ValidCluster, configs: &BTreeMap<String, Config>) -> Secret {
    let files = configs.iter().map(|(server, config)| {
        let text = config.text.clone().into_bytes();
        (names::config_file(server), ByteString(text))
    });
    Secret {
        metadata: metadata::owned(cluster, &names::config_secret(&cluster.name)),
        data: Some(files.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

fn hash(text: &str, cluster: &ValidCluster) -> String {
    let mut hasher = Sha256::new();
    hasher.update(text);
    let certificates = Listener::ALL.map(|listener| cluster.certificates.of(listener));
    for tls in certificates.into_iter().flatten() {
        hasher.update(tls.hash());
    }
    let digest = hasher.finalize();
    let mut text = String::new();
    for byte in digest.iter().take(HASH_BYTES) {
        write!(text, "{byte:02x}").ok();
    }
    text
}

fn write(
    out: &mut String,
    cluster: &ValidCluster,
    pool: &ValidPool,
    server: &str,
    routes: &[String],
) -> fmt::Result {
    let spec = &cluster.spec;
    writeln!(out, "# Written by weir-operator: changes here are lost.")?;
    writeln!(out, "server_name: {}", quoted(server))?;
    let tags: Vec<String> = cluster
        .tags(pool, server)
        .iter()
        .map(|tag| quoted(tag))
        .collect();
    writeln!(out, "server_tags: [{}]", tags.join(", "))?;
    writeln!(out, "listen: \"0.0.0.0:{}\"", names::CLIENT_PORT)?;
    writeln!(out, "http: \"0.0.0.0:{}\"", names::MONITOR_PORT)?;
    let host = names::server_host(&cluster.name, &cluster.namespace, server);
    let own = format!("{host}:{}", names::CLIENT_PORT);
    writeln!(out, "client_advertise: {}", quoted(&own))?;
    match spec.log_level {
        LogLevel::Info => {}
        LogLevel::Debug => writeln!(out, "debug: true")?,
        LogLevel::Trace => writeln!(out, "debug: true\ntrace: true")?,
    }
    write_trust(out, cluster)?;
    write_limits(out, cluster)?;
    if let Some(tls) = &spec.listeners.client.tls {
        let certificates = client_certificates(tls, names::CLIENT_TLS_PATH);
        writeln!(out, "tls {{ {certificates} }}")?;
    }
    write_websocket(out, cluster, &host)?;
    write_jetstream(out, cluster, pool)?;
    writeln!(out, "cluster {{")?;
    writeln!(out, "  name: {}", quoted(&cluster.name))?;
    writeln!(out, "  listen: \"0.0.0.0:{}\"", names::CLUSTER_PORT)?;
    writeln!(out, "  routes: [{}]", routes.join(", "))?;
    if spec.listeners.client.no_advertise {
        writeln!(out, "  no_advertise: true")?;
    }
    if spec.listeners.cluster.tls.is_some() {
        // Certificates have names, not addresses: servers must tell each other the former.
        let own = format!("{host}:{}", names::CLUSTER_PORT);
        writeln!(out, "  advertise: {}", quoted(&own))?;
        let path = names::ROUTE_TLS_PATH;
        let pair = certificate(path);
        writeln!(
            out,
            "  tls {{ {pair}, ca_file: \"{path}/ca.crt\", verify: true }}"
        )?;
    }
    writeln!(out, "}}")
}

/// Whom servers trust, and where they keep accounts.
fn write_trust(out: &mut String, cluster: &ValidCluster) -> fmt::Result {
    let trust = &cluster.bootstrap;
    let accounts = quoted(&format!("{}/accounts", names::DATA_PATH));
    writeln!(out, "operator: {}", trust.operator_token)?;
    writeln!(out, "system_account: {}", trust.system_account)?;
    writeln!(
        out,
        "resolver {{ type: full, dir: {accounts}, allow_delete: true }}"
    )?;
    let (account, token) = (&trust.system_account, &trust.system_account_token);
    writeln!(out, "resolver_preload {{ {account}: {token} }}")
}

fn write_limits(out: &mut String, cluster: &ValidCluster) -> fmt::Result {
    let Some(limits) = &cluster.spec.limits else {
        return Ok(());
    };
    let numbers = [
        ("max_connections", limits.max_connections.map(u64::from)),
        ("max_payload", limits.max_payload.map(|size| size.bytes())),
        ("max_pending", limits.max_pending.map(|size| size.bytes())),
        ("max_subscriptions", limits.max_subscriptions.map(u64::from)),
    ];
    for (key, value) in numbers {
        if let Some(value) = value {
            writeln!(out, "{key}: {value}")?;
        }
    }
    if let Some(deadline) = limits.write_deadline {
        writeln!(out, "write_deadline: {}", time(deadline))?;
    }
    Ok(())
}

fn write_websocket(out: &mut String, cluster: &ValidCluster, host: &str) -> fmt::Result {
    let Some(websocket) = &cluster.spec.listeners.websocket else {
        return Ok(());
    };
    let port = names::WEBSOCKET_PORT;
    writeln!(out, "websocket {{")?;
    writeln!(out, "  listen: \"0.0.0.0:{port}\"")?;
    writeln!(out, "  advertise: {}", quoted(&format!("{host}:{port}")))?;
    match &websocket.tls {
        Some(tls) => writeln!(
            out,
            "  tls {{ {} }}",
            client_certificates(tls, names::WEBSOCKET_TLS_PATH)
        )?,
        None => writeln!(out, "  no_tls: true")?,
    }
    if !websocket.allowed_origins.is_empty() {
        let origins: Vec<String> = websocket
            .allowed_origins
            .iter()
            .map(|origin| quoted(origin))
            .collect();
        writeln!(out, "  allowed_origins: [{}]", origins.join(", "))?;
    }
    if websocket.same_origin {
        writeln!(out, "  same_origin: true")?;
    }
    if websocket.compression {
        writeln!(out, "  compression: true")?;
    }
    writeln!(out, "}}")
}

fn write_jetstream(out: &mut String, cluster: &ValidCluster, pool: &ValidPool) -> fmt::Result {
    let jetstream = &cluster.spec.jetstream;
    // The rest is for logs of groups, which are not counted as data of streams.
    let file_store = jetstream
        .file_store
        .map_or_else(|| pool.storage.size.bytes() / 10 * 9, |size| size.bytes());
    writeln!(out, "jetstream {{")?;
    writeln!(out, "  store_dir: {}", quoted(names::DATA_PATH))?;
    writeln!(out, "  max_file_store: {file_store}")?;
    if let Some(memory) = jetstream.memory_store {
        writeln!(out, "  max_memory_store: {}", memory.bytes())?;
    }
    if let Some(domain) = &jetstream.domain {
        writeln!(out, "  domain: {}", quoted(domain))?;
    }
    if let Some(tag) = &jetstream.unique_tag {
        writeln!(out, "  unique_tag: {}", quoted(tag))?;
    }
    if let Some(interval) = jetstream.sync_interval {
        writeln!(out, "  sync_interval: {}", time(interval))?;
    }
    if let Some(ceilings) = &jetstream.limits {
        writeln!(out, "  limits {{")?;
        let numbers = [
            ("max_ack_pending", ceilings.max_ack_pending),
            ("max_ha_assets", ceilings.max_replicas_per_server),
            ("max_request_batch", ceilings.max_request_batch),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                writeln!(out, "    {key}: {value}")?;
            }
        }
        if let Some(window) = ceilings.duplicate_window {
            writeln!(out, "    duplicate_window: {}", time(window))?;
        }
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

fn client_certificates(tls: &ClientTls, path: &str) -> String {
    let pair = certificate(path);
    match tls.verify {
        true => format!("{pair}, ca_file: \"{path}/ca.crt\", verify: true"),
        false => pair,
    }
}

fn certificate(path: &str) -> String {
    format!("cert_file: \"{path}/tls.crt\", key_file: \"{path}/tls.key\"")
}

/// In a unit that the language knows; it has no days.
fn time(duration: api::Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos % 1_000_000_000 {
        0 => quoted(&format!("{}s", nanos / 1_000_000_000)),
        _ => quoted(&format!("{nanos}ns")),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
