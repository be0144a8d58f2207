//! A small lake: two domains, three reporters, a few days of March 2026.
//!
//! Every rollup has one row for each record and day: rollups are partial sums, so that adds up to the same.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::ReaderBuilder;
use deltalake::DeltaTable;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::operations::create::CreateBuilder;
use dmarcflow_queries::{Format, Library, Options, Params, Session, TableStyle};
use dmarcflow_schemas::Table;
use dmarcflow_schemas::tables::PARTITION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A record: address, messages, DKIM and SPF aligned, disposition, service, and where they went by day.
pub(crate) struct Record {
    ip: &'static str,
    messages: i64,
    dkim: bool,
    spf: bool,
    disposition: &'static str,
    forwarding: Option<&'static str>,
    /// Days and their messages, where the report crosses a day.
    shares: &'static [(&'static str, i64)],
}

pub(crate) struct Report {
    key: u32,
    org: &'static str,
    domain: &'static str,
    id: &'static str,
    begin: &'static str,
    end: &'static str,
    p: &'static str,
    copies: i64,
    conflict: bool,
    repairs: Value,
    records: Vec<Record>,
}

fn record(ip: &'static str, messages: i64, dkim: bool, spf: bool, disposition: &'static str) -> Record {
    Record { ip, messages, dkim, spf, disposition, forwarding: None, shares: &[] }
}

/// Service, country, autonomous system of an address.
fn known(ip: &str) -> (Option<&'static str>, &'static str, i64) {
    match ip {
        "192.0.2.1" => (Some("Google Workspace"), "US", 15169),
        "192.0.2.50" => (Some("Mailchimp"), "US", 14782),
        "203.0.113.5" => (None, "DE", 64501),
        _ => (None, "RU", 64500),
    }
}

fn report(
    key: u32,
    org: &'static str,
    domain: &'static str,
    id: &'static str,
    interval: (&'static str, &'static str),
    records: Vec<Record>,
) -> Report {
    let (begin, end) = interval;
    Report {
        key,
        org,
        domain,
        id,
        begin,
        end,
        p: "none",
        copies: 1,
        conflict: false,
        repairs: json!([]),
        records,
    }
}

/// The day's interval.
macro_rules! day {
    ($day:literal) => {
        (concat!($day, "T00:00:00Z"), concat!($day, "T23:59:59Z"))
    };
}

const OVERNIGHT: (&str, &str) = ("2026-03-30T06:00:00Z", "2026-03-31T06:00:00Z");

pub(crate) fn reports() -> Vec<Report> {
    let forwarded =
        Record { forwarding: Some("mailing_list"), ..record("203.0.113.5", 20, false, false, "quarantine") };
    let shared = |messages, shares| Record { shares, ..record("192.0.2.1", messages, true, true, "none") };
    vec![
        report(
            1,
            "google.com",
            "a.example",
            "g15",
            day!("2026-02-15"),
            vec![record("192.0.2.1", 50, true, true, "none")],
        ),
        report(
            2,
            "google.com",
            "a.example",
            "g29",
            day!("2026-03-29"),
            vec![
                record("192.0.2.1", 100, true, true, "none"),
                record("198.51.100.7", 10, false, false, "none"),
            ],
        ),
        report(
            3,
            "google.com",
            "a.example",
            "g30",
            day!("2026-03-30"),
            vec![record("192.0.2.1", 120, true, false, "none"), forwarded],
        ),
        Report {
            p: "quarantine",
            ..report(
                4,
                "google.com",
                "a.example",
                "g31",
                day!("2026-03-31"),
                vec![
                    record("192.0.2.1", 80, true, true, "none"),
                    record("198.51.100.7", 30, false, false, "reject"),
                ],
            )
        },
        Report {
            copies: 3,
            ..report(
                5,
                "yahoo.example",
                "a.example",
                "y29",
                day!("2026-03-29"),
                vec![record("192.0.2.50", 40, false, true, "none")],
            )
        },
        Report {
            repairs: json!([{ "kind": "value-mapped", "place": "record/row/disposition", "original": "hardfail", "count": 2 }]),
            ..report(
                6,
                "yahoo.example",
                "a.example",
                "y30",
                day!("2026-03-30"),
                vec![record("192.0.2.50", 6, false, false, "none")],
            )
        },
        Report {
            p: "reject",
            ..report(
                7,
                "yahoo.example",
                "b.example",
                "y30b",
                day!("2026-03-30"),
                vec![record("192.0.2.1", 7, true, true, "none")],
            )
        },
        Report {
            conflict: true,
            ..report(
                8,
                "cisco.example",
                "a.example",
                "c30",
                OVERNIGHT,
                vec![shared(8, &[("2026-03-30", 6), ("2026-03-31", 2)])],
            )
        },
        Report {
            conflict: true,
            ..report(
                9,
                "cisco.example",
                "a.example",
                "c30",
                OVERNIGHT,
                vec![shared(4, &[("2026-03-30", 3), ("2026-03-31", 1)])],
            )
        },
    ]
}

