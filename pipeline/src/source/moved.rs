//! The raw topic of another log as a source: what one log took in, into the next one, exactly once.
//!
//! With every batch the ledger notes how far it came, under the identity of the old log, and every origin that the
//! old log knew: a move that was interrupted goes on, and an intake of the same files finds them known.

use dmarcflow_log::{EmbeddedLog, Ledger, Log, LogError, PollLimits};
use dmarcflow_schemas::{Message, TopicPartition};
use dmarcflow_stages::topics::RAW;

use super::feed::SOURCES;

/// What is moved at a time.
const BATCH: PollLimits = PollLimits { records: 2_048, bytes: 4 << 20 };
/// The ledger in which a log keeps its identity, and the key there.
const IDENTITY: &str = "identity";

/// A partition of the old log on its way.
#[derive(Debug)]
struct Part {
    partition: TopicPartition,
    /// The ledger's key of how far it came.
    key: Vec<u8>,
    next: u64,
    end: u64,
    /// Records that its log no longer has.
    forgotten: u64,
}

/// A log on its way into another.
pub struct Move<'a> {
    from: &'a EmbeddedLog,
    to: &'a dyn Log,
    parts: Vec<Part>,
    /// Records moved, by this run and earlier ones, and in all.
    pub moved: u64,
    pub records: u64,
}

impl<'a> Move<'a> {
    /// Looks at both logs; `from` has the raw topic.
    pub fn begin(from: &'a EmbeddedLog, to: &'a dyn Log, partitions: u32) -> Result<Self, LogError> {
        let identity = identity(from)?;
        let (mut parts, mut moved, mut records) = (Vec::new(), 0, 0);
        for p in 0..partitions {
            let partition = TopicPartition::new(RAW, p);
            let marks = from.watermarks(&partition)?;
            let key = [&b"moved"[..], &identity, &p.to_be_bytes()].concat();
            let known = to.ledger(SOURCES, &key)?;
            let known = known.and_then(|v| v.try_into().ok()).map_or(0, u64::from_be_bytes);
            let next = known.max(marks.low);
            moved += next - marks.low;
            records += marks.high - marks.low;
            parts.push(Part {
                partition,
                key,
                next,
                end: marks.high,
                forgotten: marks.low.saturating_sub(known),
            });
        }
        Ok(Self { from, to, parts, moved, records })
    }

    /// Records that the old log took in and no longer has, which no later move brings back.
    pub fn forgotten(&self) -> u64 {
        self.parts.iter().map(|part| part.forgotten).sum()
    }

    /// Moves the next records. False when there are none.
    pub fn step(&mut self) -> Result<bool, LogError> {
        let Some(part) = self.parts.iter_mut().find(|part| part.next < part.end) else { return Ok(false) };
        let records = self.from.read(&part.partition, part.next, BATCH)?;
        let Some(last) = records.last() else {
            part.next = part.end;
            return Ok(true);
        };
        let (next, count) = (last.offset + 1, records.len() as u64);
        let mut entries = vec![(part.key.clone(), next.to_be_bytes().to_vec())];
        entries.extend(records.iter().map(|r| (r.key.to_vec(), r.timestamp.to_be_bytes().to_vec())));
        let messages = records
            .into_iter()
            .map(|record| {
                let mut message = Message::new(RAW, record.key.to_vec(), record.value.to_vec());
                message.headers = record.headers;
                message
            })
            .collect();
        self.to.append(messages, Some(Ledger { name: SOURCES, entries: &entries }))?;
        crate::crash::point("moved");
        part.next = next;
        self.moved += count;
        Ok(true)
    }
}

/// What tells a log from all others; made when it is first asked for.
fn identity(log: &EmbeddedLog) -> Result<Vec<u8>, LogError> {
    if let Some(found) = log.ledger(IDENTITY, IDENTITY.as_bytes())? {
        return Ok(found);
    }
    let made = super::feed::random().to_be_bytes().to_vec();
    log.append(
        Vec::new(),
        Some(Ledger { name: IDENTITY, entries: &[(IDENTITY.as_bytes().to_vec(), made.clone())] }),
    )?;
    Ok(made)
}
