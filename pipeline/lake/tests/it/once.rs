//! Positions commit with data: a batch that comes again writes nothing.

use dmarcflow_lake::{CommitOutcome, LakeError, Options};

use crate::data::{Home, at, committed, fast, open, parquet_files, read, rows, span, table};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_writes_nothing_also_after_reopening() {
    let home = Home::new(&Options::default()).await;
    let records = table("records");
    let batch = rows(records, [(0, 1), (0, 2), (1, 3)]);
    assert_eq!(home.lake.position(records, "write/t/0").await.unwrap(), None);
    let done =
        committed(home.lake.commit(records, vec![batch.clone()], vec![], &span("write/t/0", 0, 10)).await);
    assert_eq!((done.version, done.rows, done.files), (1, 3, 2));
    let again =
        home.lake.commit(records, vec![batch.clone()], vec![], &span("write/t/0", 0, 10)).await.unwrap();
    assert_eq!(again, CommitOutcome::Known { version: 1 });
    let reopened = open(home.folder.path(), &fast()).await;
    assert_eq!(reopened.position(records, "write/t/0").await.unwrap(), Some(10));
    let again = reopened.commit(records, vec![batch], vec![], &span("write/t/0", 0, 7)).await.unwrap();
    assert_eq!(again, CommitOutcome::Known { version: 1 });
    assert_eq!(read(&reopened, records).await.num_rows(), 3);
    assert_eq!(parquet_files(home.folder.path()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_committed_first_makes_the_batch_known_and_leaves_no_files() {
    let home = Home::new(&fast()).await;
    let other = open(home.folder.path(), &fast()).await;
    let daily = table("daily");
    // Both have opened the table; neither has seen the other's entry.
    committed(home.lake.commit(daily, vec![rows(daily, [(0, 1)])], vec![], &span("write/t/0", 0, 5)).await);
    let late =
        other.commit(daily, vec![rows(daily, [(0, 1)])], vec![], &span("write/t/0", 0, 5)).await.unwrap();
    assert_eq!(late, CommitOutcome::Known { version: 1 });
    assert_eq!(parquet_files(home.folder.path()).len(), 1);
    let next = committed(other.commit(daily, vec![rows(daily, [(0, 2)])], vec![], &at("write/t/0", 6)).await);
    assert_eq!(next.version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_a_part_is_in_the_table_is_refused_and_changes_nothing() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    let batch = || vec![rows(daily, [(0, 1)])];
    committed(home.lake.commit(daily, batch(), vec![], &span("write/t/0", 0, 5)).await);
    let mixed = [at("write/t/0", 4), span("write/t/1", 0, 9)].concat();
    let refused = home.lake.commit(daily, batch(), vec![], &mixed).await.unwrap_err();
    assert!(matches!(&refused, LakeError::Position { stored: 5, next: 4, .. }), "{refused}");
    assert!(!refused.is_transient());
    assert_eq!(home.lake.position(daily, "write/t/1").await.unwrap(), None);
    assert_eq!(read(&home.lake, daily).await.num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_partition_went_to_another_is_refused_whatever_it_holds() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    let other = open(home.folder.path(), &fast()).await;
    let batch = |seed| vec![rows(daily, [(0, seed)])];
    committed(home.lake.commit(daily, batch(1), vec![], &span("write/t/0", 0, 5)).await);
    // The other one woke up late, with rows that are in the table in part, in whole, or follow a gap.
    let late = other.commit(daily, batch(2), vec![], &span("write/t/0", 0, 9)).await.unwrap_err();
    assert!(matches!(&late, LakeError::Position { stored: 5, from: 0, next: 9, .. }), "{late}");
    let known = other.commit(daily, batch(2), vec![], &span("write/t/0", 0, 3)).await.unwrap();
    assert!(matches!(known, CommitOutcome::Known { .. }));
    let gap = other.commit(daily, batch(2), vec![], &span("write/t/0", 7, 9)).await.unwrap_err();
    assert!(matches!(gap, LakeError::Position { stored: 5, from: 7, .. }), "{gap}");
    assert_eq!(parquet_files(home.folder.path()).len(), 1, "nothing is left of what was refused");
    committed(other.commit(daily, batch(3), vec![], &span("write/t/0", 5, 9)).await);
    assert_eq!(read(&home.lake, daily).await.num_rows(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_alone_are_a_commit_and_nothing_at_all_is_none() {
    let home = Home::new(&fast()).await;
    let reports = table("reports");
    assert_eq!(home.lake.commit(reports, vec![], vec![], &[]).await.unwrap(), CommitOutcome::Empty);
    let empty = rows(reports, []);
    let done = committed(home.lake.commit(reports, vec![empty], vec![], &span("write/t/3", 0, 8)).await);
    assert_eq!((done.version, done.files), (1, 0));
    assert_eq!(home.lake.position(reports, "write/t/3").await.unwrap(), Some(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_outlive_checkpoints_and_a_new_start() {
    let options = Options { checkpoint_every: 3, ..fast() };
    let home = Home::new(&options).await;
    let daily = table("daily");
    for next in 1..=10_u64 {
        let app = format!("write/t/{}", next % 2);
        let position = span(&app, next.saturating_sub(2), next);
        committed(home.lake.commit(daily, vec![rows(daily, [(0, next)])], vec![], &position).await);
    }
    let log = home.folder.path().join("daily/_delta_log");
    assert!(log.join("00000000000000000009.checkpoint.parquet").exists());
    assert!(log.join("_last_checkpoint").exists());
    let reopened = open(home.folder.path(), &options).await;
    assert_eq!(reopened.position(daily, "write/t/0").await.unwrap(), Some(10));
    assert_eq!(reopened.position(daily, "write/t/1").await.unwrap(), Some(9));
    assert_eq!(read(&reopened, daily).await.num_rows(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_refused_by_name() {
    let home = Home::new(&fast()).await;
    let wrong = rows(table("daily"), [(0, 1)]);
    let refused = home.lake.commit(table("records"), vec![wrong.clone()], vec![], &[]).await.unwrap_err();
    assert!(refused.to_string().contains("`report_key` is missing"), "{refused}");
    let refused = home.lake.commit(table("records"), vec![], vec![wrong], &[]).await.unwrap_err();
    assert!(refused.to_string().contains("takes no marks"), "{refused}");
    let mut unknown = *table("daily");
    unknown.name = "weekly";
    let refused = home.lake.commit(&unknown, vec![], vec![], &at("a", 1)).await;
    assert!(matches!(refused, Err(LakeError::UnknownTable(name)) if name == "weekly"));
}
