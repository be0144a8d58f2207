//! What an intake did, in figures for a person.

use std::fmt;
use std::time::Duration;

use dmarcflow_stages::Tally;

use crate::source::feed::Fed;

/// The figures of an intake.
#[derive(Debug)]
pub(super) struct Summary {
    tally: Tally,
    fed: Fed,
    unread: u64,
    time: Duration,
}

impl Summary {
    pub(super) fn of(tally: &Tally, fed: Fed, unread: u64, time: Duration) -> Self {
        Self { tally: tally.clone(), fed, unread, time }
    }

    /// How many inputs, or parts of them, became dead letters.
    pub(super) fn dead_letters(&self) -> u64 {
        self.tally.under("dead/").map(|(_, n)| n).sum::<u64>() + self.fed.too_large
    }

    fn list(&self, f: &mut fmt::Formatter<'_>, title: &str, prefix: &str) -> fmt::Result {
        let mut counts: Vec<_> = self.tally.under(prefix).collect();
        counts.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
        let total: u64 = counts.iter().map(|(_, n)| n).sum();
        let parts: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
        let parts = if parts.is_empty() { String::new() } else { format!("  ({})", parts.join(", ")) };
        writeln!(f, "{title:<14}{:>12}{parts}", grouped(total))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (t, seconds) = (&self.tally, self.time.as_secs_f64());
        let line = |f: &mut fmt::Formatter<'_>, name: &str, n: u64, note: &str| {
            writeln!(f, "{name:<14}{:>12}{note}", grouped(n))
        };
        line(f, "inputs", self.fed.accepted + self.fed.known + self.fed.too_large + self.unread, "")?;
        if self.fed.known > 0 {
            line(f, "known", self.fed.known, "  (taken in before from the same place)")?;
        }
        line(f, "accepted", t.get("distinct/reports"), "  distinct reports")?;
        let conflicts = match t.get("distinct/conflicts") {
            0 => String::new(),
            n => format!(
                "  ({} more contradict another report of the same identity: kept and marked)",
                grouped(n)
            ),
        };
        line(f, "duplicates", t.get("distinct/copies"), &conflicts)?;
        self.list(f, "repairs", "repair/")?;
        self.list(f, "dead letters", "dead/")?;
        if self.unread > 0 {
            line(f, "unreadable", self.unread, "  (not taken in; see the errors above)")?;
        }
        let (messages, passed) = (t.get("distinct/messages"), t.get("distinct/passed"));
        let rate = match messages {
            0 => String::new(),
            n => format!("  {:.1} % pass DMARC", 100.0 * passed as f64 / n as f64),
        };
        line(f, "messages", messages, &rate)?;
        let reports = t.get("reports");
        let speed = if seconds > 0.0 {
            format!("  {:.0} reports a second", reports as f64 / seconds)
        } else {
            String::new()
        };
        write!(f, "{:<14}{:>11.1}s{speed}", "time", seconds)
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }

    #[test]
    fn the_summary_says_what_became_of_everything() {
        let mut tally = Tally::default();
        for (name, n) in [
            ("distinct/reports", 3),
            ("distinct/copies", 1),
            ("repair/bom", 2),
            ("dead/truncated", 1),
            ("distinct/messages", 200),
            ("distinct/passed", 150),
        ] {
            tally.add(name, n);
        }
        let fed = Fed { accepted: 5, known: 0, too_large: 0 };
        let text = Summary::of(&tally, fed, 0, Duration::from_secs(1)).to_string();
        assert!(
            text.contains("truncated 1") && text.contains("bom 2") && text.contains("75.0 % pass DMARC"),
            "{text}"
        );
    }
}
