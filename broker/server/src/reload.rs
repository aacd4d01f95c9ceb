//! Reads the configuration again while the server runs.
//!
//! Everything that can fail is done first; only then does the server change, so that a reload that
//! fails changes nothing.

use std::sync::Arc;

use anyhow::bail;
use engine::Engine;
use hub::{ClusterOptions, Hub, RouteUrl, TlsOptions, WebSocketOptions};
use identity::authenticator::Authenticator;
use monitor::Sources;
use parking_lot::Mutex;
use settings::Options;
use settings::flags::Flags;
use settings::options::Port;
use settings::reload::{Part, Plan};

use crate::auth::CurrentRules;
use crate::callout::Callouts;
use crate::files::Files;
use crate::logging::Log;
use crate::resolver::Resolver;
use crate::{accounts, client_port, monitoring, routes, unserved, websocket, with_source};

/// The parts of a running server that follow its configuration.
pub struct Parts {
    pub hub: Arc<Hub>,
    pub rules: CurrentRules,
    pub resolver: Arc<Resolver>,
    pub engine: Option<Engine>,
    pub sources: Arc<Sources>,
    pub callouts: Arc<Callouts>,
    pub files: Arc<Files>,
    pub log: Log,
}

/// Reloads the configuration, as often as it is asked to.
pub struct Reloader {
    flags: Flags,
    bound: Bound,
    parts: Parts,
    /// The options in force, as they were read. Locked while a reload is under way.
    configured: Mutex<Options>,
}

/// What became of options when the server started, and stays.
#[derive(Debug, Clone)]
pub struct Bound {
    pub port: Port,
    pub cluster_port: Option<Port>,
    pub websocket_port: Option<Port>,
    pub system_account: Option<String>,
}

impl Bound {
    /// The options as the server runs with them.
    pub fn apply(&self, mut options: Options) -> Options {
        options.port = self.port;
        options.cluster.port = self.cluster_port;
        options.websocket.port = self.websocket_port;
        options.system_account.clone_from(&self.system_account);
        options
    }
}

/// Everything that was made of the new options and that could have failed.
struct Prepared {
    rules: Option<Authenticator>,
    tls: Option<TlsOptions>,
    websocket: Option<WebSocketOptions>,
    cluster: Option<ClusterOptions>,
    routes: Vec<RouteUrl>,
}

impl Reloader {
    pub fn new(flags: Flags, configured: Options, bound: Bound, parts: Parts) -> Arc<Self> {
        Arc::new(Reloader {
            flags,
            bound,
            parts,
            configured: Mutex::new(configured),
        })
    }

    /// Reads the configuration and makes the server follow it. Logs the outcome; the error is for
    /// who asked.
    pub fn reload(&self) -> Result<(), String> {
        let outcome = self.try_reload();
        outcome.map_err(|error| {
            let reason = format!("{error:#}");
            tracing::error!("Failed to reload server configuration: {reason}");
            reason
        })
    }

    fn try_reload(&self) -> anyhow::Result<()> {
        let mut configured = self.configured.lock();
        if configured.config_file.is_none() {
            bail!("can only reload config when a file is provided using -c or --config");
        }
        let new = with_source(|source| Options::from_flags_and_file(&self.flags, source))?;
        let plan = configured.reload_into(&new)?;
        let (before, after) = (
            self.bound.apply(configured.clone()),
            self.bound.apply(new.clone()),
        );
        let prepared = prepare(&after, &plan)?;
        self.parts.files.write(&after)?;
        self.parts.log.apply(&after.logging)?;
        self.apply(&before, &after, &plan, prepared);
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        for change in &plan.changes {
            tracing::info!("Reloaded: {}", change.text);
        }
        tracing::info!("Reloaded server configuration ({})", new.config_digest);
        *configured = new;
        Ok(())
    }

    fn apply(&self, before: &Options, after: &Options, plan: &Plan, prepared: Prepared) {
        let parts = &self.parts;
        let changed = plan.parts();
        parts.hub.set_tls(prepared.tls);
        parts.hub.set_websocket(prepared.websocket);
        if let Some(cluster) = prepared.cluster {
            parts.hub.set_cluster(cluster);
        }
        if changed.contains(&Part::Routes) {
            parts.hub.set_routes(&prepared.routes);
        }
        parts.hub.set_advertised(client_port::advertised(after));
        if let Some(rules) = prepared.rules {
            parts.rules.store(Arc::new(rules));
            // What can be wrong with accounts was found when the options were read.
            let updated = accounts::update(before, after, &parts.hub, parts.engine.as_ref())
                .and_then(|()| parts.resolver.preload(&after.resolver_preload));
            if let Err(error) = updated {
                tracing::error!("accounts are not all as configured: {error:#}");
            }
            parts.hub.reauthenticate_all();
        }
        if changed.contains(&Part::Limits) {
            parts.hub.set_limits(client_port::limits(after));
        }
        if let Some(engine) = &parts.engine {
            engine.set_tags(after.server_tags.clone());
        }
        parts.callouts.set_tags(&after.server_tags);
        let facts = monitoring::reloaded_facts(&parts.sources, &parts.hub, after);
        parts.sources.set_facts(facts);
    }
}

fn prepare(options: &Options, plan: &Plan) -> anyhow::Result<Prepared> {
    if let Some(reason) = unserved::find(options) {
        bail!(reason);
    }
    let rules = match plan.parts().contains(&Part::Accounts) {
        true => Some(Authenticator::new(accounts::rules(options)?)),
        false => None,
    };
    Ok(Prepared {
        rules,
        tls: client_port::tls_options(options)?,
        websocket: websocket::hub_options(options)?,
        cluster: routes::cluster_options(options)?,
        routes: routes::urls(options)?,
    })
}
