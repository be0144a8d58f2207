//! The log over a real Apache Kafka.
#![allow(clippy::unwrap_used, clippy::panic)]

mod broker;
mod contract;
mod copies;
mod crashes;
mod outages;
mod secured;
mod topics;
mod workers;
mod zombies;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use broker::Cluster;
use dmarcflow_log::{Consumer, KafkaLog, KafkaSettings, Log, PollLimits, TopicSpec};
use dmarcflow_schemas::{Record, TopicPartition};

pub(crate) const IN: TopicSpec = TopicSpec { name: "in", partitions: 2, passing: false };
pub(crate) const OUT: TopicSpec = TopicSpec { name: "out", partitions: 2, passing: true };
pub(crate) const MANY: PollLimits = PollLimits { records: 1_000, bytes: 16 << 20 };
/// How long one look lasts.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// How long what must come is waited for.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// The broker that the tests share.
pub(crate) fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(1)).as_ref()
}

/// Settings of a deployment of its own.
pub(crate) fn settings(brokers: &str, cache: &Path) -> KafkaSettings {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("t{}-{}.", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    settings_of(brokers, &prefix, cache)
}

/// Settings of a deployment by name, with short times.
pub(crate) fn settings_of(brokers: &str, prefix: &str, cache: &Path) -> KafkaSettings {
    let mut settings = KafkaSettings::new(brokers, cache);
    prefix.clone_into(&mut settings.prefix);
    settings.replication = -1;
    settings.session_timeout = Duration::from_millis(1_500);
    settings
}

pub(crate) fn open(settings: KafkaSettings) -> KafkaLog {
    let log = KafkaLog::open(settings).unwrap();
    log.create_topics(&[IN, OUT]).unwrap();
    log
}

/// Tries until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
    }
}

/// A consumer that owns every partition.
pub(crate) fn only(log: &KafkaLog, group: &str) -> Box<dyn Consumer> {
    let mut consumer = log.consumer(group, IN.name).unwrap();
    until("all partitions", || {
        consumer.poll(MANY, LOOK).unwrap();
        consumer.assigned().len() == IN.partitions as usize
    });
    consumer.rewind().unwrap();
    consumer
}

/// Every record of a topic.
pub(crate) fn read_all(log: &KafkaLog, topic: &TopicSpec) -> Vec<Record> {
    let mut records = Vec::new();
    for p in 0..topic.partitions {
        let mut next = 0;
        loop {
            let page = log.read(&TopicPartition::new(topic.name, p), next, MANY).unwrap();
            let Some(last) = page.last() else { break };
            next = last.offset + 1;
            records.extend(page);
        }
    }
    records
}

/// What a child process of this test is told to work on.
pub(crate) struct Task {
    pub(crate) brokers: String,
    pub(crate) prefix: String,
    pub(crate) cache: PathBuf,
}

const TASK: &str = "DMARCFLOW_LOG_TEST_TASK";

impl Task {
    /// The task of this process, if it is such a child.
    pub(crate) fn ours() -> Option<Self> {
        let task = std::env::var(TASK).ok()?;
        let mut parts = task.splitn(3, '|').map(str::to_owned);
        Some(Self { brokers: parts.next()?, prefix: parts.next()?, cache: parts.next()?.into() })
    }

    /// Starts the test of that name in a process of its own, with its input and output in our hands.
    pub(crate) fn spawn(&self, test: &str) -> std::process::Child {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(TASK, format!("{}|{}|{}", self.brokers, self.prefix, self.cache.display()))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn open(&self) -> KafkaLog {
        open(settings_of(&self.brokers, &self.prefix, &self.cache))
    }
}
