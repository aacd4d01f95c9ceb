//! Claims between a server and the service that decides who may connect.

use serde::{Deserialize, Serialize};

use super::{Body, Claims};
use crate::nkey::Kind;

/// What a server asks: everything it knows about a client that wants to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationRequest {
    #[serde(rename = "server_id")]
    pub server: AskingServer,
    /// A public user key that was made for this very request; the answer has to be about it.
    pub user_nkey: String,
    pub client_info: AskingClient,
    pub connect_opts: PresentedOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<PresentedTls>,
}

/// The server that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskingServer {
    pub name: String,
    pub host: String,
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The key that the answer can be sealed for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// The client, as the server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskingClient {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    pub id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub kind: String,
    pub r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

/// What the client's `CONNECT` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PresentedOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nkey: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sig: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pass: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    pub protocol: i64,
}

/// The client's TLS session; certificates are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PresentedTls {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cipher: String,
    /// Certificates that nobody verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<String>,
    /// Certificates that were verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_chains: Vec<Vec<String>>,
}

/// What the service answers: a user's token, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationResponse {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The account, when a signing key of it signed and not its own key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

impl Body for AuthorizationRequest {
    const NAME: &'static str = "authorization_request";
    const SUBJECT: Kind = Kind::Account;
    const ISSUERS: &'static [Kind] = &[Kind::Server];
}

impl Body for AuthorizationResponse {
    const NAME: &'static str = "authorization_response";
    const SUBJECT: Kind = Kind::User;
    const ISSUERS: &'static [Kind] = &[Kind::Account];
}

impl Claims<AuthorizationResponse> {
    /// Whether the parts fit each other and the time is right.
    pub fn is_sound_at(&self, now_s: i64) -> bool {
        let AuthorizationResponse {
            jwt,
            error,
            issuer_account,
        } = &self.body;
        Kind::Server.is_public_key(&self.audience)
            && jwt.is_empty() != error.is_empty()
            && (issuer_account.is_empty() || Kind::Account.is_public_key(issuer_account))
            && self.is_valid_at(now_s)
    }
}
