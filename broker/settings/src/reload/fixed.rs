//! Options that a running server keeps as they are.

use super::{NotReloadable, show};
use crate::options::{Options, SyncInterval};

/// An option by nats-server's name for it, and its value as people see it.
type Fixed = (&'static str, fn(&Options) -> String);

const FIXED: &[Fixed] = &[
    ("Host", |options| options.host.clone()),
    ("Port", |options| show::port(Some(options.port))),
    ("ServerName", |options| show::text(&options.server_name)),
    ("HTTPHost", |options| show::text(&options.monitoring.host)),
    ("HTTPPort", |options| {
        show::port(options.monitoring.http_port)
    }),
    ("HTTPSPort", |options| {
        show::port(options.monitoring.https_port)
    }),
    ("HTTPBasePath", |options| {
        options.monitoring.base_path.clone()
    }),
    ("ProfPort", |options| show::port(options.profile_port)),
    ("SystemAccount", |options| {
        show::text(&options.system_account)
    }),
    ("NoSystemAccount", |options| {
        options.no_system_account.to_string()
    }),
    ("NoSublistCache", |options| {
        options.disable_sublist_cache.to_string()
    }),
    ("FeatureFlags", |options| show::map(&options.feature_flags)),
    ("TrustedKeys", |options| options.trusted_keys.join(",")),
    ("TrustedOperators", |options| {
        let texts = options
            .operators
            .iter()
            .map(|operator| operator.text.as_str());
        texts.collect::<Vec<_>>().join(",")
    }),
    ("DefaultJSDomain", |options| {
        show::map(&options.default_jetstream_domain)
    }),
    ("websocket host", |options| {
        show::text(&options.websocket.host)
    }),
    ("websocket port", |options| {
        show::port(options.websocket.port)
    }),
    ("cluster host", |options| {
        let host = show::text(&options.cluster.host);
        match options.cluster.port {
            Some(_) if host.is_empty() => "0.0.0.0".to_owned(),
            _ => host,
        }
    }),
    ("cluster port", |options| show::port(options.cluster.port)),
    ("cluster name", |options| show::text(&options.cluster.name)),
    ("JetStream", |options| options.jetstream.enabled.to_string()),
    ("jetstream storage directory", |options| {
        let dir = options.jetstream.store_dir.as_ref();
        dir.map(|dir| dir.display().to_string()).unwrap_or_default()
    }),
    ("JetStreamDomain", |options| {
        show::text(&options.jetstream.domain)
    }),
    ("JetStreamUniqueTag", |options| {
        show::text(&options.jetstream.unique_tag)
    }),
    ("JetStreamExtHint", |options| {
        show::text(&options.jetstream.extension_hint)
    }),
    ("NoJetStreamStrict", |options| {
        (!options.jetstream.strict).to_string()
    }),
    ("SyncInterval", |options| {
        match options.jetstream.sync_interval {
            SyncInterval::Unset => "unset".to_owned(),
            SyncInterval::Always => "always".to_owned(),
            SyncInterval::Every(interval) => show::duration(interval),
        }
    }),
    ("JetStreamMaxMemory", |options| {
        format!("{:?}", options.jetstream.max_memory_bytes)
    }),
    ("JetStreamMaxStore", |options| {
        format!("{:?}", options.jetstream.max_store_bytes)
    }),
    ("JetStreamLimits", |options| {
        format!("{:?}", options.jetstream.limits)
    }),
    ("JetStreamMaxCatchup", |options| {
        options.jetstream.max_outstanding_catchup_bytes.to_string()
    }),
    ("JetStreamRequestQueueLimit", |options| {
        options.jetstream.request_queue_limit.to_string()
    }),
];

pub fn check(old: &Options, new: &Options) -> Result<(), NotReloadable> {
    if let Some(block) = new.unserved.first() {
        return Err(NotReloadable(format!(
            "{}: {:?} is not served by this version; remove it",
            block.position, block.block
        )));
    }
    if old.resolver != new.resolver {
        let text = match (&old.resolver, &new.resolver) {
            (Some(_), Some(_)) => {
                "config reload not supported for another kind of account resolver"
            }
            _ => "config reload does not support moving to or from an account resolver",
        };
        return Err(NotReloadable(text.to_owned()));
    }
    for (name, value) in FIXED {
        let (old, new) = (value(old), value(new));
        if old != new {
            let text = format!("config reload not supported for {name}: old={old}, new={new}");
            return Err(NotReloadable(text));
        }
    }
    Ok(())
}
