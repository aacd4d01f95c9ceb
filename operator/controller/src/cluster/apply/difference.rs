//! Whether an object has to be written. Pure.
//!
//! The API server adds fields of its own, so an object is in order if it has everything that is
//! wanted. A field that is wanted no longer is noticed by the hash of what was applied.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::quantity;

/// The hash of what was applied last.
pub const APPLIED_ANNOTATION: &str = "weir.dev/applied";
const HASH_BYTES: usize = 8;

/// Tells versions of what is wanted apart.
pub fn hash(wanted: &impl Serialize) -> String {
    // Objects are plain data; one that did not become JSON could not be sent either.
    let text = serde_json::to_vec(wanted).unwrap_or_default();
    let digest = Sha256::digest(text);
    let bytes = digest.iter().take(HASH_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `found` lacks something of `wanted`.
pub fn is_missing_something(wanted: &impl Serialize, found: &impl Serialize) -> bool {
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let found = serde_json::to_value(found).unwrap_or_default();
    !contains(&found, &wanted)
}

fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (_, Value::Null) => true,
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let found = found.get(key).unwrap_or(&Value::Null);
            contains(found, wanted) || is_empty(found) && is_empty(wanted)
        }),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found
                    .iter()
                    .zip(wanted)
                    .all(|(found, wanted)| contains(found, wanted))
        }
        // The API server writes amounts in its own way.
        (Value::String(found), Value::String(wanted)) if found != wanted => {
            let amounts = quantity::parse(found).zip(quantity::parse(wanted));
            amounts.is_some_and(|(found, wanted)| found == wanted)
        }
        (found, wanted) => found == wanted,
    }
}

/// What the API server leaves out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(_) | Value::Bool(true) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_adds_is_no_difference() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "size": "1024Mi", "none": null}});
        let found = json!({
            "spec": {"ports": [{"port": 1, "protocol": "TCP"}], "size": "1Gi", "more": 1},
            "status": {}
        });
        assert!(!is_missing_something(&wanted, &found));
    }

    #[test]
    fn what_somebody_changed_is_a_difference() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "flag": true, "size": "1Gi"}});
        for found in [
            json!({"spec": {"ports": [{"port": 2}], "flag": true, "size": "1Gi"}}),
            json!({"spec": {"ports": [{"port": 1}, {"port": 2}], "flag": true, "size": "1Gi"}}),
            json!({"spec": {"ports": [{"port": 1}], "size": "1Gi"}}),
            json!({"spec": {"ports": [{"port": 1}], "flag": true, "size": "2Gi"}}),
        ] {
            assert!(is_missing_something(&wanted, &found), "{found}");
        }
    }

    #[test]
    fn empty_things_that_are_left_out_are_no_difference() {
        let wanted = json!({"resources": {}, "podSelector": {"labels": {}}, "off": false});
        assert!(!is_missing_something(&wanted, &json!({})));
    }
}
