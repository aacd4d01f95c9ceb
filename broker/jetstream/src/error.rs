//! What the JetStream API answers when it refuses a request.

mod table;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A JetStream API error, serialised as `{"code":…,"err_code":…,"description":…}`.
///
/// Every error of the protocol exists as a constant (`ApiError::STREAM_NOT_FOUND`) or, when its
/// text carries details, as a constructor (`ApiError::stream_invalid_config("…")`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// HTTP-like class of the failure: 400, 404, 500, 503 and so on.
    pub code: u16,
    /// The exact failure, 10002..=10228.
    #[serde(default)]
    pub err_code: u16,
    /// Text for a person.
    #[serde(default)]
    pub description: Cow<'static, str>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.err_code)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_covers_every_code_once() {
        let mut codes: Vec<u16> = table::FIXED.iter().map(|error| error.err_code).collect();
        codes.extend(table::WORDED.iter().map(|(err_code, _)| *err_code));
        codes.sort_unstable();
        assert_eq!(codes, (10002..=10228).collect::<Vec<u16>>());
    }

    #[test]
    fn each_class_has_its_number_of_errors() {
        let mut classes = std::collections::BTreeMap::new();
        for error in table::FIXED {
            *classes.entry(error.code).or_insert(0) += 1;
        }
        for (_, code) in table::WORDED {
            *classes.entry(*code).or_insert(0) += 1;
        }
        let expected = [
            (400, 171),
            (404, 4),
            (409, 1),
            (412, 2),
            (429, 3),
            (500, 34),
            (503, 12),
        ];
        assert_eq!(classes.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_error_is_serialised_with_code_err_code_and_description() {
        let json = serde_json::to_string(&ApiError::stream_wrong_last_sequence(5)).unwrap();
        let expected = r#"{"code":400,"err_code":10071,"description":"wrong last sequence: 5"}"#;
        assert_eq!(json, expected);
    }
}
