//! The lake's settings, each with its unit and default.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Called at every step of a commit; a test that aborts in it shows what a crash there leaves.
pub type StepHook = Arc<dyn Fn(Step) + Send + Sync>;

/// The steps of a commit, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing is written yet.
    Begin,
    /// Another data file is written; nothing refers to it.
    FileWritten,
    /// Every data file is written and durable; nothing refers to them.
    FilesDurable,
    /// The log entry is written: the commit has happened.
    EntryWritten,
    /// A checkpoint of the log was due and is written.
    Checkpointed,
}

/// How a lake is kept.
#[derive(Clone)]
pub struct Options {
    /// Settings of the object store, such as `endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `allow_http`; environment variables (`AWS_*`) hold where it says nothing.
    pub storage: BTreeMap<String, String>,
    /// Compression level of data files, 1 to 22.
    pub zstd_level: i32,
    /// Size up to which compaction joins files, in bytes of Parquet.
    pub target_file_bytes: u64,
    /// Compaction leaves a partition alone that has fewer files to join than this.
    pub compact_files: usize,
    /// Commits of a table between two checkpoints of its log.
    pub checkpoint_every: u64,
    /// How long entries of a table's log are kept behind a checkpoint.
    pub keep_log: Duration,
    /// How long files that a commit replaced stay for readers of an older version.
    pub keep_removed: Duration,
    /// Whether a commit survives a power cut when it returns. Local disks only: object stores always do.
    pub fsync: bool,
    /// How long a request to an object store is retried before it counts as away.
    pub store_timeout: Duration,
    /// The flow that writes: a table that another flow has replaced refuses its commits. Empty for the first one.
    pub flow: String,
    /// Watches the steps of commits.
    pub on_step: Option<StepHook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            storage: BTreeMap::new(),
            zstd_level: 1,
            target_file_bytes: 64 << 20,
            compact_files: 8,
            checkpoint_every: 20,
            keep_log: Duration::from_secs(7 * 86_400),
            keep_removed: Duration::from_secs(86_400),
            fsync: true,
            store_timeout: Duration::from_secs(30),
            flow: String::new(),
            on_step: None,
        }
    }
}

impl Options {
    pub(crate) fn step(&self, step: Step) {
        if let Some(hook) = &self.on_step {
            hook(step);
        }
    }
}

impl fmt::Debug for Options {
    /// Without the storage settings' values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("storage", &self.storage.keys())
            .field("zstd_level", &self.zstd_level)
            .field("target_file_bytes", &self.target_file_bytes)
            .field("compact_files", &self.compact_files)
            .field("checkpoint_every", &self.checkpoint_every)
            .field("keep_log", &self.keep_log)
            .field("keep_removed", &self.keep_removed)
            .field("fsync", &self.fsync)
            .field("store_timeout", &self.store_timeout)
            .finish_non_exhaustive()
    }
}
