//! The accounts of the configuration: who their users are, what they may use.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use engine::Engine;
use hub::{AccountLimits, Destination, Hub, Mapping};
use identity::authenticator::callout::Callout;
use identity::authenticator::{ConnectionKind, GLOBAL_ACCOUNT, Rules, Secret, SharedSecret, User};
use identity::jwt::{AccountClaims, WeightedMapping};
use identity::{PermissionRules, Permissions, ResponseRules, SubjectRules};
use jetstream::api::account::AccountLimits as JetStreamLimits;
use settings::Options;
use settings::options::{self, Credentials};
use wire::CloseReason;

use crate::{sharing, websocket};

/// The name of the system account unless one is configured.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

pub fn system_account(options: &Options) -> String {
    options
        .system_account
        .clone()
        .unwrap_or_else(|| SYSTEM_ACCOUNT.to_owned())
}

/// The user of clients that present nothing, where only the system account has users.
const ANYBODY: &str = "anybody";

/// The rules of authentication that the configuration states.
pub fn rules(options: &Options) -> anyhow::Result<Rules> {
    let authorization = &options.authorization;
    let of_server = authorization.default_permissions.as_ref();
    let mut users: Vec<User> = authorization
        .users
        .iter()
        .map(|configured| user(configured, GLOBAL_ACCOUNT, of_server))
        .collect();
    for account in &options.accounts {
        let defaults = account.default_permissions.as_ref().or(of_server);
        users.extend(
            account
                .users
                .iter()
                .map(|one| user(one, &account.name, defaults)),
        );
    }
    let mut no_auth_user = options.no_auth_user.clone();
    if no_auth_user.is_none() && only_system_users(options, &users) {
        // Users of the system account alone do not close the door to everybody else.
        no_auth_user = Some(ANYBODY.to_owned());
        users.push(User {
            name: ANYBODY.to_owned(),
            secret: Secret::Password(format!("{:032x}", rand::random::<u128>())),
            account: GLOBAL_ACCOUNT.to_owned(),
            permissions: Permissions::default(),
            allowed_connections: Vec::new(),
            proxy_required: false,
        });
    }
    let shared = shared_secret(
        &authorization.user,
        &authorization.password,
        &authorization.token,
    );
    let operators = options.operators.iter().map(|operator| {
        let token = identity::creds::token_in(&operator.text);
        identity::jwt::OperatorClaims::decode(token).with_context(|| match &operator.file {
            Some(file) => format!("operator token in {}", file.display()),
            None => "operator token in the configuration".to_owned(),
        })
    });
    Ok(Rules {
        users,
        no_auth_user,
        shared,
        map_certificates: options.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
        operators: operators.collect::<Result<_, _>>()?,
        trusted_keys: options.trusted_keys.clone(),
        pinned_accounts: options.resolver_pinned_accounts.clone(),
        default_sentinel: options.default_sentinel.clone(),
        trusted_proxies: options.trusted_proxies.clone(),
        proxy_required: authorization.proxy_required,
        callout: authorization.auth_callout.as_ref().map(callout),
        accounts: names(options),
        websocket: websocket::rules(options),
    })
}

fn callout(configured: &options::AuthCallout) -> Callout {
    let account = configured.account.as_deref();
    Callout {
        issuer: configured.issuer.clone(),
        account: account.unwrap_or(GLOBAL_ACCOUNT).to_owned(),
        auth_users: configured.auth_users.clone(),
        xkey: configured.xkey.clone(),
        allowed_accounts: configured.allowed_accounts.clone(),
    }
}

/// The accounts there are without operators.
fn names(options: &Options) -> Vec<String> {
    let always = [GLOBAL_ACCOUNT.to_owned(), system_account(options)];
    let configured = options.accounts.iter().map(|account| account.name.clone());
    always.into_iter().chain(configured).collect()
}

/// One secret for everybody, if one is configured.
pub fn shared_secret(
    user: &Option<String>,
    password: &Option<String>,
    token: &Option<String>,
) -> Option<SharedSecret> {
    match (user, password, token) {
        (Some(name), Some(password), _) => Some(SharedSecret::User {
            name: name.clone(),
            password: password.clone(),
        }),
        (_, _, Some(token)) => Some(SharedSecret::Token(token.clone())),
        _ => None,
    }
}

fn only_system_users(options: &Options, users: &[User]) -> bool {
    let authorization = &options.authorization;
    let system = system_account(options);
    let open = authorization.user.is_none() && authorization.token.is_none();
    let without_operator = options.operators.is_empty() && options.trusted_keys.is_empty();
    open && without_operator && !users.is_empty() && users.iter().all(|user| user.account == system)
}

fn user(
    configured: &options::User,
    account: &str,
    defaults: Option<&options::Permissions>,
) -> User {
    let (name, secret) = match &configured.credentials {
        Credentials::Password { user, password } => {
            (user.clone(), Secret::Password(password.clone()))
        }
        Credentials::Nkey(key) => (key.clone(), Secret::Nkey),
    };
    let allowed = configured.permissions.as_ref().or(defaults);
    User {
        name,
        secret,
        account: account.to_owned(),
        permissions: allowed.map(permissions).unwrap_or_default(),
        allowed_connections: configured
            .connection_types
            .iter()
            .copied()
            .map(kind)
            .collect(),
        proxy_required: configured.proxy_required,
    }
}

