//! Rows of a table in their one order: what batches of any cut become before they are written.
//!
//! The order is the partition, then the table's sort columns; of a table of sums, then its other
//! keys, and rows with equal keys are one row. So the same rows give the same file, however they came.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, partition, take_record_batch};
use arrow::datatypes::{Date32Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use dmarcflow_schemas::ipc;
use dmarcflow_schemas::rollup::MEASURES;
use dmarcflow_schemas::tables::{Merge, PARTITION, Table};

use crate::error::{During, LakeError};

/// Dates that a partition may have: the years 1 to 9999, which every reader of Delta Lake takes.
const DATES: RangeInclusive<i32> = -719_162..=2_932_896;

/// Rows of one partition, in order, without the partition's column.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Days since 1970-01-01.
    pub(crate) date: i32,
    pub(crate) rows: RecordBatch,
}

/// How rows of a table are ordered, and which of them are one.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    table: &'static str,
    /// Every column of the table, `date` first.
    pub(crate) schema: SchemaRef,
    /// The columns of a data file: all but `date`.
    pub(crate) file_schema: SchemaRef,
    /// Columns of `file_schema` that decide the order, the first one first.
    sort: Vec<usize>,
    /// Columns of `file_schema` that are key, of a table of sums.
    keys: Option<Range<usize>>,
}

impl Order {
    pub(crate) fn new(table: &Table) -> Result<Self, LakeError> {
        let rows = During { table: table.name, what: "reading its definition" };
        let schema = table.schema();
        let file_schema = Arc::new(
            schema.project(&(1..schema.fields().len()).collect::<Vec<_>>()).map_err(|e| rows.rows(e))?,
        );
        let mut sort = Vec::new();
        for column in table.sort {
            sort.push(file_schema.index_of(column).map_err(|e| rows.rows(e))?);
        }
        let keys = (table.merge == Merge::Sum).then(|| 0..file_schema.fields().len() - MEASURES.len());
        if let Some(keys) = &keys {
            sort.extend(keys.clone().filter(|key| !sort.contains(key)).collect::<Vec<_>>());
        }
        Ok(Self { table: table.name, schema, file_schema, sort, keys })
    }

