//! Claims about an operator.

use serde::{Deserialize, Serialize};

use super::{Body, OperatorClaims, is_false};
use crate::nkey::Kind;

/// What an operator's claims say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// Further keys that sign accounts for this operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account_server_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operator_service_urls: Vec<String>,
    /// Public key of the system account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system_account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub assert_server_version: String,
    /// Only signing keys may sign, never the operator's or an account's own key.
    #[serde(skip_serializing_if = "is_false")]
    pub strict_signing_key_usage: bool,
}

impl Body for Operator {
    const NAME: &'static str = "operator";
    const SUBJECT: Kind = Kind::Operator;
    const ISSUERS: &'static [Kind] = &[Kind::Operator];
}

impl OperatorClaims {
    /// The keys that may sign accounts for this operator.
    pub fn trusted_keys(&self) -> impl Iterator<Item = &str> {
        let own = Some(self.subject.as_str()).filter(|_| !self.body.strict_signing_key_usage);
        own.into_iter()
            .chain(self.body.signing_keys.iter().map(String::as_str))
    }
}
