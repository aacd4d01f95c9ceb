//! Where from and at what time of day a user may connect.

use std::net::IpAddr;

use super::{AccountLookup, Attempt, AuthError};
use crate::jwt::{TimeRange, UserLimits};

const DAY_S: i64 = 24 * 60 * 60;

/// Until when a user may stay, seconds since 1970; `None` when no time is set. An error if it may not
/// connect from there, or not now.
pub(super) fn end_of_stay(
    limits: &UserLimits,
    attempt: &Attempt<'_>,
    accounts: &dyn AccountLookup,
) -> Result<Option<i64>, AuthError> {
    if !is_allowed_source(&limits.src, attempt.peer) {
        return Err(AuthError::Source);
    }
    let offset_s = accounts.utc_offset_s(&limits.times_location, attempt.now_s);
    let left_s = seconds_left(&limits.times, attempt.now_s, offset_s);
    let left_s = left_s.ok_or(AuthError::TimeOfDay)?;
    Ok(left_s.map(|left_s| attempt.now_s + left_s))
}

/// Whether the address lies in one of the networks, such as `10.0.0.0/8`. No networks allow any
/// address; a network that cannot be read contains none.
fn is_allowed_source(networks: &[String], peer: Option<IpAddr>) -> bool {
    if networks.is_empty() {
        return true;
    }
    let Some(peer) = peer else { return false };
    networks
        .iter()
        .any(|network| contains(network, peer.to_canonical()).unwrap_or(false))
}

fn contains(network: &str, peer: IpAddr) -> Option<bool> {
    let (base, bits) = network.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let (base, peer, width) = match (base, peer) {
        (IpAddr::V4(base), IpAddr::V4(peer)) => {
            (u128::from(base.to_bits()), u128::from(peer.to_bits()), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(peer)) => (base.to_bits(), peer.to_bits(), 128),
        _ => return Some(false),
    };
    let ignored = u32::checked_sub(width, bits)?;
    // A shift by the whole width leaves nothing to compare.
    Some((base ^ peer).checked_shr(ignored).unwrap_or(0) == 0)
}

/// How long a user may stay connected: `None` when it may not connect now, `Some(None)` when no
/// time is set. `offset_s` is how far the user's time zone is ahead of UTC, `None` when the zone is
/// not known.
fn seconds_left(ranges: &[TimeRange], now_s: i64, offset_s: Option<i64>) -> Option<Option<i64>> {
    if ranges.is_empty() {
        return Some(None);
    }
    let time_of_day = (now_s + offset_s?).rem_euclid(DAY_S);
    let mut longest = None;
    for range in ranges {
        let (start, end) = (parse(&range.start)?, parse(&range.end)?);
        longest = longest.max(left_in(start, end, time_of_day));
    }
    longest.map(Some)
}

fn left_in(start: i64, end: i64, now: i64) -> Option<i64> {
    match (start <= end, now >= start, now <= end) {
        (true, true, true) | (false, false, true) => Some(end - now),
        (false, true, false) => Some(end + DAY_S - now),
        _ => None,
    }
}

fn parse(time: &str) -> Option<i64> {
    let mut parts = time.split(':').map(|part| part.parse::<u8>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some((i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let check = |network: &str, peer: &str, expected: bool| {
            let peer = peer.parse().expect("an address");
            let allowed = is_allowed_source(&[network.to_owned()], Some(peer));
            assert_eq!(allowed, expected, "{network} {peer}");
        };
        check("10.0.0.0/8", "10.9.8.7", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("192.0.2.7/32", "192.0.2.7", true);
        check("192.0.2.7/32", "192.0.2.6", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db9::1", true);
        check("10.0.0.0/33", "10.0.0.0", false);
        check("10.0.0.0", "10.0.0.0", false);
        check("nonsense", "10.0.0.0", false);
        assert!(is_allowed_source(&[], None));
        assert!(!is_allowed_source(&["10.0.0.0/8".to_owned()], None));
    }

    #[test]
    fn times() {
        let at = |clock: &str| parse(clock).expect("a time") + 7 * DAY_S;
        let check = |ranges: &[(&str, &str)], clock: &str, expected: Option<i64>| {
            let ranges: Vec<TimeRange> = ranges
                .iter()
                .map(|(start, end)| TimeRange {
                    start: start.to_string(),
                    end: end.to_string(),
                })
                .collect();
            let left = seconds_left(&ranges, at(clock), Some(0));
            assert_eq!(left, expected.map(Some), "{clock}");
        };
        check(&[("08:00:00", "16:00:00")], "09:00:00", Some(7 * 3600));
        check(&[("08:00:00", "16:00:00")], "07:59:59", None);
        check(&[("08:00:00", "16:00:00")], "16:00:01", None);
        check(&[("22:00:00", "06:00:00")], "23:00:00", Some(7 * 3600));
        check(&[("22:00:00", "06:00:00")], "05:00:00", Some(3600));
        check(&[("22:00:00", "06:00:00")], "12:00:00", None);
        check(
            &[("01:00:00", "02:00:00"), ("01:30:00", "04:00:00")],
            "01:45:00",
            Some(8100),
        );
        check(&[("nonsense", "04:00:00")], "01:45:00", None);
        check(&[("25:00:00", "04:00:00")], "01:45:00", None);
        assert_eq!(seconds_left(&[], 0, None), Some(None));
        let range = TimeRange {
            start: "08:00:00".to_owned(),
            end: "16:00:00".to_owned(),
        };
        let ranges = [range];
        assert_eq!(
            seconds_left(&ranges, at("07:00:00"), Some(3600)),
            Some(Some(8 * 3600))
        );
        assert_eq!(seconds_left(&ranges, at("09:00:00"), None), None);
    }
}
