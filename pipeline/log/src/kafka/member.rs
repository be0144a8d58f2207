//! A member of a consumer group on the brokers.
//!
//! Partitions come and go while it polls, and only then: between two polls what it was given is its own, or its
//! commit is refused. A commit carries the member's generation, which the brokers check together with the
//! transaction; a member that was thrown out of its group (it was stopped, or cut off) has none, and refuses by
//! itself. A partition that went and came back in between is refused once, too: somebody else may have
//! worked on it.

mod commit;
mod ready;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Record, TopicPartition};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::copy::Part;
use super::error::{failed, is_transient};
use super::owned::{End, Owned, Phase};
use super::producer::Producer;
use super::rebalance::{Change, Rebalances};
use super::record::record;
use super::restore::Restore;
use super::topics::{Wanted, ensure};
use super::{Inner, chunks::Assembler};
use crate::keys::{state_key, state_range};
use crate::store::{Space, Store};
use crate::{Consumer, LogError, Pair, PollLimits, TopicSpec, Transaction};
use commit::Doubt;

/// Bytes of records that wait to be given, before no more are taken from the brokers.
const HELD: usize = 16 << 20;
/// Messages taken from librdkafka at a time.
const TAKEN: usize = 10_000;
/// How long a wait lasts before it is looked whether somebody wakes us.
const SLICE: Duration = Duration::from_millis(20);

/// What the names of changelogs begin with.
const CHANGELOG: &str = "state.";
/// A colon in such a name.
const COLON: &str = "__";

pub(super) struct Member {
    log: Arc<Inner>,
    group: String,
    topic: &'static str,
    /// The topic and its changelog as the brokers know them.
    wire: String,
    changelog: String,
    /// Names this member among those of this process.
    name: String,
    consumer: BaseConsumer<Rebalances>,
    producer: Producer,
    owned: BTreeMap<u32, Owned>,
    /// In which epoch records were given that are not committed.
    given: HashMap<u32, u64>,
    restore: Option<Restore>,
    /// A transaction whose end is not known.
    doubt: Option<Doubt>,
    epoch: u64,
    /// The partition whose turn it is, so that none starves.
    turn: u32,
}

impl Member {
    pub(super) fn join(log: &Arc<Inner>, group: &str, topic: &TopicSpec) -> Result<Self, LogError> {
        let settings = &log.settings;
        let changelog = settings.named(&changelog(group, topic.name));
        ensure(log, &[Wanted::changelog(changelog.clone(), topic.partitions)])?;
        let name = log.name_member(group, topic.name);
        let instance = settings.worker.as_ref().map(|_| name.as_str());
        let wire = settings.named(topic.name);
        let what = || format!("joining the group {group}");
        let consumer: BaseConsumer<Rebalances> = settings
            .member_config(group, instance)
            .create_with_context(Rebalances::default())
            .map_err(|e| failed(&what(), &e))?;
        consumer.subscribe(&[&wire]).map_err(|e| failed(&what(), &e))?;
        Ok(Self {
            producer: Producer::new(settings, settings.named(&name)),
            log: Arc::clone(log),
            group: group.to_owned(),
            topic: topic.name,
            wire,
            changelog,
            name,
            consumer,
            owned: BTreeMap::new(),
            given: HashMap::new(),
            restore: None,
            doubt: None,
            epoch: 0,
            turn: 0,
        })
    }

