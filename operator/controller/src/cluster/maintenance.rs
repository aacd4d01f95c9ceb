//! When servers may be restarted. Pure.

use api::cluster::{MaintenanceWindow, Weekday};
use k8s_openapi::jiff::Timestamp;

const DAY_S: i64 = 24 * 3600;
/// Days from a Monday to 1970-01-01.
const EPOCH_WEEKDAY: i64 = 3;
const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// A window that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days of a week, from Monday.
    days: [bool; 7],
    /// Seconds of the day.
    start_s: i64,
    /// At most a day.
    duration_s: i64,
}

impl Window {
    /// `None` if it has no such time of day, or lasts longer than a day or not at all.
    pub fn new(said: &MaintenanceWindow) -> Option<Window> {
        let (hours, minutes) = said.start.split_once(':')?;
        let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
        let duration_s = i64::try_from(said.duration.as_secs()).ok()?;
        let is_time = (0..24).contains(&hours) && (0..60).contains(&minutes);
        let is_duration = (1..=DAY_S).contains(&duration_s);
        (is_time && is_duration).then(|| Window {
            days: WEEK.map(|day| said.days.is_empty() || said.days.contains(&day)),
            start_s: hours * 3600 + minutes * 60,
            duration_s,
        })
    }

    fn is_open(&self, now_s: i64) -> bool {
        let today = now_s.div_euclid(DAY_S);
        // One that began yesterday can still be open.
        [today, today - 1].iter().any(|day| {
            let begun_s = now_s - (day * DAY_S + self.start_s);
            let weekday = (day + EPOCH_WEEKDAY).rem_euclid(7);
            let days = self.days.iter().zip(0..);
            let begins = days
                .into_iter()
                .any(|(begins, day)| *begins && day == weekday);
            begins && (0..self.duration_s).contains(&begun_s)
        })
    }
}

/// Whether one of the windows is open; without windows it is always time.
pub fn is_open(windows: &[Window], now: Timestamp) -> bool {
    windows.is_empty() || windows.iter().any(|window| window.is_open(now.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], start: &str, hours: u64) -> Option<Window> {
        Window::new(&MaintenanceWindow {
            days: days.to_vec(),
            start: start.to_owned(),
            duration: api::Duration::from_secs(hours * 3600),
        })
    }

    #[test]
    fn a_window_opens_on_its_days_and_can_last_until_the_next() {
        // A Friday.
        let friday = "2026-11-27";
        let windows = [window(&[Weekday::Friday], "22:30", 4).expect("a window")];
        let is_open = |time: &str| is_open(&windows, time.parse().expect("a time"));
        assert!(!is_open(&format!("{friday}T22:29:59Z")));
        assert!(is_open(&format!("{friday}T22:30:00Z")));
        assert!(is_open("2026-11-28T02:29:59Z"));
        assert!(!is_open("2026-11-28T02:30:00Z"));
        assert!(!is_open("2026-11-28T23:00:00Z"));
        assert!(!is_open(&format!("{friday}T01:00:00Z")));
    }

    #[test]
    fn without_days_it_opens_every_day_and_without_windows_it_is_always_time() {
        let windows = [window(&[], "00:00", 1).expect("a window")];
        for day in 23..30 {
            let time = |hour: u32| {
                format!("2026-11-{day}T0{hour}:30:00Z")
                    .parse()
                    .expect("a time")
            };
            assert!(is_open(&windows, time(0)) && !is_open(&windows, time(1)));
            assert!(is_open(&[], time(1)));
        }
    }

    #[test]
    fn windows_that_make_no_sense_are_none() {
        for (start, hours) in [
            ("24:00", 1),
            ("noon", 1),
            ("12:60", 1),
            ("12:00", 0),
            ("12:00", 25),
        ] {
            assert_eq!(window(&[], start, hours), None, "{start} for {hours} h");
        }
    }
}
