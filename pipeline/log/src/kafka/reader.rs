//! Reads records of a partition beside all groups; a read that goes on where the last one ended costs no new start.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Record, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use super::Inner;
use super::chunks::Assembler;
use super::client::{REQUEST, Reader};
use super::error::failed;
use super::places::{begins, ends, offsets};
use super::record::record;
use crate::{LogError, PollLimits};

/// How long one look lasts.
const SLICE: Duration = Duration::from_millis(50);

/// The place where the last read ended.
#[derive(Default)]
pub(super) struct Beside(Mutex<Option<Place>>);

struct Place {
    reader: Reader,
    at: TopicPartition,
    next: u64,
    held: Assembler,
    ended: bool,
}

impl Beside {
    pub(super) fn read(
        &self,
        log: &Inner,
        from: &TopicPartition,
        offset: u64,
        limits: PollLimits,
    ) -> Result<Vec<Record>, LogError> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut here = match place.take() {
            Some(here) if here.at == *from && here.next == offset && !here.is_spent() => here,
            other => {
                other.into_iter().for_each(|other| log.put_back(other.reader));
                match Place::start(log, from, offset)? {
                    Some(here) => here,
                    None => return Ok(Vec::new()),
                }
            }
        };
        let records = here.read(offset, limits)?;
        *place = Some(here);
        Ok(records)
    }
}

impl Place {
    /// Starts to read; none when there is nothing.
    fn start(log: &Inner, from: &TopicPartition, offset: u64) -> Result<Option<Self>, LogError> {
        let topic = log.partition(from)?;
        let reader = log.reader()?;
        let of = (topic.as_str(), &[from.partition][..]);
        let (low, end) = (begins(&reader, of)?[0], ends(&reader, of)?[0]);
        let start = offset.max(low);
        if start >= end {
            log.put_back(reader);
            return Ok(None);
        }
        let list = offsets(&topic, &[(from.partition, start)]).map_err(|e| failed("reading", &e))?;
        reader.assign(&list).map_err(|e| failed("reading", &e))?;
        Ok(Some(Self { reader, at: from.clone(), next: offset, held: Assembler::default(), ended: false }))
    }

    /// Whether nothing more comes without a new start.
    fn is_spent(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    fn read(&mut self, offset: u64, limits: PollLimits) -> Result<Vec<Record>, LogError> {
        let until = Instant::now() + REQUEST;
        let full =
            |held: &Assembler| held.len() >= limits.records.max(1) || held.bytes() >= limits.bytes.max(1);
        while !(self.ended || full(&self.held) && self.held.front().is_some()) {
            match self.reader.poll(SLICE) {
                Some(Ok(message)) => self.held.push(record(&self.at, &message)),
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) => tracing::debug!(%error, partition = %self.at, "reading"),
                None => {}
            }
            if Instant::now() > until {
                let (what, reason) = (format!("reading {}", self.at), "nothing came".to_owned());
                return Err(LogError::Away { what, reason });
            }
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(front) = self.held.front() {
            bytes += front.value.len();
            if !records.is_empty() && (records.len() >= limits.records || bytes > limits.bytes) {
                break;
            }
            records.extend(self.held.pop().filter(|r| r.offset >= offset));
        }
        self.next = records.last().map_or(offset, |last| last.offset + 1);
        Ok(records)
    }
}