    /// Takes what the brokers have for us, waiting for the first of it.
    fn pump(&mut self, wait: Duration) -> Result<(), LogError> {
        let mut wait = wait;
        for _ in 0..TAKEN {
            let held: usize = self.owned.values().map(|o| o.held.bytes()).sum();
            let can_give = self.owned.iter().any(|(p, o)| self.may_give(*p, o) && o.held.front().is_some());
            if held >= HELD && can_give {
                break;
            }
            let polled = self.consumer.poll(std::mem::take(&mut wait));
            let changes = self.consumer.context().take();
            let came = match &polled {
                None => None,
                Some(Ok(message)) => {
                    let source = TopicPartition::new(self.topic, message.partition() as u32);
                    Some(Ok(record(&source, message)))
                }
                Some(Err(error)) => Some(Err(error.clone())),
            };
            drop(polled);
            let changed = !changes.is_empty();
            changes.into_iter().for_each(|change| self.change(change));
            match came {
                None if changed => {}
                None => break,
                Some(Ok(message)) => {
                    if let Some(owned) = self.owned.get_mut(&message.source.partition) {
                        owned.take(message);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(p))) => {
                    if let Some(owned) = self.owned.get_mut(&(p as u32)) {
                        owned.met_end();
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(failed(&format!("reading {} as {}", self.topic, self.name), &error));
                }
                Some(Err(error)) if !is_transient(&error) => {
                    return Err(failed(&format!("reading {} as {}", self.topic, self.name), &error));
                }
                Some(Err(error)) => tracing::debug!(%error, group = self.group, "kafka"),
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        tracing::debug!(group = self.group, name = self.name, ?change, "partitions");
        let direction = if matches!(change, Change::Assigned(_)) { "assigned" } else { "revoked" };
        metrics::counter!("dmarcflow_rebalances_total", "group" => self.group.clone(), "direction" => direction)
            .increment(1);
        match change {
            Change::Assigned(partitions) => {
                for p in partitions {
                    self.epoch += 1;
                    let part = Part {
                        space: Space::State,
                        prefix: state_key(&self.group, self.topic, p, &[]),
                        changelog: self.changelog.clone(),
                        partition: p,
                    };
                    let ticket = self.log.slot.copy.take(&part);
                    let (held, end) = (Assembler::default(), End::Ahead);
                    let owned = Owned {
                        epoch: self.epoch,
                        phase: Phase::New,
                        part,
                        ticket,
                        held,
                        committed: 0,
                        next: 0,
                        end,
                    };
                    self.owned.insert(p, owned);
                }
            }
            Change::Revoked(partitions) => {
                for p in partitions {
                    self.owned.remove(&p);
                }
            }
        }
    }

    /// Whether records may be given: not before it was told that those given earlier are lost.
    fn may_give(&self, partition: u32, owned: &Owned) -> bool {
        owned.phase == Phase::Ready && self.given.get(&partition).is_none_or(|epoch| *epoch == owned.epoch)
    }

    /// The records of the partition whose turn it is.
    fn give(&mut self, limits: PollLimits) -> Vec<Record> {
        let able = |(p, o): (&u32, &Owned)| (self.may_give(*p, o) && o.held.front().is_some()).then_some(*p);
        let next = self.owned.range(self.turn..).find_map(able).or_else(|| self.owned.iter().find_map(able));
        let Some((partition, owned)) = next.and_then(|p| Some((p, self.owned.get_mut(&p)?))) else {
            return Vec::new();
        };
        self.turn = partition + 1;
        self.given.insert(partition, owned.epoch);
        owned.give(limits)
    }
}

impl Consumer for Member {
    fn poll(&mut self, limits: PollLimits, wait: Duration) -> Result<Vec<Record>, LogError> {
        let until = Instant::now() + wait;
        let woken = self.log.woken.load(Ordering::Relaxed);
        loop {
            self.pump(Duration::ZERO)?;
            match self.make_ready(until) {
                Ok(()) => {}
                // Brokers that are away come back; until then there is nothing to give.
                Err(error) if error.is_transient() => tracing::warn!(%error, group = self.group, "waiting"),
                Err(error) => return Err(error),
            }
            let records = self.give(limits);
            let left = until.saturating_duration_since(Instant::now());
            if !records.is_empty() || left.is_zero() || self.log.woken.load(Ordering::Relaxed) != woken {
                return Ok(records);
            }
            self.pump(left.min(SLICE))?;
        }
    }

    fn assigned(&self) -> Vec<u32> {
        let ready = self.owned.iter().filter(|(_, o)| matches!(o.phase, Phase::Ready | Phase::Rewinding));
        ready.map(|(p, _)| *p).collect()
    }

    fn state(&self, partition: u32, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        let key = state_key(&self.group, self.topic, partition, key);
        self.log.slot.copy.disk.get(Space::State, &key)
    }

    fn scan(&self, partition: u32, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LogError> {
        let (from, to) = state_range(&self.group, self.topic, partition, prefix);
        let skipped = from.len() - prefix.len();
        let mut found = Vec::new();
        if limit > 0 {
            self.log.slot.copy.disk.range(Space::State, &from, &to, &mut |key, value| {
                found.push((key[skipped..].to_vec(), value.to_vec()));
                found.len() < limit
            })?;
        }
        Ok(found)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), LogError> {
        self.commit_transaction(transaction)
    }

    fn rewind(&mut self) -> Result<(), LogError> {
        self.given.clear();
        self.owned.values_mut().for_each(Owned::rewind);
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.log.members.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.name);
    }
}

impl Inner {
    /// A name for a member that no other of this process has, and that the next process in this place has again.
    fn name_member(&self, group: &str, topic: &str) -> String {
        let mut members = self.members.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = |n: usize| format!("{}.{}.{}.{n}", self.slot.identity, wire_name(group), topic);
        let free =
            (0..).map(name).find(|name| !members.contains(name)).unwrap_or_else(|| name(members.len()));
        members.insert(free.clone());
        free
    }
}

/// The changelog of a group's state, behind the prefix. Whoever joins a topic makes it first, so it also says who
/// ever joined.
pub(super) fn changelog(group: &str, topic: &str) -> String {
    format!("{CHANGELOG}{}.{topic}", wire_name(group))
}

/// The group whose state in a topic this changelog holds, if it holds one's.
pub(super) fn group_of(changelog: &str, topic: &str) -> Option<String> {
    let group = changelog.strip_prefix(CHANGELOG)?.strip_suffix(topic)?.strip_suffix('.')?;
    Some(group.replace(COLON, ":"))
}

/// A group's name as a part of a topic's name, which has no colons.
fn wire_name(group: &str) -> String {
    group.replace(':', COLON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changelog_names_its_group() {
        let name = changelog("write:reports.distinct", "reports.distinct");
        assert_eq!(group_of(&name, "reports.distinct").as_deref(), Some("write:reports.distinct"));
        assert_eq!(group_of(&name, "reports.raw"), None);
        assert_eq!(group_of("reports.raw", "reports.raw"), None);
    }
}
