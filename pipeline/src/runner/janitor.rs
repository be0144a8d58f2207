//! Trims topics: those between stages as soon as they were read, the others as configured.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dmarcflow_log::TopicSpec;
use dmarcflow_schemas::TopicPartition;

use super::{Context, RunError};
use crate::topology::Keep;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(2);
/// Bytes of what was read that a partition between stages keeps all the same, so that trimming
/// removes much at a time.
const SLACK: u64 = 16 << 20;

/// Works until the pipeline stops.
pub(super) fn work(context: &Context, topics: &[(TopicSpec, Keep)]) -> Result<(), RunError> {
    while !context.progress.is_stopping() {
        context.progress.pause(ROUND);
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

/// The instant that long ago, in milliseconds since 1970.
fn before_now(age: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX)
}
