//! A process that dies at each step of a commit, is started again, and goes on: nothing is lost, nothing doubled.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dmarcflow_lake::{Options, Step};

use crate::data::{Home, at, fast, marks, open, parquet_files, read, rows, table};

const FOLDER: &str = "DMARCFLOW_TEST_LAKE";
const CRASH: &str = "DMARCFLOW_TEST_CRASH";
const STEPS: [Step; 5] =
    [Step::Begin, Step::FileWritten, Step::FilesDurable, Step::EntryWritten, Step::Checkpointed];
const COMMITS: u64 = 6;

/// What the child does, from wherever an earlier one was stopped.
async fn work(lake: &dmarcflow_lake::Lake) {
    for name in ["reports", "daily"] {
        let table = table(name);
        let from = lake.position(table, "write/t/0").await.unwrap().unwrap_or(0) as u64;
        for n in from..COMMITS {
            let batch = vec![rows(table, [(0, n * 2), (n % 3, n * 2 + 1)])];
            let mark = match name {
                "reports" if n > 0 => vec![marks([(0, n * 2 - 2, 50, true), (0, n * 2, 60, true)])],
                _ => vec![],
            };
            lake.commit(table, batch, mark, &at("write/t/0", n + 1)).await.unwrap();
            if n == 3 {
                lake.compact(table, true).await.unwrap();
            }
        }
    }
}

fn options() -> Options {
    Options { checkpoint_every: 2, ..fast() }
}

/// Not a test: the process that is killed. It does nothing when it is run as one.
#[test]
fn child() {
    let (Ok(folder), Ok(crash)) = (std::env::var(FOLDER), std::env::var(CRASH)) else { return };
    let (step, nth) = crash.split_once(':').unwrap();
    let (step, nth): (usize, usize) = (step.parse().unwrap(), nth.parse().unwrap());
    let seen = AtomicUsize::new(0);
    let hook = move |at: Step| {
        if at == STEPS[step] && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            std::process::abort();
        }
    };
    let options = Options { on_step: Some(Arc::new(hook)), ..options() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { work(&open(folder.as_ref(), &options).await).await });
}

/// Runs the child; whether it came to its end.
fn run(folder: &std::path::Path, step: usize, nth: usize) -> bool {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child"])
        .env(FOLDER, folder)
        .env(CRASH, format!("{step}:{nth}"))
        .output()
        .unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&child.status).is_some();
    assert!(killed || child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    !killed
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_every_step_of_every_commit_loses_and_doubles_nothing() {
    let (reports, daily) = (table("reports"), table("daily"));
    let undisturbed = Home::new(&options()).await;
    work(&undisturbed.lake).await;
    undisturbed.lake.compact(reports, true).await.unwrap();
    undisturbed.lake.compact(daily, true).await.unwrap();
    let expected = (read(&undisturbed.lake, reports).await, read(&undisturbed.lake, daily).await);
    assert_eq!(expected.0.num_rows() as u64, COMMITS * 2);
    let mut deaths = 0;
    for (step, named) in STEPS.iter().enumerate() {
        // The same data folder through a whole series of deaths, each at the next occurrence of the step.
        let folder = tempfile::tempdir().unwrap();
        let mut nth = 1;
        while !run(folder.path(), step, nth) {
            deaths += 1;
            // A commit passes a step four times at most: the seventh time is in a later one.
            nth = nth % 7 + 1;
            assert!(deaths < 500, "no progress");
        }
        let lake = open(folder.path(), &options()).await;
        lake.compact(reports, true).await.unwrap();
        lake.compact(daily, true).await.unwrap();
        assert!(read(&lake, reports).await == expected.0, "reports, after deaths at {named:?}");
        assert!(read(&lake, daily).await == expected.1, "daily, after deaths at {named:?}");
        for table in [reports, daily] {
            lake.vacuum(table, Duration::ZERO).await.unwrap();
        }
        assert_eq!(parquet_files(folder.path()).len(), 6, "what is left is what the log names");
    }
    assert!(deaths >= STEPS.len() * 3, "{deaths} deaths");
}
