//! The lake: every table at one location.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use deltalake::DeltaTable;
use dmarcflow_schemas::{TABLES, Table};
use tokio::sync::Semaphore;

use crate::commit::{CommitOutcome, Position};
use crate::compact::Compaction;
use crate::define::define;
use crate::error::LakeError;
use crate::export::{self, Exported};
use crate::options::Options;
use crate::store::Location;
use crate::table::Handle;

/// Tables at one location. Its methods may be called from many tasks at once, and other processes
/// may write the same tables: every commit is one entry of a table's log, and entries have an order.
pub struct Lake {
    location: Location,
    tables: BTreeMap<&'static str, Arc<Handle>>,
}

/// The size of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStats {
    pub table: &'static str,
    /// Version of the table: the number of its last commit.
    pub version: u64,
    /// Days that have rows.
    pub partitions: usize,
    pub files: usize,
    /// Bytes of Parquet.
    pub bytes: u64,
    pub rows: u64,
    /// The most files that a partition has: how much a compaction would do.
    pub most_files: usize,
}

impl Lake {
    /// Opens the lake at a path or URL (`s3://BUCKET/PREFIX`, `file:///PATH`), makes the tables that are
    /// missing, and adds the columns that are new.
    pub async fn open(location: &str, options: &Options) -> Result<Self, LakeError> {
        Self::open_tables(location, options, TABLES).await
    }

    /// The same, with these tables.
    pub async fn open_tables(location: &str, options: &Options, tables: &[Table]) -> Result<Self, LakeError> {
        let location = Location::open(location, options)?;
        let turn = Arc::new(Semaphore::new(1));
        let mut handles = BTreeMap::new();
        for table in tables {
            let place = location.table(table.name)?;
            let state = define(table, &place, options).await?;
            handles
                .insert(table.name, Arc::new(Handle::new(*table, place, options, Arc::clone(&turn), state)?));
        }
        Ok(Self { location, tables: handles })
    }

    /// Removes everything at a location.
    pub async fn remove(location: &str, options: &Options) -> Result<(), LakeError> {
        Location::open(location, options)?.remove().await
    }

    /// Where the lake is, as a URL.
    pub fn url(&self) -> &str {
        self.location.url().as_str()
    }

    /// Commits rows, marks and positions of one table as one; see [`crate::commit`] for the outcomes.
    ///
    /// Marks are batches of the partition column, the table's key, and the columns to change; they
    /// also find rows of the same commit. When it returns, the commit survives a power cut. After
    /// an error the table is as it was, or, where the store's answer was lost, the commit may be in
    /// it: the same commit given again comes out as [`CommitOutcome::Known`].
    pub async fn commit(
        &self,
        table: &Table,
        rows: Vec<RecordBatch>,
        marks: Vec<RecordBatch>,
        positions: &[Position],
    ) -> Result<CommitOutcome, LakeError> {
        self.table(table.name)?.commit(rows, marks, positions).await
    }

    /// Rows for a table of sums that are not committed yet, with equal keys added up: a batch, or none of none.
    /// Of another table they stay as they are.
    pub fn fold(&self, table: &Table, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, LakeError> {
        let order = &self.table(table.name)?.order;
        if order.sums() { Ok(order.fold(rows)?.into_iter().collect()) } else { Ok(rows) }
    }

    /// The next offset of an application (`group/topic/partition`) that a table has; none when it
    /// never committed to it.
    pub async fn position(&self, table: &Table, app: &str) -> Result<Option<i64>, LakeError> {
        let handle = self.table(table.name)?;
        handle.position(&mut *handle.newest().await?, app).await
    }

    /// Replaces the rows of a table by those that another flow wrote to `from`, in one entry; `apps` are the positions
    /// that come along, and the flow of this lake's options writes no more. Done again, it does nothing.
    pub async fn replace(&self, table: &Table, from: &Self, apps: &[String]) -> Result<(), LakeError> {
        let (here, there) = (self.table(table.name)?, from.table(table.name)?);
        here.take_over(there, (&here.options.flow, &there.options.flow), apps).await
    }

    /// Joins small files of a table and adds up sums, partition by partition. With `force` every
    /// partition of a table of sums comes out with one row a key, in one order.
    pub async fn compact(&self, table: &Table, force: bool) -> Result<Compaction, LakeError> {
        self.table(table.name)?.compact(force).await
    }

    /// Removes data files of a table that no version within `window` refers to. Returns how many.
    pub async fn vacuum(&self, table: &Table, window: Duration) -> Result<usize, LakeError> {
        self.table(table.name)?.vacuum(window).await
    }

    /// Copies tables to a folder as plain Parquet, partitioned by folders.
    pub async fn export(&self, to: &Path, tables: &[&Table], replace: bool) -> Result<Exported, LakeError> {
        let handles =
            tables.iter().map(|table| self.table(table.name).cloned()).collect::<Result<Vec<_>, _>>()?;
        export::export(&handles, to, replace).await
    }

    /// The size of every table, as of now.
    pub async fn stats(&self) -> Result<Vec<TableStats>, LakeError> {
        let mut all = Vec::with_capacity(self.tables.len());
        for (table, handle) in &self.tables {
            let known = handle.newest().await?;
            let files = || known.index.files.values().flat_map(BTreeMap::values);
            all.push(TableStats {
                table,
                version: known.index.version,
                partitions: known.index.files.len(),
                files: files().count(),
                bytes: files().map(|file| file.bytes).sum(),
                rows: files().map(|file| file.rows).sum(),
                most_files: known.index.files.values().map(BTreeMap::len).max().unwrap_or(0),
            });
        }
        Ok(all)
    }

    /// A table as delta-rs reads it, at its newest version: for query engines.
    pub async fn delta_table(&self, table: &Table) -> Result<DeltaTable, LakeError> {
        self.table(table.name)?.delta().await
    }

    fn table(&self, name: &str) -> Result<&Arc<Handle>, LakeError> {
        self.tables.get(name).ok_or_else(|| LakeError::UnknownTable(name.to_owned()))
    }
}
