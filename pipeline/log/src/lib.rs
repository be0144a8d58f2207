//! The log: topics of partitions of messages, read by consumer groups, written in transactions.
//!
//! One trait, [`Log`], with backends that pass one contract suite ([`contract`]). What every
//! backend promises:
//!
//! 1. **Order.** Messages of one key go to one partition, in the order in which they were
//!    committed. Offsets of a partition rise; they may have gaps.
//! 2. **Atomicity.** A [`Transaction`] is applied whole or not at all: its messages, its
//!    offsets and its state changes become visible together, also after a kill at any instant.
//! 3. **Durability.** What [`Log::append`] acknowledged survives a power cut. A transaction
//!    survives a kill of the process when `commit` returned, and a power cut after the next
//!    [`Log::sync`]; transactions are never lost out of order.
//! 4. **Exclusiveness.** A partition is read by at most one consumer of a group at a time. A
//!    consumer whose partitions were taken away can no longer commit: it gets [`LogError::Fenced`],
//!    also when a partition came back meanwhile. Until it was told so, or rewinds, it is given
//!    nothing more of that partition.
//! 5. **Resumption.** A consumer starts a partition at the group's committed offset, or at the
//!    oldest message that is kept when there is none.
//! 6. **Retention** removes messages from a partition's beginning only, and never one that a
//!    group which has ever joined the topic has still to read.
//! 7. **Size.** A value may be larger than a message of the backend: it is given whole.
//! 8. **Trying again.** An operation that failed for now ([`LogError::is_transient`]) may be tried again as it
//!    was, and happens once.

mod batch;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod core;
pub mod embedded;
mod frame;
pub mod generation;
mod groups;
pub mod kafka;
mod keys;
mod member;
mod memory;
mod shared;
mod state;
pub mod store;

use std::time::Duration;

use dmarcflow_schemas::{Message, Record, TopicPartition};

pub use crate::core::Core;
pub use embedded::EmbeddedLog;
pub use generation::Generation;
pub use kafka::{KafkaLog, KafkaSettings};
pub use memory::MemoryLog;
pub use store::Pair;

/// A topic and what the log needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: &'static str,
    /// How many partitions; fixed when the topic is created.
    pub partitions: u32,
    /// Whether records only pass through and are trimmed as soon as they are read: compressing them would not pay.
    pub passing: bool,
}

/// A change of a stage's state in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The partition of the group's input topic that the state belongs to.
    pub partition: u32,
    pub key: Vec<u8>,
    /// The new value, or none to forget the key.
    pub value: Option<Vec<u8>>,
}

/// What a consumer commits as one: outputs, positions, state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub messages: Vec<Message>,
    /// The next offset to read, by input partition.
    pub offsets: Vec<(TopicPartition, u64)>,
    pub state: Vec<StateChange>,
}

/// The span of a partition that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the oldest message that is kept.
    pub low: u64,
    /// Offset that the next message will get.
    pub high: u64,
}

/// How much one poll gives at most. At least one record is given where there is one,
/// however large it is.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    pub records: usize,
    pub bytes: usize,
}

/// What went wrong with the log, on which input, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("topic `{0}` does not exist")]
    UnknownTopic(String),
    #[error(
        "topic `{topic}` has {found} partitions, the configuration says {expected}; partitions of an existing topic cannot change"
    )]
    Partitions { topic: String, found: u32, expected: u32 },
    #[error(
        "the data in {path} is in use by another process; stop that one first, or use another --data folder"
    )]
    Locked { path: String },
    #[error("the data in {path} has log format {found}, this program reads format {expected}")]
    Format { path: String, found: u32, expected: u32 },
    #[error("consumer of group `{group}` no longer owns {partition}")]
    Fenced { group: String, partition: TopicPartition },
    #[error("no space is left for the log in {path}: make room, it goes on by itself")]
    Full { path: String },
    #[error("the log in {path} holds a record that cannot be read at {position}: {reason}")]
    Corrupt { path: String, position: String, reason: String },
    #[error("{what}: the brokers do not answer as they should ({reason}); it goes on by itself when they do")]
    Away { what: String, reason: String },
    #[error("topic `{topic}` has {setting}={found}, it needs {setting}={expected}; mend it with: {mend}")]
    TopicSetting { topic: String, setting: &'static str, found: String, expected: String, mend: String },
    #[error("the log failed: {0}")]
    Storage(String),
}

impl LogError {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Away { .. })
    }

    /// The same error once more, for another who waited for the same.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Away { what, reason } => Self::Away { what: what.clone(), reason: reason.clone() },
            Self::Full { path } => Self::Full { path: path.clone() },
            Self::UnknownTopic(topic) => Self::UnknownTopic(topic.clone()),
            Self::Storage(reason) => Self::Storage(reason.clone()),
            other => Self::Storage(other.to_string()),
        }
    }
}

