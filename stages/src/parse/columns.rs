//! Reports and records as columns: plain buffers while rows are added, Arrow arrays at the end.
//!
//! Columns stand in the order of [`dmarcflow_schemas::report`]; Arrow checks that against the schema.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, StringArray,
    StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;

use dmarcflow_schemas::report::{ENRICHMENT, RECORDS};

use super::model::{Auth, Row};

/// Lists and texts are cut by the ends of their items.
pub(super) fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

/// Appends ends of another column, moved behind those that are there.
fn extend_ends(ends: &mut Vec<i32>, other: &[i32]) {
    let base = ends.last().copied().unwrap_or_default();
    ends.extend(other.iter().map(|end| end + base));
}

/// A column of text.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Text {
    #[inline]
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        self.ends.push(self.bytes.len() as i32);
        self.valid.push(text.is_some());
    }

    fn extend(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        extend_ends(&mut self.ends, &other.ends);
        self.valid.extend_from_slice(&other.valid);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.valid.clear();
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let nulls = if self.valid.contains(&false) { Some(NullBuffer::from(self.valid)) } else { None };
        Ok(Arc::new(StringArray::try_new(offsets(self.ends), Buffer::from_vec(self.bytes), nulls)?))
    }
}

/// Results of DKIM or SPF checks.
#[derive(Debug, Default)]
struct Results {
    ends: Vec<i32>,
    domain: Text,
    detail: Text,
    result: Text,
    human_result: Text,
}

impl Results {
    fn push(&mut self, results: &[Auth<'_>]) {
        for auth in results {
            self.domain.push(auth.domain.as_deref());
            self.detail.push(auth.detail.as_deref());
            self.result.push(auth.result);
            self.human_result.push(auth.human_result.as_deref());
        }
        self.ends.push(self.domain.len() as i32);
    }

    fn extend(&mut self, other: &Self) {
        extend_ends(&mut self.ends, &other.ends);
        self.domain.extend(&other.domain);
        self.detail.extend(&other.detail);
        self.result.extend(&other.result);
        self.human_result.extend(&other.human_result);
    }

    fn clear(&mut self) {
        self.ends.clear();
        for text in [&mut self.domain, &mut self.detail, &mut self.result, &mut self.human_result] {
            text.clear();
        }
    }

    fn finish(self, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
        let texts = [self.domain, self.detail, self.result, self.human_result];
        list(field, self.ends, texts.into_iter().map(Text::finish).collect::<Result<_, _>>()?)
    }
}

/// Records, of one report or of several.
#[derive(Debug, Default)]
pub(super) struct Records {
    index: Vec<i32>,
    source_ip: Text,
    messages: Vec<i64>,
    disposition: Text,
    dkim_aligned: Vec<bool>,
    spf_aligned: Vec<bool>,
    dmarc_pass: Vec<bool>,
    reason_ends: Vec<i32>,
    reason_type: Text,
    reason_comment: Text,
    header_from: Text,
    envelope_from: Text,
    envelope_to: Text,
    dkim: Results,
    spf: Results,
    extension: Text,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.index.push(row.index);
        self.source_ip.push(Some(&row.source_ip));
        self.messages.push(row.messages);
        self.disposition.push(row.disposition);
        self.dkim_aligned.push(row.dkim_aligned);
        self.spf_aligned.push(row.spf_aligned);
        self.dmarc_pass.push(row.passes());
        for reason in &row.reasons {
            self.reason_type.push(reason.kind);
            self.reason_comment.push(reason.comment.as_deref());
        }
        self.reason_ends.push(self.reason_type.len() as i32);
        self.header_from.push(row.header_from.as_deref());
        self.envelope_from.push(row.envelope_from.as_deref());
        self.envelope_to.push(row.envelope_to.as_deref());
        self.dkim.push(&row.dkim);
        self.spf.push(&row.spf);
        self.extension.push(row.extension.as_deref());
    }

