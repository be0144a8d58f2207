//! UTC calendar days, without a clock.

use std::fmt;
use std::str::FromStr;

/// Seconds of a day.
pub const SECONDS: i64 = 86_400;

/// A UTC day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// A text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no date: write it as 2026-06-30")]
pub struct NoDay(String);

impl Day {
    /// A day of the calendar, where there is such a day.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Counted in years that begin in March, so that the leap day comes last.
        let (year_of, month_of) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let leaps = year_of / 4 - year_of / 100 + year_of / 400;
        let days = year_of * 365 + leaps + (153 * month_of.cast_signed() + 2) / 5 + day.cast_signed() - 1;
        let found = Self(days - 719_468);
        (found.civil() == (year, month, day)).then_some(found)
    }

    /// Year, month and day.
    pub fn civil(self) -> (i32, u32, u32) {
        let days = i64::from(self.0) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        ((year_of_era + era * 400 + next) as i32, month as u32, day as u32)
    }

    /// The day of an instant in seconds since 1970.
    pub fn of(seconds: i64) -> Self {
        Self(seconds.div_euclid(SECONDS) as i32)
    }

    /// Its first instant, in seconds since 1970.
    pub fn start(self) -> i64 {
        i64::from(self.0) * SECONDS
    }

    /// The day that many days later.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// 0 is Monday, 6 is Sunday.
    pub fn weekday(self) -> usize {
        (self.0 + 3).rem_euclid(7) as usize
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let parse = || {
            let mut parts = text.splitn(3, '-');
            let year = parts.next()?.parse().ok()?;
            let month = parts.next()?.parse().ok()?;
            Self::new(year, month, parts.next()?.parse().ok()?)
        };
        parse().ok_or_else(|| NoDay(text.to_owned()))
    }
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant as mails date themselves: `Tue, 30 Jun 2026 09:05:00 +0000`.
pub fn mail_date(seconds: i64) -> String {
    let (year, month, day) = Day::of(seconds).civil();
    format!("{}, {day} {} {year} {} +0000", weekday(seconds), MONTHS[month as usize - 1], time(seconds))
}

/// An instant as mboxes write it: `Tue Jun 30 09:05:00 2026`.
pub fn mbox_date(seconds: i64) -> String {
    let (year, month, day) = Day::of(seconds).civil();
    format!("{} {} {day:2} {} {year}", weekday(seconds), MONTHS[month as usize - 1], time(seconds))
}

/// An instant as ISO 8601 writes it: `2026-06-30T09:05:00Z`.
pub fn iso(seconds: i64) -> String {
    format!("{}T{}Z", Day::of(seconds), time(seconds))
}

fn weekday(seconds: i64) -> &'static str {
    WEEKDAYS[Day::of(seconds).weekday()]
}

fn time(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(SECONDS);
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// The days of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: Day,
    pub last: Day,
}

impl Span {
    /// The day at a share of the span: 0 is its first day, 1 its last.
    pub fn at(self, share: f64) -> Day {
        self.first.plus((f64::from(self.last.0 - self.first.0) * share) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for day in (-200_000..200_000).step_by(13) {
            let (y, m, d) = Day(day).civil();
            assert_eq!(Day::new(y, m, d), Some(Day(day)));
        }
        assert_eq!(Day::new(1970, 1, 1), Some(Day(0)));
        assert_eq!(Day::new(2026, 2, 29), None);
        assert_eq!("2024-02-29".parse(), Ok(Day(19_782)));
        assert!("2026-06".parse::<Day>().is_err() && "2026-13-01".parse::<Day>().is_err());
    }

    #[test]
    fn instants_are_written_as_each_format_has_them() {
        let at = Day(20_634).start() + 9 * 3600 + 5 * 60;
        assert_eq!(mail_date(at), "Tue, 30 Jun 2026 09:05:00 +0000");
        assert_eq!(mbox_date(at), "Tue Jun 30 09:05:00 2026");
        assert_eq!(iso(at), "2026-06-30T09:05:00Z");
    }
}
