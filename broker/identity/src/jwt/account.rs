//! Claims about an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::user::{Permission, ResponsePermission, UserLimits};
use super::{AccountClaims, Body, Export, Import, NO_LIMIT, is_false, is_zero};
use crate::nkey::Kind;

/// What an account's claims say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    pub limits: OperatorLimits,
    /// Further keys that sign users for this account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<SigningKey>,
    #[serde(skip_serializing_if = "Revocations::is_empty")]
    pub revocations: Revocations,
    /// For users whose claims say nothing about permissions.
    pub default_permissions: DefaultPermissions,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, Vec<WeightedMapping>>,
    pub authorization: ExternalAuthorization,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<MessageTrace>,
    /// `system` or `owner`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_traffic: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
}

/// Permissions for users that have none of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultPermissions {
    #[serde(rename = "pub")]
    pub publish: Permission,
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePermission>,
}

/// What the operator grants the account. [`NO_LIMIT`] is unlimited. The default is what absent
/// fields mean, zero; use [`OperatorLimits::unlimited`] for a new account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorLimits {
    /// Subscriptions per connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub imports: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub exports: i64,
    /// Whether exports may have wildcards.
    #[serde(skip_serializing_if = "is_false")]
    pub wildcards: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub disallow_bearer: bool,
    /// Client connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub conn: i64,
    /// Leaf node connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaf: i64,
    /// For every number of replicas alike; ignored when there are tiers.
    #[serde(flatten)]
    pub jetstream: JetStreamLimits,
    /// By tier, `R1` and `R3`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiered_limits: BTreeMap<String, JetStreamLimits>,
}

/// JetStream resources. Zero storage of both kinds means that JetStream is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JetStreamLimits {
    /// Bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_storage: i64,
    /// Bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub consumer: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// Bytes of one stream; zero is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_max_stream_bytes: i64,
    /// Bytes of one stream; zero is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    /// Streams must say how large they may grow.
    #[serde(skip_serializing_if = "is_false")]
    pub max_bytes_required: bool,
}

/// A key that signs users for the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKey {
    Plain(String),
    /// Whatever it signs gets the permissions and limits of the template.
    Scoped(Box<UserScope>),
}

/// A signing key with a template for its users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserScope {
    kind: ScopeKind,
    /// The public key.
    pub key: String,
    pub role: String,
    #[serde(deserialize_with = "template")]
    pub template: UserLimits,
    pub description: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum ScopeKind {
    #[default]
    #[serde(rename = "user_scope")]
    User,
}

/// By public key, the time up to which its tokens are revoked. The key `*` stands for every user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revocations(pub BTreeMap<String, i64>);

/// One destination of a subject mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightedMapping {
    pub subject: String,
    /// Percent; zero stands for all.
    #[serde(skip_serializing_if = "is_zero_u8")]
    pub weight: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

/// Delegation of the account's authentication to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalAuthorization {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth_users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_accounts: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// Where message traces that start outside go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageTrace {
    #[serde(rename = "dest", skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// Percent.
    #[serde(skip_serializing_if = "is_zero")]
    pub sampling: i64,
}

impl Body for Account {
    const NAME: &'static str = "account";
    const SUBJECT: Kind = Kind::Account;
    const ISSUERS: &'static [Kind] = &[Kind::Account, Kind::Operator];
}

impl AccountClaims {
    /// The scope of a key that signs users for this account: `None` when the key may not sign,
    /// `Some(None)` when it may sign anything.
    pub fn signer(&self, key: &str) -> Option<Option<&UserScope>> {
        let listed = self
            .body
            .signing_keys
            .iter()
            .find_map(|signer| match signer {
                SigningKey::Plain(plain) => (plain == key).then_some(None),
                SigningKey::Scoped(scope) => (scope.key == key).then_some(Some(&**scope)),
            });
        listed.or_else(|| (self.subject == key).then_some(None))
    }

    /// Every key that signs for this account, its own first.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        let listed = self.body.signing_keys.iter().map(|signer| match signer {
            SigningKey::Plain(key) => key.as_str(),
            SigningKey::Scoped(scope) => scope.key.as_str(),
        });
        std::iter::once(self.subject.as_str()).chain(listed)
    }

    /// Whether a user's token that was issued at this time is revoked.
    pub fn is_revoked(&self, user: &str, issued_at_s: i64) -> bool {
        self.body.revocations.covers(user, issued_at_s)
    }
}

impl OperatorLimits {
    /// No limit on messaging, and no JetStream.
    pub fn unlimited() -> OperatorLimits {
        OperatorLimits {
            subs: NO_LIMIT,
            data: NO_LIMIT,
            payload: NO_LIMIT,
            imports: NO_LIMIT,
            exports: NO_LIMIT,
            wildcards: true,
            conn: NO_LIMIT,
            leaf: NO_LIMIT,
            ..OperatorLimits::default()
        }
    }
}

impl JetStreamLimits {
    /// JetStream without any limit.
    pub fn unlimited() -> JetStreamLimits {
        JetStreamLimits {
            mem_storage: NO_LIMIT,
            disk_storage: NO_LIMIT,
            streams: NO_LIMIT,
            consumer: NO_LIMIT,
            max_ack_pending: NO_LIMIT,
            ..JetStreamLimits::default()
        }
    }

    /// Whether JetStream may be used at all.
    pub fn is_enabled(&self) -> bool {
        self.mem_storage != 0 || self.disk_storage != 0
    }
}

impl UserScope {
    /// A scope for the given signing key.
    pub fn new(key: &str, template: UserLimits) -> UserScope {
        UserScope {
            key: key.to_owned(),
            template,
            ..UserScope::default()
        }
    }
}

impl Revocations {
    const EVERYBODY: &'static str = "*";

    /// Whether a token about `key` that was issued at this time is revoked.
    pub fn covers(&self, key: &str, issued_at_s: i64) -> bool {
        [key, Self::EVERYBODY]
            .iter()
            .any(|key| self.0.get(*key).is_some_and(|until| *until >= issued_at_s))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ExternalAuthorization {
    /// Whether authentication is not delegated.
    pub fn is_absent(&self) -> bool {
        *self == ExternalAuthorization::default()
    }
}

impl DefaultPermissions {
    /// As the limits of a user that has no others.
    pub(crate) fn as_user_limits(&self) -> UserLimits {
        UserLimits {
            publish: self.publish.clone(),
            subscribe: self.subscribe.clone(),
            responses: self.responses,
            ..UserLimits::default()
        }
    }
}

/// In a template, limits that are absent do not limit.
fn template<'de, D: serde::Deserializer<'de>>(from: D) -> Result<UserLimits, D::Error> {
    #[derive(Deserialize)]
    struct Written {
        subs: Option<i64>,
        data: Option<i64>,
        payload: Option<i64>,
        #[serde(flatten)]
        rest: UserLimits,
    }
    let written = Written::deserialize(from)?;
    Ok(UserLimits {
        subs: written.subs.unwrap_or(NO_LIMIT),
        data: written.data.unwrap_or(NO_LIMIT),
        payload: written.payload.unwrap_or(NO_LIMIT),
        ..written.rest
    })
}

fn is_zero_u8(value: &u8) -> bool {
    *value == 0
}
