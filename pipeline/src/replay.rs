//! Flows: the live one, and replays beside it, over the same log.
//!
//! A replay is the same topology over `reports.raw` from its beginning, with groups, topics, state and tables of its own
//! ([`Generation`]). It is made with today's parser, references and services, so what it comes to is what a fresh intake
//! of everything would. Promoting it makes its tables the live ones, table by table in one entry each, and its flow the
//! one that goes on: nothing is read twice for that, and nothing that arrives meanwhile is passed over.
//!
//! The ledger knows the live flow, the replays, and a promotion that has begun.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use dmarcflow_lake::Lake;
use dmarcflow_log::{Generation, Ledger, Log, LogError, PollLimits};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::{Message, Table, TopicPartition};
use dmarcflow_stages::topics::{DEAD_LETTERS, RAW};
use dmarcflow_stages::write;

use crate::app::{App, patiently};
use crate::runner::{Runner, position};
use crate::topology::Topology;

/// The ledger of flows.
const FLOWS: &str = "flows";
/// What the flow without a name, which is there from the start, is called by people.
pub const FIRST: &str = "first";
/// The slowest rate of a replay, in reports a second.
const SLOWEST: f64 = 0.1;
/// Dead letters copied at a time.
const LETTERS: PollLimits = PollLimits { records: 500, bytes: 4 << 20 };

/// What the ledger knows of flows.
pub struct Flows<'a>(pub &'a dyn Log);

