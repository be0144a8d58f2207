//! How clients are configured: one place for every property that a promise rests on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use super::KafkaSettings;
use super::error::failed;
use crate::LogError;

/// Room that a topic leaves above `message_bytes` for what the protocol adds.
const OVERHEAD: usize = 64 << 10;
/// Bytes of the largest change of state or of a ledger, which cannot travel in pieces.
pub(super) const STATE_BYTES: usize = 16 << 20;
/// Bytes that librdkafka fetches ahead, for each consumer.
const AHEAD_KBYTES: &str = "4096";
/// How long one request may take.
pub(super) const REQUEST: Duration = Duration::from_secs(10);

/// How long it is listened for why brokers cannot be reached.
const DIAGNOSIS: Duration = Duration::from_secs(5);

/// A client that logs what librdkafka says, and remembers the last of its errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<Mutex<Option<String>>>);

impl Quiet {
    /// What went wrong last, in librdkafka's words.
    pub(super) fn last_error(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ConsumerContext for Quiet {}

/// Passes a line of librdkafka on. Brokers that are away are no error of ours: callers see it by what they do.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "kafka");
        }
        _ => tracing::debug!(facility, message, "kafka"),
    }
}

/// Reads a topic's or the brokers' facts and records, beside all groups.
pub(super) type Reader = BaseConsumer<Quiet>;

impl KafkaSettings {
    /// What librdkafka says when it cannot reach the brokers. It tells only who polls.
    pub(super) fn diagnose(&self) -> Option<String> {
        let reader = self.reader().ok()?;
        let until = Instant::now() + DIAGNOSIS;
        while Instant::now() < until && reader.context().last_error().is_none() {
            // What comes is told to the context.
            drop(reader.poll(Duration::from_millis(100)));
        }
        reader.context().last_error()
    }

    /// The name of a topic, group or transaction as the brokers know it.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Bytes of the largest batch that a topic of messages takes.
    pub(super) fn topic_bytes(&self) -> usize {
        self.message_bytes + OVERHEAD
    }

    /// What all clients have.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "dmarcflow")
            .set("topic.metadata.refresh.fast.interval.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.timeout.ms", REQUEST.as_millis().to_string())
            .set("allow.auto.create.topics", "false");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// Consumers of any kind: nothing is committed behind our back, memory is bounded.
    fn consumer_config(&self, group: &str, isolation: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", AHEAD_KBYTES)
            .set("fetch.error.backoff.ms", "100");
        config
    }

    /// A member of a group.
    pub(super) fn member_config(&self, group: &str, instance: Option<&str>) -> ClientConfig {
        let session = self.session_timeout.as_millis();
        let mut config = self.consumer_config(&self.named(group), "read_committed");
        config
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 4).max(100).to_string())
            .set("max.poll.interval.ms", "600000")
            .set("fetch.wait.max.ms", "100");
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// A client that reads partitions beside all groups.
    pub(super) fn reader(&self) -> Result<Reader, LogError> {
        self.reader_as("reader", "read_committed")
    }

    /// A client that sees where partitions end, whether what stands there is committed or not.
    pub(super) fn surveyor(&self) -> Result<Reader, LogError> {
        self.reader_as("surveyor", "read_uncommitted")
    }

    /// A client that sees what a group has committed.
    pub(super) fn auditor(&self, group: &str) -> Result<Reader, LogError> {
        self.reader_as(group, "read_uncommitted")
    }

    fn reader_as(&self, group: &str, isolation: &str) -> Result<Reader, LogError> {
        self.consumer_config(&self.named(group), isolation)
            .set("fetch.wait.max.ms", "20")
            .create_with_context(Quiet::default())
            .map_err(|e| failed("connecting", &e))
    }

    /// A producer of transactions.
    pub(super) fn producer_config(&self, id: &str) -> ClientConfig {
        let timeout = self.transaction_timeout.as_millis().to_string();
        let mut config = self.client();
        config
            // A request must not be waited for longer than its transaction lasts.
            .set("socket.timeout.ms", REQUEST.min(self.transaction_timeout).as_millis().to_string())
            .set("transactional.id", id)
            .set("transaction.timeout.ms", &timeout)
            .set("message.timeout.ms", &timeout)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("linger.ms", "1")
            .set("batch.size", self.message_bytes.to_string())
            .set("message.max.bytes", self.topic_bytes().max(STATE_BYTES + OVERHEAD).to_string())
            .set("queue.buffering.max.kbytes", "32768");
        config
    }
}
