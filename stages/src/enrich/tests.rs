//! The stage as a whole, over batches with every column filled.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use dmarcflow_schemas::report::{ENRICHMENT, VERSIONS};
use dmarcflow_schemas::{Message, TopicPartition};
use proptest::prelude::*;

use super::*;

/// Draws numbers; the same seed draws the same ones.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

fn text(name: &str, draw: &mut Draw) -> String {
    let pool: &[&str] = match name {
        "source_ip" => {
            &["209.85.220.41", "40.107.1.2", "10.0.0.1", "2a01:111:f400::1", "no address", "167.89.0.1"]
        }
        "domain" => {
            &["example.com", "amazonses.com", "a-com.20230601.gappssmtp.com", "lists.example.net", "é..", ""]
        }
        "selector" => &["google", "selector1", "k1", "S1", ""],
        "result" => &["pass", "pass", "fail", "none"],
        "header_from" => &["example.com", "news.example.com", ""],
        "type" => &["forwarded", "mailing_list", "other"],
        _ => &["", "a", "some longer text", "naïve ✓"],
    };
    draw.one(pool).to_owned()
}

/// A column of that type with drawn values, absent ones among them where they may be.
fn array(field: &Field, rows: usize, draw: &mut Draw) -> ArrayRef {
    let nullable = field.is_nullable();
    let there: Vec<bool> = (0..rows).map(|_| !nullable || draw.below(4) > 0).collect();
    let mut numbers = || there.iter().map(|t| t.then(|| draw.below(1 << 30) as i64)).collect::<Vec<_>>();
    match field.data_type() {
        DataType::Utf8 => {
            let texts = there.iter().map(|t| t.then(|| text(field.name(), draw)));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Boolean => {
            Arc::new(numbers().into_iter().map(|n| n.map(|n| n % 2 == 0)).collect::<BooleanArray>())
        }
        DataType::Int32 => {
            Arc::new(numbers().into_iter().map(|n| n.map(|n| n as i32)).collect::<Int32Array>())
        }
        DataType::Date32 => {
            Arc::new(numbers().into_iter().map(|n| n.map(|n| n as i32)).collect::<Date32Array>())
        }
        DataType::Int64 => Arc::new(numbers().into_iter().collect::<Int64Array>()),
        DataType::Float64 => {
            Arc::new(numbers().into_iter().map(|n| n.map(|n| n as f64)).collect::<Float64Array>())
        }
        DataType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from(numbers()).with_timezone("UTC")),
        DataType::FixedSizeBinary(16) => {
            let values = numbers().into_iter().map(|n| i128::from(n.unwrap_or(0)).to_le_bytes());
            Arc::new(
                FixedSizeBinaryArray::try_from_iter(values.chain([[0; 16]]).take(rows.max(1)))
                    .unwrap()
                    .slice(0, rows),
            )
        }
        DataType::List(item) => {
            let lengths: Vec<usize> = (0..rows).map(|_| draw.below(5)).collect();
            let values = array(item, lengths.iter().sum(), draw);
            Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), values, None))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|f| array(f, rows, draw)).collect();
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, None, rows).unwrap())
        }
        other => panic!("no columns of type {other}"),
    }
}

/// Reports with every column filled, those of enrichment too, which the stage is to replace.
fn reports(rows: usize, seed: u64) -> RecordBatch {
    let mut draw = Draw(seed);
    let columns = SCHEMA.fields().iter().map(|f| array(f, rows, &mut draw)).collect();
    RecordBatch::try_new(SCHEMA.clone(), columns).unwrap()
}

fn record(batch: &RecordBatch) -> Record {
    Record {
        source: TopicPartition::new(topics::PARSED, 2),
        offset: 7,
        timestamp: 0,
        key: Arc::from(*b"example.com"),
        headers: vec![
            Header { name: header::SCHEMA.into(), value: b"0".to_vec() },
            Header { name: header::ORIGIN.into(), value: b"a.xml".to_vec() },
        ],
        value: ipc::encode(batch).unwrap().into(),
    }
}

struct NoState;

impl State for NoState {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        panic!("enrich keeps no state")
    }

    fn put(&mut self, _: Vec<u8>, _: Option<Vec<u8>>) {
        panic!("enrich keeps no state")
    }

    fn scan(&self, _: &[u8], _: usize) -> Result<Vec<Vec<u8>>, Fault> {
        panic!("enrich keeps no state")
    }
}

