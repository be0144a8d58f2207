//! The same pipeline over a real Kafka: the same tables, with one worker or several, also when they are killed,
//! frozen and started again all the time.

use std::collections::HashSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use dmarcflow_log::{KafkaLog, KafkaSettings, Log, PollLimits, TopicSpec};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::report::SCHEMA;
use dmarcflow_schemas::{Record, TopicPartition, ipc};
use dmarcflow_stages::topics::{ENRICHED, PARSED, RAW};

use crate::broker::Cluster;
use crate::s3_server::{MISSING, Server};
use crate::support::{Deployment, assert_same, long, random, shared_corpus, skip, text, world};

const PARTITIONS: u32 = 12;

/// A deployment over these brokers, with names of its own there.
fn over(cluster: &Cluster, name: &str) -> Deployment {
    Deployment::configured(&config(cluster, name))
}

fn config(cluster: &Cluster, name: &str) -> String {
    format!(
        "log = 'kafka'\npartitions = {PARTITIONS}\n[kafka]\nbrokers = '{}'\nprefix = '{name}.'\nreplication = 1\n\
         transaction_timeout = '5s'\nsession_timeout = '6s'\n",
        cluster.brokers()
    )
}

fn worker(d: &Deployment, args: &[&str]) -> Child {
    let all = [&["worker"], args].concat();
    d.command(&all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(name: &str, child: &Child) {
    let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success(), "{name}");
}

/// Lets time pass, which is what a disturbance is made of.
fn wait(time: Duration) {
    std::thread::sleep(time);
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

/// Every record of a topic.
fn records(cluster: &Cluster, name: &str, topic: &'static str) -> Vec<Record> {
    let cache = tempfile::tempdir().unwrap();
    let mut settings = KafkaSettings::new(cluster.brokers(), cache.path());
    settings.prefix = format!("{name}.");
    let log = KafkaLog::open(settings).unwrap();
    log.create_topics(&[TopicSpec { name: topic, partitions: PARTITIONS, passing: false }]).unwrap();
    let mut found = Vec::new();
    for p in 0..PARTITIONS {
        let partition = TopicPartition::new(topic, p);
        let mut next = 0;
        loop {
            let records = log.read(&partition, next, PollLimits { records: 1_000, bytes: 64 << 20 }).unwrap();
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            found.extend(records);
        }
    }
    found
}

/// Each hop has each report once: what was taken in, and what every stage made of it.
fn once_at_every_hop(cluster: &Cluster, name: &str) {
    let all = records(cluster, name, RAW);
    let distinct: HashSet<_> = all.iter().map(|r| r.header(header::ORIGIN).unwrap().to_owned()).collect();
    assert_eq!(all.len(), distinct.len(), "inputs are in reports.raw once");
    for topic in [PARSED, ENRICHED] {
        let mut seen = HashSet::new();
        for record in records(cluster, name, topic) {
            let batch = ipc::decode(&record.value, &SCHEMA).unwrap();
            let number = |column: &str, row| match batch[column].as_primitive_opt::<Int64Type>() {
                Some(values) => values.value(row),
                None => i64::from(batch[column].as_primitive::<Int32Type>().value(row)),
            };
            for row in 0..batch.num_rows() {
                let place =
                    ["raw_partition", "raw_offset", "part", "slice"].map(|column| number(column, row));
                assert!(seen.insert(place), "{place:?} is in {topic} twice, again at {}", record.position());
            }
        }
        assert!(!seen.is_empty());
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
fn the_corpus_is_the_same_with_any_number_of_workers() {
    let Some(corpus) = shared_corpus() else { return };
    let Some(cluster) = Cluster::start(1) else { return };
    let corpus = corpus.join("rua");
    let embedded = Deployment::new();
    embedded.ingest(&[&corpus]);
    for n in [1, 2, 4] {
        let d = over(&cluster, &format!("corpus-{n}"));
        // The intake works at every stage, too: it is the last of them.
        let workers: Vec<_> = (1..n).map(|_| worker(&d, &[])).collect();
        d.ingest(&[&corpus]);
        workers.into_iter().for_each(end);
        compare(&d, &embedded, &format!("{n} workers"));
    }
}

#[test]
fn many_writers_on_an_object_store_make_the_same_tables() {
    let Some(server) = Server::start() else { return skip(MISSING) };
    let Some(cluster) = Cluster::start(1) else { return };
    let world = world(300, 35);
    let embedded = Deployment::new();
    embedded.ingest(&[world.path()]);
    let d = Deployment::configured(&format!("{}{}", config(&cluster, "s3"), crate::s3::lake(&server)));
    let mut workers: Vec<_> = (0..2).map(|_| worker(&d, &[])).collect();
    let mut intake = d.command(&["ingest", "--quiet", world.path().to_str().unwrap()]);
    let mut intake = intake.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Writers die in the middle of commits.
    for i in 0..4 {
        wait(Duration::from_millis(1_000 + random(49, i, 2_000)));
        end(std::mem::replace(&mut workers[i as usize % 2], worker(&d, &[])));
    }
    assert!(intake.wait().unwrap().success());
    workers.into_iter().for_each(end);
    d.ingest(&[world.path()]);
    compare(&d, &embedded, "on an object store");
    assert!(!d.data().join("lake").exists(), "nothing of the tables is on disk");
}

#[test]
fn a_log_is_moved_to_kafka_and_a_replay_promoted_beside_workers() {
    let Some(cluster) = Cluster::start(1) else { return };
    let (world, more) = (world(200, 33), world(40, 34));
    let embedded = Deployment::new();
    embedded.ingest(&[world.path()]);
    let d = over(&cluster, "moved");
    d.ok(&["move", "--from", embedded.data().to_str().unwrap()]);
    d.ingest(&[world.path()]);
    compare(&d, &embedded, "moved");

    let mut old = worker(&d, &[]);
    d.ok(&["replay", "run", "again"]);
    let diff = d.ok(&["replay", "diff", "again"]);
    assert!(diff.starts_with("nothing would change"), "{diff}");
    let promoted = d.run(&["replay", "promote", "again"]);
    assert!(text(&promoted.stdout).contains("which goes on from here"), "{}", text(&promoted.stderr));
    assert!(!text(&promoted.stderr).contains("replay drop first"), "the first flow's groups are forgotten");
    // The worker of the flow that was replaced ends by itself, and says so by its status.
    assert!(!old.wait().unwrap().success());
    compare(&d, &embedded, "promoted");
    let new = worker(&d, &[]);
    d.ingest(&[more.path()]);
    end(new);
    embedded.ingest(&[more.path()]);
    compare(&d, &embedded, "after the promotion");
}

#[test]
fn workers_that_are_killed_and_frozen_lose_nothing_and_double_nothing() {
    if !long() {
        println!("skipped: DMARCFLOW_LONG=1 kills and freezes workers for some minutes");
        return;
    }
    let Some(mut cluster) = Cluster::start(1) else { return };
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (reports, disturbances) = (number("DMARCFLOW_CHAOS_REPORTS", 20_000), number("DMARCFLOW_CHAOS", 60));
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
    let away = disturbances / 2;
    for i in 0..disturbances {
        wait(Duration::from_millis(400 + random(41, i, 1_600)));
        let victim = random(43, i, 3) as usize;
        let what = match if i == away { 8 } else { random(47, i, 10) } {
            0..5 => {
                end(std::mem::replace(&mut workers[victim], worker(&d, &[])));
                "killed a worker"
            }
            5..8 => {
                // Frozen for longer than a session lasts: its partitions go to others, and it wakes up as a zombie.
                signal("STOP", &workers[victim]);
                wait(Duration::from_secs(8));
                signal("CONT", &workers[victim]);
                "froze a worker for 8 s"
            }
            8 => {
                // As its operator does. One that loses its power alone may lose marks of transactions: Kafka promises
                // durability by replicas, and those are killed where there are three of them.
                let away = if i == away { Duration::from_secs(60) } else { Duration::ZERO };
                cluster.stop(0);
                wait(away);
                cluster.restart(0);
                if away.is_zero() { "restarted the broker" } else { "stopped the broker for a minute" }
            }
            9 if i % 2 == 0 => {
                // One more comes and goes: partitions move there and back.
                let visitor = worker(&d, &[]);
                wait(Duration::from_secs(3));
                signal("TERM", &visitor);
                visitor.wait_with_output().unwrap();
                "had one more worker for 3 s"
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
    once_at_every_hop(&cluster, "chaos");
    compare(&d, &embedded, "after chaos");
}
