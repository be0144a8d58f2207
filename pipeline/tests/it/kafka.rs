//! The same pipeline over a real Kafka: the same tables, with one worker or several, also when they are killed,
//! frozen and started again all the time.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::broker::Cluster;
use crate::support::{Deployment, assert_same, long, random, text, world};

const PARTITIONS: u32 = 12;

/// A deployment over these brokers, with names of its own there.
fn over(cluster: &Cluster, name: &str) -> Deployment {
    Deployment::configured(&format!(
        "log = 'kafka'\npartitions = {PARTITIONS}\n[kafka]\nbrokers = '{}'\nprefix = '{name}.'\nreplication = 1\n\
         transaction_timeout = '5s'\nsession_timeout = '6s'\n",
        cluster.brokers()
    ))
}

fn worker(d: &Deployment, args: &[&str]) -> Child {
    let all = [&["worker"], args].concat();
    d.command(&all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(name: &str, child: &Child) {
    let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success(), "{name}");
}

fn end(mut child: Child) {
    // A frozen process dies of KILL too.
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Both sides hold the same, and counted the same copies and dead letters.
fn compare(d: &Deployment, expected: &Deployment, what: &str) {
    assert_same(&d.tables(), &expected.tables(), what);
    for counted in ["SELECT sum(copies) FROM reports", "SELECT count(*) FROM dead_letters"] {
        assert_eq!(d.number(counted), expected.number(counted), "{what}: {counted}");
    }
}

#[test]
fn tables_over_kafka_are_those_of_the_embedded_log() {
    let Some(cluster) = Cluster::start(1) else { return };
    let world = world(400, 31);
    let embedded = Deployment::new();
    embedded.ingest(&[world.path()]);

    let alone = over(&cluster, "alone");
    let said = alone.ingest(&[world.path()]);
    compare(&alone, &embedded, &format!("one process: {said}"));
    alone.ingest(&[world.path()]);
    compare(&alone, &embedded, "the same folder again");

    let several = over(&cluster, "several");
    let workers = [
        worker(&several, &["--stages", "parse,enrich"]),
        worker(&several, &["--stages", "aggregate,trim"]),
        worker(&several, &["--stages", "write"]),
    ];
    several.ingest(&[world.path()]);
    workers.into_iter().for_each(end);
    compare(&several, &embedded, "beside workers of some stages each");

    let topics = several.ok(&["topics"]);
    assert!(topics.contains("reports.raw") && topics.contains("aggregate (0)"), "{topics}");
    let refused = Deployment::new().run(&["worker"]);
    assert!(text(&refused.stderr).contains("--log kafka"), "{}", text(&refused.stderr));
    let unknown = several.run(&["worker", "--stages", "prase"]);
    assert!(text(&unknown.stderr).contains("there are parse, enrich"), "{}", text(&unknown.stderr));
}

#[test]
fn workers_that_are_killed_and_frozen_lose_nothing_and_double_nothing() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let (reports, disturbances) = if long() { (20_000, 60) } else { (1_500, 10) };
    let world = world(reports, 37);
    let embedded = Deployment::new();
    embedded.ingest(&[world.path()]);

    let d = over(&cluster, "chaos");
    let mut workers: Vec<_> = (0..3).map(|_| worker(&d, &[])).collect();
    let mut intake = d
        .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (started, mut log) = (Instant::now(), Vec::new());
    for i in 0..disturbances {
        let until = Duration::from_millis(400 + random(41, i, 1_600));
        let since = Instant::now();
        while since.elapsed() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let victim = random(43, i, 3) as usize;
        let what = match random(47, i, 10) {
            0..5 => {
                end(std::mem::replace(&mut workers[victim], worker(&d, &[])));
                "killed a worker"
            }
            5..8 => {
                // Frozen for longer than a session lasts: its partitions go to others, and it wakes up as a zombie.
                signal("STOP", &workers[victim]);
                let since = Instant::now();
                while since.elapsed() < Duration::from_secs(8) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                signal("CONT", &workers[victim]);
                "froze a worker for 8 s"
            }
            8 => {
                cluster.kill(0);
                cluster.restart(0);
                "restarted the broker"
            }
            _ => {
                intake.kill().unwrap();
                intake.wait().unwrap();
                intake = d
                    .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                "killed the intake"
            }
        };
        log.push(what);
    }
    workers.into_iter().for_each(end);
    end(intake);
    let disturbed = started.elapsed();
    // Whatever is left is taken in and worked off by one process.
    d.ingest(&[world.path()]);
    println!(
        "{reports} reports, {disturbed:?} of disturbances, then {:?}: {log:?}",
        started.elapsed() - disturbed
    );
    compare(&d, &embedded, "after chaos");
}
