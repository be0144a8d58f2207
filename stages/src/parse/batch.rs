//! Messages of `reports.parsed`: reports gathered by partition, bounded in size; large reports sliced.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use dmarcflow_schemas::message::{header, partition_of};
use dmarcflow_schemas::report::{self, KEPT, VERSIONS};
use dmarcflow_schemas::{Message, ipc};

use super::columns::{Records, Text, hashes, list, offsets, timestamps};
use super::model::{Report, Row};
use super::repairs::Repairs;
use crate::{Fault, topics};

/// A message is closed before its columns exceed this. Bytes.
const MESSAGE_BYTES: usize = 768 << 10;
/// A slice's records take no more than this, or are one record. Bytes.
const SLICE_BYTES: usize = 448 << 10;
/// What a record takes beside its values: ends, numbers, the columns that enrichment fills. Bytes.
const RECORD_OVERHEAD: usize = 160;
/// What a report takes beside its texts. Bytes.
const REPORT_OVERHEAD: usize = 512;

/// The records of the report that is being read, already cut into slices.
#[derive(Debug, Default)]
pub(super) struct Staging {
    full: Vec<(Records, usize)>,
    open: Records,
    bytes: usize,
}

impl Staging {
    /// Adds a record whose values take about `bytes`.
    #[inline]
    pub(super) fn push(&mut self, row: &Row<'_>, bytes: usize) {
        let bytes = bytes + RECORD_OVERHEAD;
        if self.bytes + bytes > SLICE_BYTES && self.open.len() > 0 {
            self.full.push((std::mem::take(&mut self.open), self.bytes));
            self.bytes = 0;
        }
        self.open.push(row);
        self.bytes += bytes;
    }

    pub(super) fn clear(&mut self) {
        self.full.clear();
        self.open.clear();
        self.bytes = 0;
    }
}

/// Where a report came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provenance<'a> {
    pub(super) origin: &'a str,
    pub(super) entry: &'a str,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) received_at: i64,
    pub(super) raw_partition: i32,
    pub(super) raw_offset: i64,
    pub(super) part: i32,
}

/// A report that was read, with what belongs to its row.
#[derive(Debug)]
pub(super) struct Finished<'r> {
    pub(super) report: &'r Report<'r>,
    pub(super) repairs: &'r Repairs,
    pub(super) from: Provenance<'r>,
    /// The interval in microseconds since 1970-01-01 UTC, also where the report lacks one.
    pub(super) interval: (i64, i64),
}

/// Reports on their way into messages.
#[derive(Debug)]
pub(super) struct Batches {
    partitions: u32,
    open: BTreeMap<u32, Batch>,
    pub(super) messages: Vec<Message>,
}

impl Batches {
    pub(super) fn new(partitions: u32) -> Self {
        Self { partitions, open: BTreeMap::new(), messages: Vec::new() }
    }

    /// Adds a report and empties `staging`, which holds its records.
    pub(super) fn add(&mut self, finished: &Finished<'_>, staging: &mut Staging) -> Result<(), Fault> {
        let key = finished.report.policy_domain.as_bytes();
        let batch = self.open.entry(partition_of(key, self.partitions)).or_default();
        let full = std::mem::take(&mut staging.full);
        let slices = full.len() as i32 + 1;
        for (slice, (records, bytes)) in full.into_iter().enumerate() {
            batch.add(finished, &records, bytes, (slice as i32, slices), &mut self.messages)?;
        }
        batch.add(finished, &staging.open, staging.bytes, (slices - 1, slices), &mut self.messages)?;
        staging.clear();
        Ok(())
    }

    /// Closes every open message.
    pub(super) fn finish(mut self) -> Result<Vec<Message>, Fault> {
        for mut batch in std::mem::take(&mut self.open).into_values() {
            batch.close(&mut self.messages)?;
        }
        Ok(self.messages)
    }
}

/// The columns of a message.
#[derive(Debug, Default)]
struct Batch {
    key: Vec<u8>,
    bytes: usize,
    reports: Reports,
    records: Records,
    record_ends: Vec<i32>,
}

