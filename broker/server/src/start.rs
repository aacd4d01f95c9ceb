//! Puts a server together, runs it until it is told to stop, and takes it apart in order.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use hub::{HandshakeFirst, Hub, Limits, Phase, ServerFacts, TlsOptions};
use identity::authenticator::Authenticator;
use identity::nkey::{KeyPair, Kind};
use monitor::Sources;
use settings::Options;
use settings::options::Port;
use tokio::net::TcpListener;

use crate::auth::Gate;
use crate::jetstream::{JetStream, limits_of_claims};
use crate::logging::Log;
use crate::resolver::{ClaimsService, Resolver};
use crate::signals::{Signals, Wish};
use crate::system::{self, SystemServices};
use crate::{NATS_VERSION, accounts, listen, monitoring, routes, sharing, tls, websocket};

/// Runs a server with these options until a signal ends it.
pub async fn serve(options: Options, log: Log) -> anyhow::Result<()> {
    refuse_unserved(&options)?;
    let mut signals = Signals::new()?;
    let server_key = KeyPair::from_entropy(Kind::Server, rand::random());
    let mut options = options;
    let server_id = server_key.public_key();
    say_hello(&options, &server_id);

    let rules = accounts::rules(&options)?;
    if let Some(operator) = rules.operators.first()
        && options.system_account.is_none()
        && !operator.body.system_account.is_empty()
    {
        options.system_account = Some(operator.body.system_account.clone());
    }
    let authenticator = Arc::new(Authenticator::new(rules));
    let resolver = Resolver::open(&options, authenticator.clone())?;
    let gate = Arc::new(Gate::new(authenticator, resolver.clone()));
    let clients = listen::bind(&options.host, options.port, "client connections").await?;
    options.port = Port::Fixed(clients.local_addr()?.port());
    let route_host = routes::host(&options).to_owned();
    let route_listener = match options.cluster.port {
        None => None,
        Some(port) => {
            let listener = listen::bind(&route_host, port, "route connections").await?;
            options.cluster.port = Some(Port::Fixed(listener.local_addr()?.port()));
            Some(listener)
        }
    };
    let websockets = websocket::bind(&mut options).await?;
    let hub = Hub::new(hub_options(&options, server_id)?, gate);
    accounts::create(&options, &hub)?;

    let jetstream = match options.jetstream.enabled {
        true => Some(start_jetstream(&options, &hub).await?),
        false => None,
    };
    enable_accounts(&options, &hub, &resolver, jetstream.as_ref());
    let monitor_listener = monitoring::bind(&options).await?;
    let http_port = match &monitor_listener {
        Some(listener) => port_of(listener)?,
        None => 0,
    };
    let sources = monitoring::sources(&options, &hub, jetstream.as_ref(), http_port);
    let system = start_services(&options, &hub, &resolver, &sources);
    let monitor_address = match monitor_listener {
        Some(listener) => Some(monitoring::serve(listener, sources, &options, &hub)?),
        None => None,
    };

    if let Some(listener) = route_listener {
        tracing::info!("Cluster name is {}", routes::cluster_name(&options));
        tracing::info!(
            "Listening for route connections on {route_host}:{}",
            port_of(&listener)?
        );
        tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve_routes(listener).await }
        });
        hub.solicit_routes(&routes::urls(&options)?);
    }
    if let Some(listener) = websockets {
        websocket::serve(listener, &options, &hub);
    }
    tracing::info!(
        "Listening for client connections on {}:{}",
        options.host,
        port_of(&clients)?
    );
    write_files(&options, &clients, monitor_address)?;
    tokio::spawn({
        let hub = hub.clone();
        async move { hub.serve_clients(clients).await }
    });
    tracing::info!("Server is ready");

    wait_for_end(&mut signals, &hub, &system, jetstream.as_ref(), &log).await;
    system.announce_shutdown();
    if let Some(jetstream) = jetstream {
        jetstream.shutdown().await;
    }
    hub.shutdown();
    remove_files(&options);
    tracing::info!("Server Exiting..");
    Ok(())
}

