//! Where groups stand, and how far they are behind.
//!
//! Offsets count the marks that end transactions, so "behind" is an upper bound of records while work goes on; a
//! member that has read everything commits the partition's end, which makes it 0.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::TopicPartition;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::Inner;
use super::client::{REQUEST, Reader};
use super::error::failed;
use super::places::{begins, committed, ends};
use crate::LogError;

/// How old an answer to "how far is the slowest" may be: it is asked in every round of every worker.
const FRESH: Duration = Duration::from_secs(1);

/// A group's offset in a partition.
pub(super) type Standing = (String, TopicPartition, u64);

/// What is known of the groups.
#[derive(Default)]
pub(super) struct Standings {
    /// A client for each group, which alone may ask for its offsets.
    auditors: Mutex<HashMap<String, Arc<Reader>>>,
    recent: Mutex<Option<(Instant, Arc<Vec<Standing>>)>>,
    furthest: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Standings {
    fn auditor(&self, log: &Inner, group: &str) -> Result<Arc<Reader>, LogError> {
        let mut auditors = self.auditors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = auditors.get(group) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(log.settings.auditor(group)?);
        auditors.insert(group.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// Every group's offsets, as they are now.
    pub(super) fn now(&self, log: &Inner) -> Result<Arc<Vec<Standing>>, LogError> {
        let what = "asking for groups";
        let list = log.admin.inner().fetch_group_list(None, REQUEST).map_err(|e| failed(what, &e))?;
        let mut all = Vec::new();
        for group in list.groups().iter().filter_map(|g| g.name().strip_prefix(&log.settings.prefix)) {
            all.extend(self.of_group(log, group)?);
        }
        all.sort_unstable();
        let all = Arc::new(all);
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&all)));
        Ok(all)
    }

    /// Every group's offsets, as they were lately.
    pub(super) fn lately(&self, log: &Inner) -> Result<Arc<Vec<Standing>>, LogError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match recent {
            Some((at, all)) if at.elapsed() < FRESH => Ok(all),
            _ => self.now(log),
        }
    }

    fn of_group(&self, log: &Inner, group: &str) -> Result<Vec<Standing>, LogError> {
        let what = || format!("asking for the offsets of {group}");
        let topics = log.specs();
        let mut list = TopicPartitionList::new();
        for topic in &topics {
            let name = log.settings.named(topic.name);
            (0..topic.partitions).for_each(|p| drop(list.add_partition(&name, p as i32)));
        }
        let found =
            self.auditor(log, group)?.committed_offsets(list, REQUEST).map_err(|e| failed(&what(), &e))?;
        let mut all = Vec::new();
        for element in found.elements() {
            let name = element.topic().strip_prefix(&log.settings.prefix);
            if let (Some(topic), Offset::Offset(offset)) = (name, element.offset()) {
                let partition = TopicPartition::new(topic, element.partition() as u32);
                all.push((group.to_owned(), partition, u64::try_from(offset).unwrap_or_default()));
            }
        }
        Ok(all)
    }

    /// How far a group is behind, by partition.
    pub(super) fn lag(&self, log: &Inner, group: &str, topic: &str) -> Result<Vec<(u32, u64)>, LogError> {
        let Ok(spec) = log.topic(topic) else { return Ok(Vec::new()) };
        let partitions: Vec<_> = (0..spec.partitions).collect();
        let name = log.settings.named(topic);
        let of = (name.as_str(), &partitions[..]);
        // Offsets first: what is appended between the two questions is counted.
        let offsets = committed(&*self.auditor(log, group)?, of)?;
        let lows = begins(&log.surveyor, of)?;
        let highs = ends(&log.surveyor, of)?;
        let behind =
            offsets.iter().zip(lows).zip(highs).map(|((o, low), high)| high.saturating_sub(o.unwrap_or(low)));
        Ok(partitions.iter().copied().zip(behind).collect())
    }

    /// How far the slowest group of a topic is behind in the partition where that is most, lately.
    pub(super) fn furthest_behind(&self, log: &Inner, topic: &str) -> Result<u64, LogError> {
        let known = self.furthest.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some((at, furthest)) = known
            && at.elapsed() < FRESH
        {
            return Ok(furthest);
        }
        let spec = log.topic(topic)?;
        let partitions: Vec<_> = (0..spec.partitions).collect();
        let all = self.lately(log)?;
        let highs = ends(&log.surveyor, (&log.settings.named(topic), &partitions))?;
        let behind = all
            .iter()
            .filter(|(_, p, _)| &*p.topic == topic)
            .filter_map(|(_, p, offset)| Some(highs.get(p.partition as usize)?.saturating_sub(*offset)));
        let furthest = behind.max().unwrap_or_default();
        let mut known = self.furthest.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic.to_owned(), (Instant::now(), furthest));
        Ok(furthest)
    }
}
