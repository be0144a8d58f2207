//! JSON: one array of objects, or one object a line. Absent values are `null`.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::writer::{JsonArray, LineDelimited, Writer, WriterBuilder};

use super::{AnswerWriter, unwritable};
use crate::error::QueryError;

type Out<'a> = &'a mut (dyn Write + Send);

/// See the module.
pub(super) enum Json<'a> {
    Array(Writer<Out<'a>, JsonArray>),
    Lines(Writer<Out<'a>, LineDelimited>),
}

impl<'a> Json<'a> {
    pub(super) fn array(out: Out<'a>) -> Self {
        Self::Array(WriterBuilder::new().with_explicit_nulls(true).build(out))
    }

    pub(super) fn lines(out: Out<'a>) -> Self {
        Self::Lines(WriterBuilder::new().with_explicit_nulls(true).build(out))
    }
}

impl AnswerWriter for Json<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match self {
            Self::Array(writer) => writer.write(batch),
            Self::Lines(writer) => writer.write(batch),
        }
        .map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<(), QueryError> {
        let out = match *self {
            Self::Array(mut writer) => {
                writer.finish().map_err(failed)?;
                let out = writer.into_inner();
                out.write_all(b"\n")?;
                out
            }
            Self::Lines(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner()
            }
        };
        Ok(out.flush()?)
    }
}

fn failed(error: arrow::error::ArrowError) -> QueryError {
    match error {
        arrow::error::ArrowError::IoError(_, error) => QueryError::Write(error),
        other => unwritable(other),
    }
}
