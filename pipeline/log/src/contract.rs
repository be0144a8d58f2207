//! What every backend of the log must do: one suite, which each of them runs.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmarcflow_schemas::{Message, Record, TopicPartition};

use crate::{Consumer, Ledger, Log, LogError, PollLimits, StateChange, TopicSpec, Transaction};

const IN: &str = "contract.in";
const OUT: &str = "contract.out";
const PARTITIONS: u32 = 4;
const MANY: PollLimits = PollLimits { records: 1_000, bytes: 64 << 20 };
/// How long what must come is waited for.
const LONG: Duration = Duration::from_secs(60);
/// How long one look lasts while others have to get on, too.
const LOOK: Duration = Duration::from_millis(20);
/// How long it is watched that nothing more comes.
const QUIET: Duration = Duration::from_millis(300);

type Case = fn(Arc<dyn Log>);

/// Runs every case on a log of its own.
pub fn suite<L: Log>(make: impl Fn() -> L) {
    let cases: &[(&str, Case)] = &[
        ("keeps order by key", keeps_order_by_key),
        ("commits all or nothing", commits_all_or_nothing),
        ("resumes where the group is", resumes_where_the_group_is),
        ("keeps state apart", keeps_state_apart),
        ("keeps state when partitions move", keeps_state_when_partitions_move),
        ("fences who lost a partition", fences_who_lost_a_partition),
        ("gives a partition to one member", gives_a_partition_to_one_member),
        ("rewinds", rewinds),
        ("never trims what is unread", never_trims_what_is_unread),
        ("forgets a group", forgets_a_group),
        ("gives what fits and always one", gives_what_fits_and_always_one),
        ("keeps values of any size", keeps_values_of_any_size),
        ("appends with the ledger", appends_with_the_ledger),
        ("tells when everything was read", tells_when_everything_was_read),
        ("wakes", wakes),
        ("refuses other partitions", refuses_other_partitions),
    ];
    for (name, case) in cases {
        let started = Instant::now();
        let log = make();
        log.create_topics(&[spec(IN, PARTITIONS), spec(OUT, PARTITIONS)]).unwrap();
        case(Arc::new(log));
        println!("{name}: {:?}", started.elapsed());
    }
}

fn spec(name: &'static str, partitions: u32) -> TopicSpec {
    TopicSpec { name, partitions, passing: false }
}

fn message(topic: &'static str, key: &str, value: impl Into<Vec<u8>>) -> Message {
    Message::new(topic, key.as_bytes(), value.into()).with("origin", key)
}

/// `n` messages of as many keys, the value being the number.
fn fill(log: &dyn Log, n: u32) {
    let messages = (0..n).map(|i| message(IN, &format!("key{}", i % 17), i.to_be_bytes())).collect();
    log.append(messages, None).unwrap();
}

/// Tries until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
    }
}

/// The next `n` records, after which nothing more comes.
fn collect(consumer: &mut dyn Consumer, n: usize) -> Vec<Record> {
    let mut records = Vec::new();
    until("records", || {
        let more = consumer.poll(MANY, LOOK).unwrap();
        assert!(more.iter().all(|r| r.source == more[0].source), "a poll gives records of one partition");
        records.extend(more);
        records.len() >= n
    });
    records.extend(consumer.poll(MANY, QUIET).unwrap());
    assert_eq!(records.len(), n);
    records
}

/// Polls until the consumer owns so many partitions; what came meanwhile.
fn own(consumer: &mut dyn Consumer, partitions: usize) -> Vec<Record> {
    let mut records = Vec::new();
    until("partitions", || {
        records.extend(consumer.poll(MANY, LOOK).unwrap());
        consumer.assigned().len() == partitions
    });
    records
}

/// A consumer that owns everything.
fn only(log: &dyn Log, group: &str, topic: &str) -> Box<dyn Consumer> {
    let mut consumer = log.consumer(group, topic).unwrap();
    own(&mut *consumer, PARTITIONS as usize);
    consumer.rewind().unwrap();
    consumer
}

/// Polls two consumers until the second owns its share; what the second was given meanwhile.
fn share(old: &mut dyn Consumer, new: &mut dyn Consumer) -> Vec<Record> {
    let mut records = Vec::new();
    until("shares", || {
        old.poll(MANY, LOOK).unwrap();
        records.extend(new.poll(MANY, LOOK).unwrap());
        (old.assigned().len(), new.assigned().len()) == (2, 2)
    });
    records
}

