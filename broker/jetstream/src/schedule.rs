//! When a scheduled message is due: `@at`, `@every`, cron patterns and their names.

mod cron;

use chrono_tz::Tz;

use crate::duration;
use crate::timestamp::Timestamp;

use cron::Cron;

const SECOND_NS: i64 = 1_000_000_000;

/// A pattern of times.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Once, nanoseconds since 1970.
    At(i64),
    /// Again after so many nanoseconds.
    Every(i64),
    Cron(Box<Cron>, Tz),
}

/// Why a pattern is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    Pattern,
    TimeZone,
}

impl Schedule {
    /// Reads a pattern. Only cron patterns may have a time zone.
    ///
    /// # Errors
    /// The pattern or the time zone is none, or the pattern names no time of the next years.
    pub fn parse(text: &str, time_zone: Option<&str>) -> Result<Schedule, Invalid> {
        let schedule = if let Some(time) = text.strip_prefix("@at ") {
            let time = Timestamp::parse(time.trim()).filter(|time| !time.is_unset());
            Schedule::At(time.ok_or(Invalid::Pattern)?.0)
        } else if let Some(pause) = text.strip_prefix("@every ") {
            let pause_ns = duration::parse(pause.trim()).ok_or(Invalid::Pattern)?;
            if pause_ns < SECOND_NS {
                return Err(Invalid::Pattern);
            }
            Schedule::Every(pause_ns)
        } else {
            let cron = Cron::parse(named(text)).ok_or(Invalid::Pattern)?;
            let time_zone = match time_zone {
                // Servers may be anywhere: their own time zone must not decide.
                None | Some("Local") => Tz::UTC,
                Some(name) => name.parse().map_err(|_| Invalid::TimeZone)?,
            };
            return Ok(Schedule::Cron(Box::new(cron), time_zone));
        };
        match time_zone {
            Some(_) => Err(Invalid::Pattern),
            None => Ok(schedule),
        }
    }

    /// The first time after `now_ns` of a schedule that began or was due at `from_ns`; `None` if
    /// there is none. A time that has passed already is due at once.
    pub fn next_ns(&self, from_ns: i64, now_ns: i64) -> Option<i64> {
        match self {
            Schedule::At(time_ns) => Some(*time_ns),
            Schedule::Every(pause_ns) => {
                let after = |time_ns: i64| rounded(time_ns).saturating_add(*pause_ns);
                Some(match after(from_ns) {
                    due_ns if due_ns > now_ns => due_ns,
                    _ => after(now_ns),
                })
            }
            Schedule::Cron(cron, time_zone) => cron.next_ns(now_ns, *time_zone),
        }
    }
}

fn rounded(time_ns: i64) -> i64 {
    time_ns.saturating_add(SECOND_NS / 2).div_euclid(SECOND_NS) * SECOND_NS
}

/// The pattern that a name stands for.
fn named(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        Timestamp::parse(text).unwrap().0
    }

    fn next(pattern: &str, time_zone: Option<&str>, now: &str) -> String {
        let schedule = Schedule::parse(pattern, time_zone).unwrap();
        let next_ns = schedule.next_ns(at(now), at(now)).unwrap();
        Timestamp(next_ns).to_string()
    }

    #[test]
    fn patterns_say_when_they_are_due() {
        let now = "2026-02-27T22:59:58.7Z";
        let cases = [
            ("@at 2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
            ("@at 2020-01-01T00:00:00+01:00", "2019-12-31T23:00:00Z"),
            ("@every 90s", "2026-02-27T23:01:29Z"),
            ("* * * * * *", "2026-02-27T22:59:59Z"),
            ("*/20 * * * * *", "2026-02-27T23:00:00Z"),
            ("0 30 9-17/4 * * MON-FRI", "2026-03-02T09:30:00Z"),
            ("0 0 0 13 * 5", "2026-03-06T00:00:00Z"),
            ("0 0 12 29 2 ?", "2028-02-29T12:00:00Z"),
            ("5,10 0 0 1 jan,JUL *", "2026-07-01T00:00:05Z"),
            ("@hourly", "2026-02-27T23:00:00Z"),
            ("@midnight", "2026-02-28T00:00:00Z"),
            ("@weekly", "2026-03-01T00:00:00Z"),
            ("@monthly", "2026-03-01T00:00:00Z"),
            ("@annually", "2027-01-01T00:00:00Z"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(next(pattern, None, now), expected, "{pattern}");
        }
    }

    #[test]
    fn a_time_zone_has_its_own_midnight_and_summer() {
        let berlin = Some("Europe/Berlin");
        let winter = "2026-01-10T12:00:00Z";
        assert_eq!(next("@daily", berlin, winter), "2026-01-10T23:00:00Z");
        let summer = "2026-07-10T12:00:00Z";
        assert_eq!(next("@daily", berlin, summer), "2026-07-10T22:00:00Z");
        // 02:30 does not exist on the day when summer begins, and comes twice when it ends.
        let begin = "2026-03-28T12:00:00Z";
        assert_eq!(next("0 30 2 * * *", berlin, begin), "2026-03-30T00:30:00Z");
        let end = "2026-10-25T00:30:00Z";
        assert_eq!(next("0 30 2 * * *", berlin, end), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "nonsense",
            "@at",
            "@at tomorrow",
            "@every 10",
            "@every 500ms",
            "@bogus",
            "* * * * *",
            "60 * * * * *",
            "* * 24 * * *",
            "* * * 0 * *",
            "* * * * 13 *",
            "* * * * * 7",
            "*/0 * * * * *",
            "5-1 * * * * *",
            "1, * * * * *",
        ] {
            assert_eq!(Schedule::parse(text, None), Err(Invalid::Pattern), "{text}");
        }
        let zoned = Schedule::parse("@every 1s", Some("Europe/Berlin"));
        assert_eq!(zoned, Err(Invalid::Pattern));
        let unknown = Schedule::parse("@daily", Some("Mars/X"));
        assert_eq!(unknown, Err(Invalid::TimeZone));
    }

    #[test]
    fn a_day_that_never_comes_has_no_next_time() {
        let never = Schedule::parse("0 0 0 30 2 *", None).unwrap();
        assert_eq!(never.next_ns(0, 0), None);
    }

    #[test]
    fn missed_times_collapse_into_one() {
        let every = Schedule::parse("@every 1s", None).unwrap();
        let next_ns = every.next_ns(0, 10 * SECOND_NS).unwrap();
        assert_eq!(next_ns, 11 * SECOND_NS);
    }
}
