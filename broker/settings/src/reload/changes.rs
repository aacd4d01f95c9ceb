//! What the log says of each option that changes.

use super::{Change, Part, Plan, show};
use crate::options::{HandshakeFirst, Limits, Options, WebSocket};

/// The changes from one configuration to another, in nats-server's words.
pub fn between(old: &Options, new: &Options) -> Plan {
    let mut changes = Changes::default();
    changes.logging(old, new);
    changes.server(old, new);
    changes.limits(&old.limits, &new.limits);
    changes.accounts(old, new);
    changes.tls(old, new);
    changes.websocket(&old.websocket, &new.websocket);
    changes.cluster(old, new);
    Plan { changes: changes.0 }
}

/// A limit's name, and how it is shown.
type Shown<'a> = (&'a str, &'a dyn Fn(&Limits) -> String);

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn note<T: PartialEq>(
        &mut self,
        part: Part,
        (old, new): (T, T),
        text: impl FnOnce(T) -> String,
    ) {
        if old != new {
            let text = text(new);
            self.0.push(Change { part, text });
        }
    }

    fn logging(&mut self, old: &Options, new: &Options) {
        let (old, new) = (&old.logging, &new.logging);
        let switches = [
            ("debug", old.debug, new.debug),
            ("trace", old.trace, new.trace),
            ("trace_verbose", old.trace_verbose, new.trace_verbose),
            ("trace_headers", old.trace_headers, new.trace_headers),
            ("logtime", old.logtime, new.logtime),
            ("logtime_utc", old.logtime_utc, new.logtime_utc),
            ("syslog", old.syslog, new.syslog),
        ];
        for (name, old, new) in switches {
            self.note(Part::Logging, (old, new), |on| format!("{name} = {on}"));
        }
        self.note(Part::Logging, (&old.file, &new.file), |file| {
            let file = file.as_deref().map(|file| file.display().to_string());
            format!("log_file = {}", file.unwrap_or_default())
        });
        let sizes = (old.file_size_limit_bytes, new.file_size_limit_bytes);
        self.note(Part::Logging, sizes, |limit| {
            format!("logfile_size_limit = {}", limit.unwrap_or(0))
        });
        let counts = (old.file_max_count, new.file_max_count);
        self.note(Part::Logging, counts, |limit| {
            format!("logfile_max_num = {}", limit.unwrap_or(0))
        });
        let remotes = (&old.remote_syslog, &new.remote_syslog);
        self.note(Part::Logging, remotes, |remote| {
            format!("remote_syslog = {}", show::text(remote))
        });
    }

    fn server(&mut self, old: &Options, new: &Options) {
        let addresses = (&old.client_advertise, &new.client_advertise);
        self.note(Part::Advertise, addresses, |address| {
            format!("client_advertise = {}", show::text(address))
        });
        let tags = (&old.server_tags, &new.server_tags);
        self.note(Part::Facts, tags, |_| "tags".to_owned());
        let metadata = (&old.server_metadata, &new.server_metadata);
        self.note(Part::Facts, metadata, |_| "metadata".to_owned());
        let path = |name: &str, path: &Option<std::path::PathBuf>| {
            let path = path.as_deref().map(|path| path.display().to_string());
            format!("{name} = {}", path.unwrap_or_default())
        };
        self.note(Part::Files, (&old.pid_file, &new.pid_file), |file| {
            path("pid_file", file)
        });
        let dirs = (&old.ports_file_dir, &new.ports_file_dir);
        self.note(Part::Files, dirs, |dir| path("ports_file_dir", dir));
        let numbers = [
            (
                "connect_error_reports",
                old.connect_error_reports,
                new.connect_error_reports,
            ),
            (
                "reconnect_error_reports",
                old.reconnect_error_reports,
                new.reconnect_error_reports,
            ),
        ];
        for (name, old, new) in numbers {
            self.note(Part::Routes, (old, new), |every| {
                format!("{name} = {every}")
            });
        }
        let rates = (old.profile_block_rate, new.profile_block_rate);
        self.note(Part::Facts, rates, |rate| {
            format!("prof_block_rate = {rate}")
        });
        let stalls = (old.no_fast_producer_stall, new.no_fast_producer_stall);
        self.note(Part::Limits, stalls, |never| {
            let may = if never { "will not" } else { "may" };
            format!("fast producers {may} be stalled")
        });
        let headers = (old.no_header_support, new.no_header_support);
        self.note(Part::Limits, headers, |none| {
            format!("no_header_support = {none}")
        });
        let proxies = (old.proxy_protocol, new.proxy_protocol);
        self.note(Part::Limits, proxies, |on| format!("proxy_protocol = {on}"));
    }

    fn limits(&mut self, old: &Limits, new: &Limits) {
        let none_as_zero = |limit: Option<u64>| limit.unwrap_or(0).to_string();
        let connections = |limits: &Limits| match limits.max_connections {
            0 => "-1".to_owned(),
            max => max.to_string(),
        };
        let payload = |limits: &Limits| match limits.max_payload_bytes {
            Limits::NO_PAYLOAD_LIMIT => "-1".to_owned(),
            max => max.to_string(),
        };
        let traced = |limits: &Limits| limits.max_traced_message_bytes.unwrap_or(0).to_string();
        let tokens = |limits: &Limits| limits.max_subscription_tokens.unwrap_or(0).to_string();
        let shown: [Shown<'_>; 14] = [
            ("max_connections", &connections),
            ("max_payload", &payload),
            ("max_control_line", &|limits| {
                limits.max_control_line_bytes.to_string()
            }),
            ("max_pending", &|limits| {
                limits.max_pending_bytes.to_string()
            }),
            ("max_subscriptions", &|limits| {
                none_as_zero(limits.max_subscriptions)
            }),
            ("max_sub_tokens", &tokens),
            ("max_closed_clients", &|limits| {
                limits.max_closed_clients.to_string()
            }),
            ("max_traced_msg_len", &traced),
            ("ping_interval", &|limits| {
                show::duration(limits.ping_interval)
            }),
            ("ping_max", &|limits| limits.max_pings_out.to_string()),
            ("write_deadline", &|limits| {
                show::duration(limits.write_deadline)
            }),
            ("write_timeout", &|limits| {
                format!("{:?}", limits.write_timeout).to_lowercase()
            }),
            ("lame_duck_duration", &|limits| {
                show::duration(limits.lame_duck_duration)
            }),
            ("lame_duck_grace_period", &|limits| {
                show::duration(limits.lame_duck_grace_period)
            }),
        ];
        for (name, show) in shown {
            self.note(Part::Limits, (show(old), show(new)), |new| {
                format!("{name} = {new}")
            });
        }
    }

    fn accounts(&mut self, old: &Options, new: &Options) {
        let part = Part::Accounts;
        let (before, after) = (&old.authorization, &new.authorization);
        self.note(part, (&before.user, &after.user), |_| {
            "authorization username".to_owned()
        });
        let passwords = (&before.password, &after.password);
        self.note(part, passwords, |_| "authorization password".to_owned());
        self.note(part, (&before.token, &after.token), |_| {
            "authorization token".to_owned()
        });
        let timeouts = (old.authentication_timeout(), new.authentication_timeout());
        self.note(Part::Limits, timeouts, |timeout| {
            format!("authorization timeout = {}", timeout.as_secs_f64())
        });
        let users = |options: &Options| {
            let authorization = &options.authorization;
            (
                authorization.users.clone(),
                authorization.default_permissions.clone(),
            )
        };
        let users = (users(old), users(new));
        self.note(part, users, |_| "authorization users".to_owned());
        let callouts = (&before.auth_callout, &after.auth_callout);
        self.note(part, callouts, |_| "auth_callout".to_owned());
        let required = (before.proxy_required, after.proxy_required);
        self.note(part, required, |is| format!("proxy_required = {is}"));
        self.note(part, (&old.accounts, &new.accounts), |_| {
            "accounts".to_owned()
        });
        self.note(part, (&old.mappings, &new.mappings), |_| {
            "mappings".to_owned()
        });
        self.note(part, (&old.no_auth_user, &new.no_auth_user), |user| {
            format!("no_auth_user = {}", show::text(user))
        });
        let sentinels = (&old.default_sentinel, &new.default_sentinel);
        self.note(part, sentinels, |_| "default_sentinel".to_owned());
        let proxies = (&old.trusted_proxies, &new.trusted_proxies);
        self.note(part, proxies, |_| "proxies trusted keys".to_owned());
        let preloads = (&old.resolver_preload, &new.resolver_preload);
        self.note(part, preloads, |_| "resolver_preload".to_owned());
        let pinned = (&old.resolver_pinned_accounts, &new.resolver_pinned_accounts);
        self.note(part, pinned, |_| "resolver_pinned_accounts".to_owned());
        let tls = (&old.resolver_tls, &new.resolver_tls);
        self.note(part, tls, |_| "resolver_tls".to_owned());
    }

    fn tls(&mut self, old: &Options, new: &Options) {
        let mixed = (old.allow_non_tls, new.allow_non_tls);
        self.note(Part::Tls, mixed, |allowed| {
            format!("allow_non_tls = {allowed}")
        });
        let (Some(before), Some(after)) = (&old.tls, &new.tls) else {
            let enabled = (old.tls.is_some(), new.tls.is_some());
            self.note(Part::Tls, enabled, |enabled| {
                format!("tls = {}", if enabled { "enabled" } else { "disabled" })
            });
            return;
        };
        self.note(Part::Tls, (before.timeout, after.timeout), |timeout| {
            format!("tls timeout = {}", timeout.as_secs_f64())
        });
        self.note(
            Part::Tls,
            (&before.pinned_certs, &after.pinned_certs),
            |pins| format!("{} pinned_certs", pins.len()),
        );
        self.note(
            Part::Tls,
            (before.handshake_first, after.handshake_first),
            |first| {
                let is_first = first != HandshakeFirst::No;
                format!("Client TLS handshake first: {is_first}")
            },
        );
        let fallbacks = (
            fallback(before.handshake_first),
            fallback(after.handshake_first),
        );
        self.note(Part::Tls, fallbacks, |delay| {
            format!("Client TLS handshake first fallback delay: {delay}")
        });
        let maps = (before.verify_and_map, after.verify_and_map);
        self.note(Part::Accounts, maps, |map| {
            format!("verify_and_map = {map}")
        });
        // What is left is what handshakes are made with.
        let mut rest = before.clone();
        rest.timeout = after.timeout;
        rest.pinned_certs.clone_from(&after.pinned_certs);
        rest.handshake_first = after.handshake_first;
        self.note(Part::Tls, (&rest, after), |_| "tls = enabled".to_owned());
    }

    fn websocket(&mut self, old: &WebSocket, new: &WebSocket) {
        let logins = |options: &WebSocket| {
            let WebSocket {
                user,
                password,
                token,
                no_auth_user,
                ..
            } = options.clone();
            [user, password, token, no_auth_user]
        };
        self.note(Part::Accounts, (logins(old), logins(new)), |_| {
            "websocket authorization".to_owned()
        });
        self.note(Part::WebSocket, (old, new), |_| "websocket".to_owned());
    }

    fn cluster(&mut self, old: &Options, new: &Options) {
        let (before, after) = (&old.cluster, &new.cluster);
        let routes = (&before.routes, &after.routes);
        self.note(Part::Routes, routes, |_| "cluster routes".to_owned());
        let mut rest = before.clone();
        rest.routes.clone_from(&after.routes);
        self.note(Part::Cluster, (&rest, after), |_| "cluster".to_owned());
    }
}

fn fallback(first: HandshakeFirst) -> String {
    match first {
        HandshakeFirst::Fallback(delay) => show::duration(delay),
        _ => "0s".to_owned(),
    }
}
