//! Other people's programs read the tables right.

use std::process::Command;

use crate::support::{Deployment, skip, text, world};

const SCRIPT: &str = r"
import sys, duckdb, polars
from deltalake import DeltaTable
lake, export = sys.argv[1:3]
table = DeltaTable(lake + '/records')
total = table.to_pyarrow_table(columns=['messages']).column('messages')
print('deltalake', len(total), sum(total.to_pylist()))
frame = polars.read_delta(lake + '/records')
print('polars', frame.height, frame['messages'].sum())
rows, messages = duckdb.sql(f'''SELECT count(*), sum(messages) FROM
    read_parquet('{export}/records/**/*.parquet', hive_partitioning = true)''').fetchall()[0]
print('duckdb', rows, messages)
passed = duckdb.sql(f'''SELECT sum(messages) FROM read_parquet('{export}/daily/**/*.parquet', hive_partitioning = true)
    WHERE dmarc_pass AND date >= DATE '1970-01-01' ''').fetchall()[0][0]
print('passed', passed)
";

#[test]
fn deltalake_polars_and_duckdb_count_what_we_count() {
    let python = std::env::var("DMARCFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let peers = Command::new(&python).args(["-c", "import deltalake, polars, duckdb, pyarrow"]).output();
    if !peers.is_ok_and(|o| o.status.success()) {
        return skip(&format!(
            "{python} has no deltalake, polars, duckdb and pyarrow; name another with DMARCFLOW_PYTHON"
        ));
    }
    let world = world(300, 5);
    let d = Deployment::new();
    d.ingest(&[world.path()]);
    let export = d.dir.path().join("export");
    d.ok(&["export", export.to_str().unwrap()]);
    let output = Command::new(python)
        .args(["-c", SCRIPT, d.data().join("lake").to_str().unwrap(), export.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (rows, messages) =
        (d.number("SELECT count(*) FROM records"), d.number("SELECT sum(messages) FROM records"));
    let passed = d.number("SELECT sum(messages) FROM daily WHERE dmarc_pass");
    assert!(messages > 0 && passed > 0);
    let expected = format!(
        "deltalake {rows} {messages}\npolars {rows} {messages}\nduckdb {rows} {messages}\npassed {passed}\n"
    );
    assert_eq!(text(&output.stdout), expected);
}