impl Flows<'_> {
    fn get(&self, key: &str) -> Result<String, LogError> {
        let found = self.0.ledger(FLOWS, key.as_bytes())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&found).into_owned())
    }

    fn put(&self, changes: &[(&str, String)]) -> Result<(), LogError> {
        let entries: Vec<_> = changes
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.clone().into_bytes()))
            .collect();
        self.0.append(Vec::new(), Some(Ledger { name: FLOWS, entries: &entries })).map(drop)
    }

    /// The flow that makes the tables; empty for the first one.
    pub fn live(&self) -> Result<String, LogError> {
        self.get("live")
    }

    /// The replay whose promotion has begun, if one's has.
    pub fn promoting(&self) -> Result<Option<String>, LogError> {
        Ok(Some(self.get("promoting")?).filter(|name| !name.is_empty()))
    }

    /// The replays that were started, in that order.
    pub fn replays(&self) -> Result<Vec<String>, LogError> {
        Ok(self.get("replays")?.split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// Reports that retention had forgotten when a replay began.
    pub fn forgotten(&self, replay: &str) -> Result<u64, LogError> {
        Ok(self.get(&format!("forgotten/{replay}"))?.parse().unwrap_or(0))
    }

    /// Whether there ever was a replay of that name. What its topics still hold would be taken for a new one's.
    fn is_used(&self, name: &str) -> Result<bool, LogError> {
        Ok(!self.get(&format!("used/{name}"))?.is_empty())
    }

    fn add(&self, replay: &str, forgotten: u64) -> Result<(), LogError> {
        let mut replays = self.replays()?;
        if replays.iter().any(|known| known == replay) {
            return Ok(());
        }
        replays.push(replay.to_owned());
        self.put(&[
            ("replays", replays.join(" ")),
            (&format!("forgotten/{replay}"), forgotten.to_string()),
            (&format!("used/{replay}"), "1".to_owned()),
        ])
    }

    fn without(&self, replay: &str) -> Result<String, LogError> {
        let replays = self.replays()?;
        Ok(replays.into_iter().filter(|known| known != replay).collect::<Vec<_>>().join(" "))
    }
}

/// A replay: its flow and its tables.
pub struct Replay {
    pub name: String,
    /// The log itself.
    pub log: Arc<dyn Log>,
    /// The log as this flow sees it.
    pub flow: Arc<dyn Log>,
    pub lake: Arc<Lake>,
}

impl Replay {
    /// Opens a replay, or begins it.
    pub async fn open(app: &App, log: &Arc<dyn Log>, name: &str, rate: Option<f64>) -> Result<Self> {
        check(name)?;
        let flows = Flows(&**log);
        if !flows.replays()?.iter().any(|known| known == name) && flows.is_used(name)? {
            bail!(
                "there was a replay `{name}` before, which was promoted or dropped; give this one another name"
            );
        }
        if rate.is_some_and(|rate| !(SLOWEST..=f64::MAX).contains(&rate)) {
            bail!("a replay cannot read at that rate: give {SLOWEST} reports a second or more");
        }
        let topology = app.topology()?;
        let flow: Arc<dyn Log> = Arc::new(Generation::new(Arc::clone(log), name, &[RAW], rate));
        patiently(|| flow.create_topics(&topology.specs()))?;
        let mut forgotten = 0;
        for p in 0..topology.partitions() {
            forgotten += log.watermarks(&TopicPartition::new(RAW, p))?.low;
        }
        flows.add(name, forgotten)?;
        let lake = app.lake_at(&app.replay_url(name), name).await?;
        Ok(Self { name: name.to_owned(), log: Arc::clone(log), flow, lake })
    }

    /// A replay that was begun.
    pub async fn known(app: &App, log: &Arc<dyn Log>, name: &str) -> Result<Self> {
        let replays = Flows(&**log).replays()?;
        if !replays.iter().any(|known| known == name) {
            let known = if replays.is_empty() { "there is none".to_owned() } else { replays.join(", ") };
            bail!("there is no replay `{name}` ({known}); `dmarcflow replay run {name}` begins one");
        }
        Self::open(app, log, name, None).await
    }

    /// Starts its stages.
    pub fn start(&self, app: &App) -> Result<Runner> {
        let settings = crate::runner::Settings { flow: self.name.clone(), ..app.runner_settings() };
        Ok(Runner::start(app.topology()?, Arc::clone(&self.flow), Arc::clone(&self.lake), settings)?)
    }

    /// Makes its tables the live ones and its flow the one that goes on. It has read everything, or goes on from
    /// where it is. Begun again after a crash, it goes on where it was.
    pub async fn promote(&self, app: &App) -> Result<()> {
        let flows = Flows(&*self.log);
        let live = flows.live()?;
        if let Some(other) = flows.promoting()?.filter(|other| *other != self.name) {
            bail!("the promotion of `{other}` has begun; finish it: `dmarcflow replay promote {other}`");
        }
        self.copy_letters(&app.flow_of(&self.log, &live)?)?;
        flows.put(&[("promoting", self.name.clone())])?;
        crate::crash::point("promoting");
        let lake = app.lake_at(&app.lake_url(), &live).await?;
        let topology = app.topology()?;
        for topic in &topology.tables {
            let partitions = 0..topology.partitions();
            let apps: Vec<_> = partitions.map(|p| position(&self.name, topic, p)).collect();
            for table in write::tables_of(topic) {
                let table = Table::named(table).with_context(|| format!("no table {table}"))?;
                lake.replace(table, &self.lake, &apps).await?;
                crate::crash::point("replaced");
            }
        }
        flows.put(&[
            ("live", self.name.clone()),
            ("promoting", String::new()),
            ("replays", flows.without(&self.name)?),
        ])?;
        Ok(())
    }

    /// Copies dead letters of what never came to `reports.raw`, which no replay brings back.
    fn copy_letters(&self, live: &Arc<dyn Log>) -> Result<()> {
        let partitions =
            self.flow.topics().iter().find(|t| t.name == DEAD_LETTERS).map_or(0, |t| t.partitions);
        for p in 0..partitions {
            let partition = TopicPartition::new(DEAD_LETTERS, p);
            let key = format!("letters/{}/{p}", self.name);
            let mut next = Flows(&*self.log).get(&key)?.parse().unwrap_or(0);
            loop {
                let records = live.read(&partition, next, LETTERS)?;
                let Some(last) = records.last() else { break };
                next = last.offset + 1;
                let intake =
                    |record: &&dmarcflow_schemas::Record| record.header(header::STAGE) == Some("ingest");
                let messages = records.iter().filter(intake).map(|record| {
                    let mut message = Message::new(DEAD_LETTERS, record.key.to_vec(), record.value.to_vec());
                    message.headers.clone_from(&record.headers);
                    message
                });
                let entries = [(key.clone().into_bytes(), next.to_string().into_bytes())];
                self.flow.append(messages.collect(), Some(Ledger { name: FLOWS, entries: &entries }))?;
            }
        }
        Ok(())
    }
}

/// Forgets a flow that is not the live one: its groups, and the tables that it has of its own.
pub async fn drop_flow(app: &App, log: &Arc<dyn Log>, name: &str) -> Result<()> {
    let flows = Flows(&**log);
    let own = if name == FIRST { "" } else { name };
    if flows.live()? == own {
        bail!("`{name}` is the live flow");
    }
    if flows.promoting()?.as_deref() == Some(own) {
        bail!("the promotion of `{name}` has begun; finish it: `dmarcflow replay promote {name}`");
    }
    if name != FIRST && !flows.is_used(name)? {
        bail!(
            "there is no replay `{name}`, and never was; `dmarcflow replay list` shows those that there are"
        );
    }
    forget(&*app.flow_of(log, own)?, &app.topology()?)?;
    flows.put(&[("replays", flows.without(own)?)])?;
    if name == FIRST { Ok(()) } else { app.remove_lake(&app.replay_url(name)).await }
}

/// Forgets the groups of a flow, so that they hold back nothing. Its processes have ended.
pub fn forget(flow: &dyn Log, topology: &Topology) -> Result<(), LogError> {
    for (group, topic) in topology.groups() {
        flow.forget(&group, topic)?;
    }
    Ok(())
}

/// A name becomes part of names of topics and folders.
fn check(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || name == FIRST || !name.chars().all(plain) {
        bail!(
            "`{name}` cannot name a replay: use up to 40 lower-case letters, digits and hyphens, not `{FIRST}`"
        );
    }
    Ok(())
}

impl App {
    /// Where a replay's tables are.
    pub fn replay_url(&self, name: &str) -> String {
        format!("{}/replays/{name}", self.lake_url().trim_end_matches('/'))
    }

    /// The log as a flow sees it, with the flow's topics.
    pub fn flow_of(&self, log: &Arc<dyn Log>, name: &str) -> Result<Arc<dyn Log>> {
        let flow: Arc<dyn Log> = match name {
            "" => Arc::clone(log),
            name => Arc::new(Generation::new(Arc::clone(log), name, &[RAW], None).live()),
        };
        let specs = self.topology()?.specs();
        patiently(|| flow.create_topics(&specs))?;
        Ok(flow)
    }
}
