//! The log over a store: topics, appending, groups and trimming, once for every store.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use dmarcflow_schemas::{Message, Record, TopicPartition};

use crate::batch::Batch;
use crate::keys::{ledger_key, offset_write, state_range};
use crate::member::Member;
use crate::shared::{Shared, TRIM_ROUND};
use crate::state::Topic;
use crate::store::{Space, Store, Write};
use crate::{Consumer, Ledger, Log, LogError, PollLimits, TopicSpec, Watermarks};

/// A log kept in a store.
pub struct Core<S: Store> {
    pub(crate) shared: Arc<Shared<S>>,
}

impl<S: Store> Core<S> {
    /// The log in a store, with the offsets that groups have.
    pub(crate) fn over(store: S, place: &str) -> Result<Self, LogError> {
        Ok(Self { shared: Arc::new(Shared::over(store, place)?) })
    }

    /// The partitions that a topic was made with; none where it never was.
    pub fn partitions_of(&self, topic: &str) -> Result<Option<u32>, LogError> {
        let found = self.shared.store.get(Space::Meta, &topic_key(topic))?;
        Ok(found.map(|found| found.as_slice().try_into().map_or(0, u32::from_be_bytes)))
    }
}

/// Where the number of a topic's partitions is kept.
fn topic_key(name: &str) -> Vec<u8> {
    [b"topic\0", name.as_bytes()].concat()
}

impl<S: Store> Log for Core<S> {
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        for spec in topics {
            let key = topic_key(spec.name);
            match shared.store.get(Space::Meta, &key)? {
                Some(found) => {
                    let found = found.as_slice().try_into().map_or(0, u32::from_be_bytes);
                    if found != spec.partitions {
                        let (topic, expected) = (spec.name.to_owned(), spec.partitions);
                        return Err(LogError::Partitions { topic, found, expected });
                    }
                }
                None => shared.store.apply(vec![Write {
                    space: Space::Meta,
                    key,
                    value: Some(spec.partitions.to_be_bytes().to_vec()),
                }])?,
            }
            shared.store.open_topic(spec.name, spec.passing)?;
            let spans =
                (0..spec.partitions).map(|p| shared.read_span(spec.name, p)).collect::<Result<_, _>>()?;
            state.topics.entry(spec.name).or_insert(Topic { spec: spec.clone(), spans });
        }
        Ok(())
    }

    fn topics(&self) -> Vec<TopicSpec> {
        let mut topics: Vec<_> = self.shared.lock().topics.values().map(|t| t.spec.clone()).collect();
        topics.sort_unstable_by_key(|t| t.name);
        topics
    }

    fn append(
        &self,
        messages: Vec<Message>,
        ledger: Option<Ledger<'_>>,
    ) -> Result<Vec<(TopicPartition, u64)>, LogError> {
        let mut state = self.shared.lock();
        let mut batch = Batch::new(&state);
        let positions = batch.add_all(&messages)?;
        if let Some(ledger) = ledger {
            for (key, value) in ledger.entries {
                batch.put(Space::Ledger, ledger_key(ledger.name, key), Some(value.clone()));
            }
        }
        let spans = batch.finish(&self.shared.store)?;
        let ticket = state.settle(spans);
        drop(state);
        self.shared.changed.notify_all();
        self.shared.sync_up_to(ticket)?;
        Ok(positions)
    }

    fn ledger(&self, name: &str, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.shared.store.get(Space::Ledger, &ledger_key(name, key))
    }

    fn consumer(&self, group: &str, topic: &str) -> Result<Box<dyn Consumer>, LogError> {
        let mut state = self.shared.lock();
        let found = state.topic(topic)?;
        let (topic, spans) = (found.spec.name, found.spans.clone());
        // From here on the group has a position everywhere, which keeps what it has still to read.
        let mut writes = Vec::new();
        for (p, span) in (0..).zip(&spans) {
            let of = (group.to_owned(), TopicPartition::new(topic, p));
            if let Entry::Vacant(place) = state.offsets.entry(of) {
                let (group, partition) = place.key();
                writes.push(offset_write(group, partition, span.low));
                place.insert(span.low);
            }
        }
        self.shared.store.apply(writes)?;
        let id = state.groups.join(group, topic, spans.len() as u32);
        Ok(Box::new(Member::new(Arc::clone(&self.shared), group, topic, id)))
    }

    fn read(&self, from: &TopicPartition, offset: u64, limits: PollLimits) -> Result<Vec<Record>, LogError> {
        let span = self.shared.lock().span(from)?;
        self.shared.read(from, offset.max(span.low), span.high, limits)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let span = self.shared.lock().span(partition)?;
        Ok(Watermarks { low: span.low, high: span.high })
    }

    fn has_gaps(&self) -> bool {
        false
    }

    fn groups(&self) -> Result<Vec<(String, TopicPartition, u64)>, LogError> {
        let state = self.shared.lock();
        let mut all: Vec<_> = state.offsets.iter().map(|((g, p), o)| (g.clone(), p.clone(), *o)).collect();
        all.sort_unstable();
        Ok(all)
    }

    fn size(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.shared.lock().span(partition).map(|span| span.bytes)
    }

    fn trim(
        &self,
        partition: &TopicPartition,
        older_than: Option<i64>,
        max_bytes: Option<u64>,
    ) -> Result<u64, LogError> {
        let mut removed = 0;
        loop {
            let n = self.shared.trim_round(partition, older_than, max_bytes)?;
            removed += n;
            if n < TRIM_ROUND {
                return Ok(removed);
            }
        }
    }

    fn forget(&self, group: &str, topic: &str) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        let partitions = state.topic(topic)?.spec.partitions;
        let mut writes = Vec::new();
        for p in 0..partitions {
            let partition = TopicPartition::new(topic, p);
            writes.push(Write { value: None, ..offset_write(group, &partition, 0) });
            let (from, to) = state_range(group, topic, p, &[]);
            self.shared.store.range(Space::State, &from, &to, &mut |key, _| {
                writes.push(Write { space: Space::State, key: key.to_vec(), value: None });
                true
            })?;
        }
        self.shared.store.apply(writes)?;
        state.offsets.retain(|(g, p), _| !(g == group && &*p.topic == topic));
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let applied = self.shared.lock().applied;
        self.shared.sync_up_to(applied)
    }

    fn wake(&self) {
        self.shared.lock().woken += 1;
        self.shared.changed.notify_all();
    }
}
