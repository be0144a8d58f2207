//! How an answer is written.
//!
//! Every format is written as the rows come; what is held is a batch, for a table the rows that its
//! column widths are taken from, for Parquet a row group. Instants are RFC 3339 in UTC, dates ISO 8601;
//! nested values are JSON where the format has none of its own.

mod cells;
mod csv;
mod json;
mod parquet;
mod plan;
mod table;

use std::io::Write;
use std::str::FromStr;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::QueryError;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// RFC 4180, with a header line. An absent value is an empty field, an empty text is `""`.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A Parquet file.
    Parquet,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Table, Self::Csv, Self::Json, Self::Ndjson, Self::Parquet];

    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

impl FromStr for Format {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| QueryError::Format(name.to_owned()))
    }
}

/// How a table is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableStyle {
    /// Columns of the terminal that the table must fit into; absent when it goes elsewhere, then nothing is cut.
    pub width: Option<usize>,
}

/// Writes one answer.
pub(crate) trait AnswerWriter {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError>;
    /// Writes what is still held and what ends the answer.
    fn finish(self: Box<Self>) -> Result<(), QueryError>;
}

/// A writer of answers with these columns.
pub(crate) fn writer<'a>(
    format: Format,
    style: &TableStyle,
    plan: bool,
    schema: &SchemaRef,
    out: &'a mut (dyn Write + Send),
) -> Result<Box<dyn AnswerWriter + Send + 'a>, QueryError> {
    Ok(match format {
        Format::Table if plan => Box::new(plan::PlanText::new(out)),
        Format::Table => Box::new(table::Table::new(schema, style, out)),
        Format::Csv => Box::new(csv::Csv::new(schema, out)?),
        Format::Json => Box::new(json::Json::array(out)),
        Format::Ndjson => Box::new(json::Json::lines(out)),
        Format::Parquet => Box::new(parquet::ParquetFile::new(schema, out)?),
    })
}

/// An error of a value that cannot be written in the format.
pub(crate) fn unwritable(error: impl std::fmt::Display) -> QueryError {
    QueryError::Failed(format!("a value cannot be written: {error}"))
}
