use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, StructArray, TimestampMicrosecondArray, new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type};
use dmarcflow_schemas::report::SCHEMA;
use dmarcflow_schemas::{Record, TopicPartition, ipc};

use super::*;

/// A report as far as this stage looks at it.
#[derive(Debug, Clone, Copy)]
struct Report {
    id: u8,
    content: u8,
    offset: i64,
    slice: i32,
    begin: i64,
    end: i64,
    received_day: i64,
    messages: &'static [i64],
}

impl Default for Report {
    fn default() -> Self {
        Self {
            id: 1,
            content: 1,
            offset: 0,
            slice: 0,
            begin: 0,
            end: 86_399,
            received_day: 1,
            messages: &[10, 5],
        }
    }
}

/// A column in which every value is the same, of whatever type.
fn constant(field: &Field, rows: usize) -> ArrayRef {
    match field.data_type() {
        DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; rows])),
        DataType::Int32 => Arc::new(Int32Array::from(vec![0; rows])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![1; rows])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![0.5; rows])),
        DataType::Boolean => Arc::new(BooleanArray::from(vec![true; rows])),
        DataType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC"))
        }
        DataType::List(item) => {
            let offsets = OffsetBuffer::from_lengths(vec![0; rows]);
            let values = new_empty_array(item.data_type());
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, None))
        }
        other => panic!("no constant of {other}"),
    }
}

fn hashes(values: impl Iterator<Item = u8>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(values.map(|v| [v; 16])).unwrap())
}

fn seconds(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values.map(|s| s * 1_000_000)).with_timezone("UTC"))
}

fn batch(reports: &[Report]) -> RecordBatch {
    let columns = SCHEMA.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "identity" => hashes(reports.iter().map(|r| r.id)),
            "content" => hashes(reports.iter().map(|r| r.content)),
            "raw_offset" => Arc::new(Int64Array::from_iter_values(reports.iter().map(|r| r.offset))),
            "slice" => Arc::new(Int32Array::from_iter_values(reports.iter().map(|r| r.slice))),
            "range_begin" => seconds(reports.iter().map(|r| r.begin)),
            "range_end" => seconds(reports.iter().map(|r| r.end)),
            "received_at" => seconds(reports.iter().map(|r| r.received_day * 86_400)),
            "records" => records_of(field, reports),
            _ => constant(field, reports.len()),
        }
    });
    RecordBatch::try_new(SCHEMA.clone(), columns.collect()).unwrap()
}

fn records_of(field: &Field, reports: &[Report]) -> ArrayRef {
    let DataType::List(item) = field.data_type() else { panic!("records is a list") };
    let DataType::Struct(fields) = item.data_type() else { panic!("of structs") };
    let messages: Vec<i64> = reports.iter().flat_map(|r| r.messages.iter().copied()).collect();
    let columns = fields.iter().map(|f| -> ArrayRef {
        if f.name() == "messages" {
            Arc::new(Int64Array::from(messages.clone()))
        } else {
            constant(f, messages.len())
        }
    });
    let values = StructArray::new(fields.clone(), columns.collect(), None);
    let offsets = OffsetBuffer::from_lengths(reports.iter().map(|r| r.messages.len()));
    Arc::new(ListArray::new(Arc::clone(item), offsets, Arc::new(values), None))
}

/// State in memory.
#[derive(Default, Clone)]
struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl State for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.0.insert(key, value)),
            None => drop(self.0.remove(&key)),
        }
    }
    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(self.0.keys().filter(|k| k.starts_with(prefix)).take(limit).cloned().collect())
    }
}

/// What a run over batches of reports gave: rows that went on, sums by day, and the marks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    rows: usize,
    days: BTreeMap<i32, i64>,
    marks: BTreeMap<String, (i64, bool)>,
}

fn run(stage: &mut Aggregate, state: &mut Memory, batches: &[Vec<Report>]) -> Outcome {
    let mut outcome = Outcome::default();
    for reports in batches {
        let record = Record {
            source: TopicPartition::new(topics::ENRICHED, 0),
            offset: 0,
            timestamp: reports[0].received_day * 86_400_000,
            key: b"x".to_vec().into(),
            headers: Vec::new(),
            value: ipc::encode(&batch(reports)).unwrap().into(),
        };
        for message in stage.process(&[record], state).unwrap().messages {
            outcome.take(&message);
        }
    }
    outcome
}