/// Every record of a topic, beside all groups.
fn read_all(log: &dyn Log, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for p in 0..PARTITIONS {
        let mut next = 0;
        loop {
            let page = log.read(&TopicPartition::new(topic, p), next, MANY).unwrap();
            let Some(last) = page.last() else { break };
            next = last.offset + 1;
            records.extend(page);
        }
    }
    records
}

fn number(record: &Record) -> u32 {
    u32::from_be_bytes(record.value[..].try_into().unwrap())
}

fn commit_up_to(consumer: &mut dyn Consumer, record: &Record) -> Result<(), LogError> {
    consumer.commit(&Transaction {
        offsets: vec![(record.source.clone(), record.offset + 1)],
        ..Transaction::default()
    })
}

/// Commits what was given.
fn commit_all(consumer: &mut dyn Consumer, records: &[Record]) {
    let offsets: BTreeMap<_, _> = records.iter().map(|r| (r.source.clone(), r.offset + 1)).collect();
    consumer
        .commit(&Transaction { offsets: offsets.into_iter().collect(), ..Transaction::default() })
        .unwrap();
}

fn put(partition: u32, key: &str, value: Option<&str>) -> StateChange {
    StateChange { partition, key: key.as_bytes().to_vec(), value: value.map(|v| v.as_bytes().to_vec()) }
}

fn commit_state(consumer: &mut dyn Consumer, state: Vec<StateChange>) {
    consumer.commit(&Transaction { state, ..Transaction::default() }).unwrap();
}

fn lag(log: &dyn Log, group: &str) -> u64 {
    log.lag(group, IN).unwrap().iter().map(|l| l.1).sum()
}

fn keeps_order_by_key(log: Arc<dyn Log>) {
    fill(&*log, 500);
    let records = collect(&mut *log.consumer("g", IN).unwrap(), 500);
    for key in 0..17 {
        let of_key: Vec<_> = records.iter().filter(|r| *r.key == *format!("key{key}").as_bytes()).collect();
        assert!(of_key.windows(2).all(|w| number(w[0]) < number(w[1]) && w[0].offset < w[1].offset));
        assert!(of_key.windows(2).all(|w| w[0].source == w[1].source), "a key stays in one partition");
        assert!(of_key.iter().all(|r| r.header("origin").unwrap().as_bytes() == &*r.key && r.timestamp > 0));
    }
    let read = read_all(&*log, IN);
    assert_eq!(read.len(), 500);
    assert!(read.iter().all(|r| records.contains(r)), "a reader sees what a consumer is given");
}

fn commits_all_or_nothing(log: Arc<dyn Log>) {
    fill(&*log, 1);
    let mut consumer = log.consumer("g", IN).unwrap();
    let record = collect(&mut *consumer, 1).remove(0);
    let mut transaction = Transaction {
        messages: vec![message(OUT, "a", "1"), message("contract.unknown", "a", "2")],
        offsets: vec![(record.source.clone(), record.offset + 1)],
        state: vec![put(record.source.partition, "k", Some("v"))],
    };
    assert!(matches!(consumer.commit(&transaction), Err(LogError::UnknownTopic(_))));
    assert_eq!(read_all(&*log, OUT).len(), 0);
    assert_eq!(consumer.state(record.source.partition, b"k").unwrap(), None);
    assert!(lag(&*log, "g") > 0);
    transaction.messages.truncate(1);
    consumer.commit(&transaction).unwrap();
    assert_eq!(collect(&mut *log.consumer("other", OUT).unwrap(), 1).len(), 1);
    assert_eq!(consumer.state(record.source.partition, b"k").unwrap().as_deref(), Some(&b"v"[..]));
    drop(consumer);
    assert_eq!(collect(&mut *log.consumer("g", IN).unwrap(), 0).len(), 0, "it was consumed");
}

fn resumes_where_the_group_is(log: Arc<dyn Log>) {
    fill(&*log, 100);
    let mut first = log.consumer("g", IN).unwrap();
    let mut some = Vec::new();
    until("a record", || {
        some = first.poll(PollLimits { records: 5, ..MANY }, LOOK).unwrap();
        !some.is_empty()
    });
    let last = some.len() / 2;
    commit_up_to(&mut *first, &some[last]).unwrap();
    drop(first);
    let rest = collect(&mut *log.consumer("g", IN).unwrap(), 99 - last);
    assert!(rest.iter().all(|r| r.source != some[last].source || r.offset > some[last].offset));
    collect(&mut *log.consumer("another", IN).unwrap(), 100);
}

