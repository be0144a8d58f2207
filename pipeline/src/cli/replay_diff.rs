//! What a replay would change: messages by domain and day, live and replayed, where they differ.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use dmarcflow_queries::{Params, Session};

use super::summary::grouped;

/// Messages of a domain's day by what the tables say of them: one row a sending service, country, verdict and
/// disposition.
const DAYS: &str = "SELECT policy_domain, CAST(date AS VARCHAR) AS day, \
     concat_ws(' ', coalesce(service, '-'), coalesce(country, '-'), coalesce(CAST(asn AS VARCHAR), '-')) AS sender, \
     CAST(sum(messages) AS BIGINT) AS messages, \
     CAST(sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS BIGINT) AS passed \
     FROM daily_senders GROUP BY ALL";

/// A day of a domain in one set of tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Day {
    messages: i64,
    passed: i64,
    /// Messages by sender, as they were enriched.
    senders: BTreeMap<String, i64>,
}

impl Day {
    /// Messages that the other day has under another sender, beside those that it has more or fewer of.
    fn moved(&self, other: &Self) -> i64 {
        let more = |a: &Self, b: &Self| -> i64 {
            a.senders.iter().map(|(s, n)| (n - b.senders.get(s).copied().unwrap_or_default()).max(0)).sum()
        };
        more(self, other).min(more(other, self))
    }
}

type Days = BTreeMap<(String, String), Day>;

/// Prints the days that differ, the largest differences first.
pub(super) async fn print(live: &Session, replayed: &Session, limit: usize) -> Result<()> {
    let (live, replayed) = (days(live).await?, days(replayed).await?);
    let keys: std::collections::BTreeSet<_> = live.keys().chain(replayed.keys()).collect();
    let none = Day::default();
    let mut changes = Vec::new();
    for key in keys {
        let (before, after) = (live.get(key).unwrap_or(&none), replayed.get(key).unwrap_or(&none));
        if before != after {
            changes.push((key, before, after, before.moved(after)));
        }
    }
    if changes.is_empty() {
        println!("nothing would change: {} days of domains are the same", grouped(live.len() as u64));
        return Ok(());
    }
    let size = |(_, before, after, moved): &(_, &Day, &Day, i64)| {
        (before.messages - after.messages).abs() + (before.passed - after.passed).abs() + moved
    };
    changes.sort_by_key(|change| (-size(change), change.0.clone()));
    println!(
        "{:<32}{:<12}{:>14}{:>14}{:>14}{:>14}{:>14}",
        "DOMAIN", "DAY", "MESSAGES", "REPLAYED", "PASS", "REPLAYED", "OTHER SENDER"
    );
    for ((domain, day), before, after, moved) in changes.iter().take(limit) {
        let number = |n: i64| grouped(n.unsigned_abs());
        println!(
            "{domain:<32}{day:<12}{:>14}{:>14}{:>14}{:>14}{:>14}",
            number(before.messages),
            number(after.messages),
            number(before.passed),
            number(after.passed),
            number(*moved)
        );
    }
    println!(
        "{} of {} days of domains would change",
        grouped(changes.len() as u64),
        grouped(live.len().max(replayed.len()) as u64)
    );
    Ok(())
}

async fn days(session: &Session) -> Result<Days> {
    let mut days = Days::new();
    for batch in session.sql(DAYS, &Params::new()).await?.collect().await? {
        add(&batch, &mut days).context("the tables do not answer as they should")?;
    }
    Ok(days)
}

fn add(batch: &RecordBatch, days: &mut Days) -> Option<()> {
    let text = |column: &str| {
        batch.column_by_name(column).map(|c| arrow::compute::cast(c, &arrow::datatypes::DataType::Utf8))
    };
    let (domain, day, sender) = (text("policy_domain")?.ok()?, text("day")?.ok()?, text("sender")?.ok()?);
    let (domain, day, sender) =
        (domain.as_string_opt::<i32>()?, day.as_string_opt::<i32>()?, sender.as_string_opt::<i32>()?);
    let number = |column: &str| batch.column_by_name(column)?.as_primitive_opt::<Int64Type>().cloned();
    let (messages, passed) = (number("messages")?, number("passed")?);
    for row in 0..batch.num_rows() {
        let entry = days.entry((domain.value(row).to_owned(), day.value(row).to_owned())).or_default();
        entry.messages += messages.value(row);
        entry.passed += passed.value(row);
        *entry.senders.entry(sender.value(row).to_owned()).or_default() += messages.value(row);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(senders: &[(&str, i64)]) -> Day {
        let senders: BTreeMap<_, _> = senders.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect();
        Day { messages: senders.values().sum(), passed: 0, senders }
    }

    #[test]
    fn what_moved_is_told_from_what_came() {
        let before = day(&[("a", 10), ("b", 5)]);
        assert_eq!(before.moved(&day(&[("a", 7), ("b", 8)])), 3);
        assert_eq!(before.moved(&day(&[("a", 10), ("b", 9)])), 0, "four came, none moved");
        assert_eq!(before.moved(&before), 0);
    }
}
