//! Several writers of one table, and a compaction that runs all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{at, committed, distinct, fast, marks, open, read, rows, sum, table};

const WRITERS: u64 = 3;
const COMMITS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_and_marks_never_fail_while_compactions_run_and_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, daily) = (table("reports"), table("daily"));
    drop(open(folder.path(), &fast()).await);
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        // A lake of its own: what it knows of the others it knows from the log, like another process.
        let lake = open(folder.path(), &fast()).await;
        writers.push(tokio::spawn(async move {
            let app = format!("write/t/{writer}");
            for n in 0..COMMITS {
                let seed = writer * 1_000 + n;
                let batch = rows(reports, [(n % 2, seed), (n % 2, seed + 500)]);
                let mark = marks(
                    (0..n).map(|earlier| (earlier % 2, writer * 1_000 + earlier, 100 + n as i64, false)),
                );
                let done = committed(lake.commit(reports, vec![batch], vec![mark], &at(&app, n + 1)).await);
                assert_eq!(done.unmarked, 0);
                committed(
                    lake.commit(daily, vec![rows(daily, [(0, seed), (1, seed)])], vec![], &at(&app, n + 1))
                        .await,
                );
            }
        }));
    }
    let compactor = {
        let (lake, over) = (open(folder.path(), &fast()).await, Arc::clone(&over));
        tokio::spawn(async move {
            let mut joined = 0;
            while !over.load(Ordering::Relaxed) {
                for table in [reports, daily] {
                    joined += lake.compact(table, true).await.unwrap().partitions;
                }
                tokio::task::yield_now().await;
            }
            joined
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    assert!(compactor.await.unwrap() > 0);
    let lake = open(folder.path(), &fast()).await;
    lake.compact(reports, true).await.unwrap();
    let found = read(&lake, reports).await;
    let expected = (WRITERS * COMMITS * 2) as usize;
    assert_eq!((found.num_rows(), distinct(&found, "report_key")), (expected, expected));
    // All but each writer's last report were marked by its last commit.
    let last = 100 + COMMITS as i64 - 1;
    let marked = found.column_by_name("copies").unwrap();
    let marked = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(marked.as_ref());
    assert_eq!(
        marked.values().iter().filter(|copies| **copies == last).count() as u64,
        WRITERS * (COMMITS - 1)
    );
    let seeds = (0..WRITERS).flat_map(|writer| (0..COMMITS).map(move |n| writer * 1_000 + n));
    let messages: u64 = seeds.map(|seed| 2 * (seed % 6)).sum();
    assert_eq!(sum(&read(&lake, daily).await, "messages"), messages as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_commit_the_same_batch_commit_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let daily = table("daily");
    let lakes = [open(folder.path(), &fast()).await, open(folder.path(), &fast()).await].map(Arc::new);
    let mut tasks = Vec::new();
    for lake in &lakes {
        let lake = Arc::clone(lake);
        tasks.push(tokio::spawn(async move {
            for n in 0..20 {
                lake.commit(daily, vec![rows(daily, [(0, 5)])], vec![], &at("write/t/0", n + 1))
                    .await
                    .unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(sum(&read(&lakes[0], daily).await, "messages"), 20 * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_compactions_at_once_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daily = table("daily");
    let lake = open(folder.path(), &fast()).await;
    for n in 0..30 {
        committed(lake.commit(daily, vec![rows(daily, [(n % 3, 5)])], vec![], &at("write/t/0", n + 1)).await);
    }
    let others = [open(folder.path(), &fast()).await, open(folder.path(), &fast()).await];
    let [a, b] = &others;
    let (a, b) = tokio::join!(a.compact(daily, true), b.compact(daily, true));
    assert_eq!(a.unwrap().partitions + b.unwrap().partitions, 3);
    let found = read(&lake, daily).await;
    assert_eq!((found.num_rows(), sum(&found, "messages")), (3, 150));
}
