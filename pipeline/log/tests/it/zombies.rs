//! A worker that was frozen, and lost its partitions meanwhile, changes nothing when it wakes.

use std::io::{BufRead, BufReader, Write};

use dmarcflow_log::{Log, LogError, StateChange, Transaction};
use dmarcflow_schemas::{Message, Record};

use crate::{IN, LOOK, MANY, OUT, Task, broker, only, read_all, shared, until};

const NAME: &str = "zombies::a_frozen_worker_that_lost_its_partitions_is_refused";

fn transaction(records: &[Record], who: &str) -> Transaction {
    let last = records.last().unwrap();
    let value = Some(who.as_bytes().to_vec());
    Transaction {
        messages: records
            .iter()
            .map(|r| Message::new("out", r.key.to_vec(), who.as_bytes().to_vec()))
            .collect(),
        offsets: vec![(last.source.clone(), last.offset + 1)],
        state: vec![StateChange { partition: last.source.partition, key: b"who".to_vec(), value }],
    }
}

/// Is given records, waits for a line, and then commits them.
fn sleepwalk(task: &Task) {
    let log = task.open();
    let mut consumer = log.consumer("g", IN.name).unwrap();
    let mut records = Vec::new();
    until("records", || {
        records = consumer.poll(MANY, LOOK).unwrap();
        !records.is_empty()
    });
    println!("\ngiven");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let outcome = match consumer.commit(&transaction(&records, "zombie")) {
        Ok(()) => "committed".to_owned(),
        Err(LogError::Fenced { .. }) => "fenced".to_owned(),
        Err(other) => other.to_string(),
    };
    println!("\noutcome {outcome}");
}

#[test]
fn a_frozen_worker_that_lost_its_partitions_is_refused() {
    if let Some(task) = Task::ours() {
        return sleepwalk(&task);
    }
    let Some(cluster) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let prefix = format!("zombie-{}.", std::process::id());
    let task = Task { brokers: cluster.brokers(), prefix, cache: dir.path().to_owned() };
    let log = task.open();
    log.append((0..20).map(|i| Message::new("in", [i], vec![i])).collect(), None).unwrap();
    let mut child = task.spawn(NAME);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "given"));
    broker::signal("STOP", child.id());
    let mut consumer = only(&log, "g");
    let mut taken = 0;
    until("everything is consumed by the living", || {
        let records = consumer.poll(MANY, LOOK).unwrap();
        if !records.is_empty() {
            consumer.commit(&transaction(&records, "living")).unwrap();
            taken += records.len();
        }
        taken == 20
    });
    let offsets = log.groups().unwrap();
    broker::signal("CONT", child.id());
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let outcome = lines.find_map(|line| line.strip_prefix("outcome ").map(str::to_owned)).unwrap();
    child.wait().unwrap();
    assert_eq!(outcome, "fenced");
    let out = read_all(&log, &OUT);
    assert!(out.len() == 20 && out.iter().all(|r| *r.value == *b"living"), "{}", out.len());
    assert_eq!(log.groups().unwrap(), offsets);
    drop(consumer);
    let consumer = only(&log, "g");
    for p in 0..IN.partitions {
        assert_eq!(consumer.state(p, b"who").unwrap().as_deref(), Some(&b"living"[..]));
    }
}
