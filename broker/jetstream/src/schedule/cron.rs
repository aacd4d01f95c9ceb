//! Cron patterns of six fields: second, minute, hour, day of the month, month, day of the week.

use chrono::{DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;

/// A pattern that names no time within so many days names none.
const MAX_DAYS: u64 = 5 * 366;
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The values that each field allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    seconds: Field,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// A set of small numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Field {
    /// Bit `n` stands for `n`.
    bits: u64,
    /// The field was written as `*` or `?`.
    is_star: bool,
}

impl Field {
    fn has(self, value: u32) -> bool {
        self.bits & (1 << value) != 0
    }

    fn from(self, first: u32) -> impl Iterator<Item = u32> {
        (first..60).filter(move |value| self.has(*value))
    }
}

impl Cron {
    pub(super) fn parse(text: &str) -> Option<Cron> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [seconds, minutes, hours, days, months, weekdays] = fields[..] else {
            return None;
        };
        Some(Cron {
            seconds: field(seconds, 0, 59, &[])?,
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            weekdays: field(weekdays, 0, 6, &WEEKDAYS)?,
        })
    }

    /// The first matching time after `now_ns`, nanoseconds since 1970.
    pub(super) fn next_ns(&self, now_ns: i64, time_zone: Tz) -> Option<i64> {
        let now = DateTime::from_timestamp_nanos(now_ns);
        let today = now.with_timezone(&time_zone).naive_local().date();
        (0..=MAX_DAYS)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|date| self.has_day(*date))
            .find_map(|date| self.next_of_day(date, now_ns, time_zone))
    }

    /// If both kinds of days are restricted, either of them counts.
    fn has_day(&self, date: NaiveDate) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().num_days_from_sunday());
        let matches = match self.days.is_star || self.weekdays.is_star {
            true => day && weekday,
            false => day || weekday,
        };
        matches && self.months.has(date.month())
    }

    fn next_of_day(&self, date: NaiveDate, now_ns: i64, time_zone: Tz) -> Option<i64> {
        // Earlier times of today are passed over quickly, but not those that clocks show twice.
        let local = DateTime::from_timestamp_nanos(now_ns)
            .with_timezone(&time_zone)
            .naive_local();
        let is_today = local.date() == date;
        let first_hour = if is_today { local.hour() } else { 0 };
        for hour in self.hours.from(first_hour) {
            let is_now = is_today && hour == first_hour;
            let first_minute = if is_now { local.minute() } else { 0 };
            for minute in self.minutes.from(first_minute) {
                for second in self.seconds.from(0) {
                    let time = NaiveTime::from_hms_opt(hour, minute, second)?;
                    let found = instant(date, time, now_ns, time_zone);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }
}

/// When clocks of the time zone show this, if that is after `now_ns`.
fn instant(date: NaiveDate, time: NaiveTime, now_ns: i64, time_zone: Tz) -> Option<i64> {
    let nanoseconds = |instant: DateTime<Tz>| instant.timestamp_nanos_opt();
    let instants = match time_zone.from_local_datetime(&date.and_time(time)) {
        MappedLocalTime::None => [None, None],
        MappedLocalTime::Single(instant) => [nanoseconds(instant), None],
        MappedLocalTime::Ambiguous(first, second) => [nanoseconds(first), nanoseconds(second)],
    };
    instants
        .into_iter()
        .flatten()
        .find(|instant| *instant > now_ns)
}

/// Reads a list of values, ranges and steps.
fn field(text: &str, first: u32, last: u32, names: &[&str]) -> Option<Field> {
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (low, high) = match range.split_once('-') {
            _ if is_star(range) => (first, last),
            Some((low, high)) => (value(low, first, names)?, value(high, first, names)?),
            None => {
                let value = value(range, first, names)?;
                (value, if step.is_some() { last } else { value })
            }
        };
        if low < first || high > last || low > high {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        bits |= (low..=high)
            .step_by(step)
            .fold(0, |bits, value| bits | 1 << value);
    }
    Some(Field {
        bits,
        is_star: is_star(text),
    })
}

fn is_star(text: &str) -> bool {
    text == "*" || text == "?"
}

/// A number, or the name of one.
fn value(text: &str, first: u32, names: &[&str]) -> Option<u32> {
    let mut known = (first..).zip(names);
    match known.find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        Some((value, _)) => Some(value),
        None => number(text),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().ok(),
        false => None,
    }
}
