//! Accounts: the claims they should have.

use api::account::{ExchangeType, Export, Import, KeyRotation, Mapping, ResponseType, SigningKeys};
use api::user::{Permissions, SubjectRules};
use api::{Account, Duration, ManagementPolicy, Policies, Resource, ResourceId};
use identity::jwt;

use super::{Invalid, bytes, invalid, limit};
use crate::dereference::{AccountPlace, References, account_key};
use crate::keys::Entry;

/// Users must have read new credentials before another key takes its turn.
const SHORTEST_TURN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct ValidatedAccount {
    pub(crate) id: ResourceId,
    /// What servers show.
    pub(crate) display_name: String,
    /// Without keys and revocations, which are not the resource's to say, and without imports, which
    /// need keys.
    pub(crate) claims: jwt::Account,
    /// Imports without the exporter's key, and where that is known from.
    pub(crate) imports: Vec<(jwt::Import, Exporter)>,
    pub(crate) policies: Policies,
    /// Keys that sign its users in place of its own.
    pub(crate) signing: Option<Signing>,
    /// Where its seed is.
    pub(crate) key: Entry,
}

/// Keys that sign an account's users; whether they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signing {
    pub(crate) turns: Option<Turns>,
}

/// How long a key signs, and how long the one before it is still accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turns {
    pub(crate) every_s: i64,
    pub(crate) overlap_s: i64,
}

/// Who exports what an account imports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Exporter {
    Key(String),
    Account(AccountPlace),
}

pub(super) fn validate(account: &Account, to: References) -> Result<ValidatedAccount, Invalid> {
    let id = Resource::Account(Box::new(account.clone())).id();
    let spec = &account.spec;
    let claims = jwt::Account {
        limits: limits(account),
        default_permissions: default_permissions(spec.default_permissions.as_ref()),
        description: spec.description.clone().unwrap_or_default(),
        exports: spec.exports.iter().map(export).collect(),
        mappings: spec.mappings.iter().map(mapping).collect(),
        ..jwt::Account::default()
    };
    Ok(ValidatedAccount {
        key: account_key(account),
        display_name: spec.display_name.clone().unwrap_or_else(|| id.name.clone()),
        id,
        claims,
        imports: imports(&spec.imports, to.exporters)?,
        policies: spec.policies(),
        signing: spec.signing_keys.as_ref().map(signing).transpose()?,
    })
}

fn signing(keys: &SigningKeys) -> Result<Signing, Invalid> {
    let Some(KeyRotation { every, overlap }) = &keys.rotation else {
        return Ok(Signing { turns: None });
    };
    if *every < SHORTEST_TURN {
        let message = format!("must be at least {SHORTEST_TURN}");
        return Err(invalid("signingKeys.rotation.every", message));
    }
    if overlap > every {
        let message = format!("must be at most every, {every}, or keys pile up");
        return Err(invalid("signingKeys.rotation.overlap", message));
    }
    Ok(Signing {
        turns: Some(Turns {
            every_s: limit(Some(every.as_secs())),
            overlap_s: limit(Some(overlap.as_secs())),
        }),
    })
}

impl ValidatedAccount {
    pub(crate) fn may_change(&self, exists: bool) -> bool {
        match self.policies.management {
            ManagementPolicy::Full => true,
            ManagementPolicy::CreateOnly => !exists,
            ManagementPolicy::Observe => false,
        }
    }
}

fn imports(
    imports: &[Import],
    exporters: Vec<AccountPlace>,
) -> Result<Vec<(jwt::Import, Exporter)>, Invalid> {
    let mut exporters = exporters.into_iter();
    let mut from = |import: &Import| match &import.account_key {
        Some(key) => Ok(Exporter::Key(key.clone())),
        None => {
            let exporter = exporters.next().map(Exporter::Account);
            exporter.ok_or_else(|| invalid("imports", "needs accountRef or accountKey"))
        }
    };
    let imports = imports.iter();
    imports
        .map(|import| Ok((claims_of_import(import), from(import)?)))
        .collect()
}

fn claims_of_import(import: &Import) -> jwt::Import {
    jwt::Import {
        name: import
            .name
            .clone()
            .unwrap_or_else(|| import.subject.clone()),
        subject: import.subject.clone(),
        local_subject: import.local_subject.clone().unwrap_or_default(),
        r#type: kind(import.type_),
        share: import.share,
        allow_trace: import.allow_trace,
        ..jwt::Import::default()
    }
}

