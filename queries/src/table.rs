//! One table, always at its newest version.
//!
//! Whoever asks for the table gets a provider of the version that the log ends with at that moment. The check
//! for a newer one is a single read of the entry that would follow; only when it is there is more read.
//! A table that does not exist yet is an empty one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Date32Type;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake::logstore::LogStoreRef;
use deltalake::{DeltaTable, DeltaTableError};
use dmarcflow_schemas::tables::{PARTITION, Table};
use tokio::sync::Mutex;

use crate::error::QueryError;

/// How long the log is followed entry by entry before it is listed again: entries are kept for days, and one
/// that had expired would look like one that was never written.
const LIST_AGAIN: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug)]
pub(crate) struct CurrentTable {
    spec: &'static Table,
    log: LogStoreRef,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    table: DeltaTable,
    provider: Arc<dyn TableProvider>,
    listed: Instant,
}

impl CurrentTable {
    pub(crate) fn new(spec: &'static Table, log: LogStoreRef) -> Self {
        Self { spec, log, known: Mutex::new(None) }
    }

    /// The table as it is now.
    pub(crate) async fn provider(&self) -> Result<Arc<dyn TableProvider>, QueryError> {
        let mut known = self.known.lock().await;
        self.follow(&mut known).await.map_err(|e| self.failed(e))?;
        Ok(match known.as_ref() {
            Some(known) => Arc::clone(&known.provider),
            None => Arc::new(EmptyTable::new(self.spec.schema())),
        })
    }

    /// The days that the table has files of, as days since 1970-01-01; with repetitions.
    pub(crate) async fn days(&self) -> Result<Vec<i32>, QueryError> {
        let mut known = self.known.lock().await;
        self.follow(&mut known).await.map_err(|e| self.failed(e))?;
        let Some(known) = known.as_ref() else { return Ok(Vec::new()) };
        let files = known
            .table
            .snapshot()
            .and_then(|state| state.add_actions_batches(true))
            .map_err(|e| self.failed(e))?;
        let column = format!("partition.{PARTITION}");
        let dates = files
            .iter()
            .filter_map(|files| files.column_by_name(&column)?.as_primitive_opt::<Date32Type>().cloned());
        Ok(dates.flat_map(|dates| dates.iter().flatten().collect::<Vec<_>>()).collect())
    }

    async fn follow(&self, known: &mut Option<Known>) -> Result<(), DeltaTableError> {
        let Some(seen) = known else {
            let mut table = DeltaTable::new(Arc::clone(&self.log));
            if table.verify_deltatable_existence().await? {
                table.load().await?;
                *known = Some(Known { provider: provider(&table)?, table, listed: Instant::now() });
            }
            return Ok(());
        };
        let list = seen.listed.elapsed() > LIST_AGAIN;
        let next = seen.table.version().map_or(0, |version| version + 1);
        if list || self.log.read_commit_entry(next).await?.is_some() {
            seen.table.update_state().await?;
            seen.provider = provider(&seen.table)?;
            seen.listed = Instant::now();
        }
        Ok(())
    }

    fn failed(&self, error: DeltaTableError) -> QueryError {
        QueryError::Table { table: self.spec.name.to_owned(), reason: error.to_string() }
    }
}

/// A provider of the table's loaded version. It has no handle of the log: it cannot write.
fn provider(table: &DeltaTable) -> Result<Arc<dyn TableProvider>, DeltaTableError> {
    let snapshot = Arc::new(table.snapshot()?.snapshot().clone());
    Ok(Arc::new(DeltaScanNext::new(snapshot, DeltaScanConfig::new())?))
}