impl Batch {
    fn add(
        &mut self,
        finished: &Finished<'_>,
        records: &Records,
        record_bytes: usize,
        slice: (i32, i32),
        messages: &mut Vec<Message>,
    ) -> Result<(), Fault> {
        let bytes = record_bytes + report_bytes(finished);
        if self.bytes + bytes > MESSAGE_BYTES {
            self.close(messages)?;
        }
        if self.record_ends.is_empty() {
            self.key = finished.report.policy_domain.as_bytes().to_vec();
        }
        self.bytes += bytes;
        self.reports.push(finished, slice);
        self.records.extend(records);
        self.record_ends.push(self.records.len() as i32);
        Ok(())
    }

    /// Makes a message of what is there.
    fn close(&mut self, messages: &mut Vec<Message>) -> Result<(), Fault> {
        if self.record_ends.is_empty() {
            return Ok(());
        }
        let Self { key, reports, records, record_ends, .. } = std::mem::take(self);
        let failed = |e: String| Fault::Poison {
            reason: "encode",
            detail: format!("reports do not fit their schema: {e}"),
        };
        let mut columns = reports.finish().map_err(|e| failed(e.to_string()))?;
        columns.push(records.finish(record_ends).map_err(|e| failed(e.to_string()))?);
        let batch =
            RecordBatch::try_new(Arc::clone(&report::SCHEMA), columns).map_err(|e| failed(e.to_string()))?;
        let value = ipc::encode(&batch).map_err(|e| failed(e.to_string()))?;
        messages
            .push(Message::new(topics::PARSED, key, value).with(header::SCHEMA, report::VERSION.to_string()));
        Ok(())
    }
}

/// About what a report's row takes.
fn report_bytes(finished: &Finished<'_>) -> usize {
    let r = finished.report;
    let optional = [&r.email, &r.extra_contact_info, &r.generator, &r.version, &r.published.fo, &r.extension];
    let texts: usize = optional.into_iter().flatten().chain(&r.errors).map(|t| t.len() + 4).sum();
    let repairs: usize =
        finished.repairs.iter().map(|(k, p, o, _)| k.len() + p.len() + o.map_or(0, str::len) + 24).sum();
    let required = r.org_name.len() + r.policy_domain.len() + r.report_id.len();
    REPORT_OVERHEAD + required + texts + repairs + finished.from.origin.len() + finished.from.entry.len()
}

/// The columns of reports.
#[derive(Debug, Default)]
struct Reports {
    /// policy_domain, org_name, report_id.
    names: [Text; 3],
    begin: Vec<i64>,
    end: Vec<i64>,
    email: Text,
    extra_contact_info: Text,
    error_ends: Vec<i32>,
    error_valid: Vec<bool>,
    errors: Text,
    generator: Text,
    version: Text,
    /// p, sp, np, adkim, aspf.
    policy: [Text; 5],
    pct: Vec<Option<i32>>,
    /// fo, testing, discovery_method, psd.
    more_policy: [Text; 4],
    extension: Text,
    repair_ends: Vec<i32>,
    /// kind, place, original.
    repairs: [Text; 3],
    repair_count: Vec<i64>,
    origin: Text,
    entry: Text,
    received_at: Vec<i64>,
    raw_partition: Vec<i32>,
    raw_offset: Vec<i64>,
    part: Vec<i32>,
    xml_bytes: Vec<i64>,
    identity: Vec<[u8; 16]>,
    content: Vec<[u8; 16]>,
    /// record_count, message_count, passed_count.
    counts: [Vec<i64>; 3],
    slice: Vec<i32>,
    slices: Vec<i32>,
}

