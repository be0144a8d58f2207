//! Where partitions begin and end, and where groups stand, as the brokers say: one request for many partitions.

use std::time::Duration;

use rdkafka::consumer::{Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{REQUEST, Reader};
use super::error::failed;
use crate::LogError;

/// How long leaders may take to answer before it is asked who leads.
const FIRST_TRY: Duration = Duration::from_secs(3);

/// A topic's partitions, by the name that the brokers know.
pub(super) type Of<'a> = (&'a str, &'a [u32]);

/// The oldest offsets that are kept.
pub(super) fn begins(reader: &Reader, of: Of<'_>) -> Result<Vec<u64>, LogError> {
    ask(reader, of, Offset::Beginning)
}

/// The offsets behind the last messages that this reader may see: of a reader of what is committed, those of the
/// first transaction that is not ended.
pub(super) fn ends(reader: &Reader, of: Of<'_>) -> Result<Vec<u64>, LogError> {
    ask(reader, of, Offset::End)
}

/// The offsets of the first messages at a time or after it; none where all are older.
pub(super) fn at_time(reader: &Reader, of: Of<'_>, time: i64) -> Result<Vec<Option<u64>>, LogError> {
    look_up(reader, of, Offset::Offset(time.max(0)))
}

fn ask(reader: &Reader, of: Of<'_>, which: Offset) -> Result<Vec<u64>, LogError> {
    let found = look_up(reader, of, which)?;
    found.into_iter().map(|offset| offset.ok_or_else(|| away(of, "the broker gave no offset"))).collect()
}

/// Asks the partitions' leaders. Where they do not answer, others may lead meanwhile, of which librdkafka only
/// learns when it is made to.
fn look_up(reader: &Reader, of: Of<'_>, which: Offset) -> Result<Vec<Option<u64>>, LogError> {
    let first = reader.offsets_for_times(list(of, which)?, FIRST_TRY).map_err(|e| failed(&what(of), &e));
    match first.and_then(|found| each(&found, of)) {
        Err(error) if error.is_transient() => {
            reader.fetch_metadata(Some(of.0), REQUEST).map_err(|e| failed(&what(of), &e))?;
            let again =
                reader.offsets_for_times(list(of, which)?, FIRST_TRY).map_err(|e| failed(&what(of), &e))?;
            each(&again, of)
        }
        done => done,
    }
}

/// What a group has committed, once every transaction that may still change it has ended when the client
/// reads only what is committed; none where it never committed.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &rdkafka::consumer::BaseConsumer<C>,
    of: Of<'_>,
) -> Result<Vec<Option<u64>>, LogError> {
    let list = list(of, Offset::Invalid)?;
    let found = consumer.committed_offsets(list, REQUEST).map_err(|e| failed(&what(of), &e))?;
    each(&found, of)
}

/// Partitions with one offset for all.
fn list((topic, partitions): Of<'_>, offset: Offset) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for p in partitions {
        list.add_partition_offset(topic, *p as i32, offset).map_err(|e| failed(topic, &e))?;
    }
    Ok(list)
}

/// The offsets of a list in the order of the partitions asked for.
fn each(list: &TopicPartitionList, of: Of<'_>) -> Result<Vec<Option<u64>>, LogError> {
    let (topic, partitions) = of;
    partitions
        .iter()
        .map(|p| {
            let found = list.find_partition(topic, *p as i32);
            let found = found.ok_or_else(|| away(of, "the broker said nothing of it"))?;
            found.error().map_err(|e| failed(&what(of), &e))?;
            Ok(match found.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            })
        })
        .collect()
}

fn what((topic, _): Of<'_>) -> String {
    format!("asking for offsets of {topic}")
}

fn away(of: Of<'_>, reason: &str) -> LogError {
    LogError::Away { what: what(of), reason: reason.to_owned() }
}

/// Partitions with an offset each.
pub(super) fn offsets(topic: &str, offsets: &[(u32, u64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (p, offset) in offsets {
        list.add_partition_offset(topic, *p as i32, Offset::Offset(*offset as i64))?;
    }
    Ok(list)
}
