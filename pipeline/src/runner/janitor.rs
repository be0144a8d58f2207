//! Trims topics, those between stages as soon as they were read, the others as configured; and tidies up the lake.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dmarcflow_log::TopicSpec;
use dmarcflow_schemas::{TABLES, TopicPartition};

use super::{Context, RunError};
use crate::topology::Keep;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(2);
/// Bytes of what was read that a partition between stages keeps all the same, so that trimming
/// removes much at a time.
const SLACK: u64 = 16 << 20;

/// Time between two looks for data files that no table has any more.
const VACUUM: Duration = Duration::from_secs(3600);
/// How long such a file stays, for queries that began before it was replaced.
const WINDOW: Duration = Duration::from_secs(86_400);

/// Works until the pipeline stops.
pub(super) fn work(context: &Context, topics: &[(TopicSpec, Keep)]) -> Result<(), RunError> {
    let mut vacuumed = Instant::now();
    while !context.progress.is_stopping() {
        context.progress.pause(ROUND);
        if vacuumed.elapsed() > VACUUM {
            vacuum(context);
            vacuumed = Instant::now();
        }
        for (topic, keep) in topics {
            let (older_than, max_bytes) = match keep {
                Keep::UntilRead => (None, Some(SLACK)),
                Keep::AsConfigured => {
                    (context.settings.retention.map(before_now), context.settings.retention_bytes)
                }
            };
            if older_than.is_none() && max_bytes.is_none() {
                continue;
            }
            for partition in 0..topic.partitions {
                match context.log.trim(&TopicPartition::new(topic.name, partition), older_than, max_bytes) {
                    // The next round does what this one could not.
                    Err(e) if e.is_transient() => {
                        tracing::debug!(error = %e, topic = topic.name, "not trimmed")
                    }
                    Ok(_) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
    }
    Ok(())
}

/// Removes what compactions and replacements left in the lake. What fails now is tried again in an hour.
fn vacuum(context: &Context) {
    for table in TABLES {
        match context.runtime.block_on(context.lake.vacuum(table, WINDOW)) {
            Ok(0) => {}
            Ok(files) => tracing::info!(table = table.name, files, "removed data files that were replaced"),
            Err(error) => tracing::warn!(table = table.name, %error, "no data files were removed"),
        }
    }
}

/// The instant that long ago, in milliseconds since 1970.
fn before_now(age: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX)
}
