//! Appending for sources: calls that come at the same time share a transaction.
//!
//! Every transaction also writes its number into the ledgers. When its end is not known, that number says whether
//! it was committed, so that a source which tries again does not write twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dmarcflow_schemas::message::partition_of;
use dmarcflow_schemas::{Message, TopicPartition};

use super::producer::{Failed, Outgoing, Producer};
use super::{Inner, ledger, restore};
use crate::keys::ledger_key;
use crate::store::{Space, Store};
use crate::{Ledger, LogError};

/// Bytes of messages that share a transaction, at most, where there is more than one call.
const SHARED_BYTES: usize = 16 << 20;
/// The ledger of transactions' numbers; no other ledger's name begins so.
const NUMBERS: &str = "\u{1}appends";
/// Times that a transaction is tried when its producer was replaced.
const ATTEMPTS: u32 = 3;

type Positions = Vec<(TopicPartition, u64)>;

/// What one call wants written.
struct Job {
    messages: Vec<Message>,
    /// Places of the messages: topic and partition.
    places: Vec<TopicPartition>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    outcome: Mutex<Option<Result<Positions, LogError>>>,
}

impl Job {
    fn is_same(&self, other: &Self) -> bool {
        self.messages == other.messages && self.entries == other.entries
    }

    fn settle(&self, outcome: Result<Positions, LogError>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn outcome(&self) -> Option<Result<Positions, LogError>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|m| m.value.len() + m.key.len()).sum()
    }
}

/// A transaction whose end is not known.
struct Doubt {
    number: u64,
    jobs: Vec<Arc<Job>>,
    offsets: Vec<u64>,
}

/// The one producer that appends.
pub(super) struct Append {
    waiting: Mutex<Vec<Arc<Job>>>,
    writer: Mutex<Writer>,
}

struct Writer {
    producer: Producer,
    /// The key of this producer's numbers.
    key: Vec<u8>,
    number: u64,
    doubt: Option<Doubt>,
}

impl Append {
    pub(super) fn new(producer: Producer, id: &str) -> Self {
        let key = ledger_key(NUMBERS, id.as_bytes());
        // Numbers of another life of this producer are never met again.
        let number = super::slot::random() >> 1;
        Self { waiting: Mutex::default(), writer: Mutex::new(Writer { producer, key, number, doubt: None }) }
    }

    pub(super) fn append(
        &self,
        log: &Arc<Inner>,
        messages: Vec<Message>,
        ledger: Option<Ledger<'_>>,
    ) -> Result<Positions, LogError> {
        let places = messages
            .iter()
            .map(|m| Ok(TopicPartition::new(m.topic, partition_of(&m.key, log.topic(m.topic)?.partitions))))
            .collect::<Result<_, LogError>>()?;
        let entries =
            ledger.iter().flat_map(|l| l.entries.iter().map(|(k, v)| (ledger_key(l.name, k), v.clone())));
        let job = Arc::new(Job { messages, places, entries: entries.collect(), outcome: Mutex::default() });
        lock(&self.waiting).push(Arc::clone(&job));
        loop {
            // Whoever has the writer writes for all who wait.
            let mut writer = lock(&self.writer);
            if let Some(outcome) = job.outcome() {
                return outcome;
            }
            let jobs = self.next();
            writer.run(log, jobs);
        }
    }

    /// The calls that share the next transaction.
    fn next(&self) -> Vec<Arc<Job>> {
        let mut waiting = lock(&self.waiting);
        let mut bytes = 0;
        let fits = waiting.iter().take_while(|job| {
            bytes += job.bytes();
            bytes <= SHARED_BYTES
        });
        let n = fits.count().max(1).min(waiting.len());
        waiting.drain(..n).collect()
    }
}