fn keeps_state_apart(log: Arc<dyn Log>) {
    let mut consumer = only(&*log, "g", IN);
    let state = vec![
        put(0, "a1", Some("x")),
        put(0, "a2", Some("y")),
        put(0, "b", Some("")),
        put(1, "a1", Some("w")),
    ];
    commit_state(&mut *consumer, state);
    let scanned: Vec<_> = consumer.scan(0, b"a", 10).unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(scanned, [b"a1", b"a2"]);
    assert_eq!(consumer.scan(0, b"", 2).unwrap().len(), 2);
    assert_eq!(consumer.state(1, b"a1").unwrap().as_deref(), Some(&b"w"[..]));
    commit_state(&mut *consumer, vec![put(0, "a1", None)]);
    assert_eq!(consumer.state(0, b"a1").unwrap(), None);
    assert_eq!(consumer.state(0, b"b").unwrap().as_deref(), Some(&b""[..]), "empty is not absent");
    assert_eq!(only(&*log, "other", IN).state(0, b"a2").unwrap(), None, "groups share no state");
}

fn keeps_state_when_partitions_move(log: Arc<dyn Log>) {
    let mut old = only(&*log, "g", IN);
    commit_state(
        &mut *old,
        (0..PARTITIONS).flat_map(|p| [put(p, "k", Some("old")), put(p, "x", Some("old"))]).collect(),
    );
    let mut new = log.consumer("g", IN).unwrap();
    share(&mut *old, &mut *new);
    let moved = new.assigned();
    for p in &moved {
        assert_eq!(new.state(*p, b"k").unwrap().as_deref(), Some(&b"old"[..]));
    }
    commit_state(
        &mut *new,
        moved.iter().flat_map(|p| [put(*p, "k", Some("new")), put(*p, "x", None)]).collect(),
    );
    drop(new);
    own(&mut *old, PARTITIONS as usize);
    for p in 0..PARTITIONS {
        let (k, x) = (old.state(p, b"k").unwrap(), old.state(p, b"x").unwrap());
        if moved.contains(&p) {
            assert_eq!((k.as_deref(), x), (Some(&b"new"[..]), None), "what another member did is seen");
        } else {
            assert_eq!((k.as_deref(), x.as_deref()), (Some(&b"old"[..]), Some(&b"old"[..])));
        }
    }
}

fn fences_who_lost_a_partition(log: Arc<dyn Log>) {
    fill(&*log, 200);
    let mut old = log.consumer("g", IN).unwrap();
    let records = collect(&mut *old, 200);
    let mut new = log.consumer("g", IN).unwrap();
    let mut theirs = share(&mut *old, &mut *new);
    let taken = new.assigned();
    let lost = records.iter().find(|r| taken.contains(&r.source.partition)).unwrap();
    let kept = records.iter().find(|r| !taken.contains(&r.source.partition)).unwrap();
    assert!(matches!(commit_up_to(&mut *old, lost), Err(LogError::Fenced { .. })));
    commit_up_to(&mut *old, kept).unwrap();
    until("the lost partition's records", || {
        theirs.extend(new.poll(MANY, LOOK).unwrap());
        theirs.iter().any(|r| r.source == lost.source)
    });
    let first = theirs.iter().find(|r| r.source == lost.source).unwrap();
    assert_eq!(first.offset, lost.offset, "nothing was committed there");
    commit_up_to(&mut *new, first).unwrap();
    let other =
        records.iter().rfind(|r| taken.contains(&r.source.partition) && r.source != lost.source).unwrap();
    drop(new);
    // The partition is back, but somebody else may have worked on it meanwhile: what was given of it before
    // is void, and nothing more of it is given until that was told.
    let meanwhile = own(&mut *old, PARTITIONS as usize);
    assert!(meanwhile.iter().all(|r| r.source != other.source));
    assert!(matches!(commit_up_to(&mut *old, other), Err(LogError::Fenced { .. })));
    let mut again = Vec::new();
    until("the other partition's records", || {
        again.extend(old.poll(MANY, LOOK).unwrap());
        again.iter().any(|r| r.source == other.source && r.offset == other.offset)
    });
    commit_up_to(&mut *old, other).unwrap();
}

