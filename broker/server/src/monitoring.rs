//! Starts what tells people how the server is: the HTTP endpoints and the system services.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use hub::{Hub, Phase};
use monitor::{JetStreamFacts, ServerFacts, Sources};
use settings::Options;
use settings::options::{Port, SyncInterval};
use tokio::net::TcpListener;

use crate::jetstream::JetStream;
use crate::{accounts, listen, routes, tls, websocket};

/// Collects what monitoring shows beyond the live parts.
pub fn sources(
    options: &Options,
    hub: &Arc<Hub>,
    jetstream: Option<&JetStream>,
    http_port: u16,
) -> Arc<Sources> {
    let facts = ServerFacts {
        http_port,
        jetstream: jetstream.map(|jetstream| jetstream_facts(options, jetstream)),
        ..facts(options, hub)
    };
    let engine = jetstream.map(|jetstream| jetstream.engine.clone());
    let wal = jetstream.map(|jetstream| jetstream.wal.clone());
    let state = hub.clone();
    let healthy = move || match state.phase() {
        Phase::Running => Ok(()),
        Phase::LameDuck => Err("server is in lame duck mode".to_owned()),
        Phase::Stopped => Err("server is shutting down".to_owned()),
    };
    Sources::new(hub.clone(), engine, wal, facts, healthy)
}

/// What monitoring shows once these options are in force. Ports and JetStream stay as they are.
pub fn reloaded_facts(sources: &Sources, hub: &Hub, options: &Options) -> ServerFacts {
    let now = sources.facts();
    ServerFacts {
        http_port: now.http_port,
        https_port: now.https_port,
        jetstream: now.jetstream.clone(),
        ..facts(options, hub)
    }
}

fn facts(options: &Options, hub: &Hub) -> ServerFacts {
    let tls = options.tls.as_ref();
    ServerFacts {
        auth_required: hub.is_auth_required(),
        tls_required: tls.is_some() && !options.allow_non_tls,
        tls_verify: tls.is_some_and(|tls| tls.verify || tls.verify_and_map),
        tls_timeout: tls.map_or(Duration::from_secs(2), |tls| tls.timeout),
        tls_cert_not_after: tls.and_then(tls::not_after),
        http_host: http_host(options),
        http_base_path: options.monitoring.base_path.clone(),
        config_load_time: SystemTime::now(),
        config_digest: options.config_digest.clone(),
        feature_flags: options.feature_flags.clone(),
        tags: options.server_tags.clone(),
        websocket: websocket::varz(options),
        metadata: options.server_metadata.clone(),
        cluster_urls: routes::urls(options)
            .unwrap_or_default()
            .into_iter()
            .map(|url| format!("{}:{}", url.host, url.port))
            .collect(),
        ..ServerFacts::default()
    }
}

fn jetstream_facts(options: &Options, jetstream: &JetStream) -> JetStreamFacts {
    let offered = &jetstream.engine.env().options;
    JetStreamFacts {
        store_dir: jetstream.store_dir.display().to_string(),
        max_memory_bytes: offered.max_memory_bytes,
        max_store_bytes: offered.max_file_bytes,
        sync_interval: match options.jetstream.sync_interval {
            SyncInterval::Unset | SyncInterval::Always => Duration::ZERO,
            SyncInterval::Every(interval) => interval,
        },
        strict: options.jetstream.strict,
        domain: offered.domain.clone(),
        unique_tag: offered.unique_tag.clone().unwrap_or_default(),
        default_max_consumers: options.jetstream.limits.default_max_consumers.unwrap_or(0),
    }
}

/// The monitoring listener, if one is configured.
pub async fn bind(options: &Options) -> anyhow::Result<Option<TcpListener>> {
    if options.monitoring.https_port.is_some() {
        bail!("https monitoring is not served by this version; use http_port");
    }
    let Some(port) = options.monitoring.http_port else {
        return Ok(None);
    };
    let host = http_host(options);
    Ok(Some(listen::bind(&host, port, "monitoring").await?))
}

fn http_host(options: &Options) -> String {
    options
        .monitoring
        .host
        .clone()
        .unwrap_or_else(|| options.host.clone())
}

/// Serves the endpoints until the hub stops.
pub fn serve(
    listener: TcpListener,
    sources: Arc<Sources>,
    options: &Options,
    hub: &Arc<Hub>,
) -> anyhow::Result<SocketAddr> {
    let address = listener.local_addr()?;
    tracing::info!(
        "Starting http monitor on {}:{}",
        http_host(options),
        address.port()
    );
    let base_path = options.monitoring.base_path.clone();
    let hub = hub.clone();
    tokio::spawn(async move {
        let stopped = async move { hub.reached(Phase::Stopped).await };
        if let Err(error) = monitor::serve(listener, sources, &base_path, stopped).await {
            tracing::error!(%error, "http monitor ended");
        }
    });
    Ok(address)
}

/// This server, in the form of system replies.
pub fn server_info(options: &Options, hub: &Hub) -> serde_json::Value {
    let server = &hub.options().server;
    serde_json::json!({
        "name": server.server_name,
        "host": server.host,
        "id": server.server_id,
        "cluster": options.cluster.port.map(|_: Port| routes::cluster_name(options)),
        "ver": server.version,
        "jetstream": server.jetstream,
        "system_account": accounts::system_account(options),
    })
}
