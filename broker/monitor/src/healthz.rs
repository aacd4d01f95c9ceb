//! `healthz`: whether the server, the meta group and the streams are in order.

use std::sync::Arc;

use engine::{Asset, Engine};
use serde::Serialize;

use crate::Sources;
use crate::options::HealthzOptions;

/// Problems that are listed at most.
const MAX_PROBLEMS: usize = 1024;
/// Committed entries a replica may still have to apply and be in order.
const MAX_APPLY_LAG: u64 = 10_000;

const OK: u16 = 200;
const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;

#[derive(Debug, Serialize)]
pub struct HealthStatus {
    pub status: &'static str,
    /// HTTP status; not repeated in the body of an HTTP response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

impl HealthStatus {
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// One thing that is not in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consumer: String,
    pub error: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProblemKind {
    #[default]
    Conn,
    BadRequest,
    Jetstream,
    Account,
    Stream,
    Consumer,
}

pub fn healthz(sources: &Sources, options: &HealthzOptions) -> HealthStatus {
    let mut found = Found::default();
    look(sources, options, &mut found);
    let code = found.code.unwrap_or(OK);
    let details = options.details;
    let mut problems = found.problems;
    let status = match (problems.is_empty(), details, code) {
        (true, _, _) => "ok",
        (false, false, UNAVAILABLE | NOT_FOUND) => "unavailable",
        (false, _, _) => "error",
    };
    let error = match details {
        true => String::new(),
        false => problems
            .first()
            .map_or(String::new(), |problem| problem.error.clone()),
    };
    if !details {
        problems.clear();
    }
    HealthStatus {
        status,
        status_code: Some(code),
        error,
        errors: problems,
    }
}

/// What was found so far, and the status of the first of it.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    code: Option<u16>,
}

impl Found {
    fn add(&mut self, code: u16, problem: Problem) {
        self.code.get_or_insert(code);
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    fn add_plain(&mut self, code: u16, kind: ProblemKind, error: impl Into<String>) {
        self.add(
            code,
            Problem {
                kind,
                error: error.into(),
                ..Problem::default()
            },
        );
    }
}

fn look(sources: &Sources, options: &HealthzOptions, found: &mut Found) {
    if options.account.is_empty() && !options.stream.is_empty() {
        let error = "\"account\" must not be empty when checking stream health";
        return found.add_plain(BAD_REQUEST, ProblemKind::BadRequest, error);
    }
    if options.stream.is_empty() && !options.consumer.is_empty() {
        let error = "\"stream\" must not be empty when checking consumer health";
        return found.add_plain(BAD_REQUEST, ProblemKind::BadRequest, error);
    }
    if let Err(error) = sources.check() {
        found.add_plain(UNAVAILABLE, ProblemKind::Conn, error);
    }
    let Some(engine) = &sources.engine else {
        return;
    };
    if options.js_enabled || options.js_enabled_only {
        return;
    }
    look_at_meta(engine, found);
    if options.js_meta_only || options.js_server_only || !found.problems.is_empty() {
        return;
    }
    match options.account.as_str() {
        "" => look_at_all_streams(engine, found),
        _ => look_at_one(engine, options, found),
    }
}

fn look_at_meta(engine: &Engine, found: &mut Found) {
    let kind = ProblemKind::Jetstream;
    if !engine.is_ready() {
        return found.add_plain(UNAVAILABLE, kind, "JetStream is still recovering streams");
    }
    let Some(meta) = engine.meta_cluster() else {
        return;
    };
    if meta.leader.is_empty() {
        let error = "JetStream has not established contact with a meta leader";
        return found.add_plain(UNAVAILABLE, kind, error);
    }
    if meta.pending > MAX_APPLY_LAG {
        found.add_plain(
            UNAVAILABLE,
            kind,
            "JetStream is not current with the meta leader",
        );
    }
}

fn look_at_all_streams(engine: &Engine, found: &mut Found) {
    let here = engine.env().node();
    let assigned: Vec<(String, String)> = engine.meta().read(|meta| {
        let here = meta
            .streams()
            .filter(|stream| stream.replicas.contains(&here));
        here.map(|stream| (stream.account.clone(), stream.config.name.clone()))
            .collect()
    });
    for (account, stream) in assigned {
        look_at_stream(engine, (&account, &stream), UNAVAILABLE, found);
    }
}

fn look_at_one(engine: &Engine, options: &HealthzOptions, found: &mut Found) {
    let HealthzOptions {
        account,
        stream,
        consumer,
        ..
    } = options;
    if engine.account_limits(account).is_none() {
        return found.add(
            NOT_FOUND,
            Problem {
                kind: ProblemKind::Account,
                account: account.clone(),
                error: format!("JetStream account {account:?} not found"),
                ..Problem::default()
            },
        );
    }
    if stream.is_empty() {
        let keys = engine.assets().into_iter().map(|asset| asset.key());
        for (_, stream) in keys.filter(|key| key.0 == *account) {
            look_at_stream(engine, (account, &stream), UNAVAILABLE, found);
        }
        return;
    }
    let asset = look_at_stream(engine, (account, stream), NOT_FOUND, found);
    let Some(asset) = asset else { return };
    let known = |name: &str| asset.read(|machine| machine.consumers().contains_key(name));
    if !consumer.is_empty() && !known(consumer) {
        let error = format!(
            "JetStream consumer {consumer:?} not found for stream {stream:?} on account {account:?}"
        );
        found.add(
            NOT_FOUND,
            Problem {
                kind: ProblemKind::Consumer,
                account: account.clone(),
                stream: stream.clone(),
                consumer: consumer.clone(),
                error,
            },
        );
    }
}

/// Looks at this server's replica. That there is none is a problem with the status `missing`.
fn look_at_stream(
    engine: &Engine,
    (account, stream): (&str, &str),
    missing: u16,
    found: &mut Found,
) -> Option<Arc<Asset>> {
    let problem = |error: String| Problem {
        kind: ProblemKind::Stream,
        account: account.to_owned(),
        stream: stream.to_owned(),
        error,
        ..Problem::default()
    };
    let Some(asset) = engine.asset(account, stream) else {
        let mut offline = engine.offline_replicas().into_iter();
        if let Some(offline) = offline.find(|r| r.account == account && r.stream == stream) {
            let reason = offline.reason;
            let error = format!("JetStream stream '{account} > {stream}' is offline: {reason}");
            found.add(UNAVAILABLE, problem(error));
            return None;
        }
        let error = format!("JetStream stream {stream:?} not found on account {account:?}");
        found.add(missing, problem(error));
        return None;
    };
    if let Some(error) = trouble(&asset) {
        let error = format!("JetStream stream '{account} > {stream}' {error}");
        found.add(UNAVAILABLE, problem(error));
    }
    Some(asset)
}

/// Why a replica cannot serve, if it cannot.
fn trouble(asset: &Asset) -> Option<String> {
    if let Some(failure) = asset.failure() {
        return Some(format!("failed: {failure}"));
    }
    if asset.leader().is_none() {
        return Some("has no leader".to_owned());
    }
    let lag = asset.group().map_or(0, consensus::Group::commit_lag);
    (lag > MAX_APPLY_LAG).then(|| format!("is not current: {lag} entries behind"))
}
