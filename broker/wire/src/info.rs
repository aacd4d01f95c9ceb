//! The body of `INFO`.

use serde::{Deserialize, Serialize};

use crate::connect::SubjectPermission;

/// The body of `INFO`. The first group is always sent, the others when they say something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub proto: i32,
    pub go: String,
    pub host: String,
    pub port: u16,
    pub headers: bool,
    /// Bytes; -1 is unlimited.
    pub max_payload: i32,

    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub client_id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Lame duck mode.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// The answer to the client's `CONNECT`.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub api_lvl: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,

    // Between servers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "is_false")]
    pub lnoc: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub lnocu: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub ln: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub info_on_connect: bool,
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub route_pool_size: i64,
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub route_pool_idx: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route_account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route_acc_add_reqid: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub gossip_mode: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateway_urls: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_url: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub gateway_cmd: u64,
    /// Base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_cmd_payload: String,
    #[serde(skip_serializing_if = "is_false")]
    pub gateway_nrp: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub gateway_iom: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leafnode_urls: Vec<String>,
}

impl ServerInfo {
    /// Parses the JSON of an `INFO` line.
    pub fn parse(json: &[u8]) -> Result<ServerInfo, serde_json::Error> {
        crate::connect::parse_lenient(json)
    }

    /// The JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of strings always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}
