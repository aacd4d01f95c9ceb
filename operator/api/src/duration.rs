//! Durations as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];
/// The units that [`fmt::Display`] uses, largest first.
const SHOWN: [(&str, u64); 7] = [
    ("d", 86_400 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Servers count nanoseconds in 64 bits with a sign, so this is about 292 years.
const MAX_NS: u64 = i64::MAX as u64;
pub(crate) const PATTERN: &str = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$";

/// A length of time, such as `7d`, `2m30s` or `1.5h`. A day is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    ns: u64,
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    #[error("{0:?} is not a duration; write numbers with units, such as 7d, 2m30s or 500ms")]
    Form(String),
    #[error("{0:?} is too long; durations end at 106751d")]
    TooLong(String),
}

impl Duration {
    pub const ZERO: Duration = Duration { ns: 0 };

    pub const fn from_nanos(ns: u64) -> Duration {
        Duration { ns }
    }

    pub const fn from_secs(seconds: u64) -> Duration {
        Duration {
            ns: seconds.saturating_mul(1_000_000_000),
        }
    }

    /// Nanoseconds, as servers count.
    pub const fn as_nanos(self) -> u64 {
        self.ns
    }

    pub const fn as_secs(self) -> u64 {
        self.ns / 1_000_000_000
    }

    pub const fn is_zero(self) -> bool {
        self.ns == 0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Duration, DurationError> {
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        let form = || DurationError::Form(text.to_owned());
        let too_long = || DurationError::TooLong(text.to_owned());
        let mut rest = text;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(form());
        }
        while !rest.is_empty() {
            let (whole, after) = digits(rest).ok_or_else(form)?;
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => digits(after).ok_or_else(form)?,
                None => ("", after),
            };
            let end = after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let unit_ns = UNITS
                .iter()
                .find_map(|(name, ns)| (*name == unit).then_some(*ns))
                .ok_or_else(form)?;
            let whole: u64 = whole.parse().map_err(|_| too_long())?;
            let part = whole
                .checked_mul(unit_ns)
                .and_then(|ns| ns.checked_add(fraction_ns(fraction, unit_ns)))
                .ok_or_else(too_long)?;
            total = total
                .checked_add(part)
                .filter(|total| *total <= MAX_NS)
                .ok_or_else(too_long)?;
            rest = after;
        }
        Ok(Duration { ns: total })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ns == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.ns;
        for (unit, unit_ns) in SHOWN {
            let count = rest / unit_ns;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest %= unit_ns;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 64 })
    }
}

/// The digits at the start, at least one, and what follows them.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The part of a unit that the digits behind the point say, rounded down.
fn fraction_ns(digits: &str, unit_ns: u64) -> u64 {
    let mut scale = unit_ns;
    let mut sum = 0;
    for digit in digits.bytes() {
        // Units have at most 14 digits, so the product fits.
        sum += u64::from(digit - b'0') * scale;
        scale /= 10;
        if scale == 0 {
            break;
        }
    }
    sum / 10
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, seconds: f64, shown: &str) {
        let duration: Duration = text.parse().expect("a duration");
        assert_eq!(duration.as_nanos() as f64 / 1e9, seconds, "{text}");
        assert_eq!(duration.to_string(), shown, "{text}");
    }

    #[test]
    fn forms_people_write() {
        check("7d", 604_800.0, "7d");
        check("2m30s", 150.0, "2m30s");
        check("1.5h", 5_400.0, "1h30m");
        check("250ms", 0.25, "250ms");
        check("1us", 1e-6, "1us");
        check("1µs", 1e-6, "1us");
        check("0.5d", 43_200.0, "12h");
        check("36h", 129_600.0, "1d12h");
        check("0", 0.0, "0s");
        check("0s", 0.0, "0s");
        check("0.1s", 0.1, "100ms");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            " ",
            "1",
            "1.s",
            ".5s",
            "-1s",
            "+1s",
            "1 s",
            "s",
            "1w",
            "1D",
            "1s ",
            "1s2",
            "300000d",
            "99999999999999999999s",
            "1e3s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(ns in 0..=MAX_NS) {
            let duration = Duration::from_nanos(ns);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Duration>();
        }
    }
}
