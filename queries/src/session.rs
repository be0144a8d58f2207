//! A lake as SQL sees it: read-only, within limits of memory and disk, always at the newest version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::available_parallelism;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;
use dmarcflow_schemas::TABLES;

use crate::catalog::{CATALOG, SCHEMA, Tables};
use crate::error::QueryError;
use crate::lake_tables::TablesAt;
use crate::newest::{newest, today};
use crate::table::CurrentTable;

/// The table whose days say which is the newest.
const DAYS_OF: &str = "daily";

/// Bytes read from a data file's end at first: most files are smaller, and their footer takes no second read.
const FOOTER_BYTES: usize = 64 << 10;

/// How a lake is queried.
#[derive(Debug, Clone)]
pub struct Options {
    /// Settings of the object store, such as `endpoint` or `region`; unused for a folder.
    pub storage: BTreeMap<String, String>,
    /// Memory that all running queries share, in bytes. What sorts and groups need beyond it goes to disk.
    pub memory_bytes: usize,
    /// Disk space for that, in bytes, in the system's folder for temporary files.
    pub spill_bytes: u64,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Threads of a query.
    pub partitions: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            storage: BTreeMap::new(),
            memory_bytes: 256 << 20,
            spill_bytes: 10 << 30,
            batch_rows: 8192,
            partitions: available_parallelism().map_or(1, usize::from),
        }
    }
}

/// See the module. Clones share the lake, its caches and the limits.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) base: Arc<SessionState>,
    pub(crate) tables: Arc<Tables>,
}

impl Session {
    /// Opens the lake at a path, `file://` or `s3://` URL. Nothing of its tables is read yet.
    pub fn open(location: &str, options: &Options) -> Result<Self, QueryError> {
        let at = TablesAt::open(location, &options.storage)?;
        let base = state(options).map_err(|e| QueryError::of_engine(e, ""))?;
        base.runtime_env().register_object_store(at.url(), Arc::clone(at.root()));
        let table = |table: &'static dmarcflow_schemas::Table| {
            Ok((table.name, CurrentTable::new(table, at.log(table.name)?)))
        };
        let tables = TABLES.iter().map(table).collect::<Result<Tables, QueryError>>()?;
        Ok(Self { base: Arc::new(base), tables: Arc::new(tables) })
    }

    /// The newest day that the lake has messages of, in days since 1970-01-01.
    pub(crate) async fn newest_day(&self) -> Result<Option<i32>, QueryError> {
        let Some(table) = self.tables.get(DAYS_OF) else { return Ok(None) };
        Ok(newest(&table.days().await?, today()))
    }
}

fn state(options: &Options) -> datafusion::error::Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_batch_size(options.batch_rows.max(1))
        .with_target_partitions(options.partitions.max(1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_collect_statistics(true)
        .with_parquet_pruning(true)
        .with_parquet_bloom_filter_pruning(true)
        .with_parquet_page_index_pruning(true);
    let engine = config.options_mut();
    engine.execution.time_zone = Some("UTC".to_owned());
    engine.execution.parquet.pushdown_filters = true;
    engine.execution.parquet.reorder_filters = true;
    engine.execution.parquet.metadata_size_hint = Some(FOOTER_BYTES);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(options.spill_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build())
}
