//! Where groups stand, and how far they are behind.
//!
//! Offsets count the marks that end transactions, so "behind" is an upper bound of records while work goes on; a
//! member that has read everything commits the partition's end, which makes it 0.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::TopicPartition;

use super::Inner;
use super::client::{REQUEST, Reader};
use super::error::failed;
use super::member::group_of;
use super::places::{begins, committed, ends};
use crate::{LogError, TopicSpec};

/// How old an answer to "how far is the slowest" may be: it is asked in every round of every worker.
const FRESH: Duration = Duration::from_secs(1);

/// A group's offset in a partition of a topic that it joined; none before it committed one.
pub(super) type Standing = (String, TopicPartition, Option<u64>);

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
    ///
    /// A group that ever joined a topic has a changelog for it. Coordinators may not know of a group while they
    /// move; that topic is always there.
    pub(super) fn now(&self, log: &Inner) -> Result<Arc<Vec<Standing>>, LogError> {
        let all =
            log.admin.inner().fetch_metadata(None, REQUEST).map_err(|e| failed("asking for topics", &e))?;
        let topics = log.specs();
        let mut joined: BTreeMap<String, Vec<&TopicSpec>> = BTreeMap::new();
        for name in all.topics().iter().filter_map(|t| t.name().strip_prefix(&log.settings.prefix)) {
            let found = topics.iter().filter_map(|topic| Some((group_of(name, topic.name)?, topic)));
            if let Some((group, topic)) = found.max_by_key(|(_, topic)| topic.name.len()) {
                joined.entry(group).or_default().push(topic);
            }
        }
        let mut standings = Vec::new();
        for (group, topics) in joined {
            for topic in topics {
                let partitions: Vec<_> = (0..topic.partitions).collect();
                let of = (&*log.settings.named(topic.name), &*partitions);
                let offsets = committed(&*self.auditor(log, &group)?, of)?;
                let at = partitions.iter().map(|p| TopicPartition::new(topic.name, *p));
                standings.extend(at.zip(offsets).map(|(at, offset)| (group.clone(), at, offset)));
            }
        }
        standings.sort_unstable();
        let standings = Arc::new(standings);
        let recent = Some((Instant::now(), Arc::clone(&standings)));
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = recent;
        Ok(standings)
    }

    /// Every group's offsets, as they were lately.
    pub(super) fn lately(&self, log: &Inner) -> Result<Arc<Vec<Standing>>, LogError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match recent {
            Some((at, all)) if at.elapsed() < FRESH => Ok(all),
            _ => self.now(log),
        }
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
            .filter_map(|(_, p, offset)| Some(highs.get(p.partition as usize)?.saturating_sub((*offset)?)));
        let furthest = behind.max().unwrap_or_default();
        let mut known = self.furthest.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic.to_owned(), (Instant::now(), furthest));
        Ok(furthest)
    }
}
