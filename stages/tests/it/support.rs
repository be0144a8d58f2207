//! Runs the parse stage over bytes and shows what came out.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::{Header, Message, Record, TopicPartition, ipc, report};
use dmarcflow_stages::parse::{Limits, Parse};
use dmarcflow_stages::{Fault, Stage, State, Tally, topics};

/// Parse keeps no state.
pub(crate) struct NoState;

impl State for NoState {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        panic!("parse reads no state")
    }
    fn put(&mut self, _: Vec<u8>, _: Option<Vec<u8>>) {
        panic!("parse writes no state")
    }
    fn scan(&self, _: &[u8], _: usize) -> Result<Vec<Vec<u8>>, Fault> {
        panic!("parse reads no state")
    }
}

/// When raw records of tests were received: 2025-01-30T00:00:00Z, in milliseconds.
pub(crate) const RECEIVED: i64 = 1_738_195_200_000;

pub(crate) fn raw(offset: u64, origin: &str, bytes: &[u8]) -> Record {
    Record {
        source: TopicPartition::new(topics::RAW, 0),
        offset,
        timestamp: RECEIVED,
        key: Arc::from([]),
        headers: vec![Header { name: header::ORIGIN.into(), value: origin.into() }],
        value: Arc::from(bytes),
    }
}

/// A report as a message carries it; slices are put together again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) offset: i64,
    pub(crate) part: i32,
    pub(crate) entry: String,
    pub(crate) policy_domain: String,
    pub(crate) org_name: String,
    pub(crate) report_id: String,
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) identity: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) record_count: i64,
    pub(crate) message_count: i64,
    pub(crate) passed_count: i64,
    pub(crate) slices: i32,
    /// Kind, place, original, count.
    pub(crate) repairs: Vec<(String, String, Option<String>, i64)>,
    pub(crate) records: Vec<Row>,
    /// The report's other columns, by name, as text.
    pub(crate) columns: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) source_ip: String,
    pub(crate) messages: i64,
    pub(crate) disposition: Option<String>,
    pub(crate) dkim_aligned: bool,
    pub(crate) spf_aligned: bool,
    pub(crate) dmarc_pass: bool,
    /// All columns as text.
    pub(crate) all: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) entry: String,
    pub(crate) position: String,
    pub(crate) value: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Parsed {
    /// In the order of raw offset and part.
    pub(crate) reports: Vec<Report>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) tally: Tally,
    /// Sizes of the messages with reports.
    pub(crate) sizes: Vec<usize>,
}

impl Parsed {
    /// The only report, of an input that holds nothing else.
    #[track_caller]
    pub(crate) fn only(self) -> Report {
        assert_eq!((self.reports.len(), &*self.letters), (1, &[][..]));
        self.reports.into_iter().next().unwrap()
    }

    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.letters.iter().map(|l| l.reason.as_str()).collect()
    }
}

impl Report {
    pub(crate) fn has_repair(&self, kind: &str) -> bool {
        self.repairs.iter().any(|r| r.0 == kind)
    }

