//! Brings local copies up to date with their changelogs.
//!
//! Whoever takes over a partition must see every change that was committed before. Its predecessor's last
//! transaction may have committed while its markers were still on their way to the changelog, so:
//!
//! 1. the caller has asked for the group's offsets, which answers only when no transaction of a predecessor is pending;
//! 2. the end of the changelog is taken with everything that stands there, committed or not;
//! 3. reading what is committed waits until nothing before that end is undecided any more;
//! 4. the changelog is read, from where the copy ends, until its end was met after that.
//!
//! A copy is made anew where the changelog no longer has what it lacks: where its place is before the changelog's
//! beginning, behind its end, or so old that marks of deletion may be gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::Inner;
use super::client::Reader;
use super::copy::{Part, Ticket, now};
use super::error::failed;
use super::places::{begins, ends, offsets};
use super::topics::TOMBSTONES;
use crate::LogError;
use crate::store::Write;

/// Changes that are written to a copy at a time.
const BATCH: usize = 1_000;
/// Bytes that are written to a copy at a time.
const BATCH_BYTES: usize = 1 << 20;
/// How long a look at the changelog lasts.
const SLICE: Duration = Duration::from_millis(20);
/// The first byte of every value in a changelog: its format. A record without a value forgets its key.
pub(super) const FORMAT: u8 = 1;

/// Parts of one changelog topic that are brought up to date.
pub(super) struct Restore {
    log: Arc<Inner>,
    reader: Option<Reader>,
    changelog: String,
    parts: HashMap<u32, Progress>,
    /// Whether reading has begun.
    reading: bool,
}

struct Progress {
    part: Part,
    ticket: Ticket,
    /// The changelog's end when the partition was taken over.
    target: u64,
    writes: Vec<Write>,
    bytes: usize,
    next: u64,
    done: bool,
}

impl Restore {
    /// Begins; the group's offsets are known to be stable.
    pub(super) fn begin(log: &Arc<Inner>, parts: Vec<(Part, Ticket)>) -> Result<Self, LogError> {
        let changelog = parts.first().map(|(part, _)| part.changelog.clone()).unwrap_or_default();
        let numbers: Vec<_> = parts.iter().map(|(part, _)| part.partition).collect();
        let targets = ends(&log.surveyor, (&changelog, &numbers))?;
        let parts = parts
            .into_iter()
            .zip(targets)
            .map(|((part, ticket), target)| {
                let progress =
                    Progress { ticket, target, writes: Vec::new(), bytes: 0, next: 0, done: false, part };
                (progress.part.partition, progress)
            })
            .collect();
        Ok(Self { reader: Some(log.reader()?), log: Arc::clone(log), changelog, parts, reading: false })
    }

    /// Goes on until everything is up to date (then true) or the time is over.
    pub(super) fn advance(&mut self, until: Instant) -> Result<bool, LogError> {
        let Some(reader) = self.reader.take() else { return Ok(false) };
        let done = self.read(&reader, until);
        self.reader = Some(reader);
        done
    }

    fn read(&mut self, reader: &Reader, until: Instant) -> Result<bool, LogError> {
        loop {
            if !self.reading {
                self.reading = self.start(reader)?;
            }
            if self.reading && self.parts.values().all(|p| p.done) {
                return Ok(true);
            }
            match reader.poll(SLICE) {
                Some(Ok(message)) => {
                    if let Some(progress) = self.parts.get_mut(&(message.partition() as u32)) {
                        progress.take(&self.log, &message)?;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(p))) => {
                    if let Some(progress) = self.parts.get_mut(&(p as u32)) {
                        progress.finish(&self.log)?;
                    }
                }
                Some(Err(error)) => tracing::debug!(%error, changelog = self.changelog, "restoring"),
                None => {}
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// Begins to read where nothing is undecided any more. False while something is.
    fn start(&mut self, reader: &Reader) -> Result<bool, LogError> {
        let mut numbers: Vec<_> = self.parts.keys().copied().collect();
        numbers.sort_unstable();
        let decided = ends(reader, (&self.changelog, &numbers))?;
        let lows = begins(reader, (&self.changelog, &numbers))?;
        if numbers.iter().zip(&decided).any(|(p, end)| *end < self.parts[p].target) {
            return Ok(false);
        }
        let mut from = Vec::new();
        for (p, low) in numbers.iter().zip(lows) {
            let Some(progress) = self.parts.get_mut(p) else { continue };
            progress.next = start_of(&self.log, &progress.part, low, progress.target)?;
            progress.done = progress.next >= progress.target;
            if !progress.done {
                from.push((*p, progress.next));
            }
        }
        let list = offsets(&self.changelog, &from).map_err(|e| failed("restoring", &e))?;
        reader.assign(&list).map_err(|e| failed("restoring", &e))?;
        Ok(true)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.log.put_back(reader);
        }
    }
}

impl Progress {
    fn take(&mut self, log: &Inner, message: &BorrowedMessage<'_>) -> Result<(), LogError> {
        let (key, offset) = (message.key().unwrap_or_default(), message.offset() as u64);
        let value = decode(message.payload()).map_err(|reason| LogError::Corrupt {
            path: self.part.changelog.clone(),
            position: format!("{}/{}/{offset}", self.part.changelog, self.part.partition),
            reason: reason.to_owned(),
        })?;
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.writes.push(self.part.write(key, value));
        self.next = offset + 1;
        log.restored.fetch_add(1, Ordering::Relaxed);
        if self.writes.len() >= BATCH || self.bytes >= BATCH_BYTES { self.write(log) } else { Ok(()) }
    }

    /// The changelog's end was met: it is at the target, or behind it.
    fn finish(&mut self, log: &Inner) -> Result<(), LogError> {
        self.next = self.next.max(self.target);
        self.done = true;
        self.write(log)
    }

    fn write(&mut self, log: &Inner) -> Result<(), LogError> {
        self.bytes = 0;
        log.slot.copy.apply(&self.part, self.ticket, std::mem::take(&mut self.writes), self.next).map(drop)
    }
}

/// Where reading begins: behind what the copy has, or at the beginning of a new copy.
fn start_of(log: &Inner, part: &Part, low: u64, end: u64) -> Result<u64, LogError> {
    let copy = &log.slot.copy;
    if let Some(place) = copy.place(part)? {
        let young = now().saturating_sub(place.at) < TOMBSTONES.as_millis() as i64 / 2;
        if young && (low..=end).contains(&place.next) {
            return Ok(place.next);
        }
    }
    copy.clear(part)?;
    Ok(low)
}

/// A value as it stands in a changelog.
pub(super) fn encode(value: &[u8]) -> Vec<u8> {
    [&[FORMAT], value].concat()
}

pub(super) fn decode(value: Option<&[u8]>) -> Result<Option<&[u8]>, &'static str> {
    match value.map(<[u8]>::split_first) {
        None => Ok(None),
        Some(Some((&FORMAT, value))) => Ok(Some(value)),
        Some(_) => Err("unknown format"),
    }
}
