//! What a deployment says about its Kafka.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the brokers and what to keep on them.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Put before the name of every topic, group and transaction, so that deployments share a cluster.
    pub prefix: String,
    /// Passed through to librdkafka: authentication, encryption, tuning. May hold secrets: never printed.
    pub properties: BTreeMap<String, String>,
    /// Copies of each partition, for topics that are created.
    pub replication: i16,
    /// Folder for local copies of state; may be deleted at any time, which costs reading it again.
    pub cache: PathBuf,
    /// A stable name of this worker: it keeps its partitions over a restart. Without one a worker leaves its
    /// groups when it stops.
    pub worker: Option<String>,
    /// How long a transaction may stay open before the brokers abort it.
    pub transaction_timeout: Duration,
    /// How long a worker may be silent before its partitions go to others.
    pub session_timeout: Duration,
    /// Bytes of the largest message, key and headers included; a larger value travels in pieces.
    pub message_bytes: usize,
}

impl KafkaSettings {
    /// Usual settings for these brokers, with copies of state in `cache`.
    pub fn new(brokers: impl Into<String>, cache: impl Into<PathBuf>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "dmarcflow.".to_owned(),
            properties: BTreeMap::new(),
            replication: 3,
            cache: cache.into(),
            worker: None,
            transaction_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(10),
            message_bytes: 1 << 20,
        }
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("replication", &self.replication)
            .field("cache", &self.cache)
            .field("worker", &self.worker)
            .field("transaction_timeout", &self.transaction_timeout)
            .field("session_timeout", &self.session_timeout)
            .field("message_bytes", &self.message_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_named_but_not_told() {
        let mut settings = KafkaSettings::new("localhost:9092", "cache");
        settings.properties.insert("sasl.password".to_owned(), "hunter2".to_owned());
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
