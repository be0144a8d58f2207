//! How rows come together: sums, marks, compaction, vacuum, export.

use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use dmarcflow_lake::{Compaction, LakeError, Options};
use dmarcflow_schemas::TABLES;

use crate::data::{Home, at, committed, distinct, fast, marks, open, parquet_files, read, rows, sum, table};

/// Seeds of a world of rows, in no order.
fn seeds(n: u64) -> Vec<(u64, u64)> {
    (0..n).map(|i| i * 7_919 % n).map(|seed| (seed % 5, seed)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_batching_gives_equal_tables_row_for_row() {
    for table in TABLES {
        let mut tables: Vec<RecordBatch> = Vec::new();
        for size in [300, 41, 7] {
            let home = Home::new(&fast()).await;
            for (n, batch) in seeds(300).chunks(size).enumerate() {
                // Some batches come as several, in one commit, and some are folded before it.
                let (a, b) = batch.split_at(batch.len() / 3);
                let mut batches = [a, b].map(|part| rows(table, part.to_vec())).to_vec();
                if n % 2 == 0 {
                    batches = home.lake.fold(table, batches).unwrap();
                }
                committed(home.lake.commit(table, batches, vec![], &at("write/t/0", n as u64 + 1)).await);
            }
            home.lake.compact(table, true).await.unwrap();
            let again = home.lake.compact(table, true).await.unwrap();
            assert_eq!(again, Compaction::default(), "{}: a second compaction finds nothing", table.name);
            assert_eq!(
                home.lake.stats().await.unwrap().iter().find(|s| s.table == table.name).unwrap().files,
                5
            );
            tables.push(read(&home.lake, table).await);
        }
        assert!(tables[0].num_rows() >= 20, "{}", table.name);
        assert!(tables.iter().all(|other| *other == tables[0]), "{}", table.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_stay_exact_and_equal_keys_are_one_row_after_compaction() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    for n in 0..50 {
        let batch = rows(daily, (0..20).map(|i| (i % 2, n * 20 + i)));
        committed(home.lake.commit(daily, vec![batch], vec![], &at("write/t/0", n + 1)).await);
    }
    let before = read(&home.lake, daily).await;
    let done = home.lake.compact(daily, true).await.unwrap();
    // More files than are merged at a time: 50 of each of two days, in rounds.
    assert_eq!(done.files_before - done.files_after, 98);
    let after = read(&home.lake, daily).await;
    assert!(after.num_rows() < before.num_rows());
    for column in ["messages", "apportioned_messages"] {
        assert_eq!(sum(&after, column), sum(&before, column));
    }
    assert_eq!(sum(&after, "messages"), (0..1000).map(|seed| seed % 6).sum::<i64>());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_beyond_64_bits_do_not_stop_the_lake() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    let row = rows(daily, [(0, 1)]);
    let mut columns = row.columns().to_vec();
    let messages = row.schema().index_of("messages").unwrap();
    columns[messages] = std::sync::Arc::new(arrow::array::Int64Array::from(vec![i64::MAX - 1]));
    let huge = RecordBatch::try_new(row.schema(), columns).unwrap();
    committed(home.lake.commit(daily, vec![huge.clone(), huge], vec![], &at("write/t/0", 1)).await);
    assert_eq!(sum(&read(&home.lake, daily).await, "messages"), i64::MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_too_large_for_memory_are_merged_as_a_stream_to_the_same_rows() {
    for table in [table("daily_sources"), table("records")] {
        let mut tables = Vec::new();
        for commits in [1, 3] {
            let home = Home::new(&fast()).await;
            for n in 0..commits {
                // Some seeds come twice, in different commits: sums go on across files.
                let seeds =
                    (0..50_000).filter(|seed| seed % commits == n).map(|seed| (0, seed * 31 % 45_000));
                let batch = rows(table, seeds);
                committed(home.lake.commit(table, vec![batch], vec![], &at("write/t/0", n + 1)).await);
            }
            home.lake.compact(table, true).await.unwrap();
            tables.push(read(&home.lake, table).await);
        }
        assert_eq!(tables[0].num_rows(), tables[1].num_rows(), "{}", table.name);
        assert!(tables[0] == tables[1], "{}", table.name);
    }
}

fn copies(rows: &RecordBatch) -> Vec<i64> {
    rows.column_by_name("copies").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_change_rows_of_the_same_commit_and_of_earlier_ones() {
    let home = Home::new(&fast()).await;
    let reports = table("reports");
    let batch = rows(reports, [(0, 1), (0, 2), (1, 3)]);
    let mark = marks([(0, 1, 70, true), (0, 1, 71, true)]);
    let done = committed(home.lake.commit(reports, vec![batch], vec![mark], &at("write/t/0", 1)).await);
    assert_eq!((done.marked, done.unmarked, done.files), (1, 0, 2));
    let mark = marks([(0, 2, 80, false), (1, 3, 90, true), (1, 99, 5, true), (7, 1, 5, true)]);
    let done = committed(
        home.lake.commit(reports, vec![rows(reports, [(0, 4)])], vec![mark], &at("write/t/0", 2)).await,
    );
    assert_eq!((done.marked, done.unmarked, done.rows, done.files), (2, 2, 1, 3));
    home.lake.compact(reports, true).await.unwrap();
    let after = read(&home.lake, reports).await;
    assert_eq!(after.num_rows(), 4);
    let mut found = copies(&after);
    found.sort_unstable();
    assert_eq!(found, [4, 71, 80, 90]);
    assert_eq!(distinct(&after, "report_key"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_finds_its_row_in_a_large_file_by_its_bloom_filter() {
    let home = Home::new(&fast()).await;
    let reports = table("reports");
    for n in 0..3 {
        let batch = rows(reports, (0..2_000).map(|seed| (0, n * 2_000 + seed)));
        committed(home.lake.commit(reports, vec![batch], vec![], &at("write/t/0", n + 1)).await);
    }
    let before = parquet_files(home.folder.path());
    let done = committed(
        home.lake.commit(reports, vec![], vec![marks([(0, 4_321, 1_000, true)])], &at("write/t/0", 4)).await,
    );
    assert_eq!((done.marked, done.files), (1, 1), "one of three files is rewritten");
    assert_eq!(parquet_files(home.folder.path()).len(), before.len() + 1);
    let after = read(&home.lake, reports).await;
    assert_eq!((after.num_rows(), copies(&after).iter().filter(|c| **c == 1_000).count()), (6_000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_sort_columns_and_of_unknown_ones_are_refused() {
    let home = Home::new(&fast()).await;
    let reports = table("reports");
    let row = rows(reports, [(0, 1)]);
    let sorted = row.project(&[0, 1, row.schema().index_of("policy_domain").unwrap()]).unwrap();
    let refused = home.lake.commit(reports, vec![], vec![sorted], &[]).await.unwrap_err();
    assert!(
        matches!(&refused, LakeError::Rows { .. }) && refused.to_string().contains("`policy_domain`"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_leaves_few_files_alone_and_joins_many() {
    let home = Home::new(&fast()).await;
    let records = table("records");
    for n in 0..7 {
        committed(
            home.lake.commit(records, vec![rows(records, [(0, n)])], vec![], &at("write/t/0", n + 1)).await,
        );
    }
    assert_eq!(home.lake.compact(records, false).await.unwrap(), Compaction::default());
    committed(home.lake.commit(records, vec![rows(records, [(0, 7)])], vec![], &at("write/t/0", 8)).await);
    let done = home.lake.compact(records, false).await.unwrap();
    assert_eq!((done.partitions, done.files_before, done.files_after), (1, 8, 1));
    assert_eq!(home.lake.position(records, "write/t/0").await.unwrap(), Some(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_removes_replaced_files_and_orphans_outside_the_window_only() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    for n in 0..3 {
        committed(
            home.lake.commit(daily, vec![rows(daily, [(0, n)])], vec![], &at("write/t/0", n + 1)).await,
        );
    }
    home.lake.compact(daily, true).await.unwrap();
    let orphan = home.folder.path().join("daily/date=2024-01-01/part-orphan.parquet");
    std::fs::write(&orphan, "left by a crash").unwrap();
    assert_eq!(home.lake.vacuum(daily, Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(parquet_files(home.folder.path()).len(), 5);
    assert_eq!(home.lake.vacuum(daily, Duration::ZERO).await.unwrap(), 4);
    assert_eq!(parquet_files(home.folder.path()).len(), 1);
    let done =
        committed(home.lake.commit(daily, vec![rows(daily, [(0, 9)])], vec![], &at("write/t/0", 4)).await);
    assert!(done.version > 4, "the vacuum's own entries are followed");
    assert_eq!(open(home.folder.path(), &fast()).await.position(daily, "write/t/0").await.unwrap(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_replaces_only_when_asked_and_leaves_nothing_beside_it() {
    let home = Home::new(&Options::default()).await;
    let records = table("records");
    committed(home.lake.commit(records, vec![rows(records, [(0, 1), (40, 2)])], vec![], &[]).await);
    let out = tempfile::tempdir().unwrap();
    let copy = out.path().join("copy");
    let all: Vec<_> = TABLES.iter().collect();
    let done = home.lake.export(&copy, &all, false).await.unwrap();
    assert_eq!((done.tables, done.files, done.rows), (TABLES.len(), 2, 2));
    assert!(copy.join("records/date=2024-01-01/part-0.parquet").exists());
    assert!(copy.join("records/date=2024-02-10/part-0.parquet").exists());
    let refused = home.lake.export(&copy, &all, false).await.unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
    committed(home.lake.commit(records, vec![rows(records, [(0, 3)])], vec![], &[]).await);
    assert_eq!(home.lake.export(&copy, &all, true).await.unwrap().rows, 3);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
}
