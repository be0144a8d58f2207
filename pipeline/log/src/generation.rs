//! A second flow over the same log: it reads the same shared topics, and has groups and topics of its own.
//!
//! A replay is such a flow. Everything that works over a [`Log`] works over this one unchanged: what is called
//! `reports.parsed` here is called `reports.parsed.NAME` there, and so are groups, with their offsets and state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Message, Record, TopicPartition};

use crate::{Consumer, Ledger, Log, LogError, Pair, PollLimits, TopicSpec, Transaction, Watermarks};

/// See the module.
pub struct Generation {
    inner: Arc<dyn Log>,
    name: String,
    /// Topics that all flows have in common.
    shared: BTreeSet<&'static str>,
    /// Own topics: the name here, and there.
    topics: Mutex<BTreeMap<&'static str, &'static str>>,
    /// Whether it trims shared topics, as the live flow does.
    trims_shared: bool,
    pace: Arc<Pace>,
}

/// How fast shared topics are read at most.
#[derive(Debug, Default)]
struct Pace {
    /// Records a second; none is as fast as it goes.
    rate: Option<f64>,
    /// When the next record may be read.
    next: Mutex<Option<Instant>>,
}

impl Generation {
    /// A flow of that name, which reads `shared` with all others, at most `rate` records of it a second.
    pub fn new(inner: Arc<dyn Log>, name: &str, shared: &[&'static str], rate: Option<f64>) -> Self {
        let pace = Arc::new(Pace { rate, next: Mutex::default() });
        let shared = shared.iter().copied().collect();
        let (name, topics) = (name.to_owned(), Mutex::default());
        Self { inner, name, shared, topics, trims_shared: false, pace }
    }

    /// The same flow as the live one, which also trims what is shared.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.trims_shared = true;
        self
    }

    fn group(&self, group: &str) -> String {
        format!("{group}.{}", self.name)
    }

    /// What a topic is called in the log itself.
    fn there(&self, topic: &str) -> Result<&'static str, LogError> {
        if let Some(shared) = self.shared.get(topic) {
            return Ok(shared);
        }
        let found = self.own().get(topic).copied();
        found.ok_or_else(|| LogError::UnknownTopic(topic.to_owned()))
    }

    fn own(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, &'static str>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self, partition: &TopicPartition) -> Result<TopicPartition, LogError> {
        Ok(TopicPartition::new(self.there(&partition.topic)?, partition.partition))
    }

    /// A partition of the log as it is called here; none where it belongs to another flow.
    fn here(&self, partition: &TopicPartition) -> Option<TopicPartition> {
        let topics = self.own();
        let own = topics.iter().find(|(_, there)| **there == &*partition.topic).map(|(here, _)| *here);
        let here = own.or_else(|| self.shared.get(&*partition.topic).copied())?;
        Some(TopicPartition::new(here, partition.partition))
    }

    fn message(&self, message: &Message) -> Result<Message, LogError> {
        Ok(Message { topic: self.there(message.topic)?, ..message.clone() })
    }
}

