//! What every backend of the log must do: one suite, which each of them runs.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use dmarcflow_schemas::{Message, Record, TopicPartition};

use crate::{Consumer, Ledger, Log, LogError, PollLimits, StateChange, TopicSpec, Transaction, lag};

const IN: &str = "contract.in";
const OUT: &str = "contract.out";
const PARTITIONS: u32 = 4;
const MANY: PollLimits = PollLimits { records: 1_000, bytes: 64 << 20 };
const LONG: Duration = Duration::from_secs(20);
const NO_TIME: Duration = Duration::ZERO;

/// Runs every case on a log of its own.
pub fn suite<L: Log>(make: impl Fn() -> L) {
    let cases: &[fn(Arc<dyn Log>)] = &[
        keeps_order_by_key,
        commits_all_or_nothing,
        resumes_where_the_group_is,
        keeps_state_apart,
        fences_who_lost_a_partition,
        gives_a_partition_to_one_member,
        rewinds,
        never_trims_what_is_unread,
        gives_what_fits_and_always_one,
        appends_with_the_ledger,
        wakes,
        refuses_other_partitions,
    ];
    for case in cases {
        let log = make();
        log.create_topics(&[spec(IN, PARTITIONS), spec(OUT, PARTITIONS)]).unwrap();
        case(Arc::new(log));
    }
}

fn spec(name: &'static str, partitions: u32) -> TopicSpec {
    TopicSpec { name, partitions, large_values: true }
}

fn message(topic: &'static str, key: &str, value: impl Into<Vec<u8>>) -> Message {
    Message::new(topic, key.as_bytes(), value.into()).with("origin", key)
}

/// `n` messages of as many keys, the value being the number.
fn fill(log: &dyn Log, n: u32) {
    let messages = (0..n).map(|i| message(IN, &format!("key{}", i % 17), i.to_be_bytes())).collect();
    log.append(messages, None).unwrap();
}

fn all(consumer: &mut dyn Consumer) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let more = consumer.poll(MANY, NO_TIME).unwrap();
        if more.is_empty() {
            return records;
        }
        assert!(more.iter().all(|r| r.source == more[0].source), "a poll gives records of one partition");
        records.extend(more);
    }
}

fn number(record: &Record) -> u32 {
    u32::from_be_bytes(record.value[..].try_into().unwrap())
}

fn keeps_order_by_key(log: Arc<dyn Log>) {
    fill(&*log, 500);
    let records = all(&mut *log.consumer("g", IN).unwrap());
    assert_eq!(records.len(), 500);
    for key in 0..17 {
        let of_key: Vec<_> = records.iter().filter(|r| *r.key == *format!("key{key}").as_bytes()).collect();
        assert!(of_key.windows(2).all(|w| number(w[0]) < number(w[1]) && w[0].offset < w[1].offset));
        assert!(of_key.windows(2).all(|w| w[0].source == w[1].source), "a key stays in one partition");
        assert!(of_key.iter().all(|r| r.header("origin").unwrap().as_bytes() == &*r.key && r.timestamp > 0));
    }
    let partitions: u64 =
        (0..PARTITIONS).map(|p| log.watermarks(&TopicPartition::new(IN, p)).unwrap().high).sum();
    assert_eq!(partitions, 500);
}

