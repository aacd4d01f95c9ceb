//! The client port as the configuration describes it, in the hub's terms.

use anyhow::Context;
use hub::{Advertised, HandshakeFirst, Limits, ServerFacts, TlsOptions};
use settings::{Options, options};

use crate::{NATS_VERSION, accounts, routes, tls, websocket};

/// Everything the hub is told when it starts.
pub fn hub_options(options: &Options, server_id: String) -> anyhow::Result<hub::Options> {
    let server = ServerFacts {
        server_name: options
            .server_name
            .clone()
            .unwrap_or_else(|| server_id.clone()),
        server_id,
        version: NATS_VERSION.to_owned(),
        host: options.host.clone(),
        port: options.port.to_bind(),
        jetstream: options.jetstream.enabled,
        domain: options.jetstream.domain.clone(),
        ..ServerFacts::default()
    };
    Ok(hub::Options {
        server,
        advertised: advertised(options),
        limits: limits(options),
        tls: tls_options(options)?,
        cluster: routes::cluster_options(options)?,
        websocket: websocket::hub_options(options)?,
        system_account: accounts::system_account(options),
    })
}

pub fn advertised(options: &Options) -> Advertised {
    Advertised {
        address: options.client_advertise.clone(),
        nothing: options.cluster.no_advertise,
    }
}

pub fn limits(options: &Options) -> Limits {
    let configured = &options.limits;
    Limits {
        max_connections: usize::try_from(configured.max_connections).unwrap_or(usize::MAX),
        max_payload: configured.max_payload_bytes as usize,
        max_pending: usize::try_from(configured.max_pending_bytes).unwrap_or(usize::MAX),
        max_control_line: configured.max_control_line_bytes as usize,
        max_subscriptions: configured
            .max_subscriptions
            .map_or(0, |max| usize::try_from(max).unwrap_or(usize::MAX)),
        max_sub_tokens: configured.max_subscription_tokens.map_or(0, usize::from),
        ping_interval: configured.ping_interval,
        ping_max: configured.max_pings_out,
        write_deadline: configured.write_deadline,
        auth_timeout: options.authentication_timeout(),
        max_closed_clients: configured.max_closed_clients,
        no_fast_producer_stall: options.no_fast_producer_stall,
        proxy_protocol: options.proxy_protocol,
        no_header_support: options.no_header_support,
        lame_duck_duration: configured.lame_duck_duration,
        lame_duck_grace: configured.lame_duck_grace_period,
    }
}

/// TLS with the certificates as they are on the disk now.
pub fn tls_options(options: &Options) -> anyhow::Result<Option<TlsOptions>> {
    let Some(configured) = &options.tls else {
        return Ok(None);
    };
    Ok(Some(TlsOptions {
        config: tls::server(configured).context("tls")?,
        verify: configured.verify || configured.verify_and_map,
        timeout: configured.timeout,
        handshake_first: match configured.handshake_first {
            options::HandshakeFirst::No => HandshakeFirst::No,
            options::HandshakeFirst::Always => HandshakeFirst::Yes,
            options::HandshakeFirst::Fallback(wait) => HandshakeFirst::Auto(wait),
        },
        allow_non_tls: options.allow_non_tls,
        connection_rate_limit: configured.connection_rate_limit,
    }))
}