fn export(export: &Export) -> jwt::Export {
    let response_type = match export.response_type {
        None => "",
        Some(ResponseType::Singleton) => "Singleton",
        Some(ResponseType::Stream) => "Stream",
        Some(ResponseType::Chunked) => "Chunked",
    };
    let latency = export.latency.as_ref().map(|latency| jwt::ServiceLatency {
        sampling: latency
            .sampling
            .map_or(jwt::Sampling::Headers, jwt::Sampling::Percent),
        results: latency.results.clone(),
    });
    let threshold = export.response_threshold;
    jwt::Export {
        name: export
            .name
            .clone()
            .unwrap_or_else(|| export.subject.clone()),
        subject: export.subject.clone(),
        r#type: kind(export.type_),
        response_type: response_type.to_owned(),
        response_threshold: threshold.map_or(0, |threshold| limit(Some(threshold.as_nanos()))),
        service_latency: latency,
        account_token_position: export.account_token_position.map_or(0, i64::from),
        allow_trace: export.allow_trace,
        description: export.description.clone().unwrap_or_default(),
        ..jwt::Export::default()
    }
}

fn kind(type_: ExchangeType) -> jwt::ExportKind {
    match type_ {
        ExchangeType::Stream => jwt::ExportKind::Stream,
        ExchangeType::Service => jwt::ExportKind::Service,
    }
}

fn mapping(mapping: &Mapping) -> (String, Vec<jwt::WeightedMapping>) {
    let destinations = mapping.destinations.iter();
    let weighted = destinations.map(|destination| jwt::WeightedMapping {
        subject: destination.subject.clone(),
        weight: destination.weight.unwrap_or_default(),
        cluster: destination.cluster.clone().unwrap_or_default(),
    });
    (mapping.subject.clone(), weighted.collect())
}

fn limits(account: &Account) -> jwt::OperatorLimits {
    let limits = account.spec.limits.clone().unwrap_or_default();
    let jetstream = account.spec.jetstream_limits.as_ref();
    jwt::OperatorLimits {
        conn: limit(limits.connections),
        subs: limit(limits.subscriptions),
        payload: bytes(limits.max_payload),
        jetstream: jetstream.map_or_else(jwt::JetStreamLimits::default, |limits| {
            jwt::JetStreamLimits {
                mem_storage: bytes(limits.memory_store).max(0),
                disk_storage: bytes(limits.file_store).max(0),
                streams: limit(limits.streams),
                consumer: limit(limits.consumers),
                max_ack_pending: limit(limits.max_ack_pending),
                mem_max_stream_bytes: bytes(limits.memory_max_stream_bytes),
                disk_max_stream_bytes: bytes(limits.file_max_stream_bytes),
                max_bytes_required: limits.max_bytes_required,
            }
        }),
        ..jwt::OperatorLimits::unlimited()
    }
}

fn default_permissions(permissions: Option<&Permissions>) -> jwt::DefaultPermissions {
    let (publish, subscribe, responses) = claims(permissions);
    jwt::DefaultPermissions {
        publish,
        subscribe,
        responses,
    }
}

/// Permissions to publish, to subscribe and to respond, as claims word them.
pub(super) fn claims(
    permissions: Option<&Permissions>,
) -> (
    jwt::Permission,
    jwt::Permission,
    Option<jwt::ResponsePermission>,
) {
    let rules = |rules: Option<&SubjectRules>| {
        let rules = rules.cloned().unwrap_or_default();
        jwt::Permission {
            allow: rules.allow.unwrap_or_default(),
            deny: rules.deny.unwrap_or_default(),
        }
    };
    let responses = permissions.and_then(|permissions| permissions.allow_responses.as_ref());
    (
        rules(permissions.and_then(|permissions| permissions.publish.as_ref())),
        rules(permissions.and_then(|permissions| permissions.subscribe.as_ref())),
        responses.map(|responses| jwt::ResponsePermission {
            max: i64::from(responses.max_messages),
            ttl: limit(Some(responses.expires.as_nanos())),
        }),
    )
}