fn refuse_unserved(options: &Options) -> anyhow::Result<()> {
    for warning in &options.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(block) = options.unserved.first() {
        bail!(
            "{}: {:?} is not served by this version; remove it",
            block.position,
            block.block
        );
    }
    if options.jetstream.encryption_key.is_some() {
        bail!("jetstream encryption is not served by this version; remove \"key\"");
    }
    Ok(())
}

fn say_hello(options: &Options, server_id: &str) {
    tracing::info!("Starting nats-server");
    tracing::info!(
        "  Version:  {NATS_VERSION} (weir {})",
        env!("CARGO_PKG_VERSION")
    );
    tracing::info!(
        "  Name:     {}",
        options.server_name.as_deref().unwrap_or(server_id)
    );
    tracing::info!("  ID:       {server_id}");
    if let Some(file) = &options.config_file {
        tracing::info!("Using configuration file: {}", file.display());
    }
}

fn port_of(listener: &TcpListener) -> anyhow::Result<u16> {
    Ok(listener.local_addr()?.port())
}

fn hub_options(options: &Options, server_id: String) -> anyhow::Result<hub::Options> {
    let configured = &options.limits;
    let limits = Limits {
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
        auth_timeout: options
            .authorization
            .timeout
            .unwrap_or(Limits::default().auth_timeout),
        max_closed_clients: configured.max_closed_clients,
        no_fast_producer_stall: options.no_fast_producer_stall,
        no_header_support: options.no_header_support,
        lame_duck_duration: configured.lame_duck_duration,
        lame_duck_grace: configured.lame_duck_grace_period,
    };
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
        client_advertise: options.client_advertise.clone(),
        no_advertise: options.cluster.no_advertise,
        ..ServerFacts::default()
    };
    Ok(hub::Options {
        server,
        limits,
        tls: tls_options(options)?,
        cluster: routes::cluster_options(options)?,
        websocket: websocket::hub_options(options)?,
        system_account: accounts::system_account(options),
    })
}

fn tls_options(options: &Options) -> anyhow::Result<Option<TlsOptions>> {
    let Some(configured) = &options.tls else {
        return Ok(None);
    };
    Ok(Some(TlsOptions {
        config: tls::server(configured).context("tls")?,
        verify: configured.verify || configured.verify_and_map,
        timeout: configured.timeout,
        handshake_first: match configured.handshake_first {
            settings::options::HandshakeFirst::No => HandshakeFirst::No,
            settings::options::HandshakeFirst::Always => HandshakeFirst::Yes,
            settings::options::HandshakeFirst::Fallback(wait) => HandshakeFirst::Auto(wait),
        },
        allow_non_tls: options.allow_non_tls,
    }))
}

async fn start_jetstream(options: &Options, hub: &Arc<Hub>) -> anyhow::Result<JetStream> {
    tracing::info!("Starting JetStream");
    let jetstream = JetStream::start(options, hub).await.context("JetStream")?;
    let offered = &jetstream.engine.env().options;
    tracing::info!("---------------- JETSTREAM ----------------");
    tracing::info!("  Max Memory:      {} bytes", offered.max_memory_bytes);
    tracing::info!("  Max Storage:     {} bytes", offered.max_file_bytes);
    tracing::info!("  Store Directory: \"{}\"", jetstream.store_dir.display());
    if !offered.domain.is_empty() {
        tracing::info!("  Domain:          {}", offered.domain);
    }
    tracing::info!("-------------------------------------------");
    Ok(jetstream)
}

