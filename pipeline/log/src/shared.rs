//! What the members of a log share: the store, and under one lock what is known of it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use dmarcflow_schemas::{Record, TopicPartition};

use crate::batch::Batch;
use crate::keys::{Span, offset_of, offset_write, record_key, span_key, span_write, state_key};
use crate::state::State;
use crate::store::{Space, Store, Write};
use crate::{LogError, PollLimits, Transaction, frame};

/// Records that one round of trimming removes at most, so that others wait for it only briefly.
pub(crate) const TRIM_ROUND: u64 = 1_024;

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

impl<S: Store> Shared<S> {
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
        Ok(Self { store, place: place.to_owned(), state, changed, synced })
    }

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
        t: &Transaction,
    ) -> Result<(), LogError> {
        let mut batch = Batch::new(state);
        batch.add_all(&t.messages)?;
        for (partition, offset) in &t.offsets {
            batch.writes.push(offset_write(group, partition, *offset));
        }
        for change in &t.state {
            let key = state_key(group, topic, change.partition, &change.key);
            batch.put(Space::State, key, change.value.clone());
        }
        let spans = batch.finish(&self.store)?;
        state.settle(spans);
        for (partition, offset) in &t.offsets {
            state.offsets.insert((group.to_owned(), partition.clone()), *offset);
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

    pub(crate) fn read_span(&self, topic: &str, partition: u32) -> Result<Span, LogError> {
        let Some(bytes) = self.store.get(Space::Meta, &span_key(topic, partition))? else {
            return Ok(Span::default());
        };
        let number =
            |i: usize| bytes.get(i..i + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Span { low: number(0), high: number(8), bytes: number(16) })
    }

    /// Removes up to [`TRIM_ROUND`] records that all groups have read and that are too many or too old.
    pub(crate) fn trim_round(
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
    pub(crate) fn sync_up_to(&self, ticket: u64) -> Result<(), LogError> {
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
