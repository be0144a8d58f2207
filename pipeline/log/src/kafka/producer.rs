//! Transactions of one producer: all of their messages and offsets, or none.
//!
//! A transaction whose end is unknown (the brokers went away while it was committed) is told as
//! [`Failed::Unknown`]; whoever asked for it finds out, after [`Producer::recover`] ended it for certain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{Message as _, TopicPartitionList};

use super::KafkaSettings;
use super::chunks::{CHUNK, Piece, piece_size};
use super::client;
use super::error::{failed, is_fence};
use crate::LogError;

/// How long one step of a transaction is tried.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a wait for deliveries lasts before it is looked at again.
const SLICE: Duration = Duration::from_millis(1);

/// A message on its way, with its place and the name that the brokers know its topic by.
pub(super) struct Outgoing<'a> {
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) key: &'a [u8],
    pub(super) headers: &'a [dmarcflow_schemas::Header],
    /// None forgets the key, in a compacted topic.
    pub(super) value: Option<&'a [u8]>,
    /// Whether the value may travel in pieces.
    pub(super) divisible: bool,
}

/// Offsets that a transaction commits, as this member of the group.
pub(super) struct Offsets<'a> {
    pub(super) list: TopicPartitionList,
    pub(super) member: &'a ConsumerGroupMetadata,
}

/// Why a transaction is not known to be committed.
#[derive(Debug)]
pub(super) enum Failed {
    /// It was aborted, because somebody newer has the partitions or the producer.
    Fenced,
    /// It was aborted.
    Aborted(LogError),
    /// It may have been committed: then its messages stand there.
    Unknown(Box<LogError>, Vec<u64>),
}

/// Takes note of where messages were stored.
#[derive(Default)]
pub(super) struct Receipts {
    stored: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    offsets: Vec<u64>,
    error: Option<KafkaError>,
}

impl ClientContext for Receipts {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                if let Some(place) = stored.offsets.get_mut(*index) {
                    *place = u64::try_from(message.offset()).unwrap_or_default();
                }
            }
            Err((error, _)) => drop(stored.error.get_or_insert_with(|| error.clone())),
        }
    }
}

/// Runs transactions under one transactional id.
pub(super) struct Producer {
    settings: Arc<KafkaSettings>,
    id: String,
    inner: Option<BaseProducer<Receipts>>,
    /// Tells the values in pieces of this producer from those of others.
    nonce: [u8; 8],
    sets: u64,
}

impl Producer {
    pub(super) fn new(settings: &Arc<KafkaSettings>, id: String) -> Self {
        let nonce = super::slot::random().to_be_bytes();
        Self { settings: Arc::clone(settings), id, inner: None, nonce, sets: 0 }
    }

    /// Ends whatever an earlier producer of this id left open, for certain.
    pub(super) fn recover(&mut self) -> Result<(), LogError> {
        if self.inner.is_some() {
            return Ok(());
        }
        let what = "starting to write";
        let config = self.settings.producer_config(&self.id);
        let producer: BaseProducer<Receipts> =
            config.create_with_context(Receipts::default()).map_err(|e| failed(what, &e))?;
        producer.init_transactions(PATIENCE).map_err(|e| failed(what, &e))?;
        self.inner = Some(producer);
        Ok(())
    }

