//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

/// A duration that may be negative, in nanoseconds.
pub type SignedNanos = i64;

/// Parses a sequence of numbers with units. A bare number is only allowed if it is zero.
pub fn parse(text: &str) -> Result<SignedNanos, String> {
    let invalid = || format!("invalid duration {text:?}, expected one like \"30s\" or \"1h30m\"");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let number_length = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(number_length).ok_or_else(invalid)?;
        let unit_length = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_length).ok_or_else(invalid)?;
        if unit.is_empty() {
            return Err(format!("missing unit in duration {text:?}"));
        }
        let unit = unit_nanos(unit)
            .ok_or_else(|| format!("unknown unit {unit:?} in duration {text:?}"))?;
        nanos += scaled(number, unit).ok_or_else(invalid)?;
        rest = after;
    }
    let nanos = if negative { -nanos } else { nanos };
    i64::try_from(nanos).map_err(|_| format!("duration {text:?} is out of the range"))
}

pub fn from_nanos(nanos: SignedNanos) -> Option<Duration> {
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // Both the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A decimal number times a unit. Digits beyond a nanosecond are dropped.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    const DIGITS_MAX: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if whole.len() > DIGITS_MAX + 1 {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: String = fraction.chars().take(DIGITS_MAX).collect();
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    Some(whole.checked_mul(unit)? + fraction * unit / scale)
}