impl Reports {
    fn push(&mut self, finished: &Finished<'_>, (slice, slices): (i32, i32)) {
        let r = finished.report;
        push_each(&mut self.names, [Some(&*r.policy_domain), Some(&*r.org_name), Some(&*r.report_id)]);
        self.begin.push(finished.interval.0);
        self.end.push(finished.interval.1);
        self.email.push(r.email.as_deref());
        self.extra_contact_info.push(r.extra_contact_info.as_deref());
        for error in &r.errors {
            self.errors.push(Some(error));
        }
        self.error_ends.push(self.errors.len() as i32);
        self.error_valid.push(!r.errors.is_empty());
        self.generator.push(r.generator.as_deref());
        self.version.push(r.version.as_deref());
        let p = &r.published;
        push_each(&mut self.policy, [p.p, p.sp, p.np, p.adkim, p.aspf]);
        self.pct.push(p.pct);
        push_each(&mut self.more_policy, [p.fo.as_deref(), p.testing, p.discovery_method, p.psd]);
        self.extension.push(r.extension.as_deref());
        for (kind, place, original, count) in finished.repairs.iter() {
            push_each(&mut self.repairs, [Some(kind), Some(place), original]);
            self.repair_count.push(count);
        }
        self.repair_ends.push(self.repair_count.len() as i32);
        self.push_provenance(&finished.from);
        self.xml_bytes.push(r.xml_bytes);
        self.identity.push(r.identity);
        self.content.push(r.content);
        for (column, count) in self.counts.iter_mut().zip([r.record_count, r.message_count, r.passed_count]) {
            column.push(count);
        }
        self.slice.push(slice);
        self.slices.push(slices);
    }

    fn push_provenance(&mut self, from: &Provenance<'_>) {
        self.origin.push(Some(from.origin));
        self.entry.push(Some(from.entry));
        self.received_at.push(from.received_at);
        self.raw_partition.push(from.raw_partition);
        self.raw_offset.push(from.raw_offset);
        self.part.push(from.part);
    }

    /// The arrays in the schema's order, up to the records.
    fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows = self.slice.len();
        let [kind, place, original] = self.repairs;
        let count: ArrayRef = Arc::new(Int64Array::from(self.repair_count));
        let repairs = vec![kind.finish()?, place.finish()?, original.finish()?, count];
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(40);
        finish_each(&mut columns, self.names)?;
        columns.push(timestamps(self.begin));
        columns.push(timestamps(self.end));
        finish_each(&mut columns, [self.email, self.extra_contact_info])?;
        columns.push(text_lists(self.error_ends, self.error_valid, self.errors)?);
        finish_each(&mut columns, [self.generator, self.version])?;
        finish_each(&mut columns, self.policy)?;
        columns.push(Arc::new(Int32Array::from(self.pct)));
        finish_each(&mut columns, self.more_policy)?;
        columns.push(self.extension.finish()?);
        columns.push(list(&Arc::new(KEPT[1].field()), self.repair_ends, repairs)?);
        finish_each(&mut columns, [self.origin, self.entry])?;
        columns.push(timestamps(self.received_at));
        columns.push(Arc::new(Int32Array::from(self.raw_partition)));
        columns.push(Arc::new(Int64Array::from(self.raw_offset)));
        columns.push(Arc::new(Int32Array::from(self.part)));
        columns.push(Arc::new(Int64Array::from(self.xml_bytes)));
        columns.extend(VERSIONS.iter().map(|c| new_null_array(&c.r#type.arrow(), rows)));
        columns.push(hashes(&self.identity)?);
        columns.push(hashes(&self.content)?);
        columns.extend(self.counts.map(|c| Arc::new(Int64Array::from(c)) as ArrayRef));
        columns.push(Arc::new(Int32Array::from(self.slice)));
        columns.push(Arc::new(Int32Array::from(self.slices)));
        Ok(columns)
    }
}

fn push_each<const N: usize>(columns: &mut [Text; N], texts: [Option<&str>; N]) {
    for (column, text) in columns.iter_mut().zip(texts) {
        column.push(text);
    }
}

fn finish_each<const N: usize>(columns: &mut Vec<ArrayRef>, texts: [Text; N]) -> Result<(), ArrowError> {
    for text in texts {
        columns.push(text.finish()?);
    }
    Ok(())
}

fn text_lists(ends: Vec<i32>, valid: Vec<bool>, texts: Text) -> Result<ArrayRef, ArrowError> {
    let item = Arc::new(Field::new("element", DataType::Utf8, false));
    let nulls = arrow::buffer::NullBuffer::from(valid);
    Ok(Arc::new(ListArray::try_new(item, offsets(ends), texts.finish()?, Some(nulls))?))
}
