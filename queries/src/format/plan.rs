//! A query's plan as people read it: the text that EXPLAIN gives, line by line.

use std::io::Write;

use arrow::array::RecordBatch;

use super::AnswerWriter;
use super::cells::Cells;
use crate::error::QueryError;

/// See the module.
pub(super) struct PlanText<'a> {
    out: &'a mut (dyn Write + Send),
}

impl<'a> PlanText<'a> {
    pub(super) fn new(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out }
    }
}

impl AnswerWriter for PlanText<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let mut columns =
            columns.map(|(field, array)| Cells::new(field, array)).collect::<Result<Vec<_>, _>>()?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for cells in &mut columns {
                cells.append(row, &mut text)?;
                text.push('\n');
            }
        }
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn finish(self: Box<Self>) -> Result<(), QueryError> {
        Ok(self.out.flush()?)
    }
}
