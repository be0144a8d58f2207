//! Counts every distinct report once: drops copies, marks contradictions, adds up the days.
//!
//! Reads `reports.enriched`, whose partitions hold whole domains. Writes, in one transaction,
//!
//! * to `reports.distinct` the reports that are new, and marks on earlier ones: that another copy
//!   came, or that another report contradicts them;
//! * to `rollups.daily` the partial sums of what is new.

mod apportion;
mod known;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Date32Builder, FixedSizeBinaryArray,
    Int64Builder, RecordBatch, StringBuilder,
};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::report::{MARK_SCHEMA, SCHEMA, VERSION, kind};
use dmarcflow_schemas::rollup::{self, Rollup};
use dmarcflow_schemas::{Message, Record, ipc};
use xxhash_rust::xxh3::xxh3_128;

use crate::view::{child, column, records, text};
use crate::{Fault, Output, Stage, State, Tally, topics};
use apportion::Days;
pub use apportion::day_of;
use known::{Fate, Instance, Known, Sighting};
use sums::{Keys, Sums};

/// Identities that one batch forgets at most, so that a batch's time stays bounded.
const FORGET_LIMIT: usize = 2_000;

/// How long a report is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Days after its last copy for which a report is known again.
    pub horizon_days: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { horizon_days: 400 }
    }
}

/// The stage.
#[derive(Debug, Default)]
pub struct Aggregate {
    settings: Settings,
}

impl Aggregate {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Stage for Aggregate {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn process(&mut self, input: &[Record], state: &mut dyn State) -> Result<Output, Fault> {
        let mut output = Output::default();
        let batches = input
            .iter()
            .map(|r| ipc::decode(&r.value, &SCHEMA).map_err(fault))
            .collect::<Result<Vec<_>, _>>()?;
        let mut sums = Sums::default();
        for (record, batch) in input.iter().zip(&batches) {
            let mut marks = Marks::default();
            let kept = sift(batch, state, &mut marks, &mut output.tally)?;
            add(batch, &kept, &mut sums, &mut output.tally)?;
            output.messages.extend(distinct(record, batch, &kept)?);
            output.messages.extend(marks.message(&record.key)?);
        }
        if let (Some(first), Some(last)) = (input.first(), input.last()) {
            for rollup in Rollup::ALL {
                if let Some(batch) = sums.batch(rollup).map_err(fault)? {
                    output.messages.extend(messages_of(&batch, rollup, &first.key)?);
                }
            }
            known::forget(day_of(last.timestamp / 1000), self.settings.horizon_days, FORGET_LIMIT, state)?;
        }
        Ok(output)
    }
}

/// The key by which a distinct report is known in the tables: 32 hex digits.
pub fn report_key(identity: &[u8], content: &[u8]) -> String {
    format!("{:032x}", xxh3_128(&[identity, content].concat()))
}

/// Decides the fate of each row: which ones are kept.
fn sift(
    batch: &RecordBatch,
    state: &mut dyn State,
    marks: &mut Marks,
    tally: &mut Tally,
) -> Result<BooleanArray, Fault> {
    let identity = column(batch, "identity", |a| a.as_fixed_size_binary_opt())?;
    let content = column(batch, "content", |a| a.as_fixed_size_binary_opt())?;
    let slice = column(batch, "slice", |a| a.as_primitive_opt::<Int32Type>())?;
    let partition = column(batch, "raw_partition", |a| a.as_primitive_opt::<Int32Type>())?;
    let offset = column(batch, "raw_offset", |a| a.as_primitive_opt::<Int64Type>())?;
    let part = column(batch, "part", |a| a.as_primitive_opt::<Int32Type>())?;
    let begin = column(batch, "range_begin", |a| a.as_primitive_opt::<TimestampMicrosecondType>())?;
    let received = column(batch, "received_at", |a| a.as_primitive_opt::<TimestampMicrosecondType>())?;
    let mut kept = BooleanBuilder::with_capacity(batch.num_rows());
    for i in 0..batch.num_rows() {
        let s = Sighting {
            identity: hash(identity, i)?,
            content: hash(content, i)?,
            instance: Instance {
                partition: partition.value(i),
                offset: offset.value(i),
                part: part.value(i),
            },
            slice: slice.value(i),
            date: day_of(begin.value(i).div_euclid(1_000_000)),
            received: day_of(received.value(i).div_euclid(1_000_000)),
        };
        let fate = known::sight(&s, state)?;
        kept.append_value(matches!(fate, Fate::New | Fate::Conflict { .. } | Fate::Continued));
        match fate {
            Fate::New => tally.add("distinct/reports", 1),
            Fate::Continued | Fate::Passed => {}
            Fate::Duplicate { of, conflict } => {
                tally.add("distinct/copies", 1);
                marks.set(&s.identity, &of, of.copies, conflict);
            }
            Fate::Conflict { with } => {
                tally.add("distinct/reports", 1);
                tally.add("distinct/conflicts", 1);
                let own = Known::first(&s);
                for known in with.iter().chain([&own]) {
                    marks.set(&s.identity, known, known.copies, true);
                }
            }
        }
    }
    Ok(kept.finish())
}

/// Adds the kept rows' records to the sums.
fn add<'a>(
    batch: &'a RecordBatch,
    kept: &BooleanArray,
    sums: &mut Sums<'a>,
    tally: &mut Tally,
) -> Result<(), Fault> {
    let policy_domain = column(batch, "policy_domain", |a| a.as_string_opt::<i32>())?;
    let org_name = column(batch, "org_name", |a| a.as_string_opt::<i32>())?;
    let begin = column(batch, "range_begin", |a| a.as_primitive_opt::<TimestampMicrosecondType>())?;
    let end = column(batch, "range_end", |a| a.as_primitive_opt::<TimestampMicrosecondType>())?;
    let (list, values) = records(batch)?;
    let string = |name: &str| child(values, name, |a: &ArrayRef| a.as_string_opt::<i32>());
    let flag = |name: &str| child(values, name, |a: &ArrayRef| a.as_boolean_opt());
    let (source_ip, header_from, service) =
        (string("source_ip")?, string("header_from")?, string("service")?);
    let (country, forwarding) = (string("country")?, string("forwarding")?);
    let disposition = string("disposition")?;
    let (dkim, spf, pass) = (flag("dkim_aligned")?, flag("spf_aligned")?, flag("dmarc_pass")?);
    let messages = child(values, "messages", |a| a.as_primitive_opt::<Int64Type>())?;
    let asn = child(values, "asn", |a| a.as_primitive_opt::<Int64Type>())?;
    let mut shares = Vec::new();
    let (mut total, mut passed) = (0i64, 0i64);
    for report in (0..batch.num_rows()).filter(|i| kept.value(*i)) {
        let days =
            Days::of(begin.value(report).div_euclid(1_000_000), end.value(report).div_euclid(1_000_000));
        let span = list.value_offsets()[report] as usize..list.value_offsets()[report + 1] as usize;
        tally.add("distinct/records", span.len() as u64);
        for i in span {
            shares.clear();
            days.share(messages.value(i), |day, n| shares.push((day, n)));
            let keys = Keys {
                policy_domain: policy_domain.value(report),
                org_name: org_name.value(report),
                source_ip: source_ip.value(i),
                header_from: text(header_from, i),
                service: text(service, i),
                country: text(country, i),
                forwarding: text(forwarding, i),
                asn: (!asn.is_null(i)).then(|| asn.value(i)),
                disposition: text(disposition, i),
                dkim_aligned: dkim.value(i),
                spf_aligned: spf.value(i),
                dmarc_pass: pass.value(i),
            };
            sums.add(&keys, &shares, days.crosses());
            total = total.saturating_add(messages.value(i));
            if pass.value(i) {
                passed = passed.saturating_add(messages.value(i));
            }
        }
    }
    tally.add("distinct/messages", total.unsigned_abs());
    tally.add("distinct/passed", passed.unsigned_abs());
    Ok(())
}

