//! Killed at any moment, starved of disk: nothing is lost and nothing counts twice.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Deployment, assert_same, long, random, text, world};

/// Kills, unless the long form is asked for.
const KILLS: u64 = 15;

#[test]
fn killed_at_random_moments_the_tables_are_those_of_an_undisturbed_run() {
    let kills = if long() { 100 } else { KILLS };
    let world = world(2_000, 11);
    let undisturbed = Deployment::new();
    let started = Instant::now();
    undisturbed.ingest(&[world.path()]);
    let whole = started.elapsed();
    let d = Deployment::new();
    let mut killed = 0;
    for i in 0..kills {
        let mut child = d
            .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Duration::from_micros(random(42, i, whole.as_micros() as u64));
        let since = Instant::now();
        while since.elapsed() < until && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    println!("{killed} of {kills} runs were killed before their end");
    assert!(killed > 0, "no run was killed, which proves nothing");
    d.ingest(&[world.path()]);
    assert_same(&d.tables(), &undisturbed.tables(), "after kills");
    let copies = "SELECT sum(copies) FROM reports";
    assert_eq!(d.number(copies), undisturbed.number(copies), "a restart makes no copies");
    let letters = "SELECT count(*) FROM dead_letters";
    assert_eq!(d.number(letters), undisturbed.number(letters));
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
