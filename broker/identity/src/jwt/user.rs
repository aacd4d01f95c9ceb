//! Claims about a user.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Body, NO_LIMIT, is_false, is_zero};
use crate::nkey::Kind;
use crate::{PermissionRules, ResponseRules, SubjectRules};

/// What a user's claims say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    #[serde(flatten)]
    pub limits: UserLimits,
    /// The account, when a signing key of it signed and not its own key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

/// Permissions and limits of a user, or the template of them that a scoped signing key carries.
///
/// The default is what absent fields mean: no permission is restricted, and limits are zero. Use
/// [`UserLimits::unlimited`] for a new user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserLimits {
    #[serde(rename = "pub")]
    pub publish: Permission,
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePermission>,
    /// Networks the user may connect from, such as `10.0.0.0/8`; empty is everywhere.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list_or_commas"
    )]
    pub src: Vec<String>,
    /// Times of day at which the user may be connected; empty is always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeRange>,
    /// Time zone of `times`, such as `Europe/Berlin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub times_location: String,
    /// Subscriptions; [`NO_LIMIT`] is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; kept for other tools, servers do not enforce it.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message; [`NO_LIMIT`] is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// The token alone authenticates; no nonce is signed.
    #[serde(skip_serializing_if = "is_false")]
    pub bearer_token: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_required: bool,
    /// Names such as `STANDARD`; empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_connection_types: Vec<String>,
}

/// Subjects that are allowed and denied. An empty allow list allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permission {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Permission to answer requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponsePermission {
    /// Messages per request.
    pub max: i64,
    /// Nanoseconds after the request.
    pub ttl: i64,
}

/// A part of the day, as `hh:mm:ss`. An end before the start is on the next day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeRange {
    pub start: String,
    pub end: String,
}

impl Body for User {
    const NAME: &'static str = "user";
    const SUBJECT: Kind = Kind::User;
    const ISSUERS: &'static [Kind] = &[Kind::Account];
}

impl UserLimits {
    /// No restriction at all.
    pub fn unlimited() -> UserLimits {
        UserLimits {
            subs: NO_LIMIT,
            data: NO_LIMIT,
            payload: NO_LIMIT,
            ..UserLimits::default()
        }
    }

    /// The permissions, or `None` when these claims say nothing about them.
    pub fn permission_rules(&self) -> Option<PermissionRules> {
        let rules = PermissionRules {
            publish: self.publish.rules(),
            subscribe: self.subscribe.rules(),
            allow_responses: self.responses.map(|responses| {
                ResponseRules {
                    max_msgs: responses.max,
                    expires_ns: responses.ttl,
                }
                .with_defaults()
            }),
        };
        (rules != PermissionRules::default()).then_some(rules)
    }
}

impl Permission {
    fn rules(&self) -> SubjectRules {
        SubjectRules {
            allow: Some(self.allow.clone()).filter(|allow| !allow.is_empty()),
            deny: self.deny.clone(),
        }
    }
}

/// Old tools wrote the networks as one text with commas.
fn list_or_commas<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Commas(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::List(list) => list,
        Either::Commas(text) => text
            .split(',')
            .map(|network| network.trim().to_lowercase())
            .filter(|network| !network.is_empty())
            .collect(),
    })
}