/// The kept rows as a message of `reports.distinct`. Where all are kept, which is the rule, the
/// value goes on as it came.
fn distinct(record: &Record, batch: &RecordBatch, kept: &BooleanArray) -> Result<Option<Message>, Fault> {
    let value = match kept.true_count() {
        0 => return Ok(None),
        n if n == batch.num_rows() => record.value.to_vec(),
        _ => {
            let kept = arrow::compute::filter_record_batch(batch, kept).map_err(fault)?;
            ipc::encode(&kept).map_err(fault)?
        }
    };
    let message = Message::new(topics::DISTINCT, record.key.to_vec(), value)
        .with(header::SCHEMA, VERSION.to_string())
        .with(header::KIND, kind::ROWS);
    Ok(Some(message))
}

/// Rows of a rollup message at most: with a kilobyte of text in each, a message stays under a megabyte.
const ROLLUP_ROWS: usize = 4_096;

/// A rollup's sums as messages.
fn messages_of(batch: &RecordBatch, rollup: Rollup, key: &[u8]) -> Result<Vec<Message>, Fault> {
    (0..batch.num_rows())
        .step_by(ROLLUP_ROWS)
        .map(|from| {
            let part = batch.slice(from, ROLLUP_ROWS.min(batch.num_rows() - from));
            Ok(Message::new(topics::ROLLUPS, key, ipc::encode(&part).map_err(fault)?)
                .with(header::SCHEMA, rollup::VERSION.to_string())
                .with(header::KIND, rollup.table()))
        })
        .collect()
}

/// Marks of one batch, the last one of each report.
#[derive(Debug, Default)]
struct Marks(BTreeMap<String, (i32, u32, bool)>);

impl Marks {
    fn set(&mut self, identity: &[u8], of: &Known, copies: u32, conflict: bool) {
        self.0.insert(report_key(identity, &of.content), (of.date, copies, conflict));
    }

    fn message(&self, key: &[u8]) -> Result<Option<Message>, Fault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut date = Date32Builder::new();
        let mut report_key = StringBuilder::new();
        let mut copies = Int64Builder::new();
        let mut conflict = BooleanBuilder::new();
        for (report, (day, n, mark)) in &self.0 {
            date.append_value(*day);
            report_key.append_value(report);
            copies.append_value(i64::from(*n));
            conflict.append_value(*mark);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(date.finish()),
            Arc::new(report_key.finish()),
            Arc::new(copies.finish()),
            Arc::new(conflict.finish()),
        ];
        let batch = RecordBatch::try_new(MARK_SCHEMA.clone(), columns).map_err(fault)?;
        let message = Message::new(topics::DISTINCT, key, ipc::encode(&batch).map_err(fault)?)
            .with(header::SCHEMA, VERSION.to_string())
            .with(header::KIND, kind::MARKS);
        Ok(Some(message))
    }
}

fn hash(array: &FixedSizeBinaryArray, i: usize) -> Result<[u8; 16], Fault> {
    array.value(i).try_into().map_err(fault)
}

fn fault(e: impl std::fmt::Display) -> Fault {
    Fault::Poison { reason: "schema", detail: format!("the message cannot be read: {e}") }
}

#[cfg(test)]
mod tests;