    /// Commits messages and offsets as one. Returns where the messages stand.
    pub(super) fn transact(
        &mut self,
        messages: &[Outgoing<'_>],
        offsets: Option<Offsets<'_>>,
    ) -> Result<Vec<u64>, Failed> {
        self.recover().map_err(Failed::Aborted)?;
        let Some(producer) = self.inner.take() else {
            return Err(Failed::Aborted(LogError::Storage("the producer is gone".to_owned())));
        };
        match self.attempt(&producer, messages, offsets) {
            Ok(stored) => {
                self.inner = Some(producer);
                Ok(stored)
            }
            Err(Step::Before(error)) => {
                // Where aborting fails the producer is given up; the next one ends what it left.
                let fatal = producer.client().fatal_error().is_some();
                if !fatal && producer.abort_transaction(PATIENCE).is_ok() {
                    self.inner = Some(producer);
                }
                let fenced = is_fence(&error) || fatal;
                Err(if fenced { Failed::Fenced } else { Failed::Aborted(failed("writing", &error)) })
            }
            Err(Step::While(error)) => {
                let stored = std::mem::take(&mut producer.context().lock().offsets);
                let error = LogError::Away { what: "committing".to_owned(), reason: error.to_string() };
                Err(Failed::Unknown(Box::new(error), stored))
            }
        }
    }

    fn attempt(
        &mut self,
        producer: &BaseProducer<Receipts>,
        messages: &[Outgoing<'_>],
        offsets: Option<Offsets<'_>>,
    ) -> Result<Vec<u64>, Step> {
        let receipts = producer.context();
        *receipts.lock() = Stored { offsets: vec![0; messages.len()], error: None };
        producer.begin_transaction()?;
        for (index, message) in messages.iter().enumerate() {
            self.send(producer, index, message)?;
        }
        flush(producer)?;
        if let Some(error) = receipts.lock().error.take() {
            return Err(error.into());
        }
        if let Some(Offsets { list, member }) = offsets {
            producer.send_offsets_to_transaction(&list, member, PATIENCE)?;
        }
        commit(producer)?;
        Ok(std::mem::take(&mut receipts.lock().offsets))
    }

    /// Hands a message to librdkafka, in pieces where it is too large.
    fn send(
        &mut self,
        producer: &BaseProducer<Receipts>,
        index: usize,
        message: &Outgoing<'_>,
    ) -> Result<(), KafkaError> {
        let value = message.value.unwrap_or_default();
        let size = piece_size(message.key, message.headers, value.len(), self.settings.message_bytes);
        let Some(size) = size.filter(|_| message.divisible) else {
            return enqueue(producer, message, index, message.value, headers(message.headers));
        };
        self.sets += 1;
        let set: [u8; 16] =
            std::array::from_fn(|i| if i < 8 { self.nonce[i] } else { self.sets.to_be_bytes()[i - 8] });
        let count = value.len().div_ceil(size).max(1) as u32;
        for (number, part) in (0..).zip(value.chunks(size)) {
            let piece = Piece { set, number, count }.encode();
            let own = if number == 0 { headers(message.headers) } else { OwnedHeaders::new() };
            let with = own.insert(KafkaHeader { key: CHUNK, value: Some(&piece) });
            // The record stands where its first piece does: the others leave no receipt.
            let receipt = if number == 0 { index } else { usize::MAX };
            enqueue(producer, message, receipt, Some(part), with)?;
        }
        Ok(())
    }
}

/// Where a transaction failed.
enum Step {
    /// Before its commit was asked for: it will not be committed.
    Before(KafkaError),
    /// While it was committed.
    While(KafkaError),
}

impl From<KafkaError> for Step {
    fn from(error: KafkaError) -> Self {
        Self::Before(error)
    }
}

impl Receipts {
    fn lock(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn headers(headers: &[dmarcflow_schemas::Header]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len() + 1), |all, h| {
        all.insert(KafkaHeader { key: &h.name, value: Some(&h.value) })
    })
}

/// Hands one message to librdkafka, waiting for room in its queue.
fn enqueue(
    producer: &BaseProducer<Receipts>,
    message: &Outgoing<'_>,
    receipt: usize,
    value: Option<&[u8]>,
    headers: OwnedHeaders,
) -> Result<(), KafkaError> {
    let mut record: BaseRecord<'_, [u8], [u8], Box<usize>> =
        BaseRecord::with_opaque_to(&message.topic, Box::new(receipt))
            .partition(message.partition as i32)
            .key(message.key)
            .headers(headers);
    record.payload = value;
    let until = Instant::now() + PATIENCE;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(Code::QueueFull), back)) if Instant::now() < until => {
                record = back;
                producer.poll(SLICE);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Waits until every message is stored or failed. librdkafka gives up on each by itself after a time.
fn flush(producer: &BaseProducer<Receipts>) -> Result<(), KafkaError> {
    let until = Instant::now() + 2 * PATIENCE;
    while producer.in_flight_count() > 0 {
        if Instant::now() > until {
            return Err(KafkaError::Flush(Code::OperationTimedOut));
        }
        producer.poll(SLICE);
    }
    Ok(())
}

/// Commits; a commit that was not answered is asked for again. Whatever else is said once it was asked for, it may
/// have happened.
fn commit(producer: &BaseProducer<Receipts>) -> Result<(), Step> {
    let until = Instant::now() + PATIENCE;
    loop {
        match producer.commit_transaction(PATIENCE) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(e)) if e.is_retriable() && Instant::now() < until => {}
            Err(error) => return Err(Step::While(error)),
        }
    }
}
