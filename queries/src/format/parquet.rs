//! A Parquet file, compressed with zstd, in row groups of bounded size.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{AnswerWriter, unwritable};
use crate::error::QueryError;

/// Rows of a row group.
const GROUP_ROWS: usize = 128 * 1024;
/// Encoded bytes that a row group may hold in memory while it is written.
const GROUP_BYTES: usize = 32 << 20;

/// See the module.
pub(super) struct ParquetFile<'a>(ArrowWriter<&'a mut (dyn Write + Send)>);

impl<'a> ParquetFile<'a> {
    pub(super) fn new(schema: &SchemaRef, out: &'a mut (dyn Write + Send)) -> Result<Self, QueryError> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("dmarcflow ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        Ok(Self(ArrowWriter::try_new(out, Arc::clone(schema), Some(properties)).map_err(failed)?))
    }
}

impl AnswerWriter for ParquetFile<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.0.write(batch).map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<(), QueryError> {
        Ok(self.0.into_inner().map_err(failed)?.flush()?)
    }
}

fn failed(error: ParquetError) -> QueryError {
    match error {
        ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(error) => QueryError::Write(*error),
            Err(cause) => unwritable(cause),
        },
        other => unwritable(other),
    }
}
