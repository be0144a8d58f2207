//! The runner: owns I/O, clock, retries, commits and backpressure; the stages own none of them.
//!
//! A worker is a thread. A stage's worker polls a batch of one partition, has the stage process it, and
//! commits outputs, offsets and state as one transaction. A table worker gathers rows, commits them to
//! the lake together with their positions, and then its offsets to the log.
//!
//! | the stage says | the runner does |
//! |---|---|
//! | output | commits it |
//! | [`Fault::Poison`](dmarcflow_stages::Fault) or a panic, on a batch | processes its records one by one |
//! | the same, on one record | dead-letters that record, goes on with the next |
//! | [`Fault::Transient`](dmarcflow_stages::Fault) | tries again with backoff, in order; dead-letters after [`backoff::ATTEMPTS`] |
//! | the log or the lake fails for now (disk full, store away) | tries again with backoff for as long as it takes, visibly; nobody else stops |
//! | the log or the lake fails for good | stops every worker and says why |

pub mod backoff;
mod janitor;
mod overlay;
mod progress;
mod stage;
mod tables;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dmarcflow_lake::Lake;
use dmarcflow_log::{Consumer, Log, LogError};
use dmarcflow_schemas::TopicPartition;

use crate::topology::{TRIM, Topology, writers};

pub use progress::{Progress, Trouble};
pub use tables::position;

/// How the runner batches and waits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The flow that this is; empty for the first one.
    pub flow: String,
    /// Rows gathered for a commit to the lake, at most, in bytes of their messages, for each topic with tables.
    pub commit_bytes: usize,
    /// How long a row waits for others before it is committed.
    pub commit_after: Duration,
    /// How long rows wait while more of them keep coming.
    pub commit_at_latest: Duration,
    /// Messages that a topic may be ahead of its slowest reader in a partition before its writers wait.
    pub ahead: u64,
    /// Age after which `reports.raw` and `dead.letters` forget what was read; none keeps everything.
    pub retention: Option<Duration>,
    /// Bytes that a partition of `reports.raw` or `dead.letters` keeps; none keeps everything.
    pub retention_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flow: String::new(),
            commit_bytes: 12 << 20,
            commit_after: Duration::from_secs(1),
            commit_at_latest: Duration::from_secs(30),
            ahead: 192,
            retention: None,
            retention_bytes: None,
        }
    }
}

/// Why the pipeline stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Lake(#[from] dmarcflow_lake::LakeError),
    #[error(
        "table `{table}` at {tables} stands at {stored} of {partition}, which ends at {end}: these tables were made from another log. \
         Give this one tables of its own (`lake.url`, or another --data folder), or bring the other log back"
    )]
    Foreign { table: &'static str, tables: String, stored: u64, partition: TopicPartition, end: u64 },
    #[error(
        "table `{table}` at {tables} stands at {stored} of {partition}, of which this log has written everything up to {committed}: \
         the tables are older than the log. Bring back both from one backup, or make the tables anew: \
         `dmarcflow replay run NAME`, then `replay promote NAME`"
    )]
    Behind { table: &'static str, tables: String, stored: u64, partition: TopicPartition, committed: u64 },
    #[error("a worker of `{0}` died; this is a defect of dmarcflow")]
    Died(String),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl RunError {
    /// Whether trying again later can help.
    fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Lake(error) => error.is_transient(),
            Self::Foreign { .. } | Self::Behind { .. } | Self::Died(_) | Self::Thread(_) => false,
        }
    }
}

/// Everything that a worker is given.
#[derive(Clone)]
struct Context {
    log: Arc<dyn Log>,
    lake: Arc<Lake>,
    runtime: tokio::runtime::Handle,
    progress: Arc<Progress>,
    settings: Arc<Settings>,
}

