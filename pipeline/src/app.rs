//! What commands are made of: the log, the lake, the references, opened as configured.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use dmarcflow_lake::{Lake, Options};
use dmarcflow_log::embedded::{EmbeddedLog, Settings as LogSettings};
use dmarcflow_log::{KafkaLog, KafkaSettings};
use dmarcflow_log::{Log, LogError};
use dmarcflow_stages::aggregate;
use dmarcflow_stages::enrich::{References, ReferencesConfig};
use dmarcflow_stages::parse::Limits;

use crate::config::Config;
use crate::replay::Flows;
use crate::runner::{self, backoff};
use crate::source::files::Walk;
use crate::topology::{Parts, Topology, topology};

/// How often the brokers are asked at the start, where a person waits for an answer: for about a minute.
const ATTEMPTS: u32 = 9;

/// Tries again while the brokers are away: they may be starting, or moving leaders.
pub fn patiently<T>(mut f: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
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
    /// The live flow, as the log said when it was opened.
    flow: OnceLock<String>,
    /// The log itself, once it is open.
    whole: OnceLock<Arc<dyn Log>>,
    /// What the stages are made with, once it was asked for: references take a while to load.
    parts: OnceLock<Parts>,
}

impl App {
    pub fn new(config: Config) -> Self {
        Self { config, flow: OnceLock::new(), whole: OnceLock::new(), parts: OnceLock::new() }
    }

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

    /// Opens the log as the live flow sees it, with the topics of the topology.
    pub fn open(&self) -> Result<(Arc<dyn Log>, Topology)> {
        let whole = self.log()?;
        let flows = Flows(&*whole);
        if let Some(replay) = patiently(|| flows.promoting())? {
            bail!(
                "the promotion of the replay `{replay}` was interrupted; finish it: `dmarcflow replay promote {replay}`"
            );
        }
        let live = patiently(|| flows.live())?;
        let log = self.flow_of(&whole, &live)?;
        // Opened once a process.
        drop((self.flow.set(live), self.whole.set(whole)));
        Ok((log, self.topology()?))
    }

    /// Opens the log itself, which all flows have in common.
    pub fn open_whole(&self) -> Result<Arc<dyn Log>> {
        let log = self.log()?;
        let specs = self.topology()?.specs();
        patiently(|| log.create_topics(&specs))?;
        Ok(log)
    }

    /// The log itself, once it is open.
    pub fn whole(&self) -> Option<&Arc<dyn Log>> {
        self.whole.get()
    }

    /// Whether another flow is the live one than when the log was opened. Not, while the log does not answer.
    pub fn is_replaced(&self) -> bool {
        self.whole().is_some_and(|log| Flows(&**log).live().is_ok_and(|live| live != self.live()))
    }

    /// The live flow, once the log is open.
    pub fn live(&self) -> &str {
        self.flow.get().map_or("", String::as_str)
    }

    /// Where a process tells how things are, if that is configured.
    pub fn listen(&self) -> Option<&str> {
        Some(self.config.text("listen")).filter(|address| !address.is_empty())
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

    /// Opens the lake for the live flow; tables that are missing are made.
    pub async fn lake(&self) -> Result<Arc<Lake>> {
        self.lake_at(&self.lake_url(), self.live()).await
    }

    /// Opens a lake for a flow.
    pub async fn lake_at(&self, url: &str, flow: &str) -> Result<Arc<Lake>> {
        let options = self.lake_options(flow)?;
        for attempt in 1..ATTEMPTS {
            match Lake::open(url, &options).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!("{error}");
                    tokio::time::sleep(backoff::wait(attempt, backoff::jitter())).await;
                }
                outcome => return Ok(Arc::new(outcome?)),
            }
        }
        Ok(Arc::new(Lake::open(url, &options).await?))
    }

    /// Removes a lake with all of its tables.
    pub async fn remove_lake(&self, url: &str) -> Result<()> {
        Ok(Lake::remove(url, &self.lake_options("")?).await?)
    }

    fn lake_options(&self, flow: &str) -> Result<Options> {
        Ok(Options {
            storage: self.config.map("lake.storage")?,
            target_file_bytes: self.config.required("lake.file_bytes"),
            flow: flow.to_owned(),
            ..Options::default()
        })
    }

    /// The topology as configured.
    pub fn topology(&self) -> Result<Topology> {
        if let Some(parts) = self.parts.get() {
            return Ok(topology(parts));
        }
        let parts = self.parts()?;
        Ok(topology(self.parts.get_or_init(|| parts)))
    }

    /// What the stages are made with.
    fn parts(&self) -> Result<Parts> {
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
            flow: self.live().to_owned(),
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
