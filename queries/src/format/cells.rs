//! A column's values as text: as they are, nested ones as JSON.

use std::fmt::Write;
use std::sync::LazyLock;

use arrow::array::Array;
use arrow::buffer::NullBuffer;
use arrow::datatypes::FieldRef;
use arrow::json::EncoderOptions;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::unwritable;
use crate::error::QueryError;

static JSON: LazyLock<EncoderOptions> = LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));

/// See the module.
pub(super) struct Cells<'a> {
    nulls: Option<NullBuffer>,
    text: Text<'a>,
}

enum Text<'a> {
    Plain(ArrayFormatter<'a>),
    Json { encoder: NullableEncoder<'a>, bytes: Vec<u8> },
}

impl<'a> Cells<'a> {
    pub(super) fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, QueryError> {
        let text = if array.data_type().is_nested() {
            Text::Json { encoder: make_encoder(field, array, &JSON).map_err(unwritable)?, bytes: Vec::new() }
        } else {
            Text::Plain(ArrayFormatter::try_new(array, &FormatOptions::new()).map_err(unwritable)?)
        };
        Ok(Self { nulls: array.logical_nulls(), text })
    }

    /// Appends the value of a row. Gives false, and appends nothing, when it is absent.
    pub(super) fn append(&mut self, row: usize, out: &mut String) -> Result<bool, QueryError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(false);
        }
        match &mut self.text {
            Text::Plain(formatter) => write!(out, "{}", formatter.value(row)).map_err(unwritable)?,
            Text::Json { encoder, bytes } => {
                bytes.clear();
                encoder.encode(row, bytes);
                out.push_str(std::str::from_utf8(bytes).map_err(unwritable)?);
            }
        }
        Ok(true)
    }
}