    fn during(&self) -> During<'_> {
        During { table: self.table, what: "ordering rows" }
    }

    /// The rows of these batches by partition, in order; sums added up.
    pub(crate) fn parts(&self, batches: Vec<RecordBatch>) -> Result<Vec<Part>, LakeError> {
        let mut conformed = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            conformed.push(ipc::conform(batch, &self.schema).map_err(|e| self.during().rows(e))?);
        }
        if conformed.is_empty() {
            return Ok(Vec::new());
        }
        self.order(&conformed).map_err(|e| self.during().rows(e))
    }

    /// Rows of data files of one partition as one, in order; sums added up.
    pub(crate) fn join(&self, date: i32, files: &[RecordBatch]) -> Result<Part, ArrowError> {
        let rows = match files {
            [only] => return Ok(Part { date, rows: self.collapse(only.clone())? }),
            many => concat_batches(&self.file_schema, many)?,
        };
        let keys = self.keys(&self.converter()?, &rows)?;
        let sorted = take_record_batch(&rows, &permutation(&keys))?;
        Ok(Part { date, rows: self.collapse(sorted)? })
    }

    fn order(&self, batches: &[RecordBatch]) -> Result<Vec<Part>, ArrowError> {
        let rows = match batches {
            [only] => only.clone(),
            many => concat_batches(&self.schema, many)?,
        };
        let sorted = take_record_batch(&rows, &self.permutation(&rows)?)?;
        let dates = Arc::clone(sorted.column(0));
        let files = sorted.project(&(1..sorted.num_columns()).collect::<Vec<_>>())?;
        let mut parts = Vec::new();
        for range in partition(std::slice::from_ref(&dates))?.ranges() {
            let date = dates.as_primitive::<Date32Type>().value(range.start);
            if !DATES.contains(&date) {
                return Err(ArrowError::InvalidArgumentError(format!(
                    "{} is no date of the years 1 to 9999",
                    date_text(date)
                )));
            }
            let rows = self.collapse(files.slice(range.start, range.len()))?;
            parts.push(Part { date, rows });
        }
        Ok(parts)
    }

    /// The permutation that puts rows of the whole table in order.
    fn permutation(&self, rows: &RecordBatch) -> Result<UInt32Array, ArrowError> {
        // Column 0 is the partition, which files do not have: their column n is column n + 1 here.
        let columns: Vec<_> = [0]
            .into_iter()
            .chain(self.sort.iter().map(|c| c + 1))
            .map(|c| Arc::clone(rows.column(c)))
            .collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        Ok(permutation(&RowConverter::new(fields)?.convert_columns(&columns)?))
    }

    /// What compares the order of rows of data files.
    pub(crate) fn converter(&self) -> Result<RowConverter, ArrowError> {
        let types = self.sort.iter().map(|&c| self.file_schema.field(c).data_type().clone());
        RowConverter::new(types.map(SortField::new).collect())
    }

    /// The comparable keys of a data file's rows.
    pub(crate) fn keys(&self, converter: &RowConverter, rows: &RecordBatch) -> Result<Rows, ArrowError> {
        let columns: Vec<_> = self.sort.iter().map(|&c| Arc::clone(rows.column(c))).collect();
        converter.convert_columns(&columns)
    }

    /// Whether rows with equal keys add up.
    pub(crate) fn sums(&self) -> bool {
        self.keys.is_some()
    }

    /// Adds up neighbours with equal keys, of a table of sums.
    pub(crate) fn collapse(&self, rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some(keys) = &self.keys else { return Ok(rows) };
        if rows.num_rows() < 2 {
            return Ok(rows);
        }
        let key_columns: Vec<ArrayRef> = self.sort.iter().map(|&c| Arc::clone(rows.column(c))).collect();
        let ranges = partition(&key_columns)?.ranges();
        if ranges.len() == rows.num_rows() {
            return Ok(rows);
        }
        let firsts = UInt32Array::from_iter_values(ranges.iter().map(|range| range.start as u32));
        let first = take_record_batch(&rows, &firsts)?;
        let mut columns = first.columns()[keys.clone()].to_vec();
        for measure in keys.end..rows.num_columns() {
            columns.push(Arc::new(sums(rows.column(measure).as_primitive::<Int64Type>(), &ranges)));
        }
        RecordBatch::try_new(rows.schema(), columns)
    }
}

/// The permutation that sorts these keys; equal ones stay as they came.
fn permutation(keys: &Rows) -> UInt32Array {
    let mut order: Vec<u32> = (0..keys.num_rows() as u32).collect();
    order.sort_by(|&a, &b| keys.row(a as usize).cmp(&keys.row(b as usize)));
    UInt32Array::from(order)
}

/// The sum of each range. A report may claim any count: what exceeds 64 bits stays at their end,
/// which for counts is the same sum in any order.
fn sums(values: &Int64Array, ranges: &[Range<usize>]) -> Int64Array {
    let values = values.values();
    let sum = |range: &Range<usize>| {
        values[range.clone()].iter().fold(0_i64, |sum, value| sum.saturating_add(*value))
    };
    Int64Array::from_iter_values(ranges.iter().map(sum))
}

/// `YYYY-MM-DD`, as Delta Lake writes a partition's value.
pub(crate) fn date_text(days: i32) -> String {
    Date32Type::to_naive_date_opt(days).map_or_else(|| days.to_string(), |date| date.to_string())
}

/// The days since 1970-01-01 of `YYYY-MM-DD`.
pub(crate) fn date_days(text: &str) -> Option<i32> {
    use arrow::compute::kernels::cast_utils::Parser;
    Date32Type::parse(text)
}

/// The partition column of a batch that has it.
pub(crate) fn dates(batch: &RecordBatch) -> Option<&arrow::array::Date32Array> {
    batch.column_by_name(PARTITION).and_then(|column| column.as_primitive_opt::<Date32Type>())
}
