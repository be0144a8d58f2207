use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Message, TopicPartition};

use super::*;
use crate::{Log, PollLimits, StateChange, TopicSpec, Transaction, contract};

const TOPIC: TopicSpec = TopicSpec { name: "in", partitions: 2, passing: false };
const OUT: TopicSpec = TopicSpec { name: "out", partitions: 2, passing: true };
const MANY: PollLimits = PollLimits { records: 10_000, bytes: 64 << 20 };

fn open(path: &Path) -> EmbeddedLog {
    let log = EmbeddedLog::open(path, Settings::default()).unwrap();
    log.create_topics(&[TOPIC, OUT]).unwrap();
    log
}

#[test]
fn the_contract_holds_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let n = std::cell::Cell::new(0);
    contract::suite(|| {
        n.set(n.get() + 1);
        EmbeddedLog::open(&dir.path().join(n.get().to_string()), Settings::default()).unwrap()
    });
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(vec![Message::new("in", *b"k", vec![1; 100_000]), Message::new("in", *b"k", vec![2])], None)
        .unwrap();
    let mut consumer = log.consumer("g", "in").unwrap();
    let first = consumer.poll(PollLimits { records: 1, bytes: 1 }, Duration::ZERO).unwrap().remove(0);
    let state =
        StateChange { partition: first.source.partition, key: b"s".to_vec(), value: Some(b"1".to_vec()) };
    let offsets = vec![(first.source.clone(), 1)];
    consumer.commit(&Transaction { messages: Vec::new(), offsets, state: vec![state] }).unwrap();
    let size = log.size(&first.source).unwrap();
    drop((consumer, log));
    let log = open(dir.path());
    assert_eq!(log.size(&first.source).unwrap(), size);
    let mut consumer = log.consumer("g", "in").unwrap();
    let rest = consumer.poll(MANY, Duration::ZERO).unwrap();
    assert_eq!((rest.len(), rest[0].offset, &*rest[0].value), (1, 1, &[2][..]));
    assert_eq!(consumer.state(first.source.partition, b"s").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(log.trim(&first.source, None, Some(0)).unwrap(), 1);
    drop((consumer, log));
    let log = open(dir.path());
    assert_eq!(log.watermarks(&first.source).unwrap(), crate::Watermarks { low: 1, high: 2 });
    log.append(vec![Message::new("in", *b"k", vec![3])], None).unwrap();
    assert_eq!(log.watermarks(&first.source).unwrap().high, 3, "offsets go on after a trim");
}

#[test]
fn a_second_process_and_another_format_get_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let second = EmbeddedLog::open(dir.path(), Settings::default()).err().unwrap();
    assert!(matches!(second, LogError::Locked { .. }) && second.to_string().contains("--data"), "{second}");
    let value = Some(99u32.to_be_bytes().to_vec());
    log.shared.store.apply(vec![Write { space: Space::Meta, key: b"format".to_vec(), value }]).unwrap();
    drop(log);
    let other = EmbeddedLog::open(dir.path(), Settings::default()).err().unwrap();
    assert!(matches!(other, LogError::Format { found: 99, .. }), "{other}");
}

/// Appends, and consumes into another topic with a count in the state, for ever.
fn work_until_killed(path: &Path) {
    let log = open(path);
    let mut consumer = log.consumer("g", "in").unwrap();
    for n in 0u64.. {
        let messages = (0..5).map(|i| Message::new("in", [i], vec![n as u8; 2_000])).collect();
        log.append(messages, None).unwrap();
        let records = consumer.poll(MANY, Duration::ZERO).unwrap();
        let Some(last) = records.last() else { continue };
        let partition = last.source.partition;
        let before = consumer
            .state(partition, b"count")
            .unwrap()
            .map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()));
        let count = (before + records.len() as u64).to_be_bytes().to_vec();
        let transaction = Transaction {
            messages: records.iter().map(|r| Message::new("out", r.key.to_vec(), r.value.to_vec())).collect(),
            offsets: vec![(last.source.clone(), last.offset + 1)],
            state: vec![StateChange { partition, key: b"count".to_vec(), value: Some(count) }],
        };
        consumer.commit(&transaction).unwrap();
    }
}

#[test]
fn killed_at_any_moment_outputs_offsets_and_state_agree() {
    const KILLS: u64 = 20;
    if let Ok(path) = std::env::var("LOG_TEST_WORKER") {
        return work_until_killed(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut records = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::tests::killed_at_any_moment_outputs_offsets_and_state_agree"])
            .env("LOG_TEST_WORKER", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (since, life) = (Instant::now(), Duration::from_millis(20 + kill * 37 % 200));
        while since.elapsed() < life {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(dir.path());
        let consumer = log.consumer("g", "in").unwrap();
        let (mut out, mut offsets, mut count) = (0, 0, 0);
        for p in 0..2 {
            let partition = TopicPartition::new("in", p);
            out += log.watermarks(&TopicPartition::new("out", p)).unwrap().high;
            offsets += log.watermarks(&partition).unwrap().high - log.lag("g", "in").unwrap()[p as usize].1;
            count +=
                consumer.state(p, b"count").unwrap().map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()));
            let kept = log.read(&partition, 0, MANY).unwrap();
            assert!((0..).zip(&kept).all(|(offset, r)| r.offset == offset), "no gap");
        }
        assert_eq!((out, count), (offsets, offsets), "after kill {kill}");
        assert!(offsets >= records, "nothing that was committed is gone");
        records = offsets;
    }
    println!("{records} records were consumed over {KILLS} kills");
    assert!(records > 0);
}
