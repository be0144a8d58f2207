//! Commits: outputs, state and offsets as one, by those who own the partitions.

use std::collections::BTreeMap;

use dmarcflow_schemas::message::partition_of;
use dmarcflow_schemas::{Message, TopicPartition};
use rdkafka::consumer::Consumer as _;

use super::Member;
use crate::kafka::error::failed;
use crate::kafka::owned::Phase;
use crate::kafka::places::{committed, offsets};
use crate::kafka::producer::{Failed, Offsets, Outgoing};
use crate::kafka::restore;
use crate::{LogError, StateChange, Transaction};

/// A transaction of which it is not known whether it was committed.
pub(super) struct Doubt {
    offsets: BTreeMap<u32, u64>,
    /// Whether it turned out to be committed.
    committed: bool,
}

impl Member {
    pub(super) fn commit_transaction(&mut self, transaction: &Transaction) -> Result<(), LogError> {
        let Transaction { messages, offsets, state } = transaction;
        let places = messages
            .iter()
            .map(|m| Ok(partition_of(&m.key, self.log.topic(m.topic)?.partitions)))
            .collect::<Result<Vec<_>, LogError>>()?;
        let asked = offsets.iter().map(|(p, offset)| self.own(p).map(|p| (p, *offset)));
        let asked = asked.collect::<Result<BTreeMap<_, _>, _>>()?;
        self.clear_doubt()?;
        // State alone also has to be refused when it is no longer ours: its partition's offset goes along.
        let mut all = asked.clone();
        for change in state {
            let committed = self.owned.get(&change.partition).map_or(0, |o| o.committed);
            all.entry(change.partition).or_insert(committed);
        }
        if let Some(doubt) = self.doubt.take()
            && doubt.offsets == all
            && !asked.is_empty()
        {
            // This very transaction was committed before.
            self.settled(&asked);
            return Ok(());
        }
        self.check(all.keys().copied())?;
        let stored = self.write(messages, &places, state, &all)?;
        self.settled(&asked);
        self.copy(state, &stored[messages.len()..]);
        Ok(())
    }

    /// The number of a partition of our topic.
    fn own(&self, partition: &TopicPartition) -> Result<u32, LogError> {
        if &*partition.topic == self.topic {
            Ok(partition.partition)
        } else {
            Err(LogError::UnknownTopic(format!("{partition} as input of {}", self.group)))
        }
    }

