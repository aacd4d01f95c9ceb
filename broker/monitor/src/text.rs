//! Times and durations as nats-server writes them, which tools parse.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jetstream::timestamp::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

pub fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

/// How long something has lasted, in whole seconds: `3d4h5m6s`.
pub(crate) fn lasted(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, letter) in [(YEAR, 'y'), (DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
        let count = rest / unit;
        rest %= unit;
        if count > 0 || !text.is_empty() {
            text.push_str(&format!("{count}{letter}"));
        }
    }
    text.push_str(&format!("{rest}s"));
    text
}

/// A round trip with all its digits, in the unit that suits it: `5.517683ms`, `1m2.5s`.
pub(crate) fn precise(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = duration.as_secs() / MINUTE;
            let seconds = decimal(nanos % (u128::from(MINUTE) * 1_000_000_000), 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` without trailing zeros. `unit` is a power of ten.
fn decimal(value: u128, unit: u128) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Nanoseconds, as configuration durations are shown.
pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_show_every_unit_from_the_largest_down() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (469, "7m49s"),
            (3 * HOUR + 5, "3h0m5s"),
            (2 * DAY, "2d0h0m0s"),
            (YEAR + DAY + HOUR + MINUTE + 1, "1y1d1h1m1s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(lasted(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn round_trips_keep_their_digits() {
        let cases = [
            (0, "0s"),
            (800, "800ns"),
            (687_000, "687µs"),
            (687_500, "687.5µs"),
            (5_517_683, "5.517683ms"),
            (1_500_000_000, "1.5s"),
            (62_000_000_000, "1m2s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(precise(Duration::from_nanos(nanos)), text);
        }
    }
}