fn gives_a_partition_to_one_member(log: Arc<dyn Log>) {
    fill(&*log, 400);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let mut consumer = log.consumer("g", IN).unwrap();
                let mut seen = Vec::new();
                until("everything is read", || {
                    let records = consumer.poll(PollLimits { records: 7, ..MANY }, LOOK).unwrap();
                    let Some(last) = records.last() else { return lag(&*log, "g") == 0 };
                    match commit_up_to(&mut *consumer, last) {
                        Ok(()) => seen.extend(records.iter().map(number)),
                        Err(LogError::Fenced { .. }) => consumer.rewind().unwrap(),
                        Err(other) => panic!("{other}"),
                    }
                    false
                });
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
    let first = collect(&mut *consumer, 30);
    consumer.rewind().unwrap();
    let mut again = collect(&mut *consumer, 30);
    commit_up_to(&mut *consumer, &again[0]).unwrap();
    consumer.rewind().unwrap();
    again = collect(&mut *consumer, 29);
    assert!(again.iter().all(|r| first.contains(r)));
}

fn forgets_a_group(log: Arc<dyn Log>) {
    fill(&*log, 40);
    let trim = || -> u64 {
        (0..PARTITIONS).map(|p| log.trim(&TopicPartition::new(IN, p), Some(i64::MAX), Some(0)).unwrap()).sum()
    };
    let mut kept = only(&*log, "kept", IN);
    let mut gone = only(&*log, "gone", IN);
    commit_state(&mut *gone, vec![put(0, "key", Some("value"))]);
    let records = collect(&mut *gone, 40);
    commit_up_to(&mut *gone, &records[0]).unwrap();
    drop(gone);
    until("the group is left", || log.forget("gone", IN).is_ok());
    assert!(log.groups().unwrap().iter().all(|(group, ..)| group != "gone"));
    let mut again = only(&*log, "gone", IN);
    assert_eq!(again.state(0, b"key").unwrap(), None, "its state is gone");
    assert_eq!(collect(&mut *again, 40).len(), 40, "it begins anew");
    drop(again);
    until("the group is left", || log.forget("gone", IN).is_ok());
    commit_all(&mut *kept, &records);
    until("it holds back nothing", || trim() > 0);
}

fn never_trims_what_is_unread(log: Arc<dyn Log>) {
    fill(&*log, 100);
    let trim = || -> u64 {
        (0..PARTITIONS).map(|p| log.trim(&TopicPartition::new(IN, p), Some(i64::MAX), Some(0)).unwrap()).sum()
    };
    let mut consumer = only(&*log, "g", IN);
    assert_eq!(trim(), 0, "the group has read nothing");
    let records = collect(&mut *consumer, 100);
    assert_eq!(trim(), 0, "the group has committed nothing");
    commit_all(&mut *consumer, &records);
    let late = log.consumer("late", IN).unwrap();
    assert_eq!(trim(), 0, "another group has read nothing");
    drop(late);
    fill(&*log, 10);
    let size: u64 = (0..PARTITIONS).map(|p| log.size(&TopicPartition::new(IN, p)).unwrap()).sum();
    assert!(size > 0);
    assert_eq!(collect(&mut *consumer, 10).len(), 10);
    let mut late = log.consumer("late", IN).unwrap();
    let all = collect(&mut *late, 110);
    commit_all(&mut *late, &all);
    assert!(trim() > 0, "what every group has read goes");
    let left = read_all(&*log, IN);
    assert!(left.len() < 110, "it went");
    drop(consumer);
    assert_eq!(collect(&mut *log.consumer("g", IN).unwrap(), 10).len(), 10, "what is unread stayed");
}

