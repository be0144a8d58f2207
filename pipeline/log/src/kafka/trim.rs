//! Trimming: the brokers keep everything until we say what may go, so that nothing unread is ever lost.
//!
//! Kafka does not tell the bytes of a span of offsets. They are estimated from what the oldest records that are kept
//! weigh, and so are the limits in bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::TopicPartition;
use futures::executor::block_on;
use rdkafka::admin::AdminOptions;

use super::Inner;
use super::client::REQUEST;
use super::error::failed;
use super::places::{at_time, begins, ends, offsets};
use super::standing::Standing;
use crate::{LogError, PollLimits, Watermarks};

/// What is weighed.
const SAMPLE: PollLimits = PollLimits { records: 200, bytes: 1 << 20 };
/// How long a weight is believed.
const WEIGHT_FRESH: Duration = Duration::from_secs(60);

/// Bytes per offset, by partition.
#[derive(Default)]
pub(super) struct Weights(Mutex<HashMap<TopicPartition, (Instant, f64)>>);

/// The span of a partition.
pub(super) fn watermarks(log: &Inner, partition: &TopicPartition) -> Result<Watermarks, LogError> {
    let topic = log.partition(partition)?;
    let of = (topic.as_str(), &[partition.partition][..]);
    Ok(Watermarks { low: begins(&log.surveyor, of)?[0], high: ends(&log.surveyor, of)?[0] })
}

/// Bytes of the values of a partition, estimated.
pub(super) fn size(log: &Inner, partition: &TopicPartition) -> Result<u64, LogError> {
    let marks = watermarks(log, partition)?;
    Ok((weight(log, partition, marks)? * (marks.high - marks.low) as f64) as u64)
}

fn weight(log: &Inner, partition: &TopicPartition, marks: Watermarks) -> Result<f64, LogError> {
    let known = log.weights.0.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied();
    if let Some((_, weight)) = known.filter(|(at, _)| at.elapsed() < WEIGHT_FRESH) {
        return Ok(weight);
    }
    let records = log.beside.read(log, partition, marks.low, SAMPLE)?;
    let Some(last) = records.last() else { return Ok(0.0) };
    let bytes: usize = records.iter().map(|r| r.value.len() + r.key.len()).sum();
    let weight = bytes as f64 / (last.offset + 1).saturating_sub(marks.low).max(1) as f64;
    let mut weights = log.weights.0.lock().unwrap_or_else(PoisonError::into_inner);
    weights.insert(partition.clone(), (Instant::now(), weight));
    Ok(weight)
}

/// Removes what is too old or too much and was read by every group. Returns how many offsets.
pub(super) fn trim(
    log: &Inner,
    partition: &TopicPartition,
    older_than: Option<i64>,
    max_bytes: Option<u64>,
) -> Result<u64, LogError> {
    let marks = watermarks(log, partition)?;
    // What was read lately is no more than what is read now: mostly that says already that there is nothing to do.
    let read = read_by_all(&log.standings.lately(log)?, partition, marks);
    if read <= marks.low {
        return Ok(0);
    }
    let topic = log.partition(partition)?;
    let mut end = marks.low;
    if let Some(time) = older_than {
        let young = at_time(&log.surveyor, (&topic, &[partition.partition]), time)?[0];
        end = end.max(young.unwrap_or(marks.high));
    }
    if let Some(most) = max_bytes {
        let weight = weight(log, partition, marks)?;
        let kept = if weight > 0.0 { (most as f64 / weight) as u64 } else { marks.high };
        end = end.max(marks.high.saturating_sub(kept));
    }
    if end.min(read) <= marks.low {
        return Ok(0);
    }
    // A group that joined since keeps what it has still to read.
    let end = end.min(read_by_all(&log.standings.now(log)?, partition, marks));
    if end <= marks.low {
        return Ok(0);
    }
    let what = format!("trimming {partition}");
    let list = offsets(&topic, &[(partition.partition, end)]).map_err(|e| failed(&what, &e))?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    let done = block_on(log.admin.delete_records(&list, &options)).map_err(|e| failed(&what, &e))?;
    for element in done.elements() {
        element.error().map_err(|e| failed(&what, &e))?;
    }
    Ok(end - marks.low)
}

/// The offset up to which every group has read; a partition that no group ever joined is left whole.
fn read_by_all(standings: &[Standing], partition: &TopicPartition, marks: Watermarks) -> u64 {
    let here = standings.iter().filter(|(_, p, _)| p == partition);
    here.map(|(_, _, offset)| offset.unwrap_or(marks.low)).min().unwrap_or(marks.low).min(marks.high)
}
