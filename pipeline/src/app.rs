//! What commands are made of: the log, the lake, the references, opened as configured.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dmarcflow_lake::{Lake, Options};
use dmarcflow_log::embedded::{EmbeddedLog, Settings as LogSettings};
use dmarcflow_log::{KafkaLog, KafkaSettings};
use dmarcflow_log::{Log, LogError};
use dmarcflow_stages::aggregate;
use dmarcflow_stages::enrich::{References, ReferencesConfig};
use dmarcflow_stages::parse::Limits;

use crate::config::Config;
use crate::runner::{self, backoff};
use crate::source::files::Walk;
use crate::topology::{Parts, Topology, topology};

/// How often the brokers are asked at the start, where a person waits for an answer: for about a minute.
const ATTEMPTS: u32 = 9;

/// Tries again while the brokers are away: they may be starting, or moving leaders.
fn patiently<T>(mut f: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    for attempt in 1..ATTEMPTS {
        match f() {
            Err(e) if e.is_transient() => {
                tracing::warn!("{e}");
                std::thread::sleep(backoff::wait(attempt, backoff::jitter()));
            }
            outcome => return outcome,
        }
    }
    f()
}

/// A deployment: its configuration, and how to open its parts.
pub struct App {
    pub config: Config,
}

impl App {
    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.config.path("data").unwrap_or_else(|| PathBuf::from("data"))
    }

    /// Where the tables are: a path or a URL.
    pub fn lake_url(&self) -> String {
        match self.config.text("lake.url") {
            "" => self.data().join("lake").display().to_string(),
            url => url.to_owned(),
        }
    }

    /// Opens the log, with the topics of the topology.
    pub fn open(&self) -> Result<(Arc<dyn Log>, Topology)> {
        let log = self.log()?;
        let topology = topology(&self.parts()?);
        patiently(|| log.create_topics(&topology.specs()))?;
        Ok((log, topology))
    }

    /// Whether the log is one that several processes share.
    pub fn is_shared(&self) -> bool {
        self.config.text("log") == "kafka"
    }

    fn log(&self) -> Result<Arc<dyn Log>> {
        if self.is_shared() {
            let settings = self.kafka()?;
            return Ok(Arc::new(patiently(|| KafkaLog::open(settings.clone()))?));
        }
        let path = self.data().join("log");
        std::fs::create_dir_all(&path).with_context(|| {
            format!("cannot make the folder {}; choose another with --data", path.display())
        })?;
        let settings = LogSettings {
            memory_bytes: self.config.required("embedded.memory"),
            reserve_bytes: self.config.required("embedded.reserve"),
        };
        Ok(Arc::new(EmbeddedLog::open(&path, settings)?))
    }

    fn kafka(&self) -> Result<KafkaSettings> {
        let c = &self.config;
        let cache = c.path("kafka.cache").unwrap_or_else(|| self.data().join("cache"));
        let default = KafkaSettings::new(c.text("kafka.brokers"), cache);
        let worker = c.text("kafka.worker");
        Ok(KafkaSettings {
            prefix: c.text("kafka.prefix").to_owned(),
            properties: c.map("kafka.properties")?,
            replication: i16::try_from(c.required("kafka.replication"))
                .context("`kafka.replication` is too large")?,
            worker: (!worker.is_empty()).then(|| worker.to_owned()),
            transaction_timeout: c
                .duration("kafka.transaction_timeout")
                .unwrap_or(default.transaction_timeout),
            session_timeout: c.duration("kafka.session_timeout").unwrap_or(default.session_timeout),
            message_bytes: c.required("kafka.message_bytes") as usize,
            ..default
        })
    }

    /// Opens the lake; tables that are missing are made.
    pub async fn lake(&self) -> Result<Arc<Lake>> {
        let options = Options {
            storage: self.config.map("lake.storage")?,
            target_file_bytes: self.config.required("lake.file_bytes"),
            ..Options::default()
        };
        Ok(Arc::new(Lake::open(&self.lake_url(), &options).await?))
    }

    /// What the stages are made with.
    pub fn parts(&self) -> Result<Parts> {
        let c = &self.config;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let references = References::load(&ReferencesConfig {
            country_db: c.path("geo.country"),
            asn_db: c.path("geo.asn"),
            services: c.path("services"),
        })?;
        Ok(Parts {
            partitions: u32::try_from(c.required("partitions").max(1))
                .context("`partitions` is too large")?,
            parsers: c.number("workers").map_or(cores, |n| n as usize),
            limits: Limits {
                attachment_bytes: c.required("parse.attachment_bytes"),
                unpacked_bytes: c.required("parse.unpacked_bytes"),
                ratio: c.required("parse.ratio"),
                entries: c.required("parse.entries") as usize,
                nesting: c.required("parse.nesting") as usize,
                reports: c.required("parse.reports") as usize,
                failures: c.required("parse.failures") as usize,
                records: c.required("parse.records") as usize,
                record_bytes: c.required("parse.record_bytes") as usize,
                field_bytes: c.required("parse.field_bytes") as usize,
                xml_depth: c.required("parse.xml_depth") as usize,
                ..Limits::default()
            },
            references: Arc::new(references),
            aggregate: aggregate::Settings {
                horizon_days: c.duration("aggregate.horizon").map_or(400, |d| (d.as_secs() / 86_400) as i32),
            },
        })
    }

    /// How the runner batches and waits.
    pub fn runner_settings(&self) -> runner::Settings {
        let c = &self.config;
        let default = runner::Settings::default();
        runner::Settings {
            commit_bytes: c.required("lake.commit_bytes") as usize,
            commit_after: c.duration("lake.commit_after").unwrap_or(default.commit_after),
            commit_at_latest: c.duration("lake.commit_at_latest").unwrap_or(default.commit_at_latest),
            retention: c.duration("retention.age"),
            retention_bytes: c.number("retention.bytes"),
            ..default
        }
    }

    /// How files are walked.
    pub fn walk(&self) -> Walk {
        Walk { largest: self.config.required("parse.raw_bytes"), except: self.data().canonicalize().ok() }
    }
}
