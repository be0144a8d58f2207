//! Other programs read the tables right: deltalake and polars the lake, DuckDB the export.

use std::process::Command;

use dmarcflow_lake::Options;
use serde_json::Value;

use crate::data::{Home, at, committed, marks, read, rows, skip, sum, table};

#[tokio::test(flavor = "multi_thread")]
async fn deltalake_polars_and_duckdb_read_what_was_written() {
    let python = std::env::var("DMARCFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let have = Command::new(&python).args(["-c", "import deltalake, polars, duckdb"]).output();
    if !have.is_ok_and(|out| out.status.success()) {
        return skip(
            "python with deltalake, polars and duckdb is not here (DMARCFLOW_PYTHON names the interpreter)",
        );
    }
    let options = Options { checkpoint_every: 4, ..Options::default() };
    let home = Home::new(&options).await;
    let (records, reports, daily) = (table("records"), table("reports"), table("daily"));
    for n in 0..10 {
        let seeds = || (0..30).map(|i| (i % 3, n * 30 + i));
        committed(
            home.lake.commit(records, vec![rows(records, seeds())], vec![], &at("write/t/0", n + 1)).await,
        );
        let mark = marks((0..n).map(|i| (0, i * 30, 1_000, true)));
        committed(
            home.lake
                .commit(reports, vec![rows(reports, seeds())], vec![mark], &at("write/t/0", n + 1))
                .await,
        );
        committed(home.lake.commit(daily, vec![rows(daily, seeds())], vec![], &at("write/t/0", n + 1)).await);
        if n == 6 {
            home.lake.compact(records, true).await.unwrap();
        }
    }
    let copy = home.folder.path().join("copy");
    home.lake.export(&copy, &[records, reports, daily], false).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read.py");
    let out = Command::new(&python).arg(script).arg(home.folder.path()).arg(&copy).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let seen: Value = serde_json::from_slice(&out.stdout).unwrap();
    for (table, rows) in [(records, 300), (reports, 300), (daily, read(&home.lake, daily).await.num_rows())] {
        let ours = read(&home.lake, table).await;
        for program in ["deltalake", "polars", "duckdb"] {
            let theirs = &seen[program][table.name];
            assert_eq!(theirs["rows"], rows, "{program} {}", table.name);
            assert_eq!(theirs["messages"], sum(&ours, "messages"), "{program} {}", table.name);
            assert_eq!(theirs["days"], 3, "{program} {}", table.name);
            assert_eq!(theirs["first"], "2024-01-01", "{program} {}", table.name);
        }
    }
    assert_eq!(seen["polars"]["marked"], 9);
    assert_eq!(seen["polars"]["dkim"], seen["duckdb"]["dkim"]);
    assert_eq!(
        seen["polars"]["dkim_type"],
        "List(Struct({'domain': String, 'selector': String, 'result': String, 'human_result': String}))"
    );
    assert_eq!(seen["polars"]["range_begin_type"], "Datetime(time_unit='us', time_zone='UTC')");
    assert_eq!(seen["polars"]["pruned"], 300, "a filter by the log's statistics loses no row");
}