impl Log for Generation {
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let mut specs = Vec::with_capacity(topics.len());
        for spec in topics {
            let mut spec = spec.clone();
            if !self.shared.contains(spec.name) {
                let mut own = self.own();
                // A handful of names, which live as long as the process.
                spec.name = own
                    .entry(spec.name)
                    .or_insert_with_key(|here| Box::leak(format!("{here}.{}", self.name).into_boxed_str()));
            }
            specs.push(spec);
        }
        self.inner.create_topics(&specs)
    }

    fn topics(&self) -> Vec<TopicSpec> {
        let of = |spec: TopicSpec| {
            let here = self.here(&TopicPartition::new(spec.name, 0))?;
            let name = self.own().keys().chain(&self.shared).find(|name| **name == &*here.topic).copied()?;
            Some(TopicSpec { name, ..spec })
        };
        self.inner.topics().into_iter().filter_map(of).collect()
    }

    fn append(
        &self,
        messages: Vec<Message>,
        ledger: Option<Ledger<'_>>,
    ) -> Result<Vec<(TopicPartition, u64)>, LogError> {
        let messages = messages.iter().map(|m| self.message(m)).collect::<Result<_, _>>()?;
        let stored = self.inner.append(messages, ledger)?;
        Ok(stored.into_iter().filter_map(|(at, offset)| Some((self.here(&at)?, offset))).collect())
    }

    fn ledger(&self, name: &str, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.inner.ledger(name, key)
    }

    fn consumer(&self, group: &str, topic: &str) -> Result<Box<dyn Consumer>, LogError> {
        let inner = self.inner.consumer(&self.group(group), self.there(topic)?)?;
        let pace = self.shared.contains(topic).then(|| Arc::clone(&self.pace));
        let names = self.own().clone();
        Ok(Box::new(Member { inner, here: TopicPartition::new(topic, 0), names, pace }))
    }

    fn read(&self, from: &TopicPartition, offset: u64, limits: PollLimits) -> Result<Vec<Record>, LogError> {
        let mut records = self.inner.read(&self.partition(from)?, offset, limits)?;
        records.iter_mut().for_each(|record| record.source = from.clone());
        Ok(records)
    }

    fn has_gaps(&self) -> bool {
        self.inner.has_gaps()
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.inner.watermarks(&self.partition(partition)?)
    }

    fn groups(&self) -> Result<Vec<(String, TopicPartition, u64)>, LogError> {
        let own = format!(".{}", self.name);
        let of = |(group, at, offset): (String, TopicPartition, u64)| {
            Some((group.strip_suffix(&own)?.to_owned(), self.here(&at)?, offset))
        };
        Ok(self.inner.groups()?.into_iter().filter_map(of).collect())
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64)>, LogError> {
        self.inner.lag(&self.group(group), self.there(topic)?)
    }

    fn furthest_behind(&self, topic: &str) -> Result<u64, LogError> {
        self.inner.furthest_behind(self.there(topic)?)
    }

    fn size(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.inner.size(&self.partition(partition)?)
    }

    /// Only own topics, unless it is the live flow: what is shared is not a replay's to trim.
    fn trim(
        &self,
        partition: &TopicPartition,
        older_than: Option<i64>,
        max_bytes: Option<u64>,
    ) -> Result<u64, LogError> {
        if !self.trims_shared && self.shared.contains(&*partition.topic) {
            return Ok(0);
        }
        self.inner.trim(&self.partition(partition)?, older_than, max_bytes)
    }

    fn forget(&self, group: &str, topic: &str) -> Result<(), LogError> {
        self.inner.forget(&self.group(group), self.there(topic)?)
    }

    fn sync(&self) -> Result<(), LogError> {
        self.inner.sync()
    }

    fn wake(&self) {
        self.inner.wake();
    }
}

impl Pace {
    /// How many of `most` records may be read now, and how long to wait where it is none.
    fn allows(&self, most: usize) -> Result<usize, Duration> {
        let Some(rate) = self.rate else { return Ok(most) };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Turns that were not taken are not saved up for more than a moment.
        let from = next.map_or(now, |next| next.max(now.checked_sub(BURST).unwrap_or(now)));
        if from > now {
            return Err(from - now);
        }
        *next = Some(from);
        Ok((((now - from).as_secs_f64() * rate) as usize).clamp(1, most.max(1)))
    }

    /// Notes that records were read.
    fn took(&self, records: usize) {
        let Some(rate) = self.rate else { return };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = Duration::from_secs_f64(records as f64 / rate.max(f64::MIN_POSITIVE));
        *next = Some(next.unwrap_or_else(Instant::now) + spent);
    }
}

/// For how long turns are saved up.
const BURST: Duration = Duration::from_millis(500);

/// A consumer of the flow.
struct Member {
    inner: Box<dyn Consumer>,
    /// Its topic, as it is called here.
    here: TopicPartition,
    names: BTreeMap<&'static str, &'static str>,
    pace: Option<Arc<Pace>>,
}

impl Member {
    fn there(&self, partition: &TopicPartition) -> TopicPartition {
        let name = self.names.get(&*partition.topic).copied();
        name.map_or_else(|| partition.clone(), |name| TopicPartition::new(name, partition.partition))
    }
}

impl Consumer for Member {
    fn poll(&mut self, limits: PollLimits, wait: Duration) -> Result<Vec<Record>, LogError> {
        let mut limits = limits;
        if let Some(pace) = &self.pace {
            match pace.allows(limits.records) {
                Ok(records) => limits.records = records,
                Err(pause) => {
                    std::thread::sleep(pause.min(wait));
                    return Ok(Vec::new());
                }
            }
        }
        let mut records = self.inner.poll(limits, wait)?;
        if let Some(pace) = &self.pace {
            pace.took(records.len());
        }
        for record in &mut records {
            record.source = TopicPartition { partition: record.source.partition, ..self.here.clone() };
        }
        Ok(records)
    }