    /// Appends all of another.
    pub(super) fn extend(&mut self, other: &Self) {
        self.index.extend_from_slice(&other.index);
        self.source_ip.extend(&other.source_ip);
        self.messages.extend_from_slice(&other.messages);
        self.disposition.extend(&other.disposition);
        self.dkim_aligned.extend_from_slice(&other.dkim_aligned);
        self.spf_aligned.extend_from_slice(&other.spf_aligned);
        self.dmarc_pass.extend_from_slice(&other.dmarc_pass);
        extend_ends(&mut self.reason_ends, &other.reason_ends);
        self.reason_type.extend(&other.reason_type);
        self.reason_comment.extend(&other.reason_comment);
        self.header_from.extend(&other.header_from);
        self.envelope_from.extend(&other.envelope_from);
        self.envelope_to.extend(&other.envelope_to);
        self.dkim.extend(&other.dkim);
        self.spf.extend(&other.spf);
        self.extension.extend(&other.extension);
    }

    /// Empties the columns, which keep their memory.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.messages.clear();
        self.dkim_aligned.clear();
        self.spf_aligned.clear();
        self.dmarc_pass.clear();
        self.reason_ends.clear();
        self.dkim.clear();
        self.spf.clear();
        for text in [
            &mut self.source_ip,
            &mut self.disposition,
            &mut self.reason_type,
            &mut self.reason_comment,
            &mut self.header_from,
            &mut self.envelope_from,
            &mut self.envelope_to,
            &mut self.extension,
        ] {
            text.clear();
        }
    }

    /// The records' list column; `ends` cuts the records into reports. Enrichment is absent.
    pub(super) fn finish(self, ends: Vec<i32>) -> Result<ArrayRef, ArrowError> {
        let field: FieldRef = Arc::new(RECORDS.field());
        let fields = item_fields(&field)?;
        let named = |name: &str| fields.iter().find(|f| f.name() == name).ok_or_else(|| not_a_list(name));
        let rows = self.len();
        let reasons = vec![self.reason_type.finish()?, self.reason_comment.finish()?];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(self.index)),
            self.source_ip.finish()?,
            Arc::new(Int64Array::from(self.messages)),
            self.disposition.finish()?,
            Arc::new(BooleanArray::from(self.dkim_aligned)),
            Arc::new(BooleanArray::from(self.spf_aligned)),
            Arc::new(BooleanArray::from(self.dmarc_pass)),
            list(named("reasons")?, self.reason_ends, reasons)?,
            self.header_from.finish()?,
            self.envelope_from.finish()?,
            self.envelope_to.finish()?,
            self.dkim.finish(named("dkim")?)?,
            self.spf.finish(named("spf")?)?,
            self.extension.finish()?,
        ];
        columns.extend(ENRICHMENT.iter().map(|c| new_null_array(&c.r#type.arrow(), rows)));
        list(&field, ends, columns)
    }
}

/// A list of structs.
pub(super) fn list(field: &FieldRef, ends: Vec<i32>, columns: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    let values = StructArray::try_new(item_fields(field)?, columns, None)?;
    let DataType::List(item) = field.data_type() else { return Err(not_a_list(field.name())) };
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets(ends), Arc::new(values), None)?))
}

fn item_fields(field: &FieldRef) -> Result<Fields, ArrowError> {
    match field.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => Ok(fields.clone()),
            _ => Err(not_a_list(field.name())),
        },
        _ => Err(not_a_list(field.name())),
    }
}

fn not_a_list(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column `{name}` is no list of structs"))
}

/// Instants in microseconds, UTC.
pub(super) fn timestamps(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

/// Hashes of sixteen bytes.
pub(super) fn hashes(hashes: &[[u8; 16]]) -> Result<ArrayRef, ArrowError> {
    let values = Buffer::from_vec(hashes.concat());
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, values, None)?))
}