fn commits_all_or_nothing(log: Arc<dyn Log>) {
    fill(&*log, 1);
    let mut consumer = log.consumer("g", IN).unwrap();
    let record = all(&mut *consumer).remove(0);
    let state =
        StateChange { partition: record.source.partition, key: b"k".to_vec(), value: Some(b"v".to_vec()) };
    let offsets = vec![(record.source.clone(), record.offset + 1)];
    let mut transaction = Transaction {
        messages: vec![message(OUT, "a", "1"), message("contract.unknown", "a", "2")],
        offsets,
        state: vec![state],
    };
    assert!(matches!(consumer.commit(transaction.clone()), Err(LogError::UnknownTopic(_))));
    assert_eq!(all(&mut *log.consumer("other", OUT).unwrap()).len(), 0);
    assert_eq!(consumer.state(record.source.partition, b"k").unwrap(), None);
    assert_eq!(lag(&*log, "g", IN).unwrap().iter().map(|l| l.1).sum::<u64>(), 1);
    transaction.messages.truncate(1);
    consumer.commit(transaction).unwrap();
    assert_eq!(all(&mut *log.consumer("other", OUT).unwrap()).len(), 1);
    assert_eq!(consumer.state(record.source.partition, b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(lag(&*log, "g", IN).unwrap().iter().map(|l| l.1).sum::<u64>(), 0);
}

fn commit_up_to(consumer: &mut dyn Consumer, record: &Record) -> Result<(), LogError> {
    consumer.commit(Transaction {
        offsets: vec![(record.source.clone(), record.offset + 1)],
        ..Transaction::default()
    })
}

fn resumes_where_the_group_is(log: Arc<dyn Log>) {
    fill(&*log, 100);
    let mut first = log.consumer("g", IN).unwrap();
    let some = first.poll(PollLimits { records: 5, ..MANY }, NO_TIME).unwrap();
    commit_up_to(&mut *first, &some[2]).unwrap();
    drop(first);
    let rest = all(&mut *log.consumer("g", IN).unwrap());
    assert_eq!(rest.len(), 97, "what was polled and not committed comes again");
    assert_eq!(all(&mut *log.consumer("another", IN).unwrap()).len(), 100);
}

fn keeps_state_apart(log: Arc<dyn Log>) {
    let mut consumer = log.consumer("g", IN).unwrap();
    let put = |partition, key: &str, value: Option<&str>| StateChange {
        partition,
        key: key.as_bytes().to_vec(),
        value: value.map(|v| v.as_bytes().to_vec()),
    };
    let state = vec![
        put(0, "a1", Some("x")),
        put(0, "a2", Some("y")),
        put(0, "b", Some("z")),
        put(1, "a1", Some("w")),
    ];
    consumer.commit(Transaction { state, ..Transaction::default() }).unwrap();
    let scanned: Vec<_> = consumer.scan(0, b"a", 10).unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(scanned, [b"a1", b"a2"]);
    assert_eq!(consumer.scan(0, b"", 2).unwrap().len(), 2);
    assert_eq!(consumer.state(1, b"a1").unwrap().as_deref(), Some(&b"w"[..]));
    consumer.commit(Transaction { state: vec![put(0, "a1", None)], ..Transaction::default() }).unwrap();
    assert_eq!(consumer.state(0, b"a1").unwrap(), None);
    assert_eq!(log.consumer("other", IN).unwrap().state(0, b"a2").unwrap(), None, "groups share no state");
}

fn fences_who_lost_a_partition(log: Arc<dyn Log>) {
    fill(&*log, 200);
    let mut old = log.consumer("g", IN).unwrap();
    let records = all(&mut *old);
    let mut new = log.consumer("g", IN).unwrap();
    let taken = new.assigned();
    assert_eq!(taken.len(), 2);
    let lost = records.iter().find(|r| taken.contains(&r.source.partition)).unwrap();
    let kept = records.iter().find(|r| !taken.contains(&r.source.partition)).unwrap();
    assert!(matches!(commit_up_to(&mut *old, lost), Err(LogError::Fenced { .. })));
    commit_up_to(&mut *old, kept).unwrap();
    let first = all(&mut *new).remove(0);
    commit_up_to(&mut *new, &first).unwrap();
    drop(new);
    // The partition is back, but somebody else worked on it meanwhile.
    assert!(matches!(commit_up_to(&mut *old, lost), Err(LogError::Fenced { .. })));
    let again = all(&mut *old);
    commit_up_to(&mut *old, again.iter().find(|r| r.source == lost.source).unwrap()).unwrap();
}

fn gives_a_partition_to_one_member(log: Arc<dyn Log>) {
    fill(&*log, 400);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let mut consumer = log.consumer("g", IN).unwrap();
                let mut seen = Vec::new();
                while lag(&*log, "g", IN).unwrap().iter().any(|l| l.1 > 0) {
                    let records =
                        consumer.poll(PollLimits { records: 7, ..MANY }, Duration::from_millis(5)).unwrap();
                    let Some(last) = records.last() else { continue };
                    match commit_up_to(&mut *consumer, last) {
                        Ok(()) => seen.extend(records.iter().map(number)),
                        Err(LogError::Fenced { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen: Vec<_> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..400).collect::<Vec<_>>(), "each record is committed once");
}

fn rewinds(log: Arc<dyn Log>) {
    fill(&*log, 30);
    let mut consumer = log.consumer("g", IN).unwrap();
    let first = all(&mut *consumer);
    assert!(consumer.poll(MANY, NO_TIME).unwrap().is_empty());
    consumer.rewind().unwrap();
    assert_eq!(all(&mut *consumer).len(), first.len());
}

fn never_trims_what_is_unread(log: Arc<dyn Log>) {
    fill(&*log, 100);
    let mut consumer = log.consumer("g", IN).unwrap();
    let trim = || -> u64 {
        (0..PARTITIONS).map(|p| log.trim(&TopicPartition::new(IN, p), Some(i64::MAX), Some(0)).unwrap()).sum()
    };
    assert_eq!(trim(), 0, "the group has read nothing");
    let records = all(&mut *consumer);
    for p in 0..PARTITIONS {
        let last = records.iter().rfind(|r| r.source.partition == p).unwrap();
        commit_up_to(&mut *consumer, last).unwrap();
    }
    let late = log.consumer("late", IN).unwrap();
    assert_eq!(trim(), 0, "another group has read nothing");
    drop(late);
    fill(&*log, 10);
    let size: u64 = (0..PARTITIONS).map(|p| log.size(&TopicPartition::new(IN, p)).unwrap()).sum();
    assert!(size > 0);
    assert_eq!(all(&mut *consumer).len(), 10);
    assert_eq!(all(&mut *log.consumer("late", IN).unwrap()).len(), 110);
}

fn gives_what_fits_and_always_one(log: Arc<dyn Log>) {
    let big = vec![7; 3 << 20];
    log.append(vec![message(IN, "k", big.clone()), message(IN, "k", "x"), message(IN, "k", "y")], None)
        .unwrap();
    let mut consumer = log.consumer("g", IN).unwrap();
    let limits = PollLimits { records: 10, bytes: 1 << 20 };
    let first = consumer.poll(limits, NO_TIME).unwrap();
    assert_eq!((first.len(), first[0].value.len()), (1, big.len()));
    assert_eq!(consumer.poll(limits, NO_TIME).unwrap().len(), 2);
    let from = log.read(&first[0].source, 1, PollLimits { records: 1, bytes: 1 }).unwrap();
    assert_eq!((from.len(), from[0].offset), (1, 1));
}

fn appends_with_the_ledger(log: Arc<dyn Log>) {
    let entries = [(b"file".to_vec(), b"seen".to_vec())];
    let failed = log
        .append(vec![message("contract.unknown", "k", "v")], Some(Ledger { name: "l", entries: &entries }));
    assert!(matches!(failed, Err(LogError::UnknownTopic(_))));
    assert_eq!(log.ledger("l", b"file").unwrap(), None);
    let positions =
        log.append(vec![message(IN, "k", "v")], Some(Ledger { name: "l", entries: &entries })).unwrap();
    assert_eq!((positions.len(), positions[0].1), (1, 0));
    assert_eq!(log.ledger("l", b"file").unwrap().as_deref(), Some(&b"seen"[..]));
    assert_eq!(log.ledger("other", b"file").unwrap(), None);
}

fn wakes(log: Arc<dyn Log>) {
    let mut consumer = log.consumer("g", IN).unwrap();
    let waiting = std::thread::spawn(move || consumer.poll(MANY, LONG).unwrap().len());
    while !waiting.is_finished() {
        log.wake();
        std::thread::yield_now();
    }
    assert_eq!(waiting.join().unwrap(), 0);
    let mut consumer = log.consumer("g", IN).unwrap();
    let waiting = std::thread::spawn(move || consumer.poll(MANY, LONG).unwrap().len());
    fill(&*log, 1);
    assert_eq!(waiting.join().unwrap(), 1, "an append ends the wait");
}

fn refuses_other_partitions(log: Arc<dyn Log>) {
    log.create_topics(&[spec(IN, PARTITIONS)]).unwrap();
    let error = log.create_topics(&[spec(IN, PARTITIONS + 1)]).unwrap_err();
    assert!(matches!(error, LogError::Partitions { found: PARTITIONS, .. }), "{error}");
    assert_eq!(log.topics().iter().map(|t| t.name).collect::<Vec<_>>(), [IN, OUT]);
    assert!(matches!(log.consumer("g", "contract.unknown").err(), Some(LogError::UnknownTopic(_))));
}
