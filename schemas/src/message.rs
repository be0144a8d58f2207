//! What a topic holds, independent of the log that keeps it.

use std::sync::Arc;

/// Bytes shared between readers; cloning one copies nothing.
pub type Bytes = Arc<[u8]>;

/// A named value beside a message's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Vec<u8>,
}

/// The names of headers that more than one stage reads.
pub mod header {
    /// Version of the schema of an Arrow IPC value, decimal.
    pub const SCHEMA: &str = "schema";
    /// Which message of [`crate::report`] or which rollup table a value is.
    pub const KIND: &str = "kind";
    /// Where a raw report came from: a file's path, `mbox#n`, a mailbox URL.
    pub const ORIGIN: &str = "origin";
    /// The stage at which a dead letter died.
    pub const STAGE: &str = "stage";
    /// Why: a stable short code such as `not-a-report`.
    pub const REASON: &str = "reason";
    /// Why, in a sentence.
    pub const DETAIL: &str = "detail";
    /// How many times it was tried, decimal.
    pub const ATTEMPTS: &str = "attempts";
    /// Where the dead record stood: `topic/partition/offset`.
    pub const POSITION: &str = "position";
    /// Path of the dead part inside the raw record, such as `a.zip/b.xml`.
    pub const ENTRY: &str = "entry";
}

/// A message on its way to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: &'static str,
    /// Decides the partition: equal keys share one, in order.
    pub key: Vec<u8>,
    pub headers: Vec<Header>,
    pub value: Vec<u8>,
}

impl Message {
    /// A message without headers.
    pub fn new(topic: &'static str, key: impl Into<Vec<u8>>, value: Vec<u8>) -> Self {
        Self { topic, key: key.into(), headers: Vec::new(), value }
    }

    /// The same message with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: value.into() });
        self
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: u32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

/// The partition that a key belongs to, of `partitions` of them.
///
/// Part of the log's format: another function would take the history of a key apart.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (xxhash_rust::xxh3::xxh3_64(key) % u64::from(partitions.max(1))) as u32
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A message as the log gives it back, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub source: TopicPartition,
    /// Position in the partition, counted from 0, without gaps of meaning: only the order counts.
    pub offset: u64,
    /// When it was appended: milliseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    pub key: Bytes,
    pub headers: Vec<Header>,
    pub value: Bytes,
}

impl Record {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name == name).and_then(|h| std::str::from_utf8(&h.value).ok())
    }

    /// `topic/partition/offset`, as messages to people name a record.
    pub fn position(&self) -> String {
        format!("{}/{}", self.source, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_partition_and_spread() {
        let keys = (0..1000).map(|n| format!("domain{n}.example"));
        let mut counts = [0u32; 8];
        keys.for_each(|key| counts[partition_of(key.as_bytes(), 8) as usize] += 1);
        assert!(counts.iter().all(|n| (80..180).contains(n)), "{counts:?}");
        assert_eq!(partition_of(b"example.com", 8), 3, "as any XXH3 says");
        assert_eq!(partition_of(b"example.com", 0), 0);
    }

    #[test]
    fn a_record_names_its_position_and_finds_its_headers() {
        let record = Record {
            source: TopicPartition::new("reports.raw", 3),
            offset: 42,
            timestamp: 0,
            key: Arc::from([]),
            headers: vec![Header { name: header::ORIGIN.into(), value: b"a.xml".to_vec() }],
            value: Arc::from([]),
        };
        assert_eq!(record.position(), "reports.raw/3/42");
        assert_eq!(record.header(header::ORIGIN), Some("a.xml"));
        assert_eq!(record.header(header::REASON), None);
    }
}