fn gives_what_fits_and_always_one(log: Arc<dyn Log>) {
    let big = vec![7; 3 << 20];
    let messages = vec![message(IN, "k", big.clone()), message(IN, "k", "x"), message(IN, "k", "y")];
    log.append(messages, None).unwrap();
    let mut consumer = log.consumer("g", IN).unwrap();
    let limits = PollLimits { records: 10, bytes: 1 << 20 };
    let mut polls = Vec::new();
    until("three records", || {
        polls.extend(Some(consumer.poll(limits, LOOK).unwrap()).filter(|p| !p.is_empty()));
        polls.iter().map(Vec::len).sum::<usize>() == 3
    });
    let first = &polls[0];
    assert_eq!((first.len(), first[0].value.len()), (1, big.len()), "one record, however large, and no more");
    let from = log.read(&first[0].source, first[0].offset + 1, PollLimits { records: 1, bytes: 1 }).unwrap();
    assert_eq!(from, polls[1][..1]);
}

fn keeps_values_of_any_size(log: Arc<dyn Log>) {
    let sizes = [10, 3 << 20, 10, 20 << 20, 10, 10];
    let value = |i: usize, size: usize| (0..size).map(|at| (at / 7 + i * 31) as u8).collect::<Vec<_>>();
    let messages = sizes.iter().enumerate().map(|(i, size)| message(IN, "k", value(i, *size)));
    let (first, second) = (messages.clone().take(3).collect(), messages.skip(3).collect());
    log.append(first, None).unwrap();
    log.append(second, None).unwrap();
    let mut consumer = log.consumer("g", IN).unwrap();
    let records = collect(&mut *consumer, sizes.len());
    for (i, record) in records.iter().enumerate() {
        assert!(*record.value == *value(i, sizes[i]), "value {i} is whole");
        assert_eq!(record.header("origin"), Some("k"));
        // From each record on, and from behind it, the right ones are read.
        for (from, expected) in
            [(record.offset, Some(i)), (record.offset + 1, (i + 1 < sizes.len()).then_some(i + 1))]
        {
            let read = log.read(&record.source, from, PollLimits { records: 1, bytes: 1 }).unwrap();
            assert_eq!(read.first().map(|r| r.offset), expected.map(|e| records[e].offset), "from {from}");
            assert!(read.iter().zip(expected).all(|(r, e)| *r == records[e]));
        }
    }
    // A group that goes on right behind a large value, after everything before it is gone, goes on with the next.
    commit_up_to(&mut *consumer, &records[3]).unwrap();
    log.trim(&records[0].source, Some(i64::MAX), Some(0)).unwrap();
    drop(consumer);
    assert_eq!(collect(&mut *log.consumer("g", IN).unwrap(), 2), records[4..]);
    let left = log.read(&records[0].source, 0, MANY).unwrap();
    assert_eq!(left[left.len() - 2..], records[4..]);
}

fn appends_with_the_ledger(log: Arc<dyn Log>) {
    let entries = [(b"file".to_vec(), b"seen".to_vec())];
    let failed = log
        .append(vec![message("contract.unknown", "k", "v")], Some(Ledger { name: "l", entries: &entries }));
    assert!(matches!(failed, Err(LogError::UnknownTopic(_))));
    assert_eq!(log.ledger("l", b"file").unwrap(), None);
    let positions =
        log.append(vec![message(IN, "k", "v")], Some(Ledger { name: "l", entries: &entries })).unwrap();
    assert_eq!(positions.len(), 1);
    let (partition, offset) = &positions[0];
    let stored = log.read(partition, *offset, MANY).unwrap();
    assert_eq!((stored.len(), stored[0].offset, &*stored[0].value), (1, *offset, &b"v"[..]));
    assert_eq!(log.ledger("l", b"file").unwrap().as_deref(), Some(&b"seen"[..]));
    assert_eq!(log.ledger("other", b"file").unwrap(), None);
}

fn tells_when_everything_was_read(log: Arc<dyn Log>) {
    fill(&*log, 50);
    let mut consumer = log.consumer("g", IN).unwrap();
    let records = collect(&mut *consumer, 50);
    assert!(lag(&*log, "g") >= 50);
    assert!(log.furthest_behind(IN).unwrap() > 0);
    commit_all(&mut *consumer, &records);
    until("the lag is 0", || {
        assert!(consumer.poll(MANY, LOOK).unwrap().is_empty());
        lag(&*log, "g") == 0 && log.furthest_behind(IN).unwrap() == 0
    });
    fill(&*log, 1);
    assert!(lag(&*log, "g") > 0, "what was appended is seen at once");
    let offsets = log.groups().unwrap();
    assert_eq!(offsets.iter().filter(|(g, p, _)| g == "g" && &*p.topic == IN).count(), PARTITIONS as usize);
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