impl Report {
    fn date(&self) -> &'static str {
        &self.begin[..10]
    }

    fn key(&self) -> String {
        format!("{:032x}", self.key)
    }

    fn row(&self) -> Value {
        let messages: i64 = self.records.iter().map(|record| record.messages).sum();
        let passed: i64 = self
            .records
            .iter()
            .filter(|record| record.dkim || record.spf)
            .map(|record| record.messages)
            .sum();
        json!({
            "date": self.date(), "report_key": self.key(), "policy_domain": self.domain, "org_name": self.org,
            "report_id": self.id, "range_begin": self.begin, "range_end": self.end, "p": self.p,
            "record_count": self.records.len(), "messages": messages, "passed_messages": passed,
            "copies": self.copies, "conflict": self.conflict, "repairs": self.repairs,
            "origin": format!("reports/{}.xml.gz", self.id), "entry": "", "received_at": "2026-04-01T08:00:00.5Z",
            "raw_partition": 0, "raw_offset": self.key, "part": 0, "xml_bytes": 1000,
        })
    }

    fn record_rows(&self) -> impl Iterator<Item = Value> {
        self.records.iter().enumerate().map(|(index, record)| {
            let (service, country, asn) = known(record.ip);
            let result = |aligned| if aligned { "pass" } else { "fail" };
            let reasons = record.forwarding.map(|kind| json!({ "type": kind, "comment": "list, \"announce\"" }));
            json!({
                "date": self.date(), "report_key": self.key(), "policy_domain": self.domain, "org_name": self.org,
                "report_id": self.id, "range_begin": self.begin, "range_end": self.end, "record_index": index,
                "source_ip": record.ip, "messages": record.messages, "disposition": record.disposition,
                "dkim_aligned": record.dkim, "spf_aligned": record.spf, "dmarc_pass": record.dkim || record.spf,
                "reasons": reasons.into_iter().collect::<Vec<_>>(), "header_from": self.domain, "envelope_from": "",
                "dkim": [
                    { "domain": self.domain, "selector": "s1", "result": result(record.dkim) },
                    { "domain": "other.example", "result": "pass" },
                ],
                "spf": [{ "domain": self.domain, "scope": "mfrom", "result": result(record.spf) }],
                "country": country, "asn": asn, "service": service, "forwarding": record.forwarding,
            })
        })
    }

    /// Rows that have the columns of every rollup.
    fn rollup_rows(&self) -> impl Iterator<Item = Value> {
        self.records.iter().flat_map(|record| {
            let (service, country, asn) = known(record.ip);
            let whole = [(self.date(), record.messages)];
            let shares = if record.shares.is_empty() { &whole[..] } else { record.shares };
            shares.iter().map(|(date, messages)| json!({
                "date": date, "policy_domain": self.domain, "org_name": self.org, "source_ip": record.ip,
                "header_from": self.domain, "service": service, "asn": asn, "country": country,
                "forwarding": record.forwarding, "dkim_aligned": record.dkim, "spf_aligned": record.spf,
                "dmarc_pass": record.dkim || record.spf, "disposition": record.disposition, "messages": messages,
                "apportioned_messages": if record.shares.is_empty() { 0 } else { *messages },
            })).collect::<Vec<_>>()
        })
    }
}

fn dead_letters() -> Vec<Value> {
    let letter = |letter, at: &str, reason, state| {
        json!({
            "date": &at[..10], "letter": letter, "died_at": at, "stage": "parse", "reason": reason,
            "detail": "the text ends in the middle of the report", "origin": "mail.mbox#7", "entry": "report.xml.gz",
            "position": "reports.raw/0/7", "attempts": 1, "size": 812, "state": state,
        })
    };
    vec![
        letter("0/0", "2026-04-01T08:00:00Z", "truncated", "open"),
        letter("0/1", "2026-04-01T09:00:00Z", "bomb", "discarded"),
    ]
}

/// Rows of a table, from objects that may have more members than it has columns.
pub(crate) fn batch(table: &Table, rows: &[Value]) -> RecordBatch {
    let mut decoder = ReaderBuilder::new(table.schema()).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap()
}

/// Appends rows to a table of the lake; makes the table if it is missing.
pub(crate) async fn append(lake: &Path, name: &str, rows: &[Value]) {
    let table = Table::named(name).unwrap();
    let folder = lake.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let url = url::Url::from_directory_path(&folder).unwrap();
    let delta = match deltalake::open_table(url.clone()).await {
        Ok(delta) => delta,
        Err(_) => create(table, url.as_str()).await,
    };
    delta.write([batch(table, rows)]).await.unwrap();
}

async fn create(table: &Table, url: &str) -> DeltaTable {
    let schema: StructType = table.schema().as_ref().try_into_kernel().unwrap();
    let create = CreateBuilder::new().with_location(url).with_columns(schema.fields().cloned());
    create.with_partition_columns([PARTITION]).await.unwrap()
}

/// Writes the whole world.
pub(crate) async fn write(lake: &Path) {
    let reports = reports();
    let rows: Vec<_> = reports.iter().map(Report::row).collect();
    append(lake, "reports", &rows).await;
    let rows: Vec<_> = reports.iter().flat_map(Report::record_rows).collect();
    append(lake, "records", &rows).await;
    let rows: Vec<_> = reports.iter().flat_map(Report::rollup_rows).collect();
    for rollup in ["daily", "daily_senders", "daily_reporters", "daily_sources"] {
        append(lake, rollup, &rows).await;
    }
    append(lake, "dead_letters", &dead_letters()).await;
}

/// One lake for all tests that only read, and a session over it.
pub(crate) async fn shared() -> Session {
    static LAKE: OnceCell<Arc<TempDir>> = OnceCell::const_new();
    let lake = LAKE.get_or_init(|| async {
        let lake = tempfile::tempdir().unwrap();
        write(lake.path()).await;
        Arc::new(lake)
    });
    open(lake.await.path())
}

pub(crate) fn open(lake: &Path) -> Session {
    Session::open(lake.to_str().unwrap(), &Options::default()).unwrap()
}

pub(crate) fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer to a question of the library, in a format.
pub(crate) async fn ask(session: &Session, name: &str, pairs: &[(&str, &str)], format: Format) -> String {
    let library = Library::new().unwrap();
    let answer = session
        .ask(library.get(name).unwrap(), &params(pairs))
        .await
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut out = Vec::new();
    answer.write(format, &TableStyle::default(), &mut out).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    String::from_utf8(out).unwrap()
}
