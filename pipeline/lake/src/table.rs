//! One table: its place, its way of writing, and what is known of its log.
//!
//! The log is followed, not reloaded: each entry, ours or another writer's, moves the [`Index`] one
//! version forward. Whoever writes an entry holds the table's lock for that long; data files are
//! written outside of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltalake::DeltaTable;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::logstore::{CommitOrBytes, LogStore as _, get_actions};
use deltalake::protocol::DeltaOperation;
use deltalake::table::state::DeltaTableState;
use dmarcflow_schemas::tables::Table;
use futures::{StreamExt, stream};
use object_store::path::Path;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::durable;
use crate::error::{During, LakeError};
use crate::index::{Foreign, Index};
use crate::layout::{Encoded, Layout};
use crate::options::{Options, Step};
use crate::rows::Order;
use crate::store::Place;

/// How long the index may stand still before it is read anew: entries are kept for days, and one
/// that had expired would look like one that was never written.
const READ_ANEW: Duration = Duration::from_secs(3600);

/// See the module.
pub(crate) struct Handle {
    pub(crate) spec: Table,
    pub(crate) place: Place,
    pub(crate) order: Order,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    turn: Arc<Semaphore>,
    known: Mutex<Known>,
}

/// What is known of a table's log.
pub(crate) struct Known {
    pub(crate) index: Index,
    /// The state that the index was read from, for positions older than the entries seen since.
    base: Option<DeltaTableState>,
    /// The outcome of the last entry is not known: the log must be read before anything else.
    doubtful: bool,
    /// Files of entries with unknown outcome: garbage if they turn out not to be in the table.
    orphans: Vec<(i32, String)>,
    moved: Instant,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is the table's version of that number.
    Written(u64),
    /// Another writer's came first; the index now knows it.
    Late,
}

impl Handle {
    pub(crate) fn new(
        spec: Table,
        place: Place,
        options: &Options,
        turn: Arc<Semaphore>,
        state: DeltaTableState,
    ) -> Result<Self, LakeError> {
        let during = During { table: spec.name, what: "opening it" };
        let order = Order::new(&spec)?;
        let layout = Layout::new(&spec, Arc::clone(&order.file_schema), options.zstd_level)
            .map_err(|e| during.rows(e))?;
        let known = Known::read(&spec, state)?;
        Ok(Self { spec, place, order, layout, options: options.clone(), turn, known: Mutex::new(known) })
    }

    pub(crate) fn during(&self, what: &'static str) -> During<'static> {
        During { table: self.spec.name, what }
    }

    /// What is known, certainly: doubts of an earlier failure are cleared first.
    pub(crate) async fn known(&self) -> Result<MutexGuard<'_, Known>, LakeError> {
        let mut known = self.known.lock().await;
        if known.moved.elapsed() > READ_ANEW {
            self.read_anew(&mut known).await?;
        } else if known.doubtful {
            self.follow(&mut known).await?;
        }
        Ok(known)
    }