/// A log of topics.
pub trait Log: Send + Sync + 'static {
    /// Creates topics that do not exist; a topic that exists must agree.
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError>;

    /// The topics that exist, by name.
    fn topics(&self) -> Vec<TopicSpec>;

    /// Appends messages, and state changes of `ledger` with them, as one; durable when it returns.
    /// For sources, which are told "done" after this. Concurrent calls share one fsync.
    fn append(
        &self,
        messages: Vec<Message>,
        ledger: Option<Ledger<'_>>,
    ) -> Result<Vec<(TopicPartition, u64)>, LogError>;

    /// The value of a key in a named ledger.
    fn ledger(&self, name: &str, key: &[u8]) -> Result<Option<Vec<u8>>, LogError>;

    /// Joins a consumer group. The group's partitions of `topic` are shared out among its
    /// consumers evenly, and again whenever one joins or leaves (is dropped). They come and go while the
    /// consumers poll.
    fn consumer(&self, group: &str, topic: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Reads records of a partition from an offset, beside all groups. Records before the low
    /// watermark are skipped.
    fn read(&self, from: &TopicPartition, offset: u64, limits: PollLimits) -> Result<Vec<Record>, LogError>;

    /// Whether offsets may be missing between records.
    fn has_gaps(&self) -> bool {
        true
    }

    /// The span of a partition that is kept.
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError>;

    /// Every group that has committed an offset, with its offsets.
    fn groups(&self) -> Result<Vec<(String, TopicPartition, u64)>, LogError>;

    /// How much of each partition of a topic a group has still to read; 0 when it has read everything. While
    /// work goes on a backend may count more than there are records, never less.
    fn lag(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64)>, LogError> {
        let groups = self.groups()?;
        let partitions = self.topics().iter().find(|t| t.name == topic).map_or(0, |t| t.partitions);
        (0..partitions)
            .map(|p| {
                let partition = TopicPartition::new(topic, p);
                let marks = self.watermarks(&partition)?;
                let found = groups.iter().find(|(g, at, _)| g == group && *at == partition);
                Ok((p, marks.high.saturating_sub(found.map_or(marks.low, |g| g.2))))
            })
            .collect()
    }

    /// How much the slowest group has still to read in the partition where it is furthest behind. Asked often: the
    /// answer may be a second old.
    fn furthest_behind(&self, topic: &str) -> Result<u64, LogError> {
        let mut furthest = 0;
        for (_, partition, offset) in self.groups()?.iter().filter(|(_, p, _)| &*p.topic == topic) {
            furthest = furthest.max(self.watermarks(partition)?.high.saturating_sub(*offset));
        }
        Ok(furthest)
    }

    /// Bytes that the values of a partition take, before compression; a backend may estimate them.
    fn size(&self, partition: &TopicPartition) -> Result<u64, LogError>;

    /// Removes messages older than `older_than` (milliseconds since the epoch) or beyond `max_bytes`
    /// from a partition's beginning, never those that a group has still to read. Returns how many.
    fn trim(
        &self,
        partition: &TopicPartition,
        older_than: Option<i64>,
        max_bytes: Option<u64>,
    ) -> Result<u64, LogError>;

    /// Forgets a group that reads a topic, its offsets and its state: it holds back no trimming any more, and begins
    /// anew if it ever joins again. Nobody may be in it.
    fn forget(&self, group: &str, topic: &str) -> Result<(), LogError>;

    /// Makes everything that was committed before durable against a power cut.
    fn sync(&self) -> Result<(), LogError>;

    /// Wakes every consumer that waits in `poll`, which then return empty. For stopping.
    fn wake(&self);
}

/// Changes of a named ledger: small facts that a source keeps beside the messages it appended,
/// such as which files it has handed over.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    pub name: &'a str,
    pub entries: &'a [(Vec<u8>, Vec<u8>)],
}

/// A member of a consumer group.
pub trait Consumer: Send {
    /// The next records, all of one partition, in order; empty when none came within `wait`.
    /// Polling goes on behind the last record given, committed or not.
    fn poll(&mut self, limits: PollLimits, wait: Duration) -> Result<Vec<Record>, LogError>;

    /// The partitions that this consumer owns now, with their state at hand.
    fn assigned(&self) -> Vec<u32>;

    /// The committed value of a state key of the group in a partition that this consumer owns.
    fn state(&self, partition: u32, key: &[u8]) -> Result<Option<Vec<u8>>, LogError>;

    /// State keys of the group in a partition that begin with `prefix`, in order, `limit` at most.
    fn scan(&self, partition: u32, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LogError>;

    /// Commits outputs, offsets and state as one. After [`LogError::Fenced`] what was polled since the last
    /// commit is to be given up ([`Consumer::rewind`]).
    fn commit(&mut self, transaction: &Transaction) -> Result<(), LogError>;

    /// Goes back to the committed offsets, so that what was polled since is given again.
    fn rewind(&mut self) -> Result<(), LogError>;
}
