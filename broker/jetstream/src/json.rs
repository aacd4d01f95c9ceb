//! JSON of API requests: strict about unknown fields, lenient about `null`.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;

/// Reads a request. A field that is `null` counts as absent, and a request that is `null` has no
/// fields; an unknown field is an error, if `T` denies unknown fields. Errors are
/// [`ApiError::invalid_json`].
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    let mut value: Value = serde_json::from_slice(text).map_err(refused)?;
    if value.is_null() {
        value = Value::Object(serde_json::Map::new());
    }
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(refused)
}

/// Whether a request says nothing: clients send no bytes, white space, `null` or `{}` for that.
pub fn says_nothing(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    match text {
        b"" | b"null" => true,
        [b'{', between @ .., b'}'] => between.trim_ascii().is_empty(),
        _ => false,
    }
}

/// `serde_json::to_vec` for types whose serialisation has no way to fail.
pub fn to_vec<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Says what nats-server says of an end that came too early and of values that a field does not know.
/// Clients recognise an unknown field by the text `json: unknown field "name"`.
fn refused(error: serde_json::Error) -> ApiError {
    if error.is_eof() {
        return ApiError::invalid_json("unexpected end of JSON input");
    }
    let text = error.to_string();
    let unknown = |prefix| {
        let rest = text.strip_prefix(prefix)?;
        rest.split('`').next()
    };
    if let Some(field) = unknown("unknown field `") {
        return ApiError::invalid_json(format_args!("json: unknown field {field:?}"));
    }
    match unknown("unknown variant `") {
        Some(value) => unknown_value(value, &text),
        None => ApiError::invalid_json(format_args!("json: {text}")),
    }
}

/// `expected` names the values that there are.
fn unknown_value(value: &str, expected: &str) -> ApiError {
    if expected.ends_with("`s2`") {
        return ApiError::invalid_json("unknown compression algorithm");
    }
    if expected.ends_with("`prioritized`") {
        return ApiError::invalid_json(format_args!("unknown priority policy: {value:?}"));
    }
    let quoted = format!("{value:?}");
    ApiError::invalid_json(format_args!("can not unmarshal {quoted:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Request {
        count: u64,
        names: Vec<String>,
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = parse::<Request>(br#"{"count":1,"colour":"red"}"#).unwrap_err();
        assert_eq!(error.err_code, 10025);
        assert_eq!(
            error.description,
            r#"invalid JSON: json: unknown field "colour""#
        );
    }

    #[test]
    fn an_unknown_value_is_named_as_nats_server_names_it() {
        use crate::config::StreamConfig;
        use crate::consumer::ConsumerConfig;
        let said = |error: ApiError| error.description.to_string();
        let storage = parse::<StreamConfig>(br#"{"storage":"tape"}"#).unwrap_err();
        let expected = "invalid JSON: can not unmarshal \"\\\"tape\\\"\"";
        assert_eq!(said(storage), expected);
        let compression = parse::<StreamConfig>(br#"{"compression":"zip"}"#).unwrap_err();
        let expected = "invalid JSON: unknown compression algorithm";
        assert_eq!(said(compression), expected);
        let policy = parse::<ConsumerConfig>(br#"{"priority_policy":"x"}"#).unwrap_err();
        let expected = "invalid JSON: unknown priority policy: \"x\"";
        assert_eq!(said(policy), expected);
    }

    #[test]
    fn null_counts_as_absent() {
        let request: Request = parse(br#"{"count":null,"names":null}"#).unwrap();
        assert_eq!(request, Request::default());
        assert_eq!(parse::<Request>(b"null").unwrap(), Request::default());
    }

    #[test]
    fn a_request_can_say_nothing_in_several_ways() {
        for text in ["", " ", "null", "{}", " { }\n"] {
            assert!(says_nothing(text.as_bytes()), "{text:?}");
        }
        for text in ["{", "[]", "{{}", "nul", r#"{"count":1}"#] {
            assert!(!says_nothing(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused() {
        assert_eq!(
            parse::<Request>(br#"{"count":"1"}"#).unwrap_err().err_code,
            10025
        );
        let error = parse::<Request>(b"{").unwrap_err();
        assert_eq!(
            error.description,
            "invalid JSON: unexpected end of JSON input"
        );
    }
}
