//! Shares a record's messages over the UTC days that its report's interval overlaps; the sum stays exact.

/// Seconds of a UTC day.
pub(super) const DAY: i64 = 86_400;
/// A tail of an interval past a day's end that still belongs to the day before, in seconds:
/// reporters close their day some seconds late.
pub(super) const TAIL: i64 = 60;
/// The longest interval that is shared, in days. A longer one is a defect of the report, not a
/// statement about days: its messages count on the day on which it begins.
pub(super) const LONGEST: i64 = 31;

/// The UTC day of an instant in seconds since 1970: days since 1970-01-01.
pub fn day_of(seconds: i64) -> i32 {
    i32::try_from(seconds.div_euclid(DAY)).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

/// The days of an interval, each with the seconds of it that fall on the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Days {
    first: i32,
    /// Seconds by day, from the first on; never empty.
    seconds: Vec<i64>,
}

impl Days {
    /// The days of the interval from `begin` to `end`, in seconds since 1970.
    pub(super) fn of(begin: i64, end: i64) -> Self {
        let first = day_of(begin);
        let whole = Self { first, seconds: vec![1] };
        if begin >= end || end.saturating_sub(begin) > LONGEST * DAY {
            return whole;
        }
        let mut seconds = Vec::new();
        let mut at = begin;
        while at < end {
            let next = (at.div_euclid(DAY) + 1) * DAY;
            seconds.push(next.min(end) - at);
            at = next;
        }
        if seconds.len() > 1 && seconds.last().is_some_and(|tail| *tail <= TAIL) {
            seconds.pop();
        }
        Self { first, seconds }
    }

    /// Whether the messages of the interval are shared over several days.
    pub(super) fn crosses(&self) -> bool {
        self.seconds.len() > 1
    }

    /// Calls `each` with every day that gets messages, and how many: by largest remainder, the
    /// earlier day where remainders are equal.
    pub(super) fn share(&self, messages: i64, mut each: impl FnMut(i32, i64)) {
        if !self.crosses() {
            return each(self.first, messages);
        }
        let total: i128 = self.seconds.iter().map(|s| i128::from(*s)).sum();
        let exact = |seconds: i64| i128::from(messages) * i128::from(seconds);
        let mut shares: Vec<(i64, i128)> =
            self.seconds.iter().map(|s| ((exact(*s) / total) as i64, exact(*s) % total)).collect();
        let mut left = messages - shares.iter().map(|(floor, _)| floor).sum::<i64>();
        while left > 0 {
            let mut best = 0;
            for (i, (_, remainder)) in shares.iter().enumerate() {
                if *remainder > shares[best].1 {
                    best = i;
                }
            }
            shares[best].0 += 1;
            shares[best].1 = -1;
            left -= 1;
        }
        for (day, (share, _)) in (self.first..).zip(shares) {
            if share > 0 {
                each(day, share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(begin: i64, end: i64, messages: i64) -> Vec<(i32, i64)> {
        let mut out = Vec::new();
        Days::of(begin, end).share(messages, |day, n| out.push((day, n)));
        out
    }

    #[test]
    fn a_utc_day_is_one_day_inclusive_or_exclusive_or_a_little_late() {
        for end in [DAY - 1, DAY, DAY + 32, DAY + 60] {
            assert_eq!(shares(0, end, 7), [(0, 7)], "{end}");
        }
        assert_eq!(shares(0, DAY + 61, 86_461).len(), 2);
    }

    #[test]
    fn an_interval_across_midnight_is_shared_by_time() {
        assert_eq!(shares(DAY / 2, DAY / 2 + DAY, 10), [(0, 5), (1, 5)]);
        assert_eq!(shares(DAY / 4, DAY / 4 + DAY, 3), [(0, 2), (1, 1)]);
        assert_eq!(shares(DAY / 2, DAY / 2 + DAY, 1), [(0, 1)]);
    }

    #[test]
    fn an_interval_that_makes_no_sense_counts_on_its_first_day() {
        assert_eq!(shares(5 * DAY, 5 * DAY, 4), [(5, 4)]);
        assert_eq!(shares(5 * DAY, 3 * DAY, 4), [(5, 4)]);
        assert_eq!(shares(100, 40 * DAY, 4), [(0, 4)]);
        assert_eq!(shares(i64::MIN, i64::MAX, 4).len(), 1);
    }

    proptest! {
        #[test]
        fn shares_add_up(begin in -1_000_000i64..4_000_000_000, span in 0i64..40 * DAY, messages in 0i64..=i64::MAX / 4) {
            let sum: i64 = shares(begin, begin + span, messages).iter().map(|(_, n)| n).sum();
            prop_assert_eq!(sum, messages);
        }
    }
}
