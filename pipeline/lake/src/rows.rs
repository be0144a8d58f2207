//! Rows of a table in their one order: what batches of any cut become before they are written.
//!
//! The order is the partition, then the table's sort columns; of a table of sums, then its other
//! keys, and rows with equal keys are one row. So the same rows give the same file, however they came.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, partition, take_record_batch};
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

/// Batches as they came, and where the rows of each day stand in them, in order: so that a commit holds its
/// rows once, and beside them those of the day at hand.
#[derive(Debug)]
pub(crate) struct Ordered {
    batches: Vec<RecordBatch>,
    /// Day, and its rows by batch and place there.
    days: Vec<(i32, Vec<(usize, usize)>)>,
}

impl Ordered {
    /// How many days have rows.
    pub(crate) fn days(&self) -> usize {
        self.days.len()
    }
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

    /// These batches, ordered; their rows stay where they are until a day's are asked for.
    pub(crate) fn order(&self, batches: Vec<RecordBatch>) -> Result<Ordered, LakeError> {
        let mut conformed = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            conformed.push(ipc::conform(batch, &self.schema).map_err(|e| self.during().rows(e))?);
        }
        self.ordered(conformed).map_err(|e| self.during().rows(e))
    }

    /// Rows of data files of one partition as one, in order; sums added up.
    pub(crate) fn join(&self, date: i32, files: &[RecordBatch]) -> Result<Part, ArrowError> {
        if let [only] = files {
            return Ok(Part { date, rows: self.collapse(only.clone())? });
        }
        let converter = self.converter()?;
        let keys = files.iter().map(|rows| self.keys(&converter, rows)).collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<(usize, usize)> =
            Vec::with_capacity(files.iter().map(RecordBatch::num_rows).sum());
        for (n, file) in files.iter().enumerate() {
            order.extend((0..file.num_rows()).map(|row| (n, row)));
        }
        sort(&mut order, &keys);
        let sorted = interleave_record_batch(&files.iter().collect::<Vec<_>>(), &order)?;
        Ok(Part { date, rows: self.collapse(sorted)? })
    }

    fn ordered(&self, batches: Vec<RecordBatch>) -> Result<Ordered, ArrowError> {
        let converter = self.converter()?;
        let mut files = Vec::with_capacity(batches.len());
        let mut keys = Vec::with_capacity(batches.len());
        let mut days: BTreeMap<i32, Vec<(usize, usize)>> = BTreeMap::new();
        for (n, batch) in batches.into_iter().enumerate() {
            for (row, date) in batch.column(0).as_primitive::<Date32Type>().values().iter().enumerate() {
                days.entry(*date).or_default().push((n, row));
            }
            let file = batch.project(&(1..batch.num_columns()).collect::<Vec<_>>())?;
            keys.push(self.keys(&converter, &file)?);
            files.push(file);
        }
        if let Some(date) = days.keys().find(|date| !DATES.contains(date)) {
            let problem = format!("{} is no date of the years 1 to 9999", date_text(*date));
            return Err(ArrowError::InvalidArgumentError(problem));
        }
        days.values_mut().for_each(|rows| sort(rows, &keys));
        Ok(Ordered { batches: files, days: days.into_iter().collect() })
    }

    /// A day's rows, in order; sums added up.
    pub(crate) fn part(&self, of: &Ordered, day: usize) -> Result<Part, LakeError> {
        let (date, rows) = &of.days[day];
        let (batches, rows) = only(&of.batches, rows);
        let part = interleave_record_batch(&batches, &rows).and_then(|rows| self.collapse(rows));
        Ok(Part { date: *date, rows: part.map_err(|e| self.during().rows(e))? })
    }

    /// The same rows of a table of sums as one batch: those with equal keys added up.
    pub(crate) fn fold(&self, batches: Vec<RecordBatch>) -> Result<Option<RecordBatch>, LakeError> {
        let ordered = self.order(batches)?;
        let days = (0..ordered.days()).map(|day| {
            let Part { date, rows } = self.part(&ordered, day)?;
            let mut columns: Vec<ArrayRef> = vec![Arc::new(Date32Array::from_value(date, rows.num_rows()))];
            columns.extend_from_slice(rows.columns());
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| self.during().rows(e))
        });
        let days = days.collect::<Result<Vec<_>, _>>()?;
        if days.is_empty() {
            return Ok(None);
        }
        concat_batches(&self.schema, &days).map(Some).map_err(|e| self.during().rows(e))
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

/// Of many batches those that the rows are in, and where the rows are in these.
fn only<'a>(
    batches: &'a [RecordBatch],
    rows: &[(usize, usize)],
) -> (Vec<&'a RecordBatch>, Vec<(usize, usize)>) {
    let mut places = vec![None; batches.len()];
    let mut used = Vec::new();
    let place = |&(batch, row): &(usize, usize)| {
        let place = *places[batch].get_or_insert_with(|| {
            used.push(&batches[batch]);
            used.len() - 1
        });
        (place, row)
    };
    let rows = rows.iter().map(place).collect();
    (used, rows)
}

/// Sorts rows, by batch and place there, by their keys; equal ones stay as they came.
fn sort(rows: &mut [(usize, usize)], keys: &[Rows]) {
    rows.sort_by(|a, b| keys[a.0].row(a.1).cmp(&keys[b.0].row(b.1)));
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
