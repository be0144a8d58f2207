//! Replacing a table's rows by those of another one, in one entry: how a replay's results become the tables.
//!
//! Three marks among a table's positions make it safe at any instant, with any number of writers:
//!
//! | mark | in | says |
//! |---|---|---|
//! | `sealed/FLOW` | both tables | that flow writes here no more: its next commit is refused ([`LakeError::Sealed`]) |
//! | `replaced/FLOW` | the live table | its rows are those of that flow: replacing again does nothing |
//!
//! The other table is sealed first, so that nothing comes after what is copied; the live one in the entry that
//! replaces its rows. The files are copied before that entry names them. Who is killed on the way begins again.

use std::sync::Arc;

use deltalake::kernel::{Action, Add, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use dmarcflow_schemas::tables::PARTITION;
use object_store::path::Path;

use crate::error::LakeError;
use crate::index::removal;
use crate::layout::{Encoded, now};
use crate::options::Step;
use crate::table::{Entry, Handle};

/// Entries of other writers that a replacement may meet, one after the other, before it gives up.
const ATTEMPTS: usize = 100;
/// Files copied at a time.
const AT_A_TIME: usize = 64;

/// The mark that a flow writes to a table no more.
pub(crate) fn sealed(flow: &str) -> String {
    format!("sealed/{flow}")
}

impl Handle {
    /// Marks that a flow writes here no more.
    pub(crate) async fn seal(&self, flow: &str) -> Result<(), LakeError> {
        for _ in 0..ATTEMPTS {
            let mut known = self.newest().await?;
            if self.position(&mut known, &sealed(flow)).await?.is_some() {
                return Ok(());
            }
            let mark = vec![mark(&sealed(flow))];
            if let Entry::Written(_) = self.enter(&mut known, Vec::new(), append(), mark).await? {
                return Ok(());
            }
        }
        Err(self.contended())
    }

    /// Replaces all rows by those of `from`, which `flow` wrote and goes on from here; `retired` writes no more.
    /// `apps` are the positions that come along.
    pub(crate) async fn take_over(
        self: &Arc<Self>,
        from: &Arc<Self>,
        (retired, flow): (&str, &str),
        apps: &[String],
    ) -> Result<(), LakeError> {
        let replaced = format!("replaced/{flow}");
        if self.position(&mut *self.newest().await?, &replaced).await?.is_some() {
            return Ok(());
        }
        from.seal(flow).await?;
        let mut marks = vec![mark(&replaced), mark(&sealed(retired))];
        for app in apps {
            let stored = from.position(&mut *from.newest().await?, app).await?;
            marks.extend(stored.map(|next| Transaction::new_with_last_update(app, next, Some(now()))));
        }
        let files = from.live().await?;
        let mut copied = Vec::with_capacity(files.len());
        let outcome = self.copy(from, files, &mut copied).await;
        let outcome = match outcome {
            Ok(()) => self.settle_replacement(&copied, &marks).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.abandon(copied).await;
        }
        outcome
    }

    /// The lines of the live files in the log.
    async fn live(&self) -> Result<Vec<Add>, LakeError> {
        let table = self.delta().await?;
        let state = table.snapshot().map_err(|e| self.during("reading its log").error(e))?;
        let line = |file: deltalake::kernel::LogicalFileView| Add {
            path: file.path().into_owned(),
            partition_values: file.partition_values_map(),
            size: file.size(),
            modification_time: now(),
            data_change: true,
            stats: file.stats(),
            ..Add::default()
        };
        Ok(state.log_data().iter().map(line).collect())
    }

    async fn copy(
        self: &Arc<Self>,
        from: &Arc<Self>,
        files: Vec<Add>,
        copied: &mut Vec<Encoded>,
    ) -> Result<(), LakeError> {
        for some in files.chunks(AT_A_TIME) {
            let paths = some.iter().map(|add| Path::from(add.path.as_str())).collect();
            let contents = from.place.read(paths).await;
            let contents = contents.map_err(|e| from.during("reading files to copy").error(e))?;
            let files: Vec<_> = some
                .iter()
                .zip(contents)
                .map(|(add, bytes)| Encoded { bytes, add: add.clone(), rows: 0 })
                .collect();
            self.put(&files).await?;
            copied.extend(files.into_iter().map(Encoded::without_bytes));
        }
        self.make_durable(copied).await
    }

    async fn settle_replacement(&self, new: &[Encoded], marks: &[Transaction]) -> Result<(), LakeError> {
        for _ in 0..ATTEMPTS {
            let mut known = self.newest().await?;
            let old =
                known.index.files.iter().flat_map(|(date, files)| files.values().map(|file| (*date, file)));
            let mut actions: Vec<_> = old.map(|(date, file)| removal(date, file, true)).collect();
            actions.extend(new.iter().map(|file| Action::Add(file.add.clone())));
            if let Entry::Written(_) = self.enter(&mut known, actions, overwrite(), marks.to_vec()).await? {
                self.options.step(Step::EntryWritten);
                return Ok(());
            }
        }
        Err(self.contended())
    }

    fn contended(&self) -> LakeError {
        LakeError::Contended { table: self.spec.name.to_owned(), attempts: ATTEMPTS }
    }
}

fn mark(name: &str) -> Transaction {
    Transaction::new_with_last_update(name, 1, Some(now()))
}

fn append() -> DeltaOperation {
    write(SaveMode::Append)
}

fn overwrite() -> DeltaOperation {
    write(SaveMode::Overwrite)
}

fn write(mode: SaveMode) -> DeltaOperation {
    DeltaOperation::Write { mode, partition_by: Some(vec![PARTITION.to_owned()]), predicate: None }
}
