//! The listener for WebSocket clients, as the configuration states it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hub::{Cookies, Hub, Origins, TlsOptions, WebSocketOptions};
use identity::authenticator::WebSocketRules;
use serde_json::{Map, Value, json};
use settings::Options;
use settings::options::Port;
use tokio::net::TcpListener;

use crate::{accounts, listen, tls};

/// Time for TLS and the request where none is configured.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The listener, if one is configured. The options learn the port if the system chose it.
pub async fn bind(options: &mut Options) -> anyhow::Result<Option<TcpListener>> {
    let Some(port) = options.websocket.port else {
        return Ok(None);
    };
    let listener = listen::bind(host(options), port, "websocket connections").await?;
    options.websocket.port = Some(Port::Fixed(listener.local_addr()?.port()));
    Ok(Some(listener))
}

/// Serves clients until the hub stops.
pub fn serve(listener: TcpListener, options: &Options, hub: &Arc<Hub>) {
    if let Some(url) = url(options) {
        tracing::info!("Listening for websocket clients on {url}");
    }
    if options.websocket.no_tls {
        tracing::warn!("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
    }
    let hub = hub.clone();
    tokio::spawn(async move { hub.serve_websockets(listener).await });
}

/// What the hub is told about it.
pub fn hub_options(options: &Options) -> anyhow::Result<Option<WebSocketOptions>> {
    let configured = &options.websocket;
    let Some(port) = configured.port else {
        return Ok(None);
    };
    let tls = match &configured.tls {
        Some(tls) if !configured.no_tls => Some(tls_options(tls)?),
        _ => None,
    };
    Ok(Some(WebSocketOptions {
        host: host(options).to_owned(),
        port: port.to_bind(),
        advertise: configured.advertise.clone(),
        tls,
        origins: Origins {
            same: configured.same_origin,
            allowed: configured.allowed_origins.clone(),
        },
        handshake_timeout: configured.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT),
        compression: configured.compression,
        headers: configured.headers.clone().into_iter().collect(),
        cookies: Cookies {
            jwt: configured.jwt_cookie.clone(),
            user: configured.user_cookie.clone(),
            pass: configured.pass_cookie.clone(),
            token: configured.token_cookie.clone(),
        },
        ping_interval: configured.ping_interval,
    }))
}

fn tls_options(configured: &settings::options::Tls) -> anyhow::Result<TlsOptions> {
    Ok(TlsOptions {
        config: tls::server(configured).context("websocket tls")?,
        verify: configured.verify || configured.verify_and_map,
        timeout: configured.timeout,
        // There is nothing before the handshake on this port.
        handshake_first: hub::HandshakeFirst::Yes,
        allow_non_tls: false,
        connection_rate_limit: None,
    })
}

/// How WebSocket clients log in, if the configuration has rules of their own for them.
pub fn rules(options: &Options) -> Option<WebSocketRules> {
    let configured = &options.websocket;
    let rules = WebSocketRules {
        no_auth_user: configured.no_auth_user.clone(),
        shared: accounts::shared_secret(&configured.user, &configured.password, &configured.token),
    };
    (rules.no_auth_user.is_some() || rules.shared.is_some()).then_some(rules)
}

/// The listener as `varz` shows it.
pub fn varz(options: &Options) -> Map<String, Value> {
    let configured = &options.websocket;
    let Some(port) = configured.port else {
        return Map::new();
    };
    let shown = [
        ("host", json!(host(options))),
        ("port", json!(port.to_bind())),
        ("advertise", json!(configured.advertise)),
        ("no_auth_user", json!(configured.no_auth_user)),
        ("jwt_cookie", json!(configured.jwt_cookie)),
        (
            "handshake_timeout",
            json!(
                configured
                    .handshake_timeout
                    .map(|timeout| timeout.as_nanos() as u64)
            ),
        ),
        (
            "auth_timeout",
            json!(configured.auth_timeout.map(|timeout| timeout.as_secs_f64())),
        ),
        ("no_tls", json!(configured.no_tls)),
        ("same_origin", json!(configured.same_origin)),
        ("allowed_origins", json!(configured.allowed_origins)),
        ("compression", json!(configured.compression)),
    ];
    let says_something =
        |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != json!([]);
    shown
        .into_iter()
        .filter(|(_, value)| says_something(value))
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// `ws://host:port`, or `wss://…`.
pub fn url(options: &Options) -> Option<String> {
    let scheme = if options.websocket.no_tls {
        "ws"
    } else {
        "wss"
    };
    let port = options.websocket.port?.to_bind();
    Some(format!("{scheme}://{}:{port}", host(options)))
}

fn host(options: &Options) -> &str {
    options.websocket.host.as_deref().unwrap_or(&options.host)
}
