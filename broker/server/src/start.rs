//! Puts a server together, runs it until it is told to stop, and takes it apart in order.

use std::sync::Arc;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use hub::{Hub, Phase};
use identity::authenticator::Authenticator;
use identity::nkey::{KeyPair, Kind};
use monitor::Sources;
use settings::Options;
use settings::flags::Flags;
use settings::options::Port;
use tokio::net::TcpListener;
use wire::CloseReason;

use crate::auth::{CurrentRules, Gate};
use crate::callout::Callouts;
use crate::files::{Files, Ports};
use crate::jetstream::JetStream;
use crate::limits::allowance_of_claims;
use crate::logging::Log;
use crate::reload::{Bound, Parts, Reloader};
use crate::resolver::{ClaimsService, Resolver};
use crate::signals::{Signals, Wish};
use crate::system::{self, SystemServices};
use crate::{
    NATS_VERSION, accounts, client_port, descriptors, listen, monitoring, routes, sharing,
    unserved, websocket,
};

/// Runs a server with these options until a signal ends it.
pub async fn serve(flags: Flags, configured: Options, log: Log) -> anyhow::Result<()> {
    refuse_unserved(&configured)?;
    let mut signals = Signals::new()?;
    let server_key = KeyPair::from_entropy(Kind::Server, rand::random());
    let mut options = configured.clone();
    let server_id = server_key.public_key();
    say_hello(&options, &server_id);
    descriptors::raise_limit(options.limits.max_connections);

    let rules = accounts::rules(&options)?;
    if let Some(operator) = rules.operators.first()
        && options.system_account.is_none()
        && !operator.body.system_account.is_empty()
    {
        options.system_account = Some(operator.body.system_account.clone());
    }
    let rules: CurrentRules = Arc::new(ArcSwap::from_pointee(Authenticator::new(rules)));
    let resolver = Resolver::open(&options, rules.clone())?;
    let callouts = Arc::new(Callouts::new(server_key));
    callouts.set_tags(&options.server_tags);
    let gate = Gate::new(rules.clone(), resolver.clone(), callouts.clone());
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
    let mut hub_options = client_port::hub_options(&options, server_id)?;
    hub_options.server.xkey = Some(callouts.xkey());
    let hub = Hub::new(hub_options, Arc::new(gate));
    callouts.attach(&hub);
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
    let files = Arc::new(Files::new(Ports {
        host: options.host.clone(),
        clients: port_of(&clients)?,
        cluster: options.cluster.port.map(Port::to_bind),
        websocket: websocket::url(&options),
        monitoring: monitor_listener.is_some().then_some(http_port),
    }));
    let reloader = Reloader::new(
        flags,
        configured,
        Bound {
            port: options.port,
            cluster_port: options.cluster.port,
            websocket_port: options.websocket.port,
            system_account: options.system_account.clone(),
        },
        Parts {
            hub: hub.clone(),
            rules,
            resolver: resolver.clone(),
            engine: jetstream.as_ref().map(|jetstream| jetstream.engine.clone()),
            sources: sources.clone(),
            callouts,
            files: files.clone(),
            log: log.clone(),
        },
    );
    let system = start_services(&options, &hub, &resolver, &sources, &reloader);
    if let Some(listener) = monitor_listener {
        monitoring::serve(listener, sources, &options, &hub)?;
    }

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
        hub.set_routes(&routes::urls(&options)?);
    }
    if let Some(listener) = websockets {
        websocket::serve(listener, &options, &hub);
    }
    tracing::info!(
        "Listening for client connections on {}:{}",
        options.host,
        port_of(&clients)?
    );
    if options.proxy_protocol {
        tracing::info!("PROXY protocol enabled for client connections");
    }
    files.write(&options)?;
    tokio::spawn({
        let hub = hub.clone();
        async move { hub.serve_clients(clients).await }
    });
    tracing::info!("Server is ready");

    let follow = Following {
        hub: &hub,
        system: &system,
        jetstream: jetstream.as_ref(),
        log: &log,
        reloader: &reloader,
    };
    follow.until_the_end(&mut signals).await;
    system.announce_shutdown();
    if let Some(jetstream) = jetstream {
        jetstream.shutdown().await;
    }
    hub.shutdown();
    files.remove();
    tracing::info!("Server Exiting..");
    Ok(())
}

fn refuse_unserved(options: &Options) -> anyhow::Result<()> {
    for warning in &options.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(reason) = unserved::find(options) {
        bail!(reason);
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
        tracing::info!(
            "Using configuration file: {} ({})",
            file.display(),
            options.config_digest
        );
    }
}

fn port_of(listener: &TcpListener) -> anyhow::Result<u16> {
    Ok(listener.local_addr()?.port())
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
            accounts::grant_jetstream(options, engine);
        }
    }
    let hub = Arc::downgrade(hub);
    resolver.on_change(Box::new(move |account, claims| {
        let Some(hub) = hub.upgrade() else { return };
        let Some(claims) = claims else {
            if let Some(engine) = &engine {
                engine.remove_account(account);
            }
            hub.remove_account(account, CloseReason::MissingAccount);
            return;
        };
        let limits = &claims.body.limits;
        hub.account(account).set_tag(&claims.name);
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
            match allowance_of_claims(claims) {
                Some(allowance) => engine.enable_account(account, allowance),
                None => engine.disable_account(account),
            }
        }
        // Users may have been revoked, permissions and limits may be others.
        hub.reauthenticate(account);
    }));
}

fn start_services(
    options: &Options,
    hub: &Arc<Hub>,
    resolver: &Arc<Resolver>,
    sources: &Arc<Sources>,
    reloader: &Arc<Reloader>,
) -> SystemServices {
    let system_account = accounts::system_account(options);
    if !options.operators.is_empty() || !options.trusted_keys.is_empty() {
        let server = monitoring::server_info(options, hub);
        ClaimsService::start(resolver.clone(), hub, &system_account, server);
    }
    let reloader = reloader.clone();
    let reload = Box::new(move || reloader.reload());
    system::start(sources.clone(), hub, &system_account, reload)
}

/// What signals speak to.
struct Following<'a> {
    hub: &'a Arc<Hub>,
    system: &'a SystemServices,
    jetstream: Option<&'a JetStream>,
    log: &'a Log,
    reloader: &'a Arc<Reloader>,
}

impl Following<'_> {
    async fn until_the_end(&self, signals: &mut Signals) {
        loop {
            match signals.next().await {
                Wish::Stop if self.hub.phase() >= Phase::LameDuck => {}
                Wish::Stop => {
                    tracing::info!("Initiating Shutdown...");
                    return;
                }
                Wish::Reopen => match self.log.reopen() {
                    Ok(()) => tracing::info!("File log re-opened"),
                    Err(error) => tracing::error!(%error, "log file cannot be opened again"),
                },
                Wish::Reload => {
                    let reloader = self.reloader.clone();
                    // It reads files. What came of it is in the log.
                    tokio::task::spawn_blocking(move || reloader.reload())
                        .await
                        .ok();
                }
                Wish::LameDuck => {
                    tracing::info!("Entering lame duck mode, stop accepting new clients");
                    self.system.announce_lame_duck();
                    if let Some(jetstream) = self.jetstream {
                        jetstream.engine.leave().await;
                    }
                    self.hub.lame_duck().await;
                    return;
                }
            }
        }
    }
}
