//! A dead letter, or what a person did with it, as a row or mark of `dead_letters`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::tables::letter_state;
use dmarcflow_schemas::{Column, Record, Table, Type, column, ipc};

use super::{Addition, fault};
use crate::Fault;
use crate::aggregate::day_of;

/// How a letter is called: `partition/offset` in `dead.letters`.
pub fn letter_id(partition: u32, offset: u64) -> String {
    format!("{partition}/{offset}")
}

/// The header that makes a message of `dead.letters` an act upon an earlier letter; its value is the
/// letter, the header [`header::KIND`] the new state, and [`DIED`] the time at which the letter died.
pub const LETTER: &str = "letter";
/// When the letter that is acted upon died: milliseconds since 1970, decimal. Its row's date follows from it.
pub const DIED: &str = "died";

/// The row of a letter, or the mark of an act upon one.
pub(super) fn addition(record: &Record) -> Result<Addition, Fault> {
    let (batch, marks) = match record.header(LETTER) {
        Some(letter) => (mark(record, letter)?, true),
        None => (row(record)?, false),
    };
    Ok(Addition { table: "dead_letters", batch, marks })
}

fn row(record: &Record) -> Result<RecordBatch, Fault> {
    let table = Table::named("dead_letters").ok_or_else(|| fault("there is no table `dead_letters`"))?;
    let of = |name: &str| text(record.header(name).unwrap_or_default());
    let columns = table.columns.iter().map(|c| -> ArrayRef {
        match c.name {
            "date" => date(record.timestamp),
            "died_at" => Arc::new(
                TimestampMicrosecondArray::from(vec![record.timestamp.saturating_mul(1000)])
                    .with_timezone("UTC"),
            ),
            "letter" => text(&letter_id(record.source.partition, record.offset)),
            "attempts" => {
                let attempts = record.header(header::ATTEMPTS).and_then(|a| a.parse().ok());
                Arc::new(Int64Array::from(vec![attempts.unwrap_or(1)]))
            }
            "size" => Arc::new(Int64Array::from(vec![record.value.len() as i64])),
            "state" => text(letter_state::OPEN),
            name => of(name),
        }
    });
    RecordBatch::try_new(table.schema(), columns.collect()).map_err(fault)
}

fn mark(record: &Record, letter: &str) -> Result<RecordBatch, Fault> {
    const MARK: [Column; 3] = [
        Column::required("date", Type::Date, "Partition of the letter's row", "dmarcflow"),
        Column::required("letter", Type::Utf8, "The letter", "dmarcflow"),
        Column::required("state", Type::Utf8, "Its new state", "dmarcflow"),
    ];
    let died = record
        .header(DIED)
        .and_then(|d| d.parse().ok())
        .ok_or_else(|| fault("an act names no letter's time"))?;
    let state = record.header(header::KIND).unwrap_or(letter_state::DISCARDED);
    let columns = vec![date(died), text(letter), text(state)];
    RecordBatch::try_new(ipc::schema(column::fields(&MARK)), columns).map_err(fault)
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn date(milliseconds: i64) -> ArrayRef {
    Arc::new(Date32Array::from(vec![day_of(milliseconds.div_euclid(1000))]))
}
