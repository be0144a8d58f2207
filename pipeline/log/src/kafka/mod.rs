//! The log over Apache Kafka: as many processes as there is work, sharing partitions by consumer group.
//!
//! How each promise of the log is kept:
//!
//! | promise | how |
//! |---|---|
//! | order | a message's partition follows from its key, as in every backend; idempotent producers; `acks=all` |
//! | atomicity | a transaction holds messages, changes of state (a compacted topic) and the group's offsets (`producer.rs`) |
//! | durability | a commit is acknowledged by all replicas in sync |
//! | exclusiveness | the offsets in a transaction carry the member's generation; who is no longer in the group is refused (`member.rs`) |
//! | resumption | state is restored before a partition's first record is given (`restore.rs`) |
//! | retention | the brokers delete nothing by themselves (`topics.rs`); we trim what all groups have read (`trim.rs`) |
//!
//! A value of any size travels in pieces (`chunks.rs`). Local copies of state are caches (`copy.rs`): deleting them
//! costs time only. When brokers are away, what waits for them says so ([`LogError::Away`]) and goes on by itself.

mod append;
mod chunks;
mod client;
mod copy;
mod error;
mod ledger;
mod member;
mod owned;
mod places;
mod producer;
mod reader;
mod rebalance;
mod record;
mod restore;
mod settings;
mod slot;
mod standing;
mod topics;
mod trim;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dmarcflow_schemas::{Message, Record, TopicPartition};
use rdkafka::admin::AdminClient;
use rdkafka::consumer::Consumer as _;

use crate::keys::ledger_key;
use crate::store::{Space, Store};
use crate::{Consumer, Ledger, Log, LogError, PollLimits, TopicSpec, Watermarks};
use append::Append;
use client::{Quiet, REQUEST, Reader};
use ledger::Tail;
use member::Member;
use producer::Producer;
pub use settings::KafkaSettings;
use slot::Slot;
use standing::Standings;
use topics::Wanted;

/// Readers that are kept for later, at most.
const IDLE_READERS: usize = 2;

/// A log on the brokers of an Apache Kafka cluster.
pub struct KafkaLog {
    inner: Arc<Inner>,
}

/// What the parts of the log share.
struct Inner {
    settings: Arc<KafkaSettings>,
    admin: AdminClient<Quiet>,
    /// Sees where partitions end, committed or not.
    surveyor: Reader,
    /// Sees how far partitions can be read.
    readable: Reader,
    topics: RwLock<BTreeMap<&'static str, TopicSpec>>,
    slot: Slot,
    /// Names of members that are in use, so that each has its own transactions.
    members: Mutex<HashSet<String>>,
    woken: AtomicU64,
    restored: AtomicU64,
    standings: Standings,
    weights: trim::Weights,
    beside: reader::Beside,
    /// Readers that wait for work: connecting takes longer than most reads.
    idle: Mutex<Vec<Reader>>,
    tail: Mutex<Option<Tail>>,
    append: Append,
}

impl KafkaLog {
    /// Connects, takes a place in the cache folder and reads the ledgers.
    pub fn open(settings: KafkaSettings) -> Result<Self, LogError> {
        let settings = Arc::new(settings);
        let admin: AdminClient<Quiet> = settings
            .client()
            .create_with_context(Quiet::default())
            .map_err(|e| error::failed("connecting", &e))?;
        let Some(cluster) = admin.inner().fetch_cluster_id(REQUEST) else {
            let silent = "they do not answer; see that the addresses are right and the brokers run";
            let reason = settings.diagnose().unwrap_or_else(|| silent.to_owned());
            return Err(LogError::Away { what: format!("connecting to {}", settings.brokers), reason });
        };
        let slot = Slot::take(&settings, &cluster)?;
        let id = settings.named(&format!("{}.append", slot.identity));
        let inner = Arc::new(Inner {
            surveyor: settings.surveyor()?,
            readable: settings.reader()?,
            append: Append::new(Producer::new(&settings, id.clone()), &id),
            settings,
            admin,
            topics: RwLock::default(),
            slot,
            members: Mutex::default(),
            woken: AtomicU64::new(0),
            restored: AtomicU64::new(0),
            standings: Standings::default(),
            weights: trim::Weights::default(),
            beside: reader::Beside::default(),
            idle: Mutex::default(),
            tail: Mutex::default(),
        });
        topics::ensure(&inner, &[Wanted::changelog(inner.settings.named(ledger::TOPIC), 1)])?;
        let tail = Tail::open(&inner)?;
        *inner.tail.lock().unwrap_or_else(PoisonError::into_inner) = Some(tail);
        tracing::debug!(settings = ?inner.settings, identity = inner.slot.identity, "log opened");
        Ok(Self { inner })
    }