    pub(crate) fn column(&self, name: &str) -> &str {
        &self.columns.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no column {name}")).1
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    parse_with(Limits::default(), bytes)
}

pub(crate) fn parse_with(limits: Limits, bytes: &[u8]) -> Parsed {
    parse_batches(limits, &[&[raw(0, "test", bytes)]])
}

/// Parses batches one after the other, by one stage.
pub(crate) fn parse_batches(limits: Limits, batches: &[&[Record]]) -> Parsed {
    let mut stage = Parse::new(limits, 4);
    let mut tally = Tally::default();
    let mut messages = Vec::new();
    for batch in batches {
        let output = stage.process(batch, &mut NoState).unwrap();
        tally.merge(&output.tally);
        messages.extend(output.messages);
    }
    let mut parsed = Parsed { reports: Vec::new(), letters: Vec::new(), tally, sizes: Vec::new() };
    let mut slices = Vec::new();
    for message in &messages {
        if message.topic == topics::DEAD_LETTERS {
            parsed.letters.push(letter(message));
        } else {
            parsed.sizes.push(message.value.len());
            slices.extend(reports(message));
        }
    }
    slices.sort_by_key(|(slice, r)| (r.offset, r.part, *slice));
    for (slice, report) in slices {
        match parsed.reports.last_mut() {
            Some(last) if (last.offset, last.part) == (report.offset, report.part) => {
                assert!(slice > 0);
                let mut rest = report.records;
                last.records.append(&mut rest);
                assert_eq!(
                    Report { records: last.records.clone(), ..report },
                    *last,
                    "slices say the same of the report"
                );
            }
            _ => {
                assert_eq!(slice, 0);
                parsed.reports.push(report);
            }
        }
    }
    parsed
}

fn text(message: &Message, name: &str) -> String {
    let value = message.headers.iter().find(|h| h.name == name).map(|h| h.value.clone());
    String::from_utf8(value.unwrap_or_else(|| panic!("no header {name}"))).unwrap()
}

fn letter(message: &Message) -> Letter {
    assert_eq!(text(message, header::STAGE), "parse");
    assert_eq!(text(message, header::ATTEMPTS), "1");
    assert_eq!(text(message, header::ORIGIN).as_bytes(), message.key);
    Letter {
        reason: text(message, header::REASON),
        detail: text(message, header::DETAIL),
        entry: text(message, header::ENTRY),
        position: text(message, header::POSITION),
        value: message.value.clone(),
    }
}

fn reports(message: &Message) -> Vec<(i32, Report)> {
    assert_eq!(message.topic, topics::PARSED);
    assert_eq!(text(message, header::SCHEMA), report::VERSION.to_string());
    let batch = ipc::decode(&message.value, &report::SCHEMA).unwrap();
    let key = batch.column_by_name("policy_domain").unwrap().as_string::<i32>().value(0).as_bytes().to_vec();
    assert_eq!(message.key, key);
    (0..batch.num_rows()).map(|row| report_at(&batch, row)).collect()
}

fn report_at(batch: &RecordBatch, row: usize) -> (i32, Report) {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let text = |name: &str| column(name).as_string::<i32>().value(row).to_owned();
    let int = |name: &str| column(name).as_primitive::<Int64Type>().value(row);
    let small = |name: &str| column(name).as_primitive::<Int32Type>().value(row);
    let instant = |name: &str| column(name).as_primitive::<TimestampMicrosecondType>().value(row);
    let hash = |name: &str| column(name).as_fixed_size_binary().value(row).to_vec();
    let repairs = column("repairs").as_list::<i32>().value(row);
    let repairs = repairs.as_struct();
    let records = column("records").as_list::<i32>().value(row);
    let records = records.as_struct();
    let others = ["records", "slice", "repairs"];
    let report = Report {
        offset: int("raw_offset"),
        part: small("part"),
        entry: text("entry"),
        policy_domain: text("policy_domain"),
        org_name: text("org_name"),
        report_id: text("report_id"),
        begin: instant("range_begin"),
        end: instant("range_end"),
        identity: hash("identity"),
        content: hash("content"),
        record_count: int("record_count"),
        message_count: int("message_count"),
        passed_count: int("passed_count"),
        slices: small("slices"),
        repairs: (0..repairs.len())
            .map(|i| {
                let cell = |name: &str| show(repairs, name, i);
                let original = cell("original");
                (
                    cell("kind"),
                    cell("place"),
                    (original != "∅").then_some(original),
                    cell("count").parse().unwrap(),
                )
            })
            .collect(),
        records: (0..records.len()).map(|i| row_at(records, i)).collect(),
        columns: batch
            .schema()
            .fields()
            .iter()
            .filter(|f| !others.contains(&f.name().as_str()))
            .map(|f| (f.name().clone(), show_value(batch.column_by_name(f.name()).unwrap(), row)))
            .collect(),
    };
    (small("slice"), report)
}

fn row_at(records: &StructArray, i: usize) -> Row {
    let bool = |name: &str| records.column_by_name(name).unwrap().as_boolean().value(i);
    let disposition = show(records, "disposition", i);
    Row {
        source_ip: show(records, "source_ip", i),
        messages: show(records, "messages", i).parse().unwrap(),
        disposition: (disposition != "∅").then_some(disposition),
        dkim_aligned: bool("dkim_aligned"),
        spf_aligned: bool("spf_aligned"),
        dmarc_pass: bool("dmarc_pass"),
        all: records.column_names().iter().map(|n| format!("{n}={} ", show(records, n, i))).collect(),
    }
}

fn show(columns: &StructArray, name: &str, i: usize) -> String {
    show_value(columns.column_by_name(name).unwrap(), i)
}

/// A value as text: null is `∅`, lists and structs are bracketed.
fn show_value(array: &Arc<dyn Array>, i: usize) -> String {
    if array.is_null(i) {
        return "∅".to_owned();
    }
    if let Some(list) = array.as_list_opt::<i32>() {
        let items = list.value(i);
        let items: Vec<_> = (0..items.len()).map(|n| show_value(&items, n)).collect();
        return format!("[{}]", items.join(", "));
    }
    if let Some(fields) = array.as_struct_opt() {
        let values: Vec<_> = fields.column_names().iter().map(|n| show(fields, n, i)).collect();
        return format!("({})", values.join(" "));
    }
    if let Some(bytes) = array.as_fixed_size_binary_opt() {
        return format!("{:x?}", bytes.value(i));
    }
    if let Some(instants) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return instants.value(i).to_string();
    }
    arrow::util::display::array_value_to_string(array, i).unwrap()
}