impl Writer {
    /// Writes what these calls want and tells each what became of it.
    fn run(&mut self, log: &Arc<Inner>, jobs: Vec<Arc<Job>>) {
        let mut jobs = jobs;
        if let Err(error) = self.clear_doubt(log, &mut jobs) {
            return tell(&jobs, &error);
        }
        if jobs.is_empty() {
            return;
        }
        for attempt in 1..=ATTEMPTS {
            self.number += 1;
            match self.transact(log, &jobs) {
                Ok(offsets) => return settle(log, &jobs, &offsets),
                Err(Failed::Fenced) if attempt < ATTEMPTS => {}
                Err(Failed::Fenced) => {
                    let reason =
                        "another process writes under the same name; give each worker its own".to_owned();
                    return tell(&jobs, &LogError::Away { what: "appending".to_owned(), reason });
                }
                Err(Failed::Aborted(error)) => return tell(&jobs, &error),
                Err(Failed::Unknown(error, offsets)) => {
                    self.doubt = Some(Doubt { number: self.number, jobs: jobs.clone(), offsets });
                    match self.clear_doubt(log, &mut jobs) {
                        Ok(()) if jobs.is_empty() => return,
                        Ok(()) => {}
                        Err(_) => return tell(&jobs, &error),
                    }
                }
            }
        }
        let reason = "transactions were given up again and again".to_owned();
        tell(&jobs, &LogError::Away { what: "appending".to_owned(), reason });
    }

    fn transact(&mut self, log: &Inner, jobs: &[Arc<Job>]) -> Result<Vec<u64>, Failed> {
        let number = restore::encode(&self.number.to_be_bytes());
        let values: Vec<_> =
            jobs.iter().flat_map(|j| &j.entries).map(|(_, value)| restore::encode(value)).collect();
        let keys = jobs.iter().flat_map(|j| &j.entries).map(|(key, _)| key);
        let topic = log.settings.named(ledger::TOPIC);
        let entry = |key, value| Outgoing {
            topic: topic.clone(),
            partition: 0,
            key,
            headers: &[],
            value: Some(value),
            divisible: false,
        };
        let messages =
            jobs.iter().flat_map(|j| j.messages.iter().zip(&j.places)).map(|(m, place)| Outgoing {
                topic: log.settings.named(m.topic),
                partition: place.partition,
                key: &m.key,
                headers: &m.headers,
                value: Some(&m.value),
                divisible: true,
            });
        let entries = keys.zip(&values).map(|(key, value)| entry(key, value));
        let all: Vec<_> = messages.chain(entries).chain([entry(&self.key, &number)]).collect();
        self.producer.transact(&all, None)
    }

    /// Finds out what became of a transaction whose end was not known; calls that ask for the same again are
    /// answered by it.
    fn clear_doubt(&mut self, log: &Arc<Inner>, jobs: &mut Vec<Arc<Job>>) -> Result<(), LogError> {
        let Some(doubt) = &self.doubt else { return Ok(()) };
        self.producer.recover()?;
        log.catch_up_ledger()?;
        let found = log.slot.copy.disk.get(Space::Ledger, &self.key)?;
        if found.as_deref() == Some(&doubt.number.to_be_bytes()) {
            let known = |job: &Arc<Job>| doubt.jobs.iter().any(|d| Arc::ptr_eq(d, job) || d.is_same(job));
            for (job, positions) in doubt.jobs.iter().zip(split(&doubt.jobs, &doubt.offsets)) {
                for asked in jobs.iter().filter(|j| Arc::ptr_eq(j, job) || j.is_same(job)) {
                    asked.settle(Ok(positions.clone()));
                }
            }
            jobs.retain(|job| !known(job));
        }
        self.doubt = None;
        Ok(())
    }
}

/// Each call's share of the offsets of a transaction.
fn split<'a>(jobs: &'a [Arc<Job>], offsets: &'a [u64]) -> impl Iterator<Item = Positions> + 'a {
    let mut offsets = offsets.iter().copied();
    jobs.iter().map(move |job| job.places.iter().cloned().zip(offsets.by_ref()).collect())
}

fn settle(log: &Inner, jobs: &[Arc<Job>], offsets: &[u64]) {
    for (job, positions) in jobs.iter().zip(split(jobs, offsets)) {
        if let Err(error) = ledger::show(log, &job.entries) {
            // It is committed, and comes back from the brokers.
            tracing::warn!(%error, "the local copy of the ledgers is behind");
        }
        job.settle(Ok(positions));
    }
}

fn tell(jobs: &[Arc<Job>], error: &LogError) {
    for job in jobs {
        job.settle(Err(error.again()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
