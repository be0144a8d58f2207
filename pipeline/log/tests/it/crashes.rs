//! A worker that is killed at any moment leaves outputs, offsets and state that agree.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use dmarcflow_log::{Log, StateChange, Transaction};
use dmarcflow_schemas::Message;

use crate::{IN, LOOK, MANY, Task, only, read_all, shared};

const KILLS: u64 = 8;
const NAME: &str = "crashes::killed_at_any_moment_outputs_offsets_and_state_agree";

fn count(bytes: Option<Vec<u8>>) -> u64 {
    bytes.map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
}

/// Appends, and consumes into another topic with a count in the state, for ever.
fn work_until_killed(task: &Task) {
    let log = task.open();
    let mut consumer = log.consumer("g", IN.name).unwrap();
    for n in 0u64.. {
        let messages = (0..5).map(|i| Message::new("in", [i], vec![n as u8; 2_000])).collect();
        log.append(messages, None).unwrap();
        let records = consumer.poll(MANY, LOOK).unwrap();
        let Some(last) = records.last() else { continue };
        let partition = last.source.partition;
        let count = count(consumer.state(partition, b"count").unwrap()) + records.len() as u64;
        let transaction = Transaction {
            messages: records.iter().map(|r| Message::new("out", r.key.to_vec(), r.value.to_vec())).collect(),
            offsets: vec![(last.source.clone(), last.offset + 1)],
            state: vec![StateChange {
                partition,
                key: b"count".to_vec(),
                value: Some(count.to_be_bytes().to_vec()),
            }],
        };
        consumer.commit(&transaction).unwrap();
        println!("\ncommitted");
    }
}

#[test]
fn killed_at_any_moment_outputs_offsets_and_state_agree() {
    if let Some(task) = Task::ours() {
        return work_until_killed(&task);
    }
    let Some(cluster) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let prefix = format!("crash-{}.", std::process::id());
    let task = Task { brokers: cluster.brokers(), prefix, cache: dir.path().to_owned() };
    let mut before = 0;
    for kill in 0..KILLS {
        let mut child = task.spawn(NAME);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "committed"), "the worker works");
        let (since, life) = (Instant::now(), Duration::from_millis(kill * 37 % 200));
        while since.elapsed() < life {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let log = task.open();
        let consumer = only(&log, "g");
        let out = super::read_all(&log, &super::OUT).len() as u64;
        let offsets = log.groups().unwrap();
        let consumed = |r: &&dmarcflow_schemas::Record| {
            offsets.iter().any(|(g, p, offset)| g == "g" && *p == r.source && r.offset < *offset)
        };
        let consumed = read_all(&log, &IN).iter().filter(consumed).count() as u64;
        let counted: u64 = (0..IN.partitions).map(|p| count(consumer.state(p, b"count").unwrap())).sum();
        assert_eq!((out, counted), (consumed, consumed), "after kill {kill}");
        assert!(consumed > before, "nothing that was committed is gone");
        before = consumed;
    }
    println!("{before} records were consumed over {KILLS} kills");
}
