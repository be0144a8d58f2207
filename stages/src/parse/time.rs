//! Timestamps as reporters write them, to microseconds since 1970-01-01 UTC.

/// Numbers beyond this are not seconds (the year 5138) but milliseconds (1973) or finer.
const SECONDS_MAX: i64 = 100_000_000_000;
const MICROS: i64 = 1_000_000;

/// A timestamp, and whether it was written as the standard says: an integer of seconds.
pub(super) fn parse(text: &str) -> Option<(i64, bool)> {
    let text = text.trim();
    if !text.is_empty() && text.len() <= 11 && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return Some((seconds * MICROS, true));
    }
    number(text).or_else(|| iso8601(text)).map(|micros| (micros, false))
}

/// Seconds with a fraction, or an integer of a finer unit.
fn number(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    Some(match whole.parse().ok()? {
        seconds if seconds <= SECONDS_MAX => seconds * MICROS + micros(fraction),
        millis if millis <= SECONDS_MAX * 1000 => millis * 1000,
        micros if micros <= SECONDS_MAX * MICROS => micros,
        nanos => nanos / 1000,
    })
}

/// The first six digits behind a decimal point.
fn micros(fraction: &str) -> i64 {
    let digits = fraction.bytes().map(|b| i64::from(b - b'0')).chain(std::iter::repeat(0));
    digits.take(6).fold(0, |sum, digit| sum * 10 + digit)
}

/// `2025-01-31`, `2025-01-31T12:00:00Z`, `2025-01-31 12:00:00.5+02:00`; UTC where no offset is given.
fn iso8601(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-').map(fixed);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest).trim();
    if rest.is_empty() {
        return Some(days * 86_400 * MICROS);
    }
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest[..at].trim(), offset(&rest[at..])?),
        None => (rest.strip_suffix("UTC").unwrap_or(rest).trim(), 0),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(fixed);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    if parts.next().is_some()
        || hour > 24
        || minute > 59
        || second > 60
        || !fraction.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * MICROS + micros(fraction))
}

/// An offset from UTC in seconds: `Z`, `+02:00`, `-0530`.
fn offset(text: &str) -> Option<i64> {
    let (sign, text) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return (text.len() == 1).then_some(0),
    };
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { fixed(minutes)? };
    Some(sign * (fixed(hours)? * 3600 + minutes * 60))
}

/// A short number of digits only.
fn fixed(text: &str) -> Option<i64> {
    let short = matches!(text.len(), 1..=4) && text.bytes().all(|b| b.is_ascii_digit());
    if short { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, by eras of 400 years that begin in March.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_seconds_are_exact() {
        assert_eq!(parse(" 1738195200\n"), Some((1_738_195_200_000_000, true)));
        assert_eq!(parse("0"), Some((0, true)));
    }

    #[test]
    fn other_writings_of_an_instant_are_read() {
        let instant = Some((1_738_195_200_000_000, false));
        for text in [
            "1738195200.0",
            "+1738195200",
            "1738195200000",
            "1738195200000000",
            "1738195200000000000",
            "2025-01-30T00:00:00Z",
            "2025-01-30",
            "2025-01-30 00:00:00",
            "2025-01-30T02:00:00+02:00",
            "2025-01-29T18:30:00.000-0530",
            "2025-01-30 00:00:00 UTC",
            "2025-01-30 00:00",
        ] {
            assert_eq!(parse(text), instant, "{text}");
        }
        assert_eq!(parse("1.25"), Some((1_250_000, false)));
        assert_eq!(parse("2000-02-29"), Some((951_782_400_000_000, false)));
    }

    #[test]
    fn anything_else_is_no_timestamp() {
        for text in [
            "",
            "-1",
            "soon",
            "1e9",
            "2025-13-01",
            "2025-01-30Tx",
            "1.2.3",
            "2025-01-30T25:00",
            "9999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