fn permissions(configured: &options::Permissions) -> Permissions {
    let subjects = |rules: &options::SubjectPermission| SubjectRules {
        allow: rules.allow.clone(),
        deny: rules.deny.clone(),
    };
    let responses = configured
        .responses
        .as_ref()
        .map(|responses| ResponseRules {
            max_msgs: responses
                .max_messages
                .map_or(-1, |max| i64::try_from(max).unwrap_or(i64::MAX)),
            expires_ns: responses.expires.map_or(-1, |expires| {
                i64::try_from(expires.as_nanos()).unwrap_or(i64::MAX)
            }),
        });
    Permissions::new(PermissionRules {
        publish: subjects(&configured.publish),
        subscribe: subjects(&configured.subscribe),
        allow_responses: responses,
    })
}

fn kind(configured: options::ConnectionType) -> ConnectionKind {
    use options::ConnectionType::*;
    match configured {
        Standard => ConnectionKind::Standard,
        Websocket => ConnectionKind::WebSocket,
        Leafnode => ConnectionKind::LeafNode,
        LeafnodeWebsocket => ConnectionKind::LeafNodeWs,
        Mqtt => ConnectionKind::Mqtt,
        MqttWebsocket => ConnectionKind::MqttWs,
        InProcess => ConnectionKind::InProcess,
    }
}

/// Creates the configured accounts with their limits, what they share and what they map.
pub fn create(options: &Options, hub: &Arc<Hub>) -> anyhow::Result<()> {
    hub.account(GLOBAL_ACCOUNT);
    hub.account(&system_account(options));
    hub.set_mappings(GLOBAL_ACCOUNT, &mappings(&options.mappings))?;
    for account in &options.accounts {
        hub.account(&account.name);
        hub.update_account(
            &account.name,
            &AccountLimits {
                max_connections: limit(account.limits.max_connections),
                max_subscriptions: limit(account.limits.max_subscriptions),
                max_payload: limit(account.limits.max_payload_bytes),
            },
        );
        hub.set_sharing(&account.name, sharing::configured(account));
        hub.set_mappings(&account.name, &mappings(&account.mappings))?;
    }
    Ok(())
}

fn mappings(configured: &[options::Mapping]) -> Vec<Mapping> {
    let destination = |destination: &options::MapDestination| Destination {
        subject: destination.subject.clone(),
        weight_percent: destination.weight_percent,
        cluster: destination.cluster.clone(),
    };
    let mapping = |mapping: &options::Mapping| Mapping {
        source: mapping.source.clone(),
        destinations: mapping.destinations.iter().map(destination).collect(),
    };
    configured.iter().map(mapping).collect()
}

/// The mappings in an account's claims.
pub fn claimed_mappings(claims: &AccountClaims) -> Vec<Mapping> {
    let destination = |mapping: &WeightedMapping| Destination {
        subject: mapping.subject.clone(),
        weight_percent: match mapping.weight {
            0 => 100,
            weight => weight,
        },
        cluster: Some(mapping.cluster.clone()).filter(|cluster| !cluster.is_empty()),
    };
    let all = claims.body.mappings.iter();
    all.map(|(source, destinations)| Mapping {
        source: source.clone(),
        destinations: destinations.iter().map(destination).collect(),
    })
    .collect()
}

/// Makes the accounts those of the new options. Whoever uses one that is gone is disconnected.
pub fn update(
    before: &Options,
    after: &Options,
    hub: &Arc<Hub>,
    engine: Option<&Engine>,
) -> anyhow::Result<()> {
    create(after, hub)?;
    if let Some(engine) = engine
        && after.operators.is_empty()
        && after.trusted_keys.is_empty()
    {
        let granted = with_jetstream(after);
        for (account, _) in with_jetstream(before) {
            if !granted.iter().any(|(name, _)| *name == account) {
                engine.disable_account(&account);
            }
        }
        grant_jetstream(after, engine);
    }
    let names = |options: &Options| -> BTreeSet<String> {
        let names = options.accounts.iter().map(|account| account.name.clone());
        names.collect()
    };
    let mut gone = &names(before) - &names(after);
    gone.remove(&system_account(after));
    for account in gone {
        if let Some(engine) = engine {
            engine.remove_account(&account);
        }
        hub.remove_account(&account, CloseReason::ClientClosed);
    }
    Ok(())
}

/// Gives configured accounts the JetStream they may use, and has the others told that they have none.
pub fn grant_jetstream(options: &Options, engine: &Engine) {
    let granted = with_jetstream(options);
    let system = system_account(options);
    for account in &options.accounts {
        if account.name != system && granted.iter().all(|(name, _)| *name != account.name) {
            engine.disable_account(&account.name);
        }
    }
    for (account, limits) in granted {
        engine.enable_account(&account, limits);
    }
}

/// The configured accounts that may use JetStream. Without accounts it is the global one.
fn with_jetstream(options: &Options) -> Vec<(String, JetStreamLimits)> {
    let system = system_account(options);
    let others = options
        .accounts
        .iter()
        .filter(|account| account.name != system);
    if others.clone().count() == 0 {
        return vec![(GLOBAL_ACCOUNT.to_owned(), JetStreamLimits::default())];
    }
    let granted = others.filter_map(|account| {
        Some((
            account.name.clone(),
            jetstream_limits(account.jetstream.as_ref()?),
        ))
    });
    granted.collect()
}

fn jetstream_limits(configured: &options::AccountJetStream) -> JetStreamLimits {
    JetStreamLimits {
        max_memory: limit(configured.max_memory_bytes),
        max_storage: limit(configured.max_store_bytes),
        max_streams: limit(configured.max_streams),
        max_consumers: limit(configured.max_consumers),
        max_ack_pending: limit(configured.max_ack_pending),
        memory_max_stream_bytes: limit(configured.memory_max_stream_bytes),
        storage_max_stream_bytes: limit(configured.store_max_stream_bytes),
        max_bytes_required: configured.max_bytes_required,
    }
}

fn limit(configured: Option<u64>) -> i64 {
    configured.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
