//! Ledgers: a compacted topic, copied here when the log is opened and followed afterwards.
//!
//! What this process wrote is visible at once, what others wrote soon: a source that is handed over from one
//! process to another opens the log, which reads everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;

use super::Inner;
use super::client::Reader;
use super::copy::{Part, Ticket};
use super::error::failed;
use super::places::offsets;
use super::restore::{Restore, decode};
use crate::LogError;
use crate::store::{Space, Store, Write};

/// The topic, behind the prefix.
pub(super) const TOPIC: &str = "ledger";
/// How long it may take to read everything.
const PATIENCE: Duration = Duration::from_secs(600);
/// Time between two looks at what others wrote.
const LOOK: Duration = Duration::from_millis(100);
/// Records that one look takes at most.
const MOST: usize = 10_000;

/// The ledgers' part of the copy.
pub(super) fn part(log: &Inner) -> Part {
    let changelog = log.settings.named(TOPIC);
    Part { space: Space::Ledger, prefix: Vec::new(), changelog, partition: 0 }
}

/// Follows the topic.
pub(super) struct Tail {
    reader: Reader,
    part: Part,
    ticket: Ticket,
    looked: Instant,
}

impl Tail {
    /// Reads everything there is, and follows from there.
    pub(super) fn open(log: &Arc<Inner>) -> Result<Self, LogError> {
        let part = part(log);
        let ticket = log.slot.copy.take(&part);
        catch_up(log, &part, ticket)?;
        let next = log.slot.copy.place(&part)?.map_or(0, |place| place.next);
        let reader = log.settings.reader()?;
        let list =
            offsets(&part.changelog, &[(part.partition, next)]).map_err(|e| failed("opening ledgers", &e))?;
        reader.assign(&list).map_err(|e| failed("opening ledgers", &e))?;
        Ok(Self { reader, part, ticket, looked: Instant::now() })
    }

    /// Takes what others wrote, if it is time to look.
    pub(super) fn look(&mut self, log: &Inner) -> Result<(), LogError> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        let (mut writes, mut next) = (Vec::new(), None);
        while writes.len() < MOST
            && let Some(polled) = self.reader.poll(Duration::ZERO)
        {
            // Errors are brokers that are away, and the end.
            let Ok(message) = polled else { continue };
            if let Ok(value) = decode(message.payload()) {
                writes.push(self.part.write(message.key().unwrap_or_default(), value));
            }
            next = Some(message.offset() as u64 + 1);
        }
        match next {
            Some(next) => log.slot.copy.apply(&self.part, self.ticket, writes, next).map(drop),
            None => Ok(()),
        }
    }

    /// Reads up to the end, for certain.
    pub(super) fn catch_up(&self, log: &Arc<Inner>) -> Result<(), LogError> {
        catch_up(log, &self.part, self.ticket)
    }
}

fn catch_up(log: &Arc<Inner>, part: &Part, ticket: Ticket) -> Result<(), LogError> {
    let mut restore = Restore::begin(log, vec![(part.clone(), ticket)])?;
    if restore.advance(Instant::now() + PATIENCE)? {
        return Ok(());
    }
    let what = format!("reading {}", part.changelog);
    Err(LogError::Away { what, reason: "it has not come to its end".to_owned() })
}

/// Shows what this process wrote, before it comes back from the brokers.
pub(super) fn show(log: &Inner, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), LogError> {
    let part = part(log);
    let writes: Vec<Write> = entries.iter().map(|(key, value)| part.write(key, Some(value))).collect();
    if writes.is_empty() { Ok(()) } else { log.slot.copy.disk.apply(writes) }
}
