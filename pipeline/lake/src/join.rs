//! Several files of a partition as one, in order: what compaction and marks write.
//!
//! Few rows are sorted in memory, many are merged as a stream, in memory bounded by the files'
//! pages and one row group. The outcome is the same file.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::StreamExt;

use crate::error::{Cause, LakeError};
use crate::index::DataFile;
use crate::layout::Encoded;
use crate::marks::Marks;
use crate::merge::Merge;
use crate::read::{self, Batches};
use crate::table::Handle;

/// Up to this size, in rows and in bytes of Parquet, files are sorted in memory.
const IN_MEMORY_ROWS: u64 = 16 * 1024;
const IN_MEMORY_BYTES: u64 = 1 << 20;

/// The most files that are merged at a time.
pub(crate) const FAN_IN: usize = 32;

/// Files put together, in their order, so that each group stays below `target` bytes where it can
/// and none has more than [`FAN_IN`] files.
pub(crate) fn bins(files: Vec<DataFile>, target: u64) -> Vec<Vec<DataFile>> {
    let mut bins: Vec<Vec<DataFile>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        match bins.last_mut() {
            Some(bin) if bytes + file.bytes <= target && bin.len() < FAN_IN => {
                bytes += file.bytes;
                bin.push(file);
            }
            _ => {
                bytes = file.bytes;
                bins.push(vec![file]);
            }
        }
    }
    bins
}

impl Handle {
    /// One file of the rows of several, with marks. `changes` says whether that changes what the table says.
    pub(crate) async fn join(
        self: &Arc<Self>,
        date: i32,
        files: &[DataFile],
        marks: Option<&Arc<Marks>>,
        changes: bool,
    ) -> Result<Encoded, LakeError> {
        let failed = self.during("reading files to join");
        let _turn = self.turn().await;
        let (rows, bytes) =
            files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
        let (this, marks) = (Arc::clone(self), marks.cloned());
        if rows <= IN_MEMORY_ROWS && bytes <= IN_MEMORY_BYTES {
            let contents =
                self.place.read(files.iter().map(read::path).collect()).await.map_err(|e| failed.error(e))?;
            return self
                .blocking(move || this.join_contents(date, contents, marks.as_deref(), changes))
                .await;
        }
        let mut inputs = Vec::with_capacity(files.len());
        for file in files {
            inputs.push(self.input(date, file, marks.clone()).await.map_err(|e| failed.error(e))?);
        }
        let runtime = tokio::runtime::Handle::current();
        let join = move || {
            let joined = runtime.block_on(this.join_streams(date, inputs, rows, changes));
            joined.map_err(|e| this.during("joining files").error(e))
        };
        self.blocking(join).await
    }

    fn join_contents(
        &self,
        date: i32,
        contents: Vec<Bytes>,
        marks: Option<&Marks>,
        changes: bool,
    ) -> Result<Encoded, LakeError> {
        let mut batches = Vec::with_capacity(contents.len());
        for content in contents {
            let rows = read::decode(content, &self.order.file_schema)
                .map_err(|e| self.during("reading files to join").error(e))?;
            for batch in rows {
                let marked = marks.map_or(Ok(None), |marks| marks.apply(date, &batch));
                batches.push(marked.map_err(|e| self.during("applying marks").rows(e))?.unwrap_or(batch));
            }
        }
        let part = self.order.join(date, &batches).map_err(|e| self.during("joining files").rows(e))?;
        self.encode(&part, changes)
    }

    async fn input(&self, date: i32, file: &DataFile, marks: Option<Arc<Marks>>) -> Result<Batches, Cause> {
        let batches =
            read::open(&self.place.store, file).await?.batches(Arc::clone(&self.order.file_schema))?;
        let Some(marks) = marks else { return Ok(batches) };
        let mark = move |batch: RecordBatch| Ok(marks.apply(date, &batch)?.unwrap_or(batch));
        Ok(batches.map(move |batch| batch.and_then(&mark)).boxed())
    }

    async fn join_streams(
        &self,
        date: i32,
        inputs: Vec<Batches>,
        rows: u64,
        changes: bool,
    ) -> Result<Encoded, Cause> {
        let mut merge = Merge::new(&self.order, inputs)?;
        let mut writer = self.layout.writer(usize::try_from(rows)?)?;
        while let Some(rows) = merge.next().await? {
            writer.write(&rows)?;
        }
        Ok(writer.finish(date, changes)?)
    }
}