    fn assigned(&self) -> Vec<u32> {
        self.inner.assigned()
    }

    fn state(&self, partition: u32, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.inner.state(partition, key)
    }

    fn scan(&self, partition: u32, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LogError> {
        self.inner.scan(partition, prefix, limit)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), LogError> {
        let name = |topic: &'static str| self.names.get(topic).copied().unwrap_or(topic);
        let messages =
            transaction.messages.iter().map(|m| Message { topic: name(m.topic), ..m.clone() }).collect();
        let offsets = transaction.offsets.iter().map(|(p, offset)| (self.there(p), *offset)).collect();
        self.inner.commit(&Transaction { messages, offsets, state: transaction.state.clone() })
    }

    fn rewind(&mut self) -> Result<(), LogError> {
        self.inner.rewind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLog;

    const RAW: TopicSpec = TopicSpec { name: "raw", partitions: 1, passing: false };
    const OUT: TopicSpec = TopicSpec { name: "out", partitions: 1, passing: true };
    const ALL: PollLimits = PollLimits { records: 1_000, bytes: 1 << 20 };

    fn filled(records: u32) -> Arc<dyn Log> {
        let log = MemoryLog::new().unwrap();
        log.create_topics(&[RAW, OUT]).unwrap();
        let messages = (0..records).map(|i| Message::new("raw", [], i.to_be_bytes().to_vec())).collect();
        log.append(messages, None).unwrap();
        Arc::new(log)
    }

    fn copy(log: &dyn Log) {
        let mut consumer = log.consumer("copy", "raw").unwrap();
        loop {
            let records = consumer.poll(ALL, Duration::ZERO).unwrap();
            let Some(last) = records.last() else { break };
            assert_eq!(&*last.source.topic, "raw");
            let offsets = vec![(last.source.clone(), last.offset + 1)];
            let messages = records.iter().map(|r| Message::new("out", [], r.value.to_vec())).collect();
            consumer.commit(&Transaction { messages, offsets, state: Vec::new() }).unwrap();
        }
    }

    #[test]
    fn the_contract_holds_for_a_second_flow() {
        crate::contract::suite(|| Generation::new(Arc::new(MemoryLog::new().unwrap()), "again", &[], None));
    }

    #[test]
    fn two_flows_share_what_they_read_and_nothing_else() {
        let log = filled(10);
        let again = Generation::new(Arc::clone(&log), "again", &["raw"], None);
        again.create_topics(&[RAW, OUT]).unwrap();
        copy(&*log);
        let out = TopicPartition::new("out", 0);
        assert_eq!(log.watermarks(&out).unwrap().high, 10);
        assert_eq!(again.watermarks(&out).unwrap().high, 0, "the other flow's output is not its own");
        assert_eq!(again.lag("copy", "raw").unwrap(), [(0, 10)], "nor is its position");
        copy(&again);
        let read = again.read(&out, 0, ALL).unwrap();
        assert_eq!((read.len(), &read[0].source), (10, &out));
        assert_eq!(log.watermarks(&out).unwrap().high, 10);
        let names: Vec<_> = again.topics().iter().map(|t| t.name).collect();
        assert_eq!(names, ["out", "raw"]);
        assert_eq!(again.groups().unwrap(), [("copy".to_owned(), TopicPartition::new("raw", 0), 10)]);
        assert_eq!(again.trim(&TopicPartition::new("raw", 0), Some(i64::MAX), None).unwrap(), 0);
    }

    #[test]
    fn a_rate_is_kept() {
        let log = filled(1_000);
        let slow = Generation::new(log, "slow", &["raw"], Some(200.0));
        slow.create_topics(&[RAW, OUT]).unwrap();
        let mut consumer = slow.consumer("copy", "raw").unwrap();
        let started = Instant::now();
        let mut read = 0;
        while read < 100 {
            read += consumer.poll(ALL, Duration::from_millis(50)).unwrap().len();
        }
        let rate = read as f64 / started.elapsed().as_secs_f64();
        // A burst of half a second's turns may come on top of what the time allows.
        assert!(rate <= 200.0 * (1.0 + 0.5 / started.elapsed().as_secs_f64()), "{rate}");
    }
}
