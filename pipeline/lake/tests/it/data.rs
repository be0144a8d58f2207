//! Rows of any table, made from seeds, and tables read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::json::ReaderBuilder;
use dmarcflow_lake::{CommitOutcome, Committed, Lake, LakeError, Options, Position};
use dmarcflow_schemas::column::{Column, Type};
use dmarcflow_schemas::report::MARK_SCHEMA;
use dmarcflow_schemas::tables::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub(crate) fn table(name: &str) -> &'static Table {
    Table::named(name).unwrap()
}

/// The day `n` days after 2024-01-01.
pub(crate) fn day(n: u64) -> String {
    let month_days = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut year, mut rest) = (2024, n);
    loop {
        for (month, days) in month_days.iter().enumerate() {
            let days = if month == 1 && year % 4 != 0 { 28 } else { *days };
            if rest < days {
                return format!("{year}-{:02}-{:02}", month + 1, rest + 1);
            }
            rest -= days;
        }
        year += 1;
    }
}

/// One row for each `(day, seed)`. Seeds make unique reports and records, and sums with few keys.
pub(crate) fn rows(table: &Table, seeds: impl IntoIterator<Item = (u64, u64)>) -> RecordBatch {
    let rows: Vec<Value> = seeds.into_iter().map(|(date, seed)| row(table, date, seed)).collect();
    decode(table.schema(), &rows)
}

/// Marks of reports, as the aggregate stage makes them.
pub(crate) fn marks(seeds: impl IntoIterator<Item = (u64, u64, i64, bool)>) -> RecordBatch {
    let mark = |(date, seed, copies, conflict)| json!({ "date": day(date), "report_key": key(seed), "copies": copies, "conflict": conflict });
    decode(Arc::clone(&MARK_SCHEMA), &seeds.into_iter().map(mark).collect::<Vec<_>>())
}

fn decode(schema: SchemaRef, rows: &[Value]) -> RecordBatch {
    let mut decoder =
        ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(rows.len().max(1)).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(schema))
}

fn key(seed: u64) -> String {
    format!("{:032x}", u128::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn row(table: &Table, date: u64, seed: u64) -> Value {
    let mut row = Map::new();
    for column in table.columns {
        let value = match column.name {
            "date" => json!(day(date)),
            "report_key" | "letter" => json!(key(seed)),
            "record_index" => json!(seed % 100_000),
            "apportioned_messages" => json!(seed % 3),
            "source_ip" => json!(format!("10.{}.{}.{}", seed >> 16, seed >> 8 & 255, seed & 248)),
            _ => value(column, seed),
        };
        row.insert(column.name.to_owned(), value);
    }
    Value::Object(row)
}

fn value(column: &Column, seed: u64) -> Value {
    if column.nullable && seed.is_multiple_of(5) {
        return Value::Null;
    }
    match column.r#type {
        Type::Utf8 => json!(format!("{}-{}.example", column.name, seed % 4)),
        Type::Bool => json!(seed.is_multiple_of(2)),
        Type::Int32 | Type::Int64 => json!(seed % 6),
        Type::Float64 => json!(0.5),
        Type::Date => json!("2024-01-01"),
        Type::Timestamp => json!(format!("2024-01-01T00:{:02}:{:02}Z", seed / 60 % 60, seed % 60)),
        Type::Hash => json!("00"),
        Type::TextList => json!(["one", "two"]),
        Type::StructList(columns) => {
            let item = |n: u64| {
                columns.iter().map(|c| (c.name.to_owned(), value(c, seed + n))).collect::<Map<_, _>>()
            };
            Value::Array((0..seed % 3).map(|n| Value::Object(item(n + 1))).collect())
        }
    }
}

/// A lake in a folder of its own.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    pub(crate) lake: Lake,
}

impl Home {
    pub(crate) async fn new(options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = open(folder.path(), options).await;
        Self { folder, lake }
    }
}

pub(crate) async fn open(folder: &Path, options: &Options) -> Lake {
    Lake::open(folder.to_str().unwrap(), options).await.unwrap()
}

/// Settings for tests that do not pull the plug.
pub(crate) fn fast() -> Options {
    Options { fsync: false, ..Options::default() }
}

pub(crate) fn at(app: &str, next: u64) -> Vec<Position> {
    span(app, next - 1, next)
}

/// The position of a batch of offsets.
pub(crate) fn span(app: &str, from: u64, next: u64) -> Vec<Position> {
    vec![Position { app: app.to_owned(), from, next }]
}

pub(crate) fn committed(outcome: Result<CommitOutcome, LakeError>) -> Committed {
    match outcome.unwrap() {
        CommitOutcome::Committed(done) => done,
        other => panic!("not committed: {other:?}"),
    }
}

/// Every row of a table, partition by partition, in the order of its files.
pub(crate) async fn read(lake: &Lake, table: &Table) -> RecordBatch {
    let folder = tempfile::tempdir().unwrap();
    lake.export(&folder.path().join("copy"), &[table], false).await.unwrap();
    let mut batches = Vec::new();
    for file in parquet_files(&folder.path().join("copy")) {
        let file = std::fs::File::open(file).unwrap();
        batches.extend(
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap),
        );
    }
    match batches.first() {
        Some(first) => concat_batches(&first.schema(), &batches).unwrap(),
        None => RecordBatch::new_empty(table.schema()),
    }
}

/// The sum of a column of counts.
pub(crate) fn sum(rows: &RecordBatch, column: &str) -> i64 {
    let column: &Int64Array = rows.column_by_name(column).unwrap().as_primitive::<Int64Type>();
    column.iter().flatten().sum()
}

/// How many distinct texts a column has.
pub(crate) fn distinct(rows: &RecordBatch, column: &str) -> usize {
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    assert_eq!(column.null_count(), 0);
    column.iter().flatten().collect::<std::collections::HashSet<_>>().len()
}

/// Parquet files under a folder, in the order of their paths; those of logs are left out.
pub(crate) fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != "_delta_log" {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Says that a test needs something that is not here; where everything must be, it fails.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("skipped: {why}");
}
