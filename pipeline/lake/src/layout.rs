//! Rows as Parquet bytes, and what a table's log says of them.
//!
//! A trickle of reports makes files of few rows and many columns, where each dictionary and each
//! compression context costs more than the data (a zstd context a column is five times the rest);
//! a file of many rows gains by each of them. So a file is laid out by its number of rows: see [`Size`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::temporal_conversions::timestamp_us_to_datetime;
use bytes::Bytes;
use deltalake::kernel::Add;
use dmarcflow_schemas::tables::{PARTITION, Table};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::rows::date_text;

/// Columns whose smallest and largest values the log keeps for every file that has them.
const STATISTICS: &[&str] =
    &["policy_domain", "org_name", "source_ip", "range_begin", "range_end", "died_at", "service", "messages"];

/// Rows of a row group: what one thread scans at a time, and what its statistics prune.
const GROUP_ROWS: usize = 128 * 1024;
/// Encoded bytes that a row group may hold in memory while it is written.
const GROUP_BYTES: usize = 32 << 20;
/// Rows of a page, the finest unit that a reader may skip.
const PAGE_ROWS: usize = 8 * 1024;
/// Bytes of a page before compression: what a reader holds per column.
const PAGE_BYTES: usize = 256 * 1024;
/// Share of the values not in a file that its bloom filter lets through.
const BLOOM_FALSE: f64 = 0.01;

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Few rows: plain pages compressed by snappy, statistics of the columns that prune.
    Tiny,
    /// Some thousand rows: dictionaries, zstd, bloom filters.
    Small,
    /// Many rows: also page statistics.
    Large,
}

impl Size {
    const ALL: [Self; 3] = [Self::Tiny, Self::Small, Self::Large];
    const TINY_ROWS: usize = 256;
    const SMALL_ROWS: usize = 16 * 1024;

    fn of(rows: usize) -> Self {
        if rows <= Self::TINY_ROWS {
            Self::Tiny
        } else if rows <= Self::SMALL_ROWS {
            Self::Small
        } else {
            Self::Large
        }
    }
}

/// A table's way of writing files.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: SchemaRef,
    parquet: SchemaDescriptor,
    properties: [WriterProperties; 3],
    /// Columns with statistics in the log: name, type, leaf of the Parquet schema.
    statistics: Vec<(&'static str, DataType, usize)>,
}

/// A file's bytes and its line in the log.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    pub(crate) add: Add,
    pub(crate) rows: u64,
}

impl Encoded {
    /// The file once it is written: its line in the log.
    pub(crate) fn without_bytes(self) -> Self {
        Self { bytes: Bytes::new(), ..self }
    }
}

impl Layout {
    pub(crate) fn new(table: &Table, schema: SchemaRef, zstd_level: i32) -> Result<Self, ParquetError> {
        let parquet = ArrowSchemaConverter::new().convert(&schema)?;
        let zstd = Compression::ZSTD(ZstdLevel::try_new(zstd_level)?);
        let mut statistics = Vec::new();
        for name in statistics_columns(table) {
            let leaf = parquet.columns().iter().position(|leaf| leaf.path().parts() == [name]);
            if let (Some(leaf), Ok(field)) = (leaf, schema.field_with_name(name)) {
                statistics.push((name, field.data_type().clone(), leaf));
            }
        }
        let properties = Size::ALL.map(|size| properties(table, size, zstd, &statistics));
        Ok(Self { schema, parquet, properties, statistics })
    }

    /// A writer for a file of about that many rows.
    pub(crate) fn writer(&self, rows: usize) -> Result<FileWriter<'_>, ParquetError> {
        let options = ArrowWriterOptions::new()
            .with_properties(self.properties[Size::of(rows) as usize].clone())
            .with_parquet_schema(self.parquet.clone())
            .with_skip_arrow_metadata(true);
        let inner = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&self.schema), options)?;
        Ok(FileWriter { layout: self, inner })
    }

    /// A file of these rows.
    pub(crate) fn encode(
        &self,
        date: i32,
        rows: &RecordBatch,
        changes: bool,
    ) -> Result<Encoded, ParquetError> {
        let mut writer = self.writer(rows.num_rows())?;
        writer.write(rows)?;
        writer.finish(date, changes)
    }

    fn statistics(&self, metadata: &ParquetMetaData) -> String {
        let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, r#type, leaf) in &self.statistics {
            let chunks = || metadata.row_groups().iter().map(|group| group.column(*leaf).statistics());
            let of =
                |end| chunks().map(|s| s.and_then(|s| bound(s, r#type, end))).collect::<Option<Vec<_>>>();
            if let Some(value) = of(End::Least).and_then(|all| all.into_iter().min_by(Bound::compare)) {
                least.insert((*name).to_owned(), value.json(End::Least));
            }
            if let Some(value) = of(End::Most).and_then(|all| all.into_iter().max_by(Bound::compare)) {
                most.insert((*name).to_owned(), value.json(End::Most));
            }
            if let Some(count) = chunks().map(|s| s.and_then(Statistics::null_count_opt)).sum::<Option<u64>>()
            {
                nulls.insert((*name).to_owned(), json!(count));
            }
        }
        let rows = metadata.file_metadata().num_rows();
        json!({ "numRecords": rows, "minValues": least, "maxValues": most, "nullCount": nulls }).to_string()
    }
}

/// The columns of a table that the log keeps statistics of.
pub(crate) fn statistics_columns(table: &Table) -> impl Iterator<Item = &'static str> {
    STATISTICS.iter().copied().filter(|name| table.columns.iter().any(|column| column.name == *name))
}

