//! What a commit costs. Run with `--release -- --ignored --nocapture cost`; it prints, and fails only far off the mark.

use std::time::{Duration, Instant};

use dmarcflow_lake::Options;
use dmarcflow_schemas::TABLES;

use crate::data::{Home, at, committed, fast, rows, table};

/// Processor time of the whole process, in steps of a hundredth of a second: fields 14 and 15 of its `stat`.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |n: usize| fields[n - 3].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(14) + ticks(15)))
}

fn print(what: &str, cpu: Duration, wall: Duration, per: u64, unit: &str) {
    let each = cpu.as_secs_f64() * 1e6 / per as f64;
    println!(
        "{what:<44} {:>8.1} ms cpu {:>8.1} ms wall {each:>9.2} us cpu a {unit}",
        cpu.as_secs_f64() * 1e3,
        wall.as_secs_f64() * 1e3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn cost_of_rows() {
    for (name, n) in [("records", 200_000), ("reports", 50_000), ("daily_sources", 200_000)] {
        let table = table(name);
        let batch = rows(table, (0..n).map(|seed| (seed % 30, seed)));
        let home = Home::new(&fast()).await;
        for commit in 0..3 {
            let (start, wall) = (cpu(), Instant::now());
            let done = committed(
                home.lake.commit(table, vec![batch.clone()], vec![], &at("write/t/0", commit + 1)).await,
            );
            let what = format!("{name} {n} rows, 30 days, {} B a row", done.bytes / n);
            print(&what, cpu() - start, wall.elapsed(), n, "row");
        }
        let (start, wall) = (cpu(), Instant::now());
        home.lake.compact(table, true).await.unwrap();
        print("  compaction", cpu() - start, wall.elapsed(), 3 * n, "row");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn cost() {
    // Kept to the end: ext4 is slow to make files right after many were removed.
    let mut homes = Vec::new();
    for table in TABLES {
        let home = Home::new(&fast()).await;
        for n in 0..3 {
            let batch =
                rows(table, (0..365).flat_map(|day| (0..3).map(move |i| (day, day * 3 + i + n * 1095))));
            let (start, wall) = (cpu(), Instant::now());
            let done = committed(home.lake.commit(table, vec![batch], vec![], &at("write/t/0", n + 1)).await);
            print(
                &format!("{} 365 days, {} B a file", table.name, done.bytes / 365),
                cpu() - start,
                wall.elapsed(),
                365,
                "file",
            );
        }
        let (start, wall) = (cpu(), Instant::now());
        let done = home.lake.compact(table, true).await.unwrap();
        print(
            &format!("{} compaction to {}", table.name, done.files_after),
            cpu() - start,
            wall.elapsed(),
            done.files_before as u64,
            "file",
        );
        let (start, wall) = (cpu(), Instant::now());
        drop(crate::data::open(home.folder.path(), &fast()).await);
        print("  open", cpu() - start, wall.elapsed(), 7, "table");
        homes.push(home);
    }
    let records = table("records");
    let due = Home::new(&Options { checkpoint_every: 6, ..fast() }).await;
    for n in 0..6 {
        let batch = rows(records, (0..365).map(|day| (day, day)));
        let (start, wall) = (cpu(), Instant::now());
        committed(due.lake.commit(records, vec![batch], vec![], &at("write/t/0", n + 1)).await);
        if n > 3 {
            print(
                &format!("records commit {n}, {} files, checkpoint if 5", 365 * (n + 1)),
                cpu() - start,
                wall.elapsed(),
                1,
                "commit",
            );
        }
    }
    let synced = Home::new(&Options::default()).await;
    for days in [1, 4, 365] {
        let batch = rows(records, (0..days).map(|day| (day, day)));
        let (start, wall) = (cpu(), Instant::now());
        let app = format!("write/t/{days}");
        committed(synced.lake.commit(records, vec![batch], vec![], &at(&app, 1)).await);
        print(&format!("records {days} days, durable"), cpu() - start, wall.elapsed(), days, "file");
    }
    let daily = table("daily");
    let small = Home::new(&fast()).await;
    let batch = rows(daily, [(0, 1)]);
    let (start, wall) = (cpu(), Instant::now());
    for n in 0..100 {
        committed(small.lake.commit(daily, vec![batch.clone()], vec![], &at("write/t/0", n + 1)).await);
    }
    print("daily 100 commits of a row, 5 checkpoints", cpu() - start, wall.elapsed(), 100, "commit");
}
