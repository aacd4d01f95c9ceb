//! Times as the JetStream API writes them: RFC 3339 with nanoseconds, UTC.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Nanoseconds since 1970 in UTC, serialised as RFC 3339 text.
///
/// [`Timestamp::UNSET`] stands for the API's empty time, `0001-01-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time of something that never happened.
    pub const UNSET: Timestamp = Timestamp(i64::MIN);

    /// Reads RFC 3339 text with any offset; `None` if it is not a time between 1677 and 2262.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if text == UNSET_TEXT {
            return Some(Timestamp::UNSET);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos())
            .ok()
            .map(Timestamp)
    }

    pub fn is_unset(self) -> bool {
        self == Timestamp::UNSET
    }
}

const UNSET_TEXT: &str = "0001-01-01T00:00:00Z";

impl Default for Timestamp {
    fn default() -> Timestamp {
        Timestamp::UNSET
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unset() {
            return f.write_str(UNSET_TEXT);
        }
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .map_err(|_| fmt::Error)?
            .to_offset(UtcOffset::UTC);
        f.write_str(&time.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| D::Error::custom(NotATime(&text)))
    }
}

struct NotATime<'a>(&'a str);

impl fmt::Display for NotATime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "parsing time {:?} as RFC 3339: not a time between 1677 and 2262",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_only_the_digits_it_needs() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            Timestamp(1_500_000_000).to_string(),
            "1970-01-01T00:00:01.5Z"
        );
        assert_eq!(Timestamp(123).to_string(), "1970-01-01T00:00:00.000000123Z");
        assert_eq!(Timestamp::UNSET.to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn text_is_read_back() {
        for time in [
            Timestamp(0),
            Timestamp(1_763_913_600_123_456_789),
            Timestamp::UNSET,
        ] {
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
        assert_eq!(
            Timestamp::parse("1970-01-01T01:00:00+01:00"),
            Some(Timestamp(0))
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("9999-01-01T00:00:00Z"), None);
    }
}
