//! The log over a store: offsets, groups, transactions, waiting and trimming, once for every store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dmarcflow_schemas::message::partition_of;
use dmarcflow_schemas::{Message, Record, TopicPartition};

use crate::groups::Groups;
use crate::member::Member;
use crate::store::{Space, Store, Write, after};
use crate::{Consumer, Ledger, Log, LogError, PollLimits, TopicSpec, Transaction, Watermarks, frame};

/// Records that one round of trimming removes at most, so that others wait for it only briefly.
const TRIM_ROUND: u64 = 1_024;

/// A log kept in a store.
pub struct Core<S: Store> {
    pub(crate) shared: Arc<Shared<S>>,
}

pub(crate) struct Shared<S> {
    pub(crate) store: S,
    /// How the log is named in messages.
    pub(crate) place: String,
    pub(crate) state: Mutex<State>,
    /// Signalled after every append and commit, and by `wake`.
    pub(crate) changed: Condvar,
    /// How many batches the last sync covered; whoever holds it syncs for all who wait.
    synced: Mutex<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) topics: HashMap<&'static str, Topic>,
    pub(crate) groups: Groups,
    pub(crate) offsets: HashMap<(String, TopicPartition), u64>,
    /// Batches applied so far.
    applied: u64,
    /// How often `wake` was called.
    pub(crate) woken: u64,
}

pub(crate) struct Topic {
    pub(crate) spec: TopicSpec,
    pub(crate) spans: Vec<Span>,
}

/// What a partition keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) low: u64,
    pub(crate) high: u64,
    bytes: u64,
}

impl<S: Store> Core<S> {
    /// The log in a store, with the offsets that groups have.
    pub(crate) fn over(store: S, place: &str) -> Result<Self, LogError> {
        let mut state = State::default();
        let mut damaged = false;
        store.range(Space::Offsets, &[], &[], &mut |key, value| {
            match (offset_of(key), value.try_into().map(u64::from_be_bytes)) {
                (Some(of), Ok(offset)) => drop(state.offsets.insert(of, offset)),
                _ => damaged = true,
            }
            true
        })?;
        if damaged {
            let reason = "a group's offset".to_owned();
            return Err(LogError::Corrupt { path: place.to_owned(), position: "offsets".to_owned(), reason });
        }
        let (state, changed, synced) = (Mutex::new(state), Condvar::new(), Mutex::new(0));
        Ok(Self { shared: Arc::new(Shared { store, place: place.to_owned(), state, changed, synced }) })
    }
}