/// Gives accounts what configuration or claims grant them, now and when claims change.
fn enable_accounts(
    options: &Options,
    hub: &Arc<Hub>,
    resolver: &Arc<Resolver>,
    jetstream: Option<&JetStream>,
) {
    let engine = jetstream.map(|jetstream| jetstream.engine.clone());
    let system = accounts::system_account(options);
    if let Some(engine) = &engine {
        engine.enable_system_account(&system);
        if options.operators.is_empty() && options.trusted_keys.is_empty() {
            for (account, limits) in accounts::with_jetstream(options) {
                engine.enable_account(&account, limits);
            }
        }
    }
    let hub = Arc::downgrade(hub);
    resolver.on_change(Box::new(move |account, claims| {
        let Some(hub) = hub.upgrade() else { return };
        let Some(claims) = claims else {
            if let Some(engine) = &engine {
                engine.disable_account(account);
            }
            hub.remove_account(account);
            return;
        };
        let limits = &claims.body.limits;
        hub.account(account);
        hub.update_account(
            account,
            &hub::AccountLimits {
                max_connections: limits.conn,
                max_subscriptions: limits.subs,
                max_payload: limits.payload,
            },
        );
        hub.set_sharing(account, sharing::claimed(claims));
        if let Err(error) = hub.set_mappings(account, &accounts::claimed_mappings(claims)) {
            tracing::warn!(account, %error, "mappings of an account token are not used");
        }
        if let Some(engine) = &engine
            && account != system
        {
            match limits_of_claims(claims) {
                Some(limits) => engine.enable_account(account, limits),
                None => engine.disable_account(account),
            }
        }
    }));
}

fn start_services(
    options: &Options,
    hub: &Arc<Hub>,
    resolver: &Arc<Resolver>,
    sources: &Arc<Sources>,
) -> SystemServices {
    let system_account = accounts::system_account(options);
    if !options.operators.is_empty() || !options.trusted_keys.is_empty() {
        let server = monitoring::server_info(options, hub);
        ClaimsService::start(resolver.clone(), hub, &system_account, server);
    }
    system::start(sources.clone(), hub, &system_account)
}

async fn wait_for_end(
    signals: &mut Signals,
    hub: &Arc<Hub>,
    system: &SystemServices,
    jetstream: Option<&JetStream>,
    log: &Log,
) {
    loop {
        match signals.next().await {
            Wish::Stop if hub.phase() >= Phase::LameDuck => {}
            Wish::Stop => {
                tracing::info!("Initiating Shutdown...");
                return;
            }
            Wish::Reopen => match log.reopen() {
                Ok(()) => tracing::info!("File log re-opened"),
                Err(error) => tracing::error!(%error, "log file cannot be opened again"),
            },
            Wish::Reload => {
                tracing::error!(
                    "Failed to reload server configuration: not served by this version"
                );
            }
            Wish::LameDuck => {
                tracing::info!("Entering lame duck mode, stop accepting new clients");
                system.announce_lame_duck();
                if let Some(jetstream) = jetstream {
                    jetstream.engine.hand_over().await;
                }
                hub.lame_duck().await;
                return;
            }
        }
    }
}

/// The pid file and the ports file, for scripts and test harnesses.
fn write_files(
    options: &Options,
    clients: &TcpListener,
    monitoring: Option<std::net::SocketAddr>,
) -> anyhow::Result<()> {
    if let Some(file) = &options.pid_file {
        std::fs::write(file, std::process::id().to_string())
            .with_context(|| format!("pid file {}", file.display()))?;
    }
    if let Some(file) = ports_file(options) {
        let url = |scheme: &str, port: u16| format!("{scheme}://{}:{port}", options.host);
        let cluster = options.cluster.port.map(Port::to_bind);
        let ports = serde_json::json!({
            "nats": [url("nats", port_of(clients)?)],
            "monitoring": monitoring.map(|address| url("http", address.port())).into_iter().collect::<Vec<_>>(),
            "websocket": websocket::url(options).into_iter().collect::<Vec<_>>(),
            "cluster": cluster.map(|port| url("nats", port)).into_iter().collect::<Vec<_>>(),
        });
        std::fs::write(&file, ports.to_string())
            .with_context(|| format!("ports file {}", file.display()))?;
    }
    Ok(())
}

fn remove_files(options: &Options) {
    for file in [options.pid_file.clone(), ports_file(options)]
        .into_iter()
        .flatten()
    {
        // It may be gone already, which is what is wanted.
        std::fs::remove_file(file).ok();
    }
}

fn ports_file(options: &Options) -> Option<PathBuf> {
    let dir = options.ports_file_dir.as_ref()?;
    let program = std::env::current_exe().ok();
    let name = program
        .as_ref()
        .and_then(|path| path.file_name())
        .and_then(|name| name.to_str());
    let name = name.unwrap_or("nats-server");
    Some(dir.join(format!("{name}_{}.ports", std::process::id())))
}