/// What is built in, read once for all tests.
fn references() -> Arc<References> {
    static LOADED: LazyLock<Arc<References>> =
        LazyLock::new(|| Arc::new(References::load(&ReferencesConfig::default()).unwrap()));
    Arc::clone(&LOADED)
}

fn process(input: &[Record]) -> Result<Vec<Message>, Fault> {
    Enrich::new(references()).process(input, &mut NoState).map(|o| o.messages)
}

fn decode(messages: &[Message]) -> RecordBatch {
    let batches: Vec<_> = messages.iter().map(|m| ipc::decode(&m.value, &SCHEMA).unwrap()).collect();
    concat_batches(&SCHEMA, &batches).unwrap()
}

fn is_added(name: &str) -> bool {
    ENRICHMENT.iter().chain(VERSIONS).any(|c| c.name == name)
}

/// The batch without the columns that enrichment fills.
fn untouched(batch: &RecordBatch) -> Vec<ArrayRef> {
    let outer = SCHEMA
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(f, _)| !is_added(f.name()) && f.name() != "records");
    let list = batch.column_by_name("records").unwrap().as_list::<i32>();
    let lengths = Int32Array::from_iter_values((0..list.len()).map(|i| list.value_length(i)));
    let values = list.values().as_struct();
    let inner = values.fields().iter().zip(values.columns()).filter(|(f, _)| !is_added(f.name()));
    outer
        .map(|(_, c)| Arc::clone(c))
        .chain([Arc::new(lengths) as ArrayRef])
        .chain(inner.map(|(_, c)| Arc::clone(c)))
        .collect()
}

#[test]
fn a_message_stays_one_with_its_key_and_headers() {
    let out = process(&[record(&reports(3, 1)), record(&reports(0, 2)), record(&reports(1, 3))]).unwrap();
    assert_eq!(out.len(), 3);
    for message in &out {
        assert_eq!((message.topic, message.key.as_slice()), (topics::ENRICHED, b"example.com".as_slice()));
        let header =
            |name| message.headers.iter().filter(|h| h.name == name).map(|h| &*h.value).collect::<Vec<_>>();
        assert_eq!(header(header::ORIGIN), [b"a.xml"]);
        assert_eq!(header(header::SCHEMA), [VERSION.to_string().as_bytes()]);
    }
}

#[test]
fn columns_say_what_the_references_know() {
    let batch = reports(40, 4);
    let out = decode(&process(&[record(&batch)]).unwrap());
    let references = references();
    for (name, version) in
        [("geo_version", references.geo.version()), ("services_version", references.services.version())]
    {
        assert!(
            out.column_by_name(name).unwrap().as_string::<i32>().iter().all(|v| v == Some(version)),
            "{name}"
        );
    }
    let values = out.column_by_name("records").unwrap().as_list::<i32>().values().as_struct().clone();
    let text = |name: &str, i: usize| {
        let column = values.column_by_name(name).unwrap().as_string::<i32>().clone();
        (!column.is_null(i)).then(|| column.value(i).to_owned())
    };
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..values.len() {
        let ip = text("source_ip", i).unwrap();
        let want = match ip.as_str() {
            "209.85.220.41" => (Some("US"), Some("209.85.220.0/24")),
            "40.107.1.2" | "167.89.0.1" => {
                let network = ip.rsplit_once('.').map(|(net, _)| format!("{net}.0/24"));
                assert_eq!(text("network", i), network);
                continue;
            }
            "2a01:111:f400::1" => {
                (references.geo.place(ip.parse().unwrap()).country, Some("2a01:111:f400::/48"))
            }
            "10.0.0.1" => (None, Some("10.0.0.0/24")),
            _ => (None, None),
        };
        assert_eq!((text("country", i).as_deref(), text("network", i).as_deref()), want, "{ip}");
        seen.insert(ip);
    }
    assert_eq!(seen.len(), 4, "the draw has every kind of address");
    let confidence = values.column_by_name("service_confidence").unwrap().as_primitive::<Float64Type>();
    for i in 0..values.len() {
        let (service, evidence) = (text("service", i), text("service_evidence", i));
        assert_eq!(service.is_some(), evidence.is_some());
        assert_eq!(service.is_some(), confidence.is_valid(i));
        assert!(!confidence.is_valid(i) || (0.0..=1.0).contains(&confidence.value(i)));
    }
    let asn = values.column_by_name("asn").unwrap().as_primitive::<Int64Type>();
    for i in 0..values.len() {
        let address = text("source_ip", i).and_then(|ip| ip.parse().ok());
        let place = address.map(|address| references.geo.place(address)).unwrap_or_default();
        assert_eq!(asn.is_valid(i).then(|| asn.value(i)), place.asn.map(i64::from));
        assert_eq!(text("as_name", i).as_deref(), place.as_name);
    }
    assert!(asn.null_count() > 0 && asn.null_count() < values.len());
}