fn properties(
    table: &Table,
    size: Size,
    zstd: Compression,
    statistics: &[(&'static str, DataType, usize)],
) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("dmarcflow ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_compression(zstd);
    match size {
        Size::Tiny => {
            builder = builder
                .set_compression(Compression::SNAPPY)
                .set_dictionary_enabled(false)
                .set_encoding(Encoding::PLAIN)
                .set_offset_index_disabled(true)
                .set_statistics_enabled(EnabledStatistics::None);
            for (name, ..) in statistics {
                builder =
                    builder.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::Chunk);
            }
        }
        Size::Small => builder = builder.set_statistics_enabled(EnabledStatistics::Chunk),
        Size::Large => builder = builder.set_statistics_enabled(EnabledStatistics::Page),
    }
    if size != Size::Tiny {
        let most = if size == Size::Small { Size::SMALL_ROWS } else { GROUP_ROWS };
        for name in table.bloom {
            builder = builder
                .set_column_bloom_filter_enabled(ColumnPath::from(*name), true)
                .set_column_bloom_filter_fpp(ColumnPath::from(*name), BLOOM_FALSE)
                .set_column_bloom_filter_max_ndv(ColumnPath::from(*name), most as u64);
        }
    }
    builder.build()
}

/// A file on its way.
pub(crate) struct FileWriter<'a> {
    layout: &'a Layout,
    inner: ArrowWriter<Vec<u8>>,
}

impl FileWriter<'_> {
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        self.inner.write(rows)
    }

    /// Ends the file of that partition. `changes` says whether its rows are new to the table.
    pub(crate) fn finish(mut self, date: i32, changes: bool) -> Result<Encoded, ParquetError> {
        let metadata = self.inner.finish()?;
        let bytes = Bytes::from(std::mem::take(self.inner.inner_mut()));
        let date_text = date_text(date);
        let add = Add {
            path: format!("{PARTITION}={date_text}/part-{}.parquet", Uuid::new_v4().simple()),
            partition_values: HashMap::from([(PARTITION.to_owned(), Some(date_text))]),
            size: bytes.len() as i64,
            modification_time: now(),
            data_change: changes,
            stats: Some(self.layout.statistics(&metadata)),
            ..Add::default()
        };
        let rows = metadata.file_metadata().num_rows().try_into().unwrap_or(0);
        Ok(Encoded { bytes, add, rows })
    }
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Most,
}

/// One end of a column's values in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Number(i64),
    /// Microseconds since the epoch.
    Instant(i64),
    Text(String),
}

impl Bound {
    fn compare(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.cmp(b)
    }

    /// As the log writes it: instants in whole milliseconds, the largest rounded up.
    fn json(self, end: End) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Instant(micros) => {
                let up = if end == End::Most { 999 } else { 0 };
                let whole = micros.saturating_add(up).div_euclid(1000) * 1000;
                let instant = timestamp_us_to_datetime(whole);
                instant.map_or(Value::Null, |at| json!(at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
            }
        }
    }
}

fn bound(statistics: &Statistics, r#type: &DataType, end: End) -> Option<Bound> {
    let least = end == End::Least;
    match (statistics, r#type) {
        (Statistics::Int64(s), DataType::Int64) => {
            (if least { s.min_opt() } else { s.max_opt() }).map(|v| Bound::Number(*v))
        }
        (Statistics::Int64(s), DataType::Timestamp(..)) => {
            (if least { s.min_opt() } else { s.max_opt() }).map(|v| Bound::Instant(*v))
        }
        (Statistics::ByteArray(s), DataType::Utf8) => {
            let bytes = if least { s.min_bytes_opt() } else { s.max_bytes_opt() }?;
            std::str::from_utf8(bytes).ok().map(|text| Bound::Text(text.to_owned()))
        }
        _ => None,
    }
}
