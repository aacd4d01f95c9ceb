//! How resources point to each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Points to an Account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountRef {
    /// Name of the Account.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Account, if it is another one. The Account must allow it in
    /// `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Points to a Stream in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRef {
    /// Name of the Stream resource, which may differ from the stream's name on the server.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
