//! The topology: every topic, stage, group and table, top to bottom.
//!
//! ```text
//! reports.raw -> parse -> reports.parsed -> enrich -> reports.enriched -> aggregate -+-> reports.distinct -> reports, records
//!                  |                                                                 +-> rollups.daily ----> daily, daily_senders, ...
//!                  +----> dead.letters -> dead_letters
//! ```
//!
//! Every topic has the same number of partitions, and what follows `parse` is keyed by policy domain: a
//! message of a partition leads to messages of the same partition, and a domain's history stays in order.

use std::sync::Arc;

use dmarcflow_log::TopicSpec;
use dmarcflow_stages::Stage;
use dmarcflow_stages::aggregate::{self, Aggregate};
use dmarcflow_stages::enrich::{Enrich, References};
use dmarcflow_stages::parse::{Limits, Parse};
use dmarcflow_stages::topics::{DEAD_LETTERS, DISTINCT, ENRICHED, PARSED, RAW, ROLLUPS};

/// What the stages are made with.
#[derive(Clone)]
pub struct Parts {
    /// Partitions of every topic.
    pub partitions: u32,
    /// Workers of the parse stage, which does most of the work.
    pub parsers: usize,
    pub limits: Limits,
    pub references: Arc<References>,
    pub aggregate: aggregate::Settings,
}

/// The topology of these parts.
pub fn topology(parts: &Parts) -> Topology {
    let Parts { partitions, parsers, limits, references, aggregate } = parts.clone();
    Topology::new(partitions)
        .topic(RAW, Keep::AsConfigured)
        .topic(PARSED, Keep::UntilRead)
        .topic(ENRICHED, Keep::UntilRead)
        .topic(DISTINCT, Keep::UntilRead)
        .topic(ROLLUPS, Keep::UntilRead)
        .topic(DEAD_LETTERS, Keep::AsConfigured)
        .stage(RAW, parsers, &[PARSED, DEAD_LETTERS], move || Parse::new(limits.clone(), partitions))
        .stage(PARSED, 1, &[ENRICHED], move || Enrich::new(Arc::clone(&references)))
        .stage(ENRICHED, 1, &[DISTINCT, ROLLUPS], move || Aggregate::new(aggregate))
        .tables(DISTINCT)
        .tables(ROLLUPS)
        .tables(DEAD_LETTERS)
}

/// How long a topic keeps what every group has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As long as the configuration says: these can be replayed.
    AsConfigured,
    /// Not longer: these follow from the topics before them.
    UntilRead,
}

/// A stage, where it reads and where it may write.
pub struct StageSpec {
    pub input: &'static str,
    pub outputs: &'static [&'static str],
    pub workers: usize,
    pub make: Box<dyn Fn() -> Box<dyn Stage> + Send + Sync>,
}

/// Topics, the stages between them, and the topics whose records become rows of tables.
pub struct Topology {
    partitions: u32,
    pub topics: Vec<(TopicSpec, Keep)>,
    pub stages: Vec<StageSpec>,
    pub tables: Vec<&'static str>,
    /// Whether this process trims topics.
    pub trims: bool,
}

/// The verb of those who write tables.
pub const WRITE: &str = "write";
/// The verb of those who trim topics.
pub const TRIM: &str = "trim";

/// The consumer group that writes a topic's tables.
pub fn writers(topic: &str) -> String {
    format!("{WRITE}:{topic}")
}

impl Topology {
    /// Nothing yet; every topic is to have this many partitions.
    pub fn new(partitions: u32) -> Self {
        Self { partitions, topics: Vec::new(), stages: Vec::new(), tables: Vec::new(), trims: true }
    }

    /// The topics, as the log is to make them.
    pub fn specs(&self) -> Vec<TopicSpec> {
        self.topics.iter().map(|(spec, _)| spec.clone()).collect()
    }

    pub fn topic(mut self, name: &'static str, keep: Keep) -> Self {
        let passing = keep == Keep::UntilRead;
        self.topics.push((TopicSpec { name, partitions: self.partitions, passing }, keep));
        self
    }

    pub fn stage<S: Stage + 'static>(
        mut self,
        input: &'static str,
        workers: usize,
        outputs: &'static [&'static str],
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.stages.push(StageSpec { input, outputs, workers, make: Box::new(move || Box::new(make())) });
        self
    }

    pub fn tables(mut self, topic: &'static str) -> Self {
        self.tables.push(topic);
        self
    }

    /// The number of partitions of every topic.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The consumer groups, each with the topic that it reads.
    pub fn groups(&self) -> Vec<(String, &'static str)> {
        let stages = self.stages.iter().map(|stage| ((stage.make)().name().to_owned(), stage.input));
        stages.chain(self.tables.iter().map(|topic| (writers(topic), *topic))).collect()
    }

    /// The verbs that a process can be told to work at.
    pub fn verbs(&self) -> Vec<&'static str> {
        self.stages.iter().map(|stage| (stage.make)().name()).chain([WRITE, TRIM]).collect()
    }

    /// The same flow, of which this process works only at these verbs.
    #[must_use]
    pub fn only(mut self, verbs: &[String]) -> Self {
        let wanted = |verb: &str| verbs.iter().any(|v| v == verb);
        self.stages.retain(|stage| wanted((stage.make)().name()));
        if !wanted(WRITE) {
            self.tables.clear();
        }
        self.trims = wanted(TRIM);
        self
    }
}
