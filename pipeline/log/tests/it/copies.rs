//! Local copies of state: a restart reads what is new, and a copy may be deleted.

use dmarcflow_log::{Consumer, KafkaLog, StateChange, Transaction};

use crate::{IN, only, open, settings_of, shared};

fn put(consumer: &mut dyn Consumer, keys: std::ops::Range<u32>, value: &str) {
    let change = |partition, key: u32| StateChange {
        partition,
        key: key.to_be_bytes().to_vec(),
        value: Some(value.as_bytes().to_vec()),
    };
    let state = (0..IN.partitions).flat_map(|p| keys.clone().map(move |key| change(p, key))).collect();
    consumer.commit(&Transaction { state, ..Transaction::default() }).unwrap();
}

/// Opens, checks every value, and says how many records that took.
fn restored(log: &KafkaLog, keys: u32, changed: u32) -> u64 {
    let before = log.restored();
    let consumer = only(log, "g");
    for p in 0..IN.partitions {
        for key in 0..keys {
            let value = consumer.state(p, &key.to_be_bytes()).unwrap().unwrap();
            let expected = if key < changed { "new" } else { "old" };
            assert_eq!(value, expected.as_bytes(), "key {key} of partition {p}");
        }
        assert_eq!(consumer.scan(p, b"", 10_000).unwrap().len(), keys as usize);
    }
    log.restored() - before
}

#[test]
fn a_restart_reads_what_is_new_and_a_lost_copy_is_made_again() {
    let Some(cluster) = shared() else { return };
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prefix = format!("copies-{}.", std::process::id());
    let at = |dir: &tempfile::TempDir| open(settings_of(&cluster.brokers(), &prefix, dir.path()));
    put(&mut *only(&at(&here), "g"), 0..500, "old");
    assert_eq!(restored(&at(&here), 500, 0), 0, "the copy has everything");
    // Another worker, elsewhere, has to read it all, and changes a little.
    let other = at(&there);
    assert_eq!(restored(&other, 500, 0), 1_000);
    put(&mut *only(&other, "g"), 0..7, "new");
    drop(other);
    assert_eq!(restored(&at(&here), 500, 7), 14, "only what is new");
    std::fs::remove_dir_all(here.path()).unwrap();
    assert_eq!(restored(&at(&here), 500, 7), 1_014, "everything, after the copy was deleted");
}
