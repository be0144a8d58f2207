//! The formats, against golden texts and by reading back.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use dmarcflow_queries::{Format, Params, TableStyle};
use serde_json::{Value, json};

use crate::world::{ask, shared};

/// Values of every kind: quotes, line ends, wide characters, control characters, absent and nested ones.
const ODD: &str = "SELECT * FROM (VALUES
    (1, 'plain', 1234567, 99.5, true, DATE '2026-01-02', TIMESTAMP '2026-01-02T03:04:05Z', make_array('a', 'b')),
    (2, 'say \"hi\", twice', -20, 0.0, false, NULL, NULL, NULL),
    (3, '日本\u{1b}[31m', NULL, NULL, NULL, NULL, arrow_cast(1767323045123000, 'Timestamp(Microsecond, Some(\"UTC\"))'), make_array()),
    (4, '', 0, 33.333, true, NULL, NULL, NULL)
) AS t(row, text, messages, pass_percent, flag, day, instant, list) ORDER BY row";

async fn write(sql: &str, format: Format, width: Option<usize>) -> Vec<u8> {
    let session = shared().await;
    let answer = session.sql(sql, &Params::new()).await.unwrap();
    let mut out = Vec::new();
    answer.write(format, &TableStyle { width }, &mut out).await.unwrap();
    out
}

async fn text(sql: &str, format: Format, width: Option<usize>) -> String {
    String::from_utf8(write(sql, format, width).await).unwrap()
}

const INSTANT: &str = "SELECT row, text, messages, pass_percent, flag, day, \
    arrow_cast(instant, 'Timestamp(Microsecond, Some(\"UTC\"))') AS instant, list FROM (ODD)";

fn odd() -> String {
    INSTANT.replace("ODD", ODD.trim_end_matches(" ORDER BY row")) + " ORDER BY row"
}

#[tokio::test]
async fn csv_is_quoted_and_absent_differs_from_empty() {
    let expected = [
        "row,text,messages,pass_percent,flag,day,instant,list",
        "1,plain,1234567,99.5,true,2026-01-02,2026-01-02T03:04:05Z,\"[\"\"a\"\",\"\"b\"\"]\"",
        "2,\"say \"\"hi\"\", twice\",-20,0.0,false,,,",
        "3,日本\u{1b}[31m,,,,,2026-01-02T03:04:05.123Z,[]",
        "4,\"\",0,33.333,true,,,",
    ];
    assert_eq!(text(&odd(), Format::Csv, None).await, expected.join("\r\n") + "\r\n");
}

#[tokio::test]
async fn json_is_one_array_and_ndjson_one_object_a_line() {
    let array: Value = serde_json::from_slice(&write(&odd(), Format::Json, None).await).unwrap();
    let first = json!({
        "row": 1, "text": "plain", "messages": 1234567, "pass_percent": 99.5, "flag": true, "day": "2026-01-02",
        "instant": "2026-01-02T03:04:05Z", "list": ["a", "b"],
    });
    assert_eq!(array[0], first);
    assert_eq!(array[1]["day"], Value::Null);
    assert_eq!(array[2]["text"], "日本\u{1b}[31m");
    let lines = text(&odd(), Format::Ndjson, None).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::Array(lines), array);
}

#[tokio::test]
async fn an_answer_without_rows_is_whole_in_every_format() {
    let none = "SELECT date, messages FROM daily WHERE messages < 0";
    assert_eq!(text(none, Format::Json, None).await, "[]\n");
    assert_eq!(text(none, Format::Ndjson, None).await, "");
    assert_eq!(text(none, Format::Csv, None).await, "date,messages\r\n");
    assert_eq!(text(none, Format::Table, None).await, "date  messages\n----  --------\n(0 rows)\n");
    let batches = read_parquet(write(none, Format::Parquet, None).await);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

fn read_parquet(bytes: Vec<u8>) -> Vec<RecordBatch> {
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
            .unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn parquet_reads_back() {
    let batches = read_parquet(write("SELECT * FROM records ORDER BY messages", Format::Parquet, None).await);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 12);
    let messages = batches[0].column_by_name("messages").unwrap().as_primitive::<Int64Type>();
    assert_eq!(messages.value(0), 4);
}

#[tokio::test]
async fn a_table_is_aligned_and_shows_control_characters() {
    let expected = [
        "row  text              messages  pass_percent  flag   day         instant                   list",
        "---  ---------------  ---------  ------------  -----  ----------  ------------------------  ---------",
        "  1  plain            1,234,567         99.50  true   2026-01-02  2026-01-02T03:04:05Z      [\"a\",\"b\"]",
        "  2  say \"hi\", twice        -20          0.00  false",
        "  3  日本\\u{1b}[31m                                               2026-01-02T03:04:05.123Z  []",
        "  4                           0         33.33  true",
        "(4 rows)\n",
    ];
    let expected = expected.join("\n");
    assert_eq!(text(&odd(), Format::Table, None).await, expected);
}

#[tokio::test]
async fn a_table_fits_the_terminal() {
    let table = text(&odd(), Format::Table, Some(40)).await;
    assert!(table.lines().all(|line| line.chars().count() <= 40), "{table}");
    assert!(
        table.contains("say \"hi…") && table.ends_with("(4 rows; 4 more columns do not fit)\n"),
        "{table}"
    );
}

#[tokio::test]
async fn a_single_wide_row_is_written_as_lines() {
    let overview = ask(&shared().await, "overview", &[], Format::Table).await;
    assert!(overview.starts_with("first_day              2026-03-29\nlast_day               2026-03-31\nmessages               425\n"), "{overview}");
    assert!(overview.ends_with("(1 row)\n"), "{overview}");
}

#[tokio::test]
async fn a_plan_is_written_as_it_is() {
    let plan = text("EXPLAIN SELECT sum(messages) FROM daily", Format::Table, Some(40)).await;
    assert!(plan.contains("\n") && plan.contains("Aggregate") && !plan.contains("\\n"), "{plan}");
}
