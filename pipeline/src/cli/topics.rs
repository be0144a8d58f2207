//! `topics`: partitions, offsets, lag, bytes.

use std::process::ExitCode;

use anyhow::Result;
use dmarcflow_log::Log;
use dmarcflow_schemas::TopicPartition;

use super::summary::grouped;
use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show each partition
    #[arg(long)]
    partitions: bool,
}

pub(super) fn main(app: &App, args: &Args) -> Result<ExitCode> {
    let (log, _) = app.open()?;
    println!("{:<24}{:>14}{:>14}{:>14}  GROUP (LAG)", "TOPIC", "KEPT", "NEXT", "BYTES");
    let groups = log.groups()?;
    for topic in log.topics() {
        let mut rows = Vec::new();
        for p in 0..topic.partitions {
            rows.push(Row::of(&*log, &TopicPartition::new(topic.name, p), &groups)?);
        }
        Row::sum(topic.name, &rows).print();
        if args.partitions {
            rows.iter().for_each(Row::print);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A partition, or a topic's partitions together.
struct Row {
    name: String,
    kept: u64,
    next: u64,
    bytes: u64,
    lags: Vec<(String, u64)>,
}

impl Row {
    fn of(
        log: &dyn Log,
        partition: &TopicPartition,
        groups: &[(String, TopicPartition, u64)],
    ) -> Result<Self> {
        let marks = log.watermarks(partition)?;
        let lags = groups
            .iter()
            .filter(|(_, p, _)| p == partition)
            .map(|(group, _, offset)| (group.clone(), marks.high.saturating_sub(*offset)))
            .collect();
        Ok(Self {
            name: format!("  {}", partition.partition),
            kept: marks.high - marks.low,
            next: marks.high,
            bytes: log.size(partition)?,
            lags,
        })
    }

    fn sum(name: &str, rows: &[Self]) -> Self {
        let mut all = Self { name: name.to_owned(), kept: 0, next: 0, bytes: 0, lags: Vec::new() };
        for row in rows {
            all.kept += row.kept;
            all.next += row.next;
            all.bytes += row.bytes;
            for (group, lag) in &row.lags {
                match all.lags.iter_mut().find(|(g, _)| g == group) {
                    Some((_, sum)) => *sum += lag,
                    None => all.lags.push((group.clone(), *lag)),
                }
            }
        }
        all
    }

    fn print(&self) {
        let lags: Vec<_> =
            self.lags.iter().map(|(group, lag)| format!("{group} ({})", grouped(*lag))).collect();
        println!(
            "{:<24}{:>14}{:>14}{:>14}  {}",
            self.name,
            grouped(self.kept),
            grouped(self.next),
            grouped(self.bytes),
            lags.join(", ")
        );
    }
}
