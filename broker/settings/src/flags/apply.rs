//! Flags laid over the configuration file.

use std::path::PathBuf;

use super::Flags;
use crate::options::{Options, Port, Tls};
use crate::read::{cluster_url, is_url, parse_port};
use crate::{Problem, Problems, Source};

impl Options {
    /// What a server runs with: the file the flags name, if they name one, and the flags over it.
    /// What contradicts itself is refused.
    pub fn from_flags_and_file(flags: &Flags, source: &Source<'_>) -> Result<Options, Problems> {
        let mut options = file_under_flags(flags, source)?;
        let mut problems = Vec::new();
        apply_server(flags, &mut options, &mut problems);
        apply_logging(flags, &mut options);
        apply_authorization(flags, &mut options);
        apply_tls(flags, source, &mut options, &mut problems);
        apply_cluster(flags, &mut options, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        options.validate()?;
        Ok(options)
    }

    /// What `-t` tests: the configuration file alone, whose warnings count as errors.
    pub fn check(flags: &Flags, source: &Source<'_>) -> Result<Options, Problems> {
        let options = file_under_flags(flags, source)?;
        if options.warnings.is_empty() {
            Ok(options)
        } else {
            Err(Problems(options.warnings))
        }
    }
}

fn file_under_flags(flags: &Flags, source: &Source<'_>) -> Result<Options, Problems> {
    // The store is not overridden by its flag: naming it in both places is an error.
    let mut options = Options::default();
    options.jetstream.store_dir.clone_from(&flags.store_dir);
    match &flags.config_file {
        Some(path) => options.read_into(path, source),
        None => Ok(options),
    }
}

fn apply_server(flags: &Flags, options: &mut Options, problems: &mut Vec<Problem>) {
    let mut port = |value: i64| {
        parse_port(value)
            .map_err(|reason| problems.push(Problem::general(reason)))
            .ok()
    };
    if let Some(given) = flags.port.and_then(&mut port) {
        options.port = given.unwrap_or(Port::Fixed(crate::options::DEFAULT_PORT));
    }
    if let Some(given) = flags.http_port.and_then(&mut port) {
        options.monitoring.http_port = given;
    }
    if let Some(given) = flags.https_port.and_then(&mut port) {
        options.monitoring.https_port = given;
    }
    if let Some(given) = flags.profile.and_then(&mut port) {
        options.profile_port = given;
    }
    if let Some(host) = flags.host.as_ref().filter(|host| !host.is_empty()) {
        options.host.clone_from(host);
    }
    if let Some(enabled) = flags.jetstream {
        options.jetstream.enabled = enabled;
    }
    set_text(&mut options.server_name, &flags.server_name);
    set_text(&mut options.client_advertise, &flags.client_advertise);
    set_path(&mut options.pid_file, &flags.pid_file);
    set_path(&mut options.ports_file_dir, &flags.ports_file_dir);
}

fn apply_logging(flags: &Flags, options: &mut Options) {
    let logging = &mut options.logging;
    logging.debug = flags.debug.unwrap_or(logging.debug);
    logging.trace = flags.trace.unwrap_or(logging.trace);
    logging.trace_verbose = flags.trace_verbose.unwrap_or(logging.trace_verbose);
    logging.logtime = flags.logtime.unwrap_or(logging.logtime);
    logging.logtime_utc = flags.logtime_utc.unwrap_or(logging.logtime_utc);
    logging.syslog = flags.syslog.unwrap_or(logging.syslog);
    set_text(&mut logging.remote_syslog, &flags.remote_syslog);
    set_path(&mut logging.file, &flags.log_file);
    if let Some(limit) = flags.log_size_limit {
        logging.file_size_limit_bytes = u64::try_from(limit).ok().filter(|&limit| limit > 0);
    }
    if let Some(length) = flags.max_traced_msg_len {
        options.limits.max_traced_message_bytes =
            usize::try_from(length).ok().filter(|&length| length > 0);
    }
}

fn apply_authorization(flags: &Flags, options: &mut Options) {
    set_text(&mut options.authorization.user, &flags.user);
    set_text(&mut options.authorization.password, &flags.pass);
    set_text(&mut options.authorization.token, &flags.auth);
}

/// Any TLS flag replaces the whole block of the file, unless TLS is turned off.
fn apply_tls(
    flags: &Flags,
    source: &Source<'_>,
    options: &mut Options,
    problems: &mut Vec<Problem>,
) {
    if flags.tls == Some(false) {
        options.tls = None;
        return;
    }
    let is_given = flags.tls.is_some()
        || flags.tls_verify.is_some()
        || flags.tls_cert.is_some()
        || flags.tls_key.is_some()
        || flags.tls_ca_cert.is_some();
    if !is_given {
        return;
    }
    if flags.tls_cert.is_none() {
        let reason = "TLS Server certificate must be present and valid, give --tlscert";
        problems.push(Problem::general(reason));
    }
    if flags.tls_key.is_none() {
        let reason = "TLS Server private key must be present and valid, give --tlskey";
        problems.push(Problem::general(reason));
    }
    for file in [&flags.tls_cert, &flags.tls_key, &flags.tls_ca_cert]
        .into_iter()
        .flatten()
    {
        if let Err(error) = (source.read_file)(file) {
            problems.push(Problem::general(format!(
                "can not read {}: {error}",
                file.display()
            )));
        }
    }
    options.tls = Some(Tls {
        cert_file: flags.tls_cert.clone(),
        key_file: flags.tls_key.clone(),
        ca_file: flags.tls_ca_cert.clone(),
        verify: flags.tls_verify.unwrap_or(false),
        ..Tls::default()
    });
}

fn apply_cluster(flags: &Flags, options: &mut Options, problems: &mut Vec<Problem>) {
    let cluster = &mut options.cluster;
    set_text(&mut cluster.name, &flags.cluster_name);
    set_text(&mut cluster.advertise, &flags.cluster_advertise);
    cluster.no_advertise = flags.no_advertise.unwrap_or(cluster.no_advertise);
    match flags.connect_retries.map(u32::try_from) {
        Some(Ok(retries)) => cluster.connect_retries = retries,
        Some(Err(_)) => {
            problems.push(Problem::general(
                "--connect_retries must be a small positive number",
            ));
        }
        None => {}
    }
    match flags.cluster_listen.as_deref() {
        None => {}
        // An empty address is how a flag takes a server out of its cluster.
        Some("") => cluster.port = None,
        Some(text) => match cluster_url(text) {
            Ok(url) => {
                cluster.host = url.host;
                cluster.port = url.port;
                let (user, password) = url.login.unzip();
                cluster.authorization.user = user;
                cluster.authorization.password = password;
            }
            Err(reason) => problems.push(Problem::general(reason)),
        },
    }
    let Some(routes) = &flags.routes else { return };
    cluster.routes = routes
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(str::to_owned)
        .collect();
    for url in cluster.routes.iter().filter(|url| !is_url(url)) {
        problems.push(Problem::general(format!(
            "error parsing route url [{url:?}]"
        )));
    }
    let is_clustered = cluster.port.is_some() || cluster.host.is_some();
    if !cluster.routes.is_empty() && !is_clustered && flags.cluster_listen.is_none() {
        let reason = "solicited routes require cluster capabilities, e.g. --cluster";
        problems.push(Problem::general(reason));
    }
}

/// An empty value of a flag takes back what the file says.
fn set_text(field: &mut Option<String>, flag: &Option<String>) {
    if let Some(text) = flag {
        *field = Some(text.clone()).filter(|text| !text.is_empty());
    }
}

fn set_path(field: &mut Option<PathBuf>, flag: &Option<PathBuf>) {
    if let Some(path) = flag {
        *field = Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
    }
}
