//! What must be refused: everything that writes, that changes the session, or that reads elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use dmarcflow_queries::{Params, QueryError};

use crate::world;

const WRITES: &[&str] = &[
    "INSERT INTO daily SELECT * FROM daily",
    "INSERT OVERWRITE daily SELECT * FROM daily",
    "DELETE FROM daily",
    "UPDATE daily SET messages = 0",
    "MERGE INTO daily USING daily AS d ON daily.date = d.date WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE daily",
    "DROP TABLE daily",
    "DROP VIEW record_dkim",
    "ALTER TABLE daily ADD COLUMN x INT",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE SCHEMA s",
    "CREATE DATABASE d",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE UNBOUNDED EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION '/etc/passwd'",
    "COPY daily TO 'stolen.csv'",
    "COPY (SELECT * FROM daily) TO 'stolen.parquet' STORED AS PARQUET",
    "EXPLAIN COPY daily TO 'stolen.csv'",
    "EXPLAIN ANALYZE COPY daily TO 'stolen.csv'",
    "EXPLAIN ANALYZE INSERT INTO daily SELECT * FROM daily",
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
    "SET datafusion.execution.batch_size = 1",
    "SET TIME ZONE 'Europe/Berlin'",
    "RESET datafusion.execution.batch_size",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "BEGIN",
    "COMMIT",
    "USE x",
    "GRANT SELECT ON daily TO x",
    "VACUUM daily",
];

/// Refused for other reasons than that they write: two statements, names of files, functions that read files.
const OTHERS: &[&str] = &[
    "SELECT 1; DROP TABLE daily",
    "SELECT * INTO t FROM daily",
    "WITH x AS (INSERT INTO daily SELECT * FROM daily RETURNING *) SELECT * FROM x",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM 'daily/_delta_log/00000000000000000000.json'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('x.parquet')",
    "SELECT * FROM parquet_metadata('x.parquet')",
    "SELECT * FROM other.main.daily",
    "",
    "-- nothing",
];

fn files(folder: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().len());
        }
    }
}

#[tokio::test]
async fn nothing_but_reading_is_possible() {
    let lake = tempfile::tempdir().unwrap();
    world::write(lake.path()).await;
    let session = world::open(lake.path());
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    files(lake.path(), &mut before);
    for attack in WRITES {
        match session.sql(attack, &Params::new()).await {
            Err(QueryError::ReadOnly { statement }) => {
                assert!(
                    attack.starts_with(statement.split(' ').next().unwrap()) || attack.starts_with("EXPLAIN"),
                    "{attack}: {statement}"
                );
            }
            Err(QueryError::Syntax { .. }) => assert!(!attack.starts_with("INSERT INTO"), "{attack}"),
            other => panic!("{attack}: {other:?}"),
        }
    }
    for attack in OTHERS {
        assert!(session.sql(attack, &Params::new()).await.is_err(), "{attack}");
    }
    files(lake.path(), &mut after);
    assert_eq!(before, after);
    assert!(!Path::new("stolen.csv").exists() && !Path::new("stolen.parquet").exists());
}

#[tokio::test]
async fn what_reads_is_allowed() {
    let session = world::shared().await;
    for question in [
        "SELECT count(*) FROM records",
        "(SELECT 1) UNION ALL SELECT 2",
        "VALUES (1), (2)",
        "WITH d AS (SELECT * FROM daily) SELECT * FROM d",
        "SHOW TABLES",
        "SHOW COLUMNS FROM records",
        "SHOW FUNCTIONS LIKE 'sum'",
        "SHOW CREATE TABLE record_dkim",
        "DESCRIBE record_spf",
        "EXPLAIN SELECT * FROM daily",
        "EXPLAIN ANALYZE SELECT * FROM daily",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM lake.main.daily",
        "SELECT * FROM main.daily;",
    ] {
        let answer =
            session.sql(question, &Params::new()).await.unwrap_or_else(|e| panic!("{question}: {e}"));
        let rows: usize = answer
            .collect()
            .await
            .unwrap_or_else(|e| panic!("{question}: {e}"))
            .iter()
            .map(|b| b.num_rows())
            .sum();
        assert!(rows > 0, "{question}");
    }
}