    /// Records of changelogs that were read into local copies since the log was opened.
    pub fn restored(&self) -> u64 {
        self.inner.restored.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn topic(&self, name: &str) -> Result<TopicSpec, LogError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned().ok_or_else(|| LogError::UnknownTopic(name.to_owned()))
    }

    fn specs(&self) -> Vec<TopicSpec> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The brokers' name of a partition's topic, if there is such a partition.
    fn partition(&self, partition: &TopicPartition) -> Result<String, LogError> {
        let spec = self.topic(&partition.topic)?;
        if partition.partition >= spec.partitions {
            return Err(LogError::UnknownTopic(partition.to_string()));
        }
        Ok(self.settings.named(spec.name))
    }

    /// A reader that nobody uses.
    fn reader(&self) -> Result<Reader, LogError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.settings.reader(), Ok)
    }

    /// Takes a reader back for others.
    fn put_back(&self, reader: Reader) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS && reader.unassign().is_ok() {
            idle.push(reader);
        }
    }

    /// Reads the ledgers to their end.
    fn catch_up_ledger(self: &Arc<Self>) -> Result<(), LogError> {
        match &*self.tail.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(tail) => tail.catch_up(self),
            None => Ok(()),
        }
    }
}

impl Log for KafkaLog {
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let settings = &self.inner.settings;
        let wanted: Vec<_> = topics
            .iter()
            .map(|t| Wanted::messages(settings.named(t.name), t.partitions, settings.topic_bytes()))
            .collect();
        topics::ensure(&self.inner, &wanted)?;
        let mut known = self.inner.topics.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(topics.iter().map(|t| (t.name, t.clone())));
        Ok(())
    }

    fn topics(&self) -> Vec<TopicSpec> {
        self.inner.specs()
    }

    fn append(
        &self,
        messages: Vec<Message>,
        ledger: Option<Ledger<'_>>,
    ) -> Result<Vec<(TopicPartition, u64)>, LogError> {
        self.inner.append.append(&self.inner, messages, ledger)
    }

    fn ledger(&self, name: &str, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        if let Some(tail) = &mut *self.inner.tail.lock().unwrap_or_else(PoisonError::into_inner) {
            tail.look(&self.inner)?;
        }
        self.inner.slot.copy.disk.get(Space::Ledger, &ledger_key(name, key))
    }

    fn consumer(&self, group: &str, topic: &str) -> Result<Box<dyn Consumer>, LogError> {
        let spec = self.inner.topic(topic)?;
        Ok(Box::new(Member::join(&self.inner, group, &spec)?))
    }

    fn read(&self, from: &TopicPartition, offset: u64, limits: PollLimits) -> Result<Vec<Record>, LogError> {
        self.inner.beside.read(&self.inner, from, offset, limits)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        trim::watermarks(&self.inner, partition)
    }

    fn groups(&self) -> Result<Vec<(String, TopicPartition, u64)>, LogError> {
        let all = self.inner.standings.now(&self.inner)?;
        Ok(all.iter().filter_map(|(group, p, offset)| Some((group.clone(), p.clone(), (*offset)?))).collect())
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64)>, LogError> {
        self.inner.standings.lag(&self.inner, group, topic)
    }

    fn furthest_behind(&self, topic: &str) -> Result<u64, LogError> {
        self.inner.standings.furthest_behind(&self.inner, topic)
    }

    fn size(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        trim::size(&self.inner, partition)
    }

    fn trim(
        &self,
        partition: &TopicPartition,
        older_than: Option<i64>,
        max_bytes: Option<u64>,
    ) -> Result<u64, LogError> {
        trim::trim(&self.inner, partition, older_than, max_bytes)
    }

    fn forget(&self, group: &str, topic: &str) -> Result<(), LogError> {
        topics::forget(&self.inner, &self.inner.settings.named(group), &member::changelog(group, topic))
    }

    fn sync(&self) -> Result<(), LogError> {
        // What was committed is acknowledged by the brokers; copies are caches.
        Ok(())
    }

    fn wake(&self) {
        self.inner.woken.fetch_add(1, Ordering::Relaxed);
    }
}
