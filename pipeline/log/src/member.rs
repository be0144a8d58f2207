//! A member of a consumer group, over any store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Record, TopicPartition};

use crate::groups::MemberId;
use crate::keys::{state_key, state_range};
use crate::shared::Shared;
use crate::state::State;
use crate::store::{Pair, Space, Store};
use crate::{Consumer, LogError, PollLimits, Transaction};

/// How far a member has polled a partition, in which epoch of its ownership.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    epoch: u64,
    next: u64,
    /// Whether records were given that are not committed.
    pending: bool,
}

/// A consumer; leaves its group when it is dropped.
pub(crate) struct Member<S: Store> {
    shared: Arc<Shared<S>>,
    group: String,
    topic: &'static str,
    id: MemberId,
    cursors: HashMap<u32, Cursor>,
    /// The partition whose turn it is, so that none starves.
    turn: usize,
}

impl<S: Store> Member<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, group: &str, topic: &'static str, id: MemberId) -> Self {
        Self { shared, group: group.to_owned(), topic, id, cursors: HashMap::new(), turn: 0 }
    }

    /// Where the next record to give stands, if there is one: partition, offset and the partition's end.
    fn next(&mut self, state: &State) -> Result<Option<(TopicPartition, u64, u64)>, LogError> {
        let owned = state.groups.owned(&self.group, self.topic, self.id);
        // What was given of a partition that went is void; that has to be told before more of it is given.
        self.cursors.retain(|p, cursor| cursor.pending || owned.contains(&(*p, cursor.epoch)));
        for i in 0..owned.len() {
            let at = (self.turn + i) % owned.len();
            let (p, epoch) = owned[at];
            let partition = TopicPartition::new(self.topic, p);
            let span = state.span(&partition)?;
            let committed = || state.offsets.get(&(self.group.clone(), partition.clone())).copied();
            let cursor = self.cursors.entry(p).or_insert_with(|| Cursor {
                epoch,
                next: committed().unwrap_or(span.low),
                pending: false,
            });
            if cursor.epoch != epoch {
                continue;
            }
            cursor.next = cursor.next.max(span.low);
            if cursor.next < span.high {
                self.turn = at + 1;
                return Ok(Some((partition, cursor.next, span.high)));
            }
        }
        Ok(None)
    }

    /// Refuses what concerns partitions that are no longer this member's, or are again after they were not.
    fn check(&mut self, state: &State, transaction: &Transaction) -> Result<(), LogError> {
        let own =
            transaction.offsets.iter().filter(|(p, _)| &*p.topic == self.topic).map(|(p, _)| p.partition);
        let partitions: Vec<_> = own.chain(transaction.state.iter().map(|c| c.partition)).collect();
        for p in partitions {
            let owner = state.groups.owner(&self.group, self.topic, p);
            let ours = owner.is_some_and(|o| {
                o.member == self.id && self.cursors.get(&p).is_none_or(|cursor| cursor.epoch == o.epoch)
            });
            if !ours {
                self.cursors.remove(&p);
                let partition = TopicPartition::new(self.topic, p);
                return Err(LogError::Fenced { group: self.group.clone(), partition });
            }
        }
        Ok(())
    }
}

impl<S: Store> Consumer for Member<S> {
    fn poll(&mut self, limits: PollLimits, wait: Duration) -> Result<Vec<Record>, LogError> {
        let until = Instant::now() + wait;
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let woken = state.woken;
        loop {
            if let Some((partition, from, high)) = self.next(&state)? {
                drop(state);
                let records = shared.read(&partition, from, high, limits)?;
                let next = records.last().map_or(high, |last| last.offset + 1);
                if let Some(cursor) = self.cursors.get_mut(&partition.partition) {
                    cursor.next = next;
                    cursor.pending |= !records.is_empty();
                }
                if !records.is_empty() {
                    return Ok(records);
                }
                state = shared.lock();
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.woken != woken {
                return Ok(Vec::new());
            }
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn assigned(&self) -> Vec<u32> {
        let owned = self.shared.lock().groups.owned(&self.group, self.topic, self.id);
        owned.into_iter().map(|(partition, _)| partition).collect()
    }

    fn state(&self, partition: u32, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.shared.store.get(Space::State, &state_key(&self.group, self.topic, partition, key))
    }

    fn scan(&self, partition: u32, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LogError> {
        let (from, to) = state_range(&self.group, self.topic, partition, prefix);
        let skipped = from.len() - prefix.len();
        let mut found = Vec::new();
        if limit > 0 {
            self.shared.store.range(Space::State, &from, &to, &mut |key, value| {
                found.push((key[skipped..].to_vec(), value.to_vec()));
                found.len() < limit
            })?;
        }
        Ok(found)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state, transaction)?;
        shared.commit(&mut state, &self.group, self.topic, transaction)?;
        drop(state);
        for (p, offset) in transaction.offsets.iter().filter(|(p, _)| &*p.topic == self.topic) {
            if let Some(cursor) = self.cursors.get_mut(&p.partition) {
                cursor.pending &= cursor.next != *offset;
            }
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), LogError> {
        self.cursors.clear();
        Ok(())
    }
}

impl<S: Store> Drop for Member<S> {
    fn drop(&mut self) {
        self.shared.lock().groups.leave(&self.group, self.topic, self.id);
        self.shared.changed.notify_all();
    }
}
