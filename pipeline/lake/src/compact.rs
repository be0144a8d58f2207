//! Compaction: small files of a partition become one, sums are added up; no row changes.
//!
//! A partition's files of similar size are joined when there are enough of them, so that a row is
//! rewritten a few times in its life and not with every commit. Forced, all that are below the
//! target size are joined, and a table of sums has one file a partition, with one row a key.
//!
//! The rows are read and written without the table's lock. If another writer replaced one of the
//! files meanwhile, that partition is given up and left to the next compaction.

use std::sync::Arc;

use deltalake::kernel::Action;
use deltalake::protocol::DeltaOperation;

use crate::error::LakeError;
use crate::index::{DataFile, removal};
use crate::join::FAN_IN;
use crate::layout::Encoded;
use crate::table::{Entry, Handle, Known};

/// Partitions whose new files go into one entry of the log.
const PARTITIONS_PER_ENTRY: usize = 64;

/// A file joins smaller ones only if it is at most this many times as large as they are together.
const SIMILAR: u64 = 4;

/// Rounds over a table: enough for [`FAN_IN`] files to the power of a few, far more than there are.
const ROUNDS: usize = 64;

/// Entries of other writers that one entry of a compaction may meet before it is given up.
const ATTEMPTS: usize = 20;

/// What a compaction did to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Partitions with joined files.
    pub partitions: usize,
    /// Files that were replaced, and those that replaced them.
    pub files_before: usize,
    pub files_after: usize,
    /// Their bytes.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Partitions that were given up because another writer changed them meanwhile.
    pub given_up: usize,
}

/// Files of a partition that are to become one.
struct Plan {
    date: i32,
    files: Vec<DataFile>,
}

impl Handle {
    /// Joins files of every partition that has enough of them; `force`: of every one that has two.
    pub(crate) async fn compact(self: &Arc<Self>, force: bool) -> Result<Compaction, LakeError> {
        let mut done = Compaction::default();
        // A partition with more files than are merged at a time takes several rounds.
        for _ in 0..ROUNDS {
            let before = done.files_before;
            let mut after = None;
            loop {
                let known = self.newest().await?;
                let plans = self.plans(&known, force, after);
                drop(known);
                let Some(last) = plans.last() else { break };
                after = Some(last.date);
                self.compact_some(plans, &mut done).await?;
            }
            if done.files_before == before {
                break;
            }
        }
        Ok(done)
    }

    /// What is to be joined in the next partitions behind `after`.
    fn plans(&self, known: &Known, force: bool, after: Option<i32>) -> Vec<Plan> {
        let from = after.map_or(i32::MIN, |date| date.saturating_add(1));
        let partitions = known.index.files.range(from..);
        let plans = partitions.filter_map(|(date, files)| {
            let files = self.choose(files.values().cloned().collect(), force);
            (files.len() > 1).then_some(Plan { date: *date, files })
        });
        plans.take(PARTITIONS_PER_ENTRY).collect()
    }

    /// The files of a partition to join now; fewer than two when none need be.
    fn choose(&self, mut files: Vec<DataFile>, force: bool) -> Vec<DataFile> {
        let target = self.options.target_file_bytes;
        let whole = force && self.order.sums();
        files.retain(|file| whole || file.bytes < target);
        files.sort_by(|a, b| (a.bytes, &a.path).cmp(&(b.bytes, &b.path)));
        let mut bytes = 0;
        let mut chosen = Vec::new();
        for file in files.into_iter().take(FAN_IN) {
            let dissimilar = !force && chosen.len() > 1 && file.bytes > bytes * SIMILAR;
            if dissimilar || (!whole && bytes + file.bytes > target) {
                break;
            }
            bytes += file.bytes;
            chosen.push(file);
        }
        let enough = if force { 2 } else { self.options.compact_files.max(2) };
        if chosen.len() < enough { Vec::new() } else { chosen }
    }

    async fn compact_some(
        self: &Arc<Self>,
        plans: Vec<Plan>,
        done: &mut Compaction,
    ) -> Result<(), LakeError> {
        let mut written: Vec<(Plan, Encoded)> = Vec::with_capacity(plans.len());
        for plan in plans {
            let joined = match self.join(plan.date, &plan.files, None, false).await {
                Ok(file) => self.put(std::slice::from_ref(&file)).await.map(|()| file.without_bytes()),
                Err(error) => Err(error),
            };
            match joined {
                Ok(file) => written.push((plan, file)),
                Err(error) => {
                    self.abandon(written.into_iter().map(|(_, file)| file).collect()).await;
                    return Err(error);
                }
            }
        }
        let files: Vec<_> = written.iter().map(|(_, file)| file.clone()).collect();
        self.make_durable(&files).await?;
        let entered = self.replace(&mut written, done).await;
        if !matches!(entered, Ok(Some(_))) {
            self.abandon(written.into_iter().map(|(_, file)| file).collect()).await;
        }
        if let Some(version) = entered? {
            self.checkpoint(version).await;
        }
        Ok(())
    }

    /// Enters the new files in place of the old, without the partitions whose old files are gone.
    async fn replace(
        &self,
        written: &mut Vec<(Plan, Encoded)>,
        done: &mut Compaction,
    ) -> Result<Option<u64>, LakeError> {
        for _ in 0..ATTEMPTS {
            let mut known = self.known().await?;
            let live = |plan: &Plan| plan.files.iter().all(|file| known.index.has(plan.date, &file.path));
            let (kept, lost): (Vec<_>, Vec<_>) = written.drain(..).partition(|(plan, _)| live(plan));
            *written = kept;
            done.given_up += lost.len();
            self.discard(lost.into_iter().map(|(_, file)| file.add.path)).await;
            if written.is_empty() {
                return Ok(None);
            }
            let operation = DeltaOperation::Optimize {
                predicate: None,
                target_size: self.options.target_file_bytes as i64,
            };
            if let Entry::Written(version) =
                self.enter(&mut known, actions(written), operation, Vec::new()).await?
            {
                for (plan, file) in written.iter() {
                    done.count(plan, file);
                }
                return Ok(Some(version));
            }
        }
        done.given_up += written.len();
        Ok(None)
    }
}

impl Compaction {
    fn count(&mut self, plan: &Plan, file: &Encoded) {
        self.partitions += 1;
        self.files_before += plan.files.len();
        self.files_after += 1;
        self.bytes_before += plan.files.iter().map(|file| file.bytes).sum::<u64>();
        self.bytes_after += file.add.size.unsigned_abs();
    }
}

fn actions(written: &[(Plan, Encoded)]) -> Vec<Action> {
    let removals =
        written.iter().flat_map(|(plan, _)| plan.files.iter().map(|file| removal(plan.date, file, false)));
    removals.chain(written.iter().map(|(_, file)| Action::Add(file.add.clone()))).collect()
}
