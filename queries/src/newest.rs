//! The newest day in the data: what "the last 30 days" end with.

use std::time::{SystemTime, UNIX_EPOCH};

/// Reports may be dated a little ahead of this machine's clock.
const AHEAD_DAYS: i32 = 1;
const SECONDS_A_DAY: u64 = 86_400;

/// The newest of these days that is not in the future; a report with a broken clock must not empty every
/// question. If all are in the future, the newest. Days since 1970-01-01.
pub(crate) fn newest(days: &[i32], today: i32) -> Option<i32> {
    let latest = today.saturating_add(AHEAD_DAYS);
    days.iter().copied().filter(|day| *day <= latest).max().or_else(|| days.iter().copied().max())
}

/// This machine's UTC day.
pub(crate) fn today() -> i32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i32::try_from(since.as_secs() / SECONDS_A_DAY).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn days_in_the_future_do_not_count_unless_there_are_no_others() {
        assert_eq!(newest(&[10, 30, 20, 900], 30), Some(30));
        assert_eq!(newest(&[10, 31], 30), Some(31));
        assert_eq!(newest(&[900, 800], 30), Some(900));
        assert_eq!(newest(&[], 30), None);
    }
}
