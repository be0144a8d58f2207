//! A report message as rows of `reports` and of `records`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringBuilder, StructArray,
    UInt32Array,
};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use dmarcflow_schemas::Table;

use super::{Addition, fault};
use crate::Fault;
use crate::aggregate::{day_of, report_key};
use crate::view::{column, records};

/// The rows of both tables.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Addition>, Fault> {
    let own = Own::of(batch)?;
    Ok(vec![record_rows(batch, &own)?, report_rows(batch, &own)?])
}

/// The columns of our own that both tables have.
struct Own {
    date: ArrayRef,
    report_key: ArrayRef,
}

impl Own {
    fn of(batch: &RecordBatch) -> Result<Self, Fault> {
        let begin = column(batch, "range_begin", |a| a.as_primitive_opt::<TimestampMicrosecondType>())?;
        let identity = column(batch, "identity", |a| a.as_fixed_size_binary_opt())?;
        let content = column(batch, "content", |a| a.as_fixed_size_binary_opt())?;
        let days = begin.values().iter().map(|t| day_of(t.div_euclid(1_000_000)));
        let mut keys = StringBuilder::with_capacity(batch.num_rows(), batch.num_rows() * 32);
        for i in 0..batch.num_rows() {
            keys.append_value(report_key(identity.value(i), content.value(i)));
        }
        Ok(Self { date: Arc::new(Date32Array::from_iter_values(days)), report_key: Arc::new(keys.finish()) })
    }
}

/// A row a report: of a sliced one, the first slice gives it.
fn report_rows(batch: &RecordBatch, own: &Own) -> Result<Addition, Fault> {
    let rows = batch.num_rows();
    let table = table("reports")?;
    let slice = column(batch, "slice", |a| a.as_primitive_opt::<Int32Type>())?;
    let columns = table.columns.iter().map(|c| match c.name {
        "date" => Ok(Arc::clone(&own.date)),
        "report_key" => Ok(Arc::clone(&own.report_key)),
        "messages" => named(batch, "message_count"),
        "passed_messages" => named(batch, "passed_count"),
        "copies" => Ok(Arc::new(Int64Array::from_value(1, rows)) as ArrayRef),
        "conflict" => Ok(Arc::new(BooleanArray::from(vec![false; rows])) as ArrayRef),
        name => named(batch, name),
    });
    let all = RecordBatch::try_new(table.schema(), columns.collect::<Result<_, _>>()?).map_err(fault)?;
    let first: BooleanArray = slice.iter().map(|s| Some(s == Some(0))).collect();
    let batch =
        if first.true_count() == rows { all } else { filter_record_batch(&all, &first).map_err(fault)? };
    Ok(Addition { table: table.name, batch, marks: false })
}

/// A row a record, with what identifies its report.
fn record_rows(batch: &RecordBatch, own: &Own) -> Result<Addition, Fault> {
    let table = table("records")?;
    let (list, values) = records(batch)?;
    let (from, to) = match list.value_offsets() {
        [first, .., last] => (*first as usize, *last as usize),
        _ => (0, 0),
    };
    let values: StructArray = values.slice(from, to - from);
    let report_of: UInt32Array = list
        .value_offsets()
        .windows(2)
        .enumerate()
        .flat_map(|(report, span)| std::iter::repeat_n(report as u32, (span[1] - span[0]) as usize))
        .collect::<Vec<_>>()
        .into();
    let of_report = |array: &ArrayRef| take(array, &report_of, None).map_err(fault);
    let columns = table.columns.iter().map(|c| match c.name {
        "date" => of_report(&own.date),
        "report_key" => of_report(&own.report_key),
        name => match values.column_by_name(name) {
            Some(column) => Ok(Arc::clone(column)),
            None => of_report(&named(batch, name)?),
        },
    });
    let batch = RecordBatch::try_new(table.schema(), columns.collect::<Result<_, _>>()?).map_err(fault)?;
    Ok(Addition { table: table.name, batch, marks: false })
}

fn table(name: &str) -> Result<&'static Table, Fault> {
    Table::named(name).ok_or_else(|| fault(format!("there is no table `{name}`")))
}

fn named(batch: &RecordBatch, name: &str) -> Result<ArrayRef, Fault> {
    batch.column_by_name(name).map(Arc::clone).ok_or_else(|| fault(format!("there is no column `{name}`")))
}
