//! Makes partitions ready: offsets known, state restored, reading where it has to be; and their ends committed.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use super::Member;
use crate::LogError;
use crate::kafka::client::REQUEST;
use crate::kafka::error::failed;
use crate::kafka::owned::{End, Owned, Phase};
use crate::kafka::places::{begins, committed, ends, offsets};
use crate::kafka::restore::Restore;

/// The shortest time that restoring is given, however short the poll.
const LEAST: Duration = Duration::from_millis(20);

impl Member {
    /// Does what is to be done before records can be given, until it is done or the time is over.
    pub(super) fn make_ready(&mut self, until: Instant) -> Result<(), LogError> {
        self.clear_doubt()?;
        if self.restore.is_none() {
            self.begin_restore()?;
        }
        if let Some(restore) = &mut self.restore {
            // Short turns, so that the group is not kept waiting.
            let turn = Instant::now() + LEAST;
            if restore.advance(until.clamp(turn, turn + 5 * LEAST))? {
                self.restore = None;
                self.end_restore()?;
            }
        }
        self.go_back()?;
        self.settle_ends()
    }

    fn in_phase(&self, phase: Phase) -> Vec<u32> {
        self.owned.iter().filter(|(_, o)| o.phase == phase).map(|(p, _)| *p).collect()
    }

    /// Asks for the offsets of new partitions, which waits until their former owners' transactions have ended.
    fn begin_restore(&mut self) -> Result<(), LogError> {
        let new = self.in_phase(Phase::New);
        if new.is_empty() {
            return Ok(());
        }
        let found = committed(&self.consumer, (&self.wire, &new))?;
        let mut first = Vec::new();
        if found.iter().any(Option::is_none) {
            let lows = begins(&self.log.surveyor, (&self.wire, &new))?;
            let missing = new.iter().zip(&found).zip(lows).filter(|((_, offset), _)| offset.is_none());
            first.extend(missing.map(|((p, _), low)| (*p, low)));
            // From here on the group has a position everywhere, which keeps what it has still to read.
            if !self.commit_offsets(&first)? {
                return Ok(());
            }
        }
        let mut parts = Vec::new();
        for (p, offset) in new.iter().zip(found) {
            let low = first.iter().find(|(q, _)| q == p).map_or(0, |(_, low)| *low);
            let Some(owned) = self.owned.get_mut(p) else { continue };
            owned.committed = offset.unwrap_or(low);
            owned.next = owned.next.max(owned.committed);
            parts.push((owned.part.clone(), owned.ticket));
        }
        self.restore = Some(Restore::begin(&self.log, parts)?);
        for p in new {
            self.set_phase(p, Phase::Restoring);
        }
        Ok(())
    }

    fn set_phase(&mut self, partition: u32, phase: Phase) {
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.phase = phase;
        }
    }

    /// Lets records come of what was restored.
    fn end_restore(&mut self) -> Result<(), LogError> {
        let restored = self.in_phase(Phase::Restoring);
        let list: Vec<_> = restored.iter().map(|p| (*p, 0)).collect();
        let list = offsets(&self.wire, &list).map_err(|e| failed("resuming", &e))?;
        self.consumer.resume(&list).map_err(|e| failed("resuming", &e))?;
        for p in restored {
            self.set_phase(p, Phase::Ready);
        }
        Ok(())
    }

    /// Goes back to the committed offsets where that was asked for.
    fn go_back(&mut self) -> Result<(), LogError> {
        let back = self.in_phase(Phase::Rewinding);
        if back.is_empty() {
            return Ok(());
        }
        let found = committed(&self.consumer, (&self.wire, &back))?;
        for (p, offset) in back.into_iter().zip(found) {
            let Some(owned) = self.owned.get_mut(&p) else { continue };
            owned.committed = offset.unwrap_or(owned.committed);
            let to = owned.committed;
            if self.seek(p, to)?
                && let Some(owned) = self.owned.get_mut(&p)
            {
                owned.next = to;
                owned.phase = Phase::Ready;
            }
        }
        Ok(())
    }

    /// Reads on from an offset. False when the partition cannot do so yet.
    fn seek(&self, partition: u32, offset: u64) -> Result<bool, LogError> {
        let list = offsets(&self.wire, &[(partition, offset)]).map_err(|e| failed("seeking", &e))?;
        match self.consumer.seek_partitions(list, REQUEST) {
            Ok(done) => Ok(done.elements().iter().all(|e| e.error().is_ok())),
            Err(error @ KafkaError::Seek(_)) => {
                tracing::debug!(%error, partition, "seeking");
                Ok(false)
            }
            Err(error) => Err(failed("seeking", &error)),
        }
    }

    /// Commits the ends of partitions of which everything was given and committed, so that nothing seems to be left.
    fn settle_ends(&mut self) -> Result<(), LogError> {
        let done = |(p, o): (&u32, &Owned)| o.is_done().then_some((*p, o.end, o.next));
        let done: Vec<_> = self.owned.iter().filter_map(done).collect();
        let mut known = Vec::new();
        for (p, end, next) in done {
            match end {
                End::Met => {
                    let reach = ends(&self.log.readable, (&self.wire, &[p]))?[0];
                    let nothing = reach <= next;
                    if nothing || self.seek(p, next)? {
                        self.set_end(p, if nothing { End::Settled } else { End::Asked(reach) });
                    }
                }
                End::Known(offset) => known.push((p, offset)),
                End::Ahead | End::Asked(_) | End::Settled => {}
            }
        }
        if !known.is_empty() && self.commit_offsets(&known)? {
            for (p, offset) in known {
                if let Some(owned) = self.owned.get_mut(&p) {
                    (owned.next, owned.committed, owned.end) = (offset, offset, End::Settled);
                }
            }
        }
        Ok(())
    }

    fn set_end(&mut self, partition: u32, end: End) {
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.end = end;
        }
    }
}