impl<S: Store> Log for Core<S> {
    fn create_topics(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        for spec in topics {
            let key = [b"topic\0", spec.name.as_bytes()].concat();
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
            shared.store.open_topic(spec.name, spec.large_values)?;
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

    fn sync(&self) -> Result<(), LogError> {
        let applied = self.shared.lock().applied;
        self.shared.sync_up_to(applied)
    }

    fn wake(&self) {
        self.shared.lock().woken += 1;
        self.shared.changed.notify_all();
    }
}

impl<S: Store> Shared<S> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // State changes only after the store took a batch whole, so a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a consumer's transaction; the caller has checked its ownership under the same lock.
    pub(crate) fn commit(
        &self,
        state: &mut State,
        group: &str,
        topic: &str,
        t: Transaction,
    ) -> Result<(), LogError> {
        let mut batch = Batch::new(state);
        batch.add_all(&t.messages)?;
        for (partition, offset) in &t.offsets {
            batch.writes.push(offset_write(group, partition, *offset));
        }
        for change in t.state {
            batch.put(Space::State, state_key(group, topic, change.partition, &change.key), change.value);
        }
        let spans = batch.finish(&self.store)?;
        state.settle(spans);
        for (partition, offset) in t.offsets {
            state.offsets.insert((group.to_owned(), partition), offset);
        }
        Ok(())
    }

    /// Records of a partition from an offset on, below another.
    pub(crate) fn read(
        &self,
        partition: &TopicPartition,
        from: u64,
        below: u64,
        limits: PollLimits,
    ) -> Result<Vec<Record>, LogError> {
        let topic = self.lock().topic(&partition.topic)?.spec.name;
        let (mut records, mut bytes, mut broken) = (Vec::new(), 0, None);
        let (first, end) = (record_key(partition.partition, from), record_key(partition.partition, below));
        self.store.range(Space::Topic(topic), &first, &end, &mut |key, value| {
            bytes += value.len();
            if !records.is_empty() && (records.len() >= limits.records || bytes > limits.bytes) {
                return false;
            }
            let offset = key.get(4..).and_then(|o| o.try_into().ok()).map_or(u64::MAX, u64::from_be_bytes);
            match frame::decode(partition, offset, value) {
                Ok(record) => records.push(record),
                Err(reason) => broken = Some((offset, reason)),
            }
            broken.is_none()
        })?;
        match broken {
            Some((offset, reason)) if records.is_empty() => Err(LogError::Corrupt {
                path: self.place.clone(),
                position: format!("{partition}/{offset}"),
                reason: reason.to_owned(),
            }),
            _ => Ok(records),
        }
    }

    fn read_span(&self, topic: &str, partition: u32) -> Result<Span, LogError> {
        let Some(bytes) = self.store.get(Space::Meta, &span_key(topic, partition))? else {
            return Ok(Span::default());
        };
        let number =
            |i: usize| bytes.get(i..i + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Span { low: number(0), high: number(8), bytes: number(16) })
    }

    /// Removes up to [`TRIM_ROUND`] records that all groups have read and that are too many or too old.
    fn trim_round(
        &self,
        partition: &TopicPartition,
        older_than: Option<i64>,
        max_bytes: Option<u64>,
    ) -> Result<u64, LogError> {
        let mut state = self.lock();
        let mut span = state.span(partition)?;
        let topic = Space::Topic(state.topic(&partition.topic)?.spec.name);
        let unread =
            state.offsets.iter().filter(|((_, p), _)| p == partition).map(|(_, offset)| *offset).min();
        let end = unread.unwrap_or(span.high).min(span.high).min(span.low + TRIM_ROUND);
        let mut writes = Vec::new();
        for offset in span.low..end {
            let key = record_key(partition.partition, offset);
            let size = self.store.size_of(topic, &key)?.unwrap_or_default();
            let too_many = max_bytes.is_some_and(|max| span.bytes > max);
            let too_old = || match older_than {
                Some(limit) => Ok(self
                    .store
                    .get(topic, &key)?
                    .and_then(|b| frame::timestamp(&b))
                    .is_none_or(|t| t < limit)),
                None => Ok::<_, LogError>(false),
            };
            if !too_many && !too_old()? {
                break;
            }
            span.low = offset + 1;
            span.bytes = span.bytes.saturating_sub(size);
            writes.push(Write { space: topic, key, value: None });
        }
        let removed = writes.len() as u64;
        if removed > 0 {
            writes.push(span_write(&partition.topic, partition.partition, &span));
            self.store.apply(writes)?;
            state.settle(vec![(partition.clone(), span)]);
        }
        Ok(removed)
    }

    /// Waits until a batch survives a power cut; one sync serves all who wait.
    fn sync_up_to(&self, ticket: u64) -> Result<(), LogError> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= ticket {
            return Ok(());
        }
        let applied = self.lock().applied;
        self.store.sync()?;
        *synced = applied;
        Ok(())
    }
}

impl State {
    pub(crate) fn topic(&self, name: &str) -> Result<&Topic, LogError> {
        self.topics.get(name).ok_or_else(|| LogError::UnknownTopic(name.to_owned()))
    }

    pub(crate) fn span(&self, partition: &TopicPartition) -> Result<Span, LogError> {
        let topic = self.topic(&partition.topic)?;
        topic
            .spans
            .get(partition.partition as usize)
            .copied()
            .ok_or_else(|| LogError::UnknownTopic(partition.to_string()))
    }

