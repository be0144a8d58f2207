//! Killed at any moment, starved of disk: nothing is lost and nothing counts twice.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Deployment, assert_same, files, long, random, text, world};

/// Kills, unless the long form is asked for.
const KILLS: u64 = 15;
/// Reports that are new to each run.
const REPORTS_A_RUN: u64 = 80;

/// Killed again and again, each time with reports before it that no run has seen.
#[test]
fn killed_at_random_moments_the_tables_are_those_of_an_undisturbed_run() {
    let kills = if long() { 100 } else { KILLS };
    let world = world(kills * REPORTS_A_RUN, 11);
    let folders = parts(world.path(), kills as usize);
    let undisturbed = Deployment::new();
    let started = Instant::now();
    undisturbed.ingest(&[&folders[0]]);
    let one_run = started.elapsed();
    undisturbed.ingest(&folders.iter().map(PathBuf::as_path).collect::<Vec<_>>());

    let d = Deployment::new();
    let (mut killed, mut moments) = (0, Vec::new());
    for i in 0..kills {
        let mut child = d
            .command(&["ingest", "--quiet"])
            .args(&folders[..=i as usize])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Duration::from_micros(random(42, i, one_run.as_micros() as u64));
        let since = Instant::now();
        while since.elapsed() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        moments.push(until.as_millis());
    }
    println!(
        "{killed} of {kills} runs of some {one_run:?} were killed before their end, after {moments:?} ms"
    );
    assert!(killed > kills / 2, "few runs were killed, which proves little");
    d.ingest(&folders.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert_same(&d.tables(), &undisturbed.tables(), "after kills");
    let copies = "SELECT sum(copies) FROM reports";
    assert_eq!(d.number(copies), undisturbed.number(copies), "a restart makes no copies");
    let letters = "SELECT count(*) FROM dead_letters";
    assert_eq!(d.number(letters), undisturbed.number(letters));
}

/// Deals a world's files out to folders.
fn parts(world: &Path, n: usize) -> Vec<PathBuf> {
    let folders: Vec<_> = (0..n).map(|i| world.join(format!("part-{i:03}"))).collect();
    let files = files(world);
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    for (i, file) in files.iter().enumerate() {
        let name = format!("{i}-{}", file.file_name().unwrap().to_str().unwrap());
        std::fs::rename(file, folders[i % n].join(name)).unwrap();
    }
    folders
}

#[test]
fn aborted_at_each_step_of_a_commit_the_tables_are_those_of_an_undisturbed_run() {
    if !cfg!(debug_assertions) {
        println!("skipped: a release build has no crash points");
        return;
    }
    let world = world(150, 13);
    let undisturbed = Deployment::new();
    undisturbed.ingest(&[world.path()]);
    let expected = undisturbed.tables();
    for point in
        ["fed", "stage-before-commit", "stage-after-commit", "table-before-commit", "table-after-commit"]
    {
        let d = Deployment::new();
        for n in [1, 2, 4, 7] {
            let output = d
                .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
                .env("DMARCFLOW_CRASH_AT", format!("{point}:{n}"))
                .output()
                .unwrap();
            assert!(n > 1 || !output.status.success(), "{point}:{n} did not crash: {}", text(&output.stdout));
        }
        d.ingest(&[world.path()]);
        assert_same(&d.tables(), &expected, point);
    }
}
