//! Amounts of bytes as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SUFFIXES: [(&str, u64); 13] = [
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];
/// Servers count bytes in 64 bits with a sign.
const MAX_BYTES: u64 = i64::MAX as u64;
const FRACTION_DIGITS_MAX: usize = 18;
pub(crate) const PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";

/// A number of bytes, such as `1Gi`, `256Mi` or `1000`, in the notation of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    bytes: u64,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    #[error("{0:?} is not a size; write a number of bytes, such as 1000, 256Mi or 1Gi")]
    Form(String),
    #[error("{0:?} is not a whole number of bytes")]
    Fraction(String),
    #[error("{0:?} is too large; sizes end below 8Ei")]
    TooLarge(String),
}

impl Quantity {
    pub const fn from_bytes(bytes: u64) -> Quantity {
        Quantity { bytes }
    }

    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        let form = || QuantityError::Form(text.to_owned());
        let too_large = || QuantityError::TooLarge(text.to_owned());
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(form()),
            Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
            None => (number, ""),
        };
        if whole.is_empty() || fraction.contains('.') {
            return Err(form());
        }
        let scale = SUFFIXES
            .iter()
            .find_map(|(name, scale)| (*name == suffix).then_some(*scale))
            .ok_or_else(form)?;
        let part = fraction_bytes(fraction, scale)
            .ok_or_else(|| QuantityError::Fraction(text.to_owned()))?;
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        whole
            .checked_mul(scale)
            .and_then(|bytes| bytes.checked_add(part))
            .filter(|bytes| *bytes <= MAX_BYTES)
            .map(Quantity::from_bytes)
            .ok_or_else(too_large)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest binary suffix that leaves no fraction.
        let suffix = SUFFIXES
            .iter()
            .rev()
            .take_while(|(name, _)| name.ends_with('i'))
            .find(|(_, scale)| self.bytes > 0 && self.bytes.is_multiple_of(*scale));
        match suffix {
            Some((name, scale)) => write!(f, "{}{name}", self.bytes / scale),
            None => write!(f, "{}", self.bytes),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Quantity, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 1000 or 256Mi")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Quantity, E> {
                if bytes > MAX_BYTES {
                    return Err(E::custom(QuantityError::TooLarge(bytes.to_string())));
                }
                Ok(Quantity { bytes })
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Quantity, E> {
                u64::try_from(bytes)
                    .map(Quantity::from_bytes)
                    .map_err(|_| E::custom(QuantityError::Form(bytes.to_string())))
            }
        }
        from.deserialize_any(TextOrNumber).map_err(D::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "pattern": PATTERN, "minimum": 0 })
    }
}

/// The bytes that the digits behind the point stand for, or `None` if those are not whole.
fn fraction_bytes(digits: &str, scale: u64) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    if digits.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let parts = u128::from(digits.parse::<u64>().ok()?) * u128::from(scale);
    let whole = 10u128.pow(digits.len() as u32);
    parts
        .is_multiple_of(whole)
        .then(|| u64::try_from(parts / whole).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, bytes: u64, shown: &str) {
        let quantity: Quantity = text.parse().expect("a quantity");
        assert_eq!(quantity.bytes(), bytes, "{text}");
        assert_eq!(quantity.to_string(), shown, "{text}");
    }

    #[test]
    fn forms_people_write() {
        check("1Gi", 1 << 30, "1Gi");
        check("256Mi", 256 << 20, "256Mi");
        check("1000", 1000, "1000");
        check("1k", 1000, "1000");
        check("1.5Gi", 3 << 29, "1536Mi");
        check("0.5k", 500, "500");
        check("1.0", 1, "1");
        check("0", 0, "0");
        check("7Ei", 7 << 60, "7Ei");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "1 Gi",
            "Gi",
            "1KiB",
            "1K",
            "1ki",
            "1.",
            ".5",
            "1..5",
            "1.5.5",
            "1.5",
            "0.1Ki",
            "8Ei",
            "100m",
            "1e3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_and_texts_are_read() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json);
        assert_eq!(read("1000").expect("a number").bytes(), 1000);
        assert_eq!(read("\"1Ki\"").expect("a text").bytes(), 1024);
        assert!(read("-1").is_err());
        assert!(read("1.5").is_err());
        assert!(read("18446744073709551615").is_err());
        assert!(read("null").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in 0..=MAX_BYTES) {
            let quantity = Quantity::from_bytes(bytes);
            prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Quantity>();
        }
    }
}