impl Context {
    /// Joins a consumer group, waiting for a log that is away. None when the pipeline stops before that.
    fn join(&self, group: &str, topic: &str) -> Result<Option<Box<dyn Consumer>>, RunError> {
        let mut attempts = 0;
        while !self.progress.is_stopping() {
            match self.log.consumer(group, topic) {
                Ok(consumer) => {
                    self.progress.recovered(group);
                    return Ok(Some(consumer));
                }
                Err(e) if e.is_transient() => {
                    attempts += 1;
                    self.progress.troubled(group, attempts, &e.to_string());
                    self.progress.pause(backoff::wait(attempts, backoff::jitter()));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }
}

/// A running pipeline.
pub struct Runner {
    context: Context,
    topology: Arc<Topology>,
    workers: Vec<(String, JoinHandle<Result<(), RunError>>)>,
}

impl Runner {
    /// Starts a thread for every worker; the log has the topics.
    pub fn start(
        topology: Topology,
        log: Arc<dyn Log>,
        lake: Arc<Lake>,
        settings: Settings,
    ) -> Result<Self, RunError> {
        let context = Context {
            log,
            lake,
            runtime: tokio::runtime::Handle::current(),
            progress: Arc::new(Progress::default()),
            settings: Arc::new(settings),
        };
        let mut runner = Self { context, topology: Arc::new(topology), workers: Vec::new() };
        runner.spawn_all()?;
        Ok(runner)
    }

    fn spawn_all(&mut self) -> Result<(), RunError> {
        let topology = Arc::clone(&self.topology);
        for (s, spec) in topology.stages.iter().enumerate() {
            for _ in 0..spec.workers.max(1) {
                let (name, topology) = ((spec.make)().name(), Arc::clone(&topology));
                self.spawn(name.to_owned(), move |context| stage::work(context, &topology.stages[s]))?;
            }
        }
        for &topic in &topology.tables {
            self.spawn(writers(topic), move |context| tables::work(context, topic))?;
        }
        if !topology.trims {
            return Ok(());
        }
        let trimmed: Vec<_> = topology.topics.iter().map(|(spec, keep)| (spec.clone(), *keep)).collect();
        self.spawn(TRIM.to_owned(), move |context| janitor::work(context, &trimmed))
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce(&Context) -> Result<(), RunError> + Send + 'static,
    ) -> Result<(), RunError> {
        let context = self.context.clone();
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&context)));
            // Whoever ends, for whatever reason, ends the others: half a pipeline helps nobody.
            context.progress.stop();
            context.log.wake();
            outcome.unwrap_or_else(|_| {
                Err(RunError::Died(std::thread::current().name().unwrap_or("?").to_owned()))
            })
        })?;
        self.workers.push((name, thread));
        Ok(())
    }

    /// What has been done so far, and what stands in the way.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.context.progress
    }

    /// Waits until everything that was appended is in the tables, or the pipeline stopped by itself.
    /// Calls `meanwhile` now and then.
    pub fn drain(&self, mut meanwhile: impl FnMut(&Progress)) -> Result<(), RunError> {
        let progress = &self.context.progress;
        progress.drain(true);
        loop {
            // Read before the lag, so that a commit between the two is not waited for in vain.
            let seen = progress.commits();
            match self.lag() {
                Ok(0) => break,
                Ok(_) => {}
                Err(RunError::Log(e)) if e.is_transient() => {}
                Err(e) => return Err(e),
            }
            if progress.is_stopping() {
                break;
            }
            progress.wait_for_commit(seen, Duration::from_millis(200));
            meanwhile(progress);
        }
        progress.drain(false);
        Ok(())
    }

    /// The consumer groups that work here, each with its topic.
    pub fn groups(&self) -> Vec<(String, &'static str)> {
        self.topology.groups()
    }

    /// Records that some group has still to read.
    pub fn lag(&self) -> Result<u64, RunError> {
        let mut behind = 0;
        for (group, topic) in self.groups() {
            behind += self.context.log.lag(&group, topic)?.iter().map(|(_, n)| n).sum::<u64>();
        }
        Ok(behind)
    }

    /// Stops every worker at its next commit and waits for them. The first error is the reason.
    pub fn stop(self) -> Result<Arc<Progress>, RunError> {
        self.context.progress.stop();
        self.context.log.wake();
        let mut reason = Ok(());
        for (name, worker) in self.workers {
            let outcome = worker.join().unwrap_or_else(|_| Err(RunError::Died(name)));
            if reason.is_ok() {
                reason = outcome;
            }
        }
        self.context.log.sync()?;
        reason.map(|()| self.context.progress)
    }
}

#[cfg(test)]
mod tests;