    /// Takes over what the store has applied. Returns the number of the batch.
    fn settle(&mut self, spans: Vec<(TopicPartition, Span)>) -> u64 {
        for (partition, span) in spans {
            if let Some(topic) = self.topics.get_mut(&*partition.topic) {
                topic.spans[partition.partition as usize] = span;
            }
        }
        self.applied += 1;
        self.applied
    }
}

/// Changes that are to be applied as one, and the spans that follow from them.
struct Batch<'a> {
    state: &'a State,
    writes: Vec<Write>,
    spans: HashMap<TopicPartition, Span>,
    now: i64,
}

impl<'a> Batch<'a> {
    fn new(state: &'a State) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { state, writes: Vec::new(), spans: HashMap::new(), now: now.as_millis() as i64 }
    }

    fn put(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.writes.push(Write { space, key, value });
    }

    /// Adds messages at the ends of their partitions.
    fn add_all(&mut self, messages: &[Message]) -> Result<Vec<(TopicPartition, u64)>, LogError> {
        let mut positions = Vec::with_capacity(messages.len());
        for message in messages {
            let topic = self.state.topic(message.topic)?;
            let partition = partition_of(&message.key, topic.spec.partitions);
            let at = TopicPartition::new(message.topic, partition);
            let span = self.spans.entry(at.clone()).or_insert(topic.spans[partition as usize]);
            let value = frame::encode(message, self.now);
            let key = record_key(partition, span.high);
            positions.push((at, span.high));
            span.high += 1;
            span.bytes += value.len() as u64;
            self.writes.push(Write { space: Space::Topic(topic.spec.name), key, value: Some(value) });
        }
        Ok(positions)
    }

    /// Applies everything; the spans are to be taken over after that.
    fn finish(mut self, store: &impl Store) -> Result<Vec<(TopicPartition, Span)>, LogError> {
        let spans: Vec<_> = self.spans.into_iter().collect();
        self.writes.extend(spans.iter().map(|(p, span)| span_write(&p.topic, p.partition, span)));
        store.apply(self.writes)?;
        Ok(spans)
    }
}

pub(crate) fn record_key(partition: u32, offset: u64) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &offset.to_be_bytes()].concat()
}

pub(crate) fn state_key(group: &str, topic: &str, partition: u32, key: &[u8]) -> Vec<u8> {
    [group.as_bytes(), b"\0", topic.as_bytes(), b"\0", &partition.to_be_bytes(), key].concat()
}

/// The keys of a state that begin with `prefix`: the first one, and the one after the last.
pub(crate) fn state_range(group: &str, topic: &str, partition: u32, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = state_key(group, topic, partition, prefix);
    let to = after(&from);
    (from, to)
}

fn ledger_key(name: &str, key: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", key].concat()
}

fn span_key(topic: &str, partition: u32) -> Vec<u8> {
    [b"span\0", topic.as_bytes(), b"\0", &partition.to_be_bytes()].concat()
}

fn span_write(topic: &str, partition: u32, span: &Span) -> Write {
    let value = [span.low, span.high, span.bytes].map(u64::to_be_bytes).concat();
    Write { space: Space::Meta, key: span_key(topic, partition), value: Some(value) }
}

fn offset_write(group: &str, partition: &TopicPartition, offset: u64) -> Write {
    let key = state_key(group, &partition.topic, partition.partition, &[]);
    Write { space: Space::Offsets, key, value: Some(offset.to_be_bytes().to_vec()) }
}

fn offset_of(key: &[u8]) -> Option<(String, TopicPartition)> {
    let (names, partition) = key.split_last_chunk::<4>()?;
    let mut names = std::str::from_utf8(names).ok()?.split('\0');
    let (group, topic) = (names.next()?, names.next()?);
    Some((group.to_owned(), TopicPartition::new(topic, u32::from_be_bytes(*partition))))
}
