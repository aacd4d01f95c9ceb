//! Exports and imports in an account's claims.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::account::Revocations;
use super::{Body, is_false, is_zero};
use crate::nkey::Kind;

/// Whether messages flow from the exporter or requests to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportKind {
    #[default]
    Stream,
    Service,
}

/// Subjects that other accounts may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Export {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub subject: String,
    pub r#type: ExportKind,
    /// Importers need an activation token.
    #[serde(skip_serializing_if = "is_false")]
    pub token_req: bool,
    #[serde(skip_serializing_if = "Revocations::is_empty")]
    pub revocations: Revocations,
    /// `Singleton`, `Stream` or `Chunked`; empty is `Singleton`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_type: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_threshold: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<ServiceLatency>,
    /// Which token of the subject must be the importing account, counted from one.
    #[serde(skip_serializing_if = "is_zero")]
    pub account_token_position: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub advertise: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub allow_trace: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
}

/// Measurement of a service's latency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLatency {
    pub sampling: Sampling,
    /// The subject of the measurements.
    pub results: String,
}

/// How often a latency is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// When the request carries a header that asks for it.
    #[default]
    Headers,
    Percent(u8),
}

impl Serialize for Sampling {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Sampling::Headers => to.serialize_str("headers"),
            Sampling::Percent(percent) => to.serialize_u8(*percent),
        }
    }
}

impl<'de> Deserialize<'de> for Sampling {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Sampling, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Percent(u8),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Percent(0) => Ok(Sampling::Headers),
            Written::Percent(percent) if percent <= 100 => Ok(Sampling::Percent(percent)),
            Written::Word(word) if word.eq_ignore_ascii_case("headers") => Ok(Sampling::Headers),
            _ => Err(serde::de::Error::custom(
                "sampling is neither `headers` nor 1 to 100",
            )),
        }
    }
}

/// Subjects of another account that this account uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Import {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub subject: String,
    /// Public key of the exporting account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Activation token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The local subject, in the older notation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The local subject, which may refer to wildcards as `$1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    pub r#type: ExportKind,
    /// The exporter may see who asks.
    #[serde(skip_serializing_if = "is_false")]
    pub share: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub allow_trace: bool,
}

/// Proof that an account may import a private export; its subject is the importing account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Activation {
    #[serde(rename = "subject")]
    pub import_subject: String,
    pub kind: ExportKind,
    /// The exporting account, when one of its signing keys signed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

impl Body for Activation {
    const NAME: &'static str = "activation";
    const SUBJECT: Kind = Kind::Account;
    const ISSUERS: &'static [Kind] = &[Kind::Account, Kind::Operator];
}
