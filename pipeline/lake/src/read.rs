//! Data files read back: in small batches, in the shape that the table has now.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use dmarcflow_schemas::ipc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::Cause;
use crate::index::DataFile;

/// Rows that a reader decodes at a time.
const BATCH_ROWS: usize = 1024;

/// Rows that are decoded at a time of a file that is in memory.
const WHOLE_ROWS: usize = 64 * 1024;

/// A file up to this size is fetched whole, with one request.
const WHOLE_BYTES: u64 = 256 * 1024;

/// The end of a larger file that is fetched at once: footer, and page and bloom filter indexes of most.
const FOOTER_BYTES: usize = 64 * 1024;

/// A data file that is open: its footer is read.
pub(crate) struct Opened {
    builder: ParquetRecordBatchStreamBuilder<Stored>,
}

/// A data file's bytes in the store.
struct Stored {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    /// All of them, of a small file.
    whole: Option<Bytes>,
}

impl AsyncFileReader for Stored {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            match &self.whole {
                Some(whole) => cut(whole, range),
                None => Ok(self.store.get_range(&self.path, range).await?),
            }
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            match &self.whole {
                Some(whole) => ranges.into_iter().map(|range| cut(whole, range)).collect(),
                None => Ok(self.store.get_ranges(&self.path, &ranges).await?),
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            if self.size <= WHOLE_BYTES && self.whole.is_none() {
                self.whole = Some(self.store.get(&self.path).await?.bytes().await?);
            }
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

fn cut(whole: &Bytes, range: Range<u64>) -> ParquetResult<Bytes> {
    let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
    if start > end || end > whole.len() {
        return Err(ParquetError::EOF(format!("bytes {start} to {end} of a file of {}", whole.len())));
    }
    Ok(whole.slice(start..end))
}

/// A data file's batches.
pub(crate) type Batches = BoxStream<'static, Result<RecordBatch, Cause>>;

/// The path of a data file in the table's store. What the log says is percent-encoded by another
/// program perhaps, never by this one.
pub(crate) fn path(file: &DataFile) -> Path {
    Path::parse(&*file.path).unwrap_or_else(|_| Path::from(&*file.path))
}

/// The rows in a data file's content.
pub(crate) fn decode(content: Bytes, schema: &SchemaRef) -> Result<Vec<RecordBatch>, Cause> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(content)?.with_batch_size(WHOLE_ROWS).build()?;
    batches.map(|batch| Ok(ipc::conform(batch?, schema)?)).collect()
}

/// Opens a data file of a table.
pub(crate) async fn open(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Opened, Cause> {
    let stored = Stored { store: Arc::clone(store), path: path(file), size: file.bytes, whole: None };
    Ok(Opened { builder: ParquetRecordBatchStreamBuilder::new(stored).await? })
}

impl Opened {
    /// Whether the file may hold a row with one of these values. Only its bloom filters are read;
    /// a file without them may hold any.
    pub(crate) async fn may_hold<'a>(
        &mut self,
        column: &str,
        values: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<bool, Cause> {
        let leaves = self.builder.parquet_schema().columns();
        let Some(leaf) = leaves.iter().position(|leaf| leaf.path().parts() == [column]) else {
            return Ok(true);
        };
        for group in 0..self.builder.metadata().num_row_groups() {
            match self.builder.get_row_group_column_bloom_filter(group, leaf).await? {
                Some(filter) if !values.clone().any(|value| filter.check(value)) => {}
                _ => return Ok(true),
            }
        }
        Ok(self.builder.metadata().num_row_groups() == 0)
    }

    /// One column of the file's rows.
    pub(crate) fn column(self, name: &str) -> Result<Batches, Cause> {
        let mask = ProjectionMask::columns(self.builder.parquet_schema(), [name]);
        let stream = self.builder.with_projection(mask).build()?;
        Ok(stream.map(|batch| Ok(batch?)).boxed())
    }

    /// The file's rows, in its order.
    pub(crate) fn batches(self, schema: SchemaRef) -> Result<Batches, Cause> {
        let stream = self.builder.with_batch_size(BATCH_ROWS).build()?;
        let conform = move |batch: Result<RecordBatch, ParquetError>| Ok(ipc::conform(batch?, &schema)?);
        Ok(stream.map(conform).boxed())
    }
}
