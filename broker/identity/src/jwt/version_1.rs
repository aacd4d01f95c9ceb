//! Tokens of version 1, which old tools issued and servers still accept.
//!
//! They differ in form, not in meaning: what a token is about stands beside the common part, the
//! algorithm has another name, and the signature covers the payload alone. Reading them means to
//! bring their claims into the present form.

use serde_json::{Map, Value};

use super::NO_LIMIT;

/// The algorithm's name in their header.
pub(super) const ALGORITHM: &str = "ed25519";
/// Fields that moved from beside the common part into the body.
const MOVED: [&str; 3] = ["type", "tags", "issuer_account"];
/// Limits of users that meant "unlimited" when absent.
const USER_LIMITS: [&str; 3] = ["subs", "data", "payload"];

/// Whether these are the claims of such a token.
pub(super) fn is_one(claims: &Value) -> bool {
    let kind = claims.get("type");
    kind.is_some_and(|kind| kind.as_str() != Some(""))
}

/// Brings the claims of such a token into the form of `version`.
pub(super) fn upgrade(claims: &mut Value, version: i64) {
    let Some(claims) = claims.as_object_mut() else {
        return;
    };
    let mut body = match claims.remove("nats") {
        Some(Value::Object(body)) => body,
        _ => Map::new(),
    };
    for name in MOVED {
        if let Some(value) = claims.remove(name) {
            body.insert(name.to_owned(), value);
        }
    }
    body.insert("version".to_owned(), version.into());
    if body.get("type").and_then(Value::as_str) == Some("user") {
        for name in USER_LIMITS {
            body.entry(name).or_insert_with(|| NO_LIMIT.into());
        }
    }
    claims.insert("nats".to_owned(), Value::Object(body));
}
