//! CSV as RFC 4180 has it: CRLF between lines, quotes around what needs them.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::AnswerWriter;
use super::cells::Cells;
use crate::error::QueryError;

const NEW_LINE: &str = "\r\n";
/// Text that is collected before it is written, in bytes.
const CHUNK: usize = 64 << 10;

/// See the module.
pub(super) struct Csv<'a> {
    out: &'a mut (dyn Write + Send),
}

impl<'a> Csv<'a> {
    pub(super) fn new(schema: &SchemaRef, out: &'a mut (dyn Write + Send)) -> Result<Self, QueryError> {
        let mut line = String::new();
        for (column, field) in schema.fields().iter().enumerate() {
            separate(column, &mut line);
            quote(&mut line, field.name());
        }
        line.push_str(NEW_LINE);
        out.write_all(line.as_bytes())?;
        Ok(Self { out })
    }
}

impl AnswerWriter for Csv<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let mut columns =
            columns.map(|(field, array)| Cells::new(field, array)).collect::<Result<Vec<_>, _>>()?;
        let (mut text, mut value) = (String::new(), String::new());
        for row in 0..batch.num_rows() {
            for (column, cells) in columns.iter_mut().enumerate() {
                separate(column, &mut text);
                value.clear();
                if cells.append(row, &mut value)? {
                    quote(&mut text, &value);
                }
            }
            text.push_str(NEW_LINE);
            if text.len() >= CHUNK {
                self.out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<(), QueryError> {
        Ok(self.out.flush()?)
    }
}

fn separate(column: usize, text: &mut String) {
    if column > 0 {
        text.push(',');
    }
}

/// A field; an empty one in quotes, which tells it from an absent one.
fn quote(text: &mut String, field: &str) {
    if !field.is_empty() && !field.contains([',', '"', '\r', '\n']) && field.trim().len() == field.len() {
        text.push_str(field);
        return;
    }
    text.push('"');
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}