    /// What is known, with every entry that is there now.
    pub(crate) async fn newest(&self) -> Result<MutexGuard<'_, Known>, LakeError> {
        let mut known = self.known().await?;
        self.follow(&mut known).await?;
        Ok(known)
    }

    async fn read_anew(&self, known: &mut Known) -> Result<(), LakeError> {
        let state = self.load().await?;
        *known = Known { orphans: std::mem::take(&mut known.orphans), ..Known::read(&self.spec, state)? };
        Ok(())
    }

    /// The table as delta-rs reads it, at its newest version.
    pub(crate) async fn delta(&self) -> Result<DeltaTable, LakeError> {
        let mut table = DeltaTable::new(Arc::clone(&self.place.log));
        table.load().await.map_err(|e| self.during("reading its log").error(e))?;
        Ok(table)
    }

    async fn load(&self) -> Result<DeltaTableState, LakeError> {
        let table = self.delta().await?;
        table.snapshot().cloned().map_err(|e| self.during("reading its log").error(e))
    }

    /// Moves the index over every entry that is there.
    async fn follow(&self, known: &mut Known) -> Result<(), LakeError> {
        let failed = self.during("reading its log");
        while let Some(bytes) =
            self.place.log.read_commit_entry(known.index.version + 1).await.map_err(|e| failed.error(e))?
        {
            let actions = get_actions(known.index.version + 1, &bytes).map_err(|e| failed.error(e))?;
            known.index.apply(&actions).map_err(|Foreign(reason)| self.foreign(reason))?;
        }
        known.moved = Instant::now();
        known.doubtful = false;
        if self.place.folder.is_some() {
            // A write to a disk that failed is over; one to an object store may still arrive.
            self.remove_orphans(known).await;
        }
        Ok(())
    }

    fn foreign(&self, reason: String) -> LakeError {
        LakeError::Unsupported { table: self.spec.name.to_owned(), reason }
    }

    async fn remove_orphans(&self, known: &mut Known) {
        let orphans = std::mem::take(&mut known.orphans);
        let orphans = orphans.into_iter().filter(|(date, path)| !known.index.has(*date, path));
        self.discard(orphans.map(|(_, path)| path)).await;
    }

    /// The next offset of an application, as the table has it.
    pub(crate) async fn position(&self, known: &mut Known, app: &str) -> Result<Option<i64>, LakeError> {
        if let Some(position) = known.index.positions.get(app) {
            return Ok(*position);
        }
        let state = match known.base.take() {
            Some(state) => state,
            None => {
                self.read_anew(known).await?;
                return Box::pin(self.position(known, app)).await;
            }
        };
        let failed = self.during("reading its positions");
        let position =
            state.transaction_version(self.place.log.as_ref(), app).await.map_err(|e| failed.error(e));
        known.base = Some(state);
        let position = position?;
        known.index.positions.insert(app.to_owned(), position);
        Ok(position)
    }

    /// Writes data files, which are in no table yet. If one fails, those that were written are removed.
    pub(crate) async fn put(&self, files: &[Encoded]) -> Result<(), LakeError> {
        let contents =
            files.iter().map(|file| (Path::from(file.add.path.as_str()), file.bytes.clone())).collect();
        let options = self.options.clone();
        let written = self.place.write(contents, move || options.step(Step::FileWritten)).await;
        if let Err(error) = written {
            self.discard(files.iter().map(|file| file.add.path.clone())).await;
            return Err(self.during("writing data files").error(error));
        }
        Ok(())
    }

    /// Makes data files durable, so that an entry may name them. If that fails, they are removed.
    pub(crate) async fn make_durable(&self, files: &[Encoded]) -> Result<(), LakeError> {
        let durable = self.flush(files).await;
        if durable.is_err() {
            self.discard(files.iter().map(|file| file.add.path.clone())).await;
        }
        self.options.step(Step::FilesDurable);
        durable
    }

    async fn flush(&self, files: &[Encoded]) -> Result<(), LakeError> {
        let Some(folder) = self.place.folder.clone().filter(|_| self.options.fsync && !files.is_empty())
        else {
            return Ok(());
        };
        let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.add.path)).collect();
        let flushed = tokio::task::spawn_blocking(move || durable::flush(&folder, &paths)).await;
        let failed = self.during("making data files durable");
        flushed.map_err(|e| failed.error(e))?.map_err(|e| failed.error(e))
    }

    /// The turn to order and encode rows: one table of a lake has it at a time, so that the memory which that
    /// takes does not add up over tables. None when the lake is being dropped, and nobody waits any more.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.acquire().await.ok()
    }

    /// Runs work of the processor where it holds up no other task.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
    ) -> Result<T, LakeError> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| self.during("working on rows").error(error))?
    }

    /// Removes files that are in no table. What cannot be removed now is found by a vacuum.
    pub(crate) async fn discard(&self, paths: impl IntoIterator<Item = String>) {
        let paths: Vec<_> = paths.into_iter().map(|path| Ok(Path::from(path))).collect();
        let removed = self.place.store.delete_stream(stream::iter(paths).boxed());
        removed.for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(table = self.spec.name, %error, "an unused data file stays until the next vacuum");
            }
        })
        .await;
    }

    /// Removes files that were written for an entry, unless the entry may yet turn out to be written.
    pub(crate) async fn abandon(&self, files: Vec<Encoded>) {
        let mut paths: Vec<_> = files.into_iter().map(|file| file.add.path).collect();
        let known = self.known.lock().await;
        paths.retain(|path| !known.orphans.iter().any(|(_, orphan)| orphan == path));
        drop(known);
        self.discard(paths).await;
    }

    /// Writes the log's next entry. The files of its adds must be durable.
    pub(crate) async fn enter(
        &self,
        known: &mut Known,
        actions: Vec<Action>,
        operation: DeltaOperation,
        positions: Vec<Transaction>,
    ) -> Result<Entry, LakeError> {
        let data = CommitData::new(actions, operation, HashMap::new(), positions);
        let bytes = data.get_bytes().map_err(|e| self.during("writing its log").error(e))?;
        let version = known.index.version + 1;
        let entry = CommitOrBytes::LogBytes(bytes);
        match self.place.log.write_commit_entry(version, entry, Uuid::new_v4()).await {
            Ok(()) => known.index.apply(&data.actions).map_err(|Foreign(reason)| self.foreign(reason))?,
            Err(TransactionError::VersionAlreadyExists(_)) => {
                if let Err(error) = self.follow(known).await {
                    self.doubt(known, &data.actions);
                    return Err(error);
                }
                if !adds(&data.actions).any(|(date, path)| known.index.has(date, path)) {
                    return Ok(Entry::Late);
                }
                // Ours after all: the answer to a first attempt was lost.
            }
            Err(error) => {
                self.doubt(known, &data.actions);
                return Err(self.during("writing its log").error(error));
            }
        }
        known.moved = Instant::now();
        self.remove_orphans(known).await;
        self.options.step(Step::EntryWritten);
        Ok(Entry::Written(version))
    }

    /// Notes that an entry with these actions may or may not have been written.
    fn doubt(&self, known: &mut Known, actions: &[Action]) {
        known.doubtful = true;
        known.orphans.extend(adds(actions).map(|(date, path)| (date, path.to_owned())));
    }

    /// Writes a checkpoint of the log when one is due. The table is right without it: a failure is
    /// told and the next one tries again.
    pub(crate) async fn checkpoint(&self, version: u64) {
        if !version.is_multiple_of(self.options.checkpoint_every.max(1)) {
            return;
        }
        // By now most positions that will be asked for were; the others are worth reading the log anew.
        self.known.lock().await.base = None;
        if let Err(error) = self.write_checkpoint().await {
            tracing::warn!(table = self.spec.name, version, %error, "no checkpoint of the table's log could be written");
        }
        self.options.step(Step::Checkpointed);
    }

    async fn write_checkpoint(&self) -> Result<(), LakeError> {
        let table = self.delta().await?;
        let failed = self.during("writing a checkpoint");
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(|e| failed.error(e))?;
        deltalake::checkpoints::cleanup_metadata(&table, None).await.map_err(|e| failed.error(e))?;
        Ok(())
    }
}

impl Known {
    fn read(spec: &Table, state: DeltaTableState) -> Result<Self, LakeError> {
        let index = Index::read(&state)
            .map_err(|Foreign(reason)| LakeError::Unsupported { table: spec.name.to_owned(), reason })?;
        Ok(Self { index, base: Some(state), doubtful: false, orphans: Vec::new(), moved: Instant::now() })
    }
}

fn adds(actions: &[Action]) -> impl Iterator<Item = (i32, &str)> {
    actions.iter().filter_map(|action| match action {
        Action::Add(add) => {
            let date =
                add.partition_values.get("date").and_then(Option::as_deref).and_then(crate::rows::date_days);
            Some((date?, add.path.as_str()))
        }
        _ => None,
    })
}