#[test]
fn two_signs_that_decide_together_are_both_named() {
    let batch = reports(60, 5);
    let out = decode(&process(&[record(&batch)]).unwrap());
    let values = out.column_by_name("records").unwrap().as_list::<i32>().values().as_struct();
    let evidence = values.column_by_name("service_evidence").unwrap().as_string::<i32>();
    let both: Vec<_> = evidence.iter().flatten().filter(|e| e.contains('+')).collect();
    assert!(!both.is_empty());
    let agree = |evidence: &&str| {
        let (selector, other) = evidence.split_once('+').unwrap();
        selector.starts_with("selector:") && (other.starts_with("network:") || other.starts_with("asn:"))
    };
    assert!(both.iter().all(agree), "{both:?}");
}

#[test]
fn what_is_no_batch_of_reports_is_poison() {
    let empty = || process(&[Record { value: Arc::from([]), ..record(&reports(1, 6)) }]);
    assert!(matches!(empty(), Err(Fault::Poison { reason: "schema", .. })));
    let whole = ipc::encode(&reports(2, 7)).unwrap();
    let mut bad = record(&reports(1, 6));
    bad.value = whole[..whole.len() / 2].into();
    assert!(matches!(process(&[bad]), Err(Fault::Poison { reason: "schema", .. })));
}

#[test]
fn a_large_message_is_divided_and_a_single_row_is_not() {
    let batch = reports(400, 8);
    let original = record(&batch);
    let limit = original.value.len() / 4;
    let mut messages = Vec::new();
    emit(&original, &batch, limit, &mut messages).unwrap();
    assert!(
        messages.len() < 12 && messages.iter().all(|m| m.value.len() <= limit),
        "{} messages",
        messages.len()
    );
    assert!(messages.iter().all(|m| m.key == b"example.com" && m.headers.len() == 2));
    assert_eq!(decode(&messages), batch);
    messages.clear();
    emit(&original, &batch.slice(3, 1), 10, &mut messages).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(decode(&messages), batch.slice(3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_other_column_stays_as_it_was(rows in 0usize..12, seed in any::<u64>()) {
        let batch = reports(rows, seed);
        let out = columns::enrich(&batch, &references()).unwrap();
        // The very same buffers, where there are any.
        for (old, new) in untouched(&batch).iter().zip(untouched(&out)) {
            prop_assert_eq!(old, &new);
        }
        for (field, (old, new)) in SCHEMA.fields().iter().zip(batch.columns().iter().zip(out.columns())) {
            if !is_added(field.name()) && field.name() != "records" {
                prop_assert!(Arc::ptr_eq(old, new), "{} was copied", field.name());
            }
        }
        let values = |b: &RecordBatch| b.column_by_name("records").unwrap().as_list::<i32>().values().as_struct().clone();
        for (field, (old, new)) in values(&batch).fields().iter().zip(values(&batch).columns().iter().zip(values(&out).columns())) {
            prop_assert_eq!(Arc::ptr_eq(old, new), !is_added(field.name()), "{}", field.name());
        }
        prop_assert_eq!(untouched(&batch), untouched(&decode(&process(&[record(&batch)]).unwrap())));
    }

    #[test]
    fn any_division_into_messages_gives_the_same_rows(rows in 1usize..12, cut in 0usize..12, seed in any::<u64>()) {
        let batch = reports(rows, seed);
        let cut = cut.min(rows);
        let whole = decode(&process(&[record(&batch)]).unwrap());
        let parts = [record(&batch.slice(0, cut)), record(&batch.slice(cut, rows - cut))];
        prop_assert_eq!(&decode(&process(&parts).unwrap()), &whole);
        // A batch that begins in the middle of its buffers, without going through a message.
        let enriched = columns::enrich(&batch.slice(cut.min(rows - 1), 1), &references()).unwrap();
        prop_assert_eq!(&enriched, &whole.slice(cut.min(rows - 1), 1));
    }

    #[test]
    fn enriching_again_changes_nothing(rows in 0usize..6, seed in any::<u64>()) {
        let once = columns::enrich(&reports(rows, seed), &references()).unwrap();
        prop_assert_eq!(&columns::enrich(&once, &references()).unwrap(), &once);
    }
}