impl Outcome {
    fn take(&mut self, message: &Message) {
        let kind = message.headers.iter().find(|h| h.name == header::KIND).unwrap();
        match (message.topic, kind.value.as_slice()) {
            (topics::DISTINCT, b"rows") => {
                self.rows += ipc::decode(&message.value, &SCHEMA).unwrap().num_rows()
            }
            (topics::DISTINCT, _) => {
                let marks = ipc::decode(&message.value, &MARK_SCHEMA).unwrap();
                for i in 0..marks.num_rows() {
                    let key = marks["report_key"].as_string::<i32>().value(i).to_owned();
                    let copies = marks["copies"].as_primitive::<Int64Type>().value(i);
                    self.marks.insert(key, (copies, marks["conflict"].as_boolean().value(i)));
                }
            }
            (_, b"daily") => {
                let sums = ipc::decode(&message.value, &Rollup::Daily.schema()).unwrap();
                for i in 0..sums.num_rows() {
                    let day = sums["date"].as_primitive::<Date32Type>().value(i);
                    *self.days.entry(day).or_default() +=
                        sums["messages"].as_primitive::<Int64Type>().value(i);
                }
            }
            _ => {}
        }
    }
}

fn key(report: Report) -> String {
    report_key(&[report.id; 16], &[report.content; 16])
}

#[test]
fn a_copy_counts_as_a_copy_and_nothing_else() {
    let first = Report::default();
    let copy = Report { offset: 9, ..first };
    let outcome = run(&mut Aggregate::default(), &mut Memory::default(), &[vec![first], vec![copy, copy]]);
    assert_eq!(outcome.rows, 1);
    assert_eq!(outcome.days, BTreeMap::from([(0, 15)]));
    assert_eq!(outcome.marks, BTreeMap::from([(key(first), (3, false))]));
}

#[test]
fn contents_that_contradict_are_all_kept_and_all_marked() {
    let one = Report::default();
    let other = Report { content: 2, offset: 1, messages: &[1], ..one };
    for order in [[one, other], [other, one]] {
        let outcome = run(&mut Aggregate::default(), &mut Memory::default(), &[order.to_vec()]);
        assert_eq!(outcome.rows, 2);
        assert_eq!(outcome.days, BTreeMap::from([(0, 16)]));
        assert_eq!(outcome.marks, BTreeMap::from([(key(one), (1, true)), (key(other), (1, true))]));
    }
}

#[test]
fn slices_share_the_fate_of_the_first() {
    let report = Report::default();
    let slices = |offset| (0..3).map(|slice| vec![Report { slice, offset, ..report }]).collect::<Vec<_>>();
    let (mut stage, mut state) = (Aggregate::default(), Memory::default());
    let first = run(&mut stage, &mut state, &slices(1));
    assert_eq!((first.rows, first.days[&0]), (3, 45));
    let copy = run(&mut stage, &mut state, &slices(2));
    assert_eq!((copy.rows, copy.days.len()), (0, 0));
    assert_eq!(copy.marks, BTreeMap::from([(key(report), (2, false))]));
}

#[test]
fn how_the_input_is_cut_makes_no_difference() {
    let reports: Vec<Report> = (0..40)
        .map(|i| Report {
            id: i % 7,
            content: i % 3,
            offset: i64::from(i),
            begin: i64::from(i % 5) * 40_000,
            end: i64::from(i % 5) * 40_000 + 90_000,
            ..Report::default()
        })
        .collect();
    let whole = run(&mut Aggregate::default(), &mut Memory::default(), std::slice::from_ref(&reports));
    for size in [1, 3, 17] {
        let batches: Vec<_> = reports.chunks(size).map(<[Report]>::to_vec).collect();
        assert_eq!(
            run(&mut Aggregate::default(), &mut Memory::default(), &batches),
            whole,
            "{size} at a time"
        );
    }
}

#[test]
fn what_was_last_seen_before_the_horizon_is_forgotten_and_nothing_else() {
    let mut stage = Aggregate::new(Settings { horizon_days: 10 });
    let mut state = Memory::default();
    let old = Report::default();
    let refreshed = Report { id: 2, ..old };
    run(
        &mut stage,
        &mut state,
        &[vec![old, refreshed], vec![Report { offset: 5, received_day: 8, ..refreshed }]],
    );
    let later = Report { id: 3, received_day: 15, ..old };
    run(&mut stage, &mut state, &[vec![later]]);
    let again = [vec![Report { received_day: 15, ..old }], vec![Report { received_day: 15, ..refreshed }]];
    let outcome = run(&mut stage, &mut state, &again);
    assert_eq!(outcome.rows, 1, "the old one counts anew, the refreshed one does not");
    assert!(state.0.len() < 12, "the state is bounded: {} keys", state.0.len());
}

#[test]
fn a_message_that_is_no_batch_is_poison() {
    let record = Record {
        source: TopicPartition::new(topics::ENRICHED, 0),
        offset: 0,
        timestamp: 0,
        key: Vec::new().into(),
        headers: Vec::new(),
        value: b"rubbish".to_vec().into(),
    };
    let fault = Aggregate::default().process(&[record], &mut Memory::default()).unwrap_err();
    assert!(matches!(fault, Fault::Poison { reason: "schema", .. }));
}