    /// Commits offsets alone. False when they are no longer ours to commit.
    pub(super) fn commit_offsets(&mut self, offsets: &[(u32, u64)]) -> Result<bool, LogError> {
        match self.write(&[], &[], &[], &offsets.iter().copied().collect()) {
            Ok(_) => Ok(true),
            Err(LogError::Fenced { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses what concerns partitions that are no longer ours, or are again after they were not.
    fn check(&mut self, partitions: impl Iterator<Item = u32>) -> Result<(), LogError> {
        for p in partitions {
            let given = self.given.get(&p);
            let ours = self.owned.get(&p).is_some_and(|o| {
                !matches!(o.phase, Phase::New | Phase::Restoring)
                    && given.is_none_or(|epoch| *epoch == o.epoch)
            });
            if !ours {
                return Err(self.fenced(p));
            }
        }
        Ok(())
    }

    /// Whoever is told this gives up what was given of the partition.
    fn fenced(&mut self, partition: u32) -> LogError {
        self.given.remove(&partition);
        LogError::Fenced { group: self.group.clone(), partition: TopicPartition::new(self.topic, partition) }
    }

    fn write(
        &mut self,
        messages: &[Message],
        places: &[u32],
        state: &[StateChange],
        all: &BTreeMap<u32, u64>,
    ) -> Result<Vec<u64>, LogError> {
        let first = all.keys().next().copied().unwrap_or_default();
        // The answer comes from the thread that also learns that we were thrown out: whoever has a generation after
        // that, and no loss, has the partitions.
        let member = self.consumer.group_metadata();
        let Some(member) = member.filter(|_| !self.consumer.assignment_lost()) else {
            return Err(self.fenced(first));
        };
        let values: Vec<_> = state.iter().map(|c| c.value.as_deref().map(restore::encode)).collect();
        let settings = &self.log.settings;
        let outputs = messages.iter().zip(places).map(|(m, p)| Outgoing {
            topic: settings.named(m.topic),
            partition: *p,
            key: &m.key,
            headers: &m.headers,
            value: Some(&m.value),
            divisible: true,
        });
        let changes = state.iter().zip(&values).map(|(c, value)| Outgoing {
            topic: self.changelog.clone(),
            partition: c.partition,
            key: &c.key,
            headers: &[],
            value: value.as_deref(),
            divisible: false,
        });
        let outgoing: Vec<_> = outputs.chain(changes).collect();
        let list: Vec<_> = all.iter().map(|(p, offset)| (*p, *offset)).collect();
        let list = offsets(&self.wire, &list).map_err(|e| failed("committing", &e))?;
        let with = (!all.is_empty()).then_some(Offsets { list, member: &member });
        match self.producer.transact(&outgoing, with) {
            Ok(stored) => Ok(stored),
            Err(Failed::Fenced) => {
                // What of these is still ours is given again.
                for p in all.keys() {
                    self.given.remove(p);
                    self.owned.get_mut(p).into_iter().for_each(crate::kafka::owned::Owned::rewind);
                }
                Err(self.fenced(first))
            }
            Err(Failed::Aborted(error)) => Err(error),
            Err(Failed::Unknown(error, _)) => {
                self.doubt = Some(Doubt { offsets: all.clone(), committed: false });
                Err(*error)
            }
        }
    }

    /// Finds out what became of a transaction whose end was not known. One that was committed stays as a doubt that
    /// is `committed`, until the next commit.
    pub(super) fn clear_doubt(&mut self) -> Result<(), LogError> {
        let Some(doubt) = self.doubt.take_if(|doubt| !doubt.committed) else { return Ok(()) };
        let partitions: Vec<_> = doubt.offsets.keys().copied().collect();
        let found =
            self.producer.recover().and_then(|()| committed(&self.consumer, (&self.wire, &partitions)));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.doubt = Some(doubt);
                return Err(error);
            }
        };
        if found.iter().zip(doubt.offsets.values()).all(|(found, asked)| *found == Some(*asked)) {
            // The copy does not have its changes: they come from the changelog.
            for p in &partitions {
                if let Some(owned) = self.owned.get_mut(p).filter(|o| o.phase == Phase::Ready) {
                    owned.phase = Phase::New;
                }
            }
            self.doubt = Some(Doubt { committed: true, ..doubt });
        }
        Ok(())
    }

    /// Notes offsets that were committed.
    fn settled(&mut self, offsets: &BTreeMap<u32, u64>) {
        for (p, offset) in offsets {
            if let Some(owned) = self.owned.get_mut(p) {
                owned.committed = *offset;
                if owned.next == *offset {
                    self.given.remove(p);
                }
            }
        }
    }

    /// Changes the local copy as the changelog was changed.
    fn copy(&mut self, state: &[StateChange], stored: &[u64]) {
        let mut by_partition: BTreeMap<u32, (Vec<_>, u64)> = BTreeMap::new();
        for (change, offset) in state.iter().zip(stored) {
            let Some(owned) = self.owned.get(&change.partition) else { continue };
            let (writes, next) = by_partition.entry(change.partition).or_default();
            writes.push(owned.part.write(&change.key, change.value.as_deref()));
            *next = (*next).max(offset + 1);
        }
        for (p, (writes, next)) in by_partition {
            let Some(owned) = self.owned.get_mut(&p) else { continue };
            if let Err(error) = self.log.slot.copy.apply(&owned.part, owned.ticket, writes, next) {
                // It is committed: the copy comes to it by the changelog, when there is room for it.
                tracing::warn!(%error, partition = p, "the local copy of the state is behind");
                owned.phase = Phase::New;
            }
        }
    }
}
