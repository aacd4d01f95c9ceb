//! The body of `CONNECT`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::info::is_false;

/// The body of `CONNECT`, of clients, routes and leaf nodes. Keys that are absent keep the values of
/// [`ConnectOptions::default`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// Whether every accepted operation is answered with `+OK`. True when absent.
    pub verbose: bool,
    /// Whether published subjects are validated. True when absent.
    pub pedantic: bool,
    /// Whether the client receives what it publishes. True when absent.
    pub echo: bool,
    pub tls_required: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nkey: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// Signature of the nonce, base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sig: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pass: String,
    pub name: String,
    pub lang: String,
    pub version: String,
    /// 0, or 1 when the client understands asynchronous `INFO`.
    pub protocol: i64,
    /// Any use is an authorization violation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Any use is an authorization violation.
    #[serde(skip_serializing_if = "is_false")]
    pub new_account: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub no_responders: bool,
    /// Signature of the nonce by a trusted proxy, base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxy_sig: String,

    // Routes and leaf nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectPermission>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub lnoc: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub lnocu: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub ln: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "is_false")]
    pub is_hub: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny_pub: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub isolate: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compress_mode: String,
}

/// Subjects that a peer may or may not import or export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectPermission {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            verbose: true,
            pedantic: true,
            echo: true,
            tls_required: false,
            nkey: String::new(),
            jwt: String::new(),
            sig: String::new(),
            auth_token: String::new(),
            user: String::new(),
            pass: String::new(),
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            account: String::new(),
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: String::new(),
            import: None,
            export: None,
            server_id: String::new(),
            cluster: String::new(),
            cluster_dynamic: false,
            lnoc: false,
            lnocu: false,
            ln: false,
            gateway: String::new(),
            remote_account: String::new(),
            domain: String::new(),
            is_hub: false,
            jetstream: false,
            deny_pub: Vec::new(),
            isolate: false,
            compress_mode: String::new(),
        }
    }
}

impl ConnectOptions {
    /// Parses the JSON of a `CONNECT` line. An error ends the connection.
    pub fn parse(json: &[u8]) -> Result<ConnectOptions, serde_json::Error> {
        parse_lenient(json)
    }

    /// The JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of strings always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("name", &self.name)
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("protocol", &self.protocol)
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .finish_non_exhaustive()
    }
}

/// Parses a JSON object the way peers expect it: keys in any case, unknown keys and nulls ignored.
pub(crate) fn parse_lenient<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let object: serde_json::Map<String, Value> = serde_json::from_slice(json)?;
    let known = object
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    serde_json::from_value(Value::Object(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> ConnectOptions {
        ConnectOptions::parse(json.as_bytes()).expect("valid options")
    }

    #[test]
    fn absent_keys_keep_their_defaults() {
        let options = parse("{}");
        assert_eq!(options, ConnectOptions::default());
        assert!(options.verbose && options.pedantic && options.echo);
        assert!(!options.headers && options.protocol == 0);
    }

    #[test]
    fn what_clients_send() {
        let options = parse(
            r#"{"verbose":false,"pedantic":false,"echo":false,"tls_required":false,"lang":"go",
                "version":"1.0","protocol":1,"headers":true,"no_responders":true,"user":"u",
                "pass":"p","name":null,"unknown":{"x":[1]},"auth_token":"t"}"#,
        );
        assert!(!options.verbose && !options.pedantic && !options.echo);
        assert!(options.headers && options.no_responders);
        assert_eq!((options.user.as_str(), options.pass.as_str()), ("u", "p"));
        assert_eq!(
            (options.auth_token.as_str(), options.name.as_str()),
            ("t", "")
        );
        assert_eq!(options.protocol, 1);
    }

    #[test]
    fn keys_are_known_in_any_case() {
        assert_eq!(parse(r#"{"User":"u","VERBOSE":false}"#).user, "u");
    }

    #[test]
    fn what_is_not_an_object_of_options_is_refused() {
        for json in [
            "",
            "[]",
            "1",
            "{",
            r#"{"verbose":1}"#,
            r#"{"user":{}}"#,
            "{} x",
        ] {
            assert!(ConnectOptions::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn options_survive_writing_and_reading() {
        let options = ConnectOptions {
            name: "route".to_owned(),
            cluster: "c".to_owned(),
            lnoc: true,
            deny_pub: vec!["a.>".to_owned()],
            import: Some(SubjectPermission {
                allow: vec!["x".to_owned()],
                deny: Vec::new(),
            }),
            ..ConnectOptions::default()
        };
        assert_eq!(
            ConnectOptions::parse(&options.to_json()).expect("it parses again"),
            options
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let options =
            parse(r#"{"pass":"hidden","auth_token":"hidden","jwt":"hidden","sig":"hidden"}"#);
        assert!(!format!("{options:?}").contains("hidden"));
    }
}
