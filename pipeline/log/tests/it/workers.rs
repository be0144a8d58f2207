//! A worker with a name keeps its partitions over a restart, while the others go on.

use std::time::Duration;

use dmarcflow_log::Log;

use crate::{IN, LOOK, MANY, open, settings_of, shared, until};

#[test]
fn a_named_worker_has_its_partitions_again_after_a_restart() {
    let Some(cluster) = shared() else { return };
    let caches = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prefix = format!("workers-{}.", std::process::id());
    let worker = |name: &str, cache: &tempfile::TempDir| {
        let mut settings = settings_of(&cluster.brokers(), &prefix, cache.path());
        settings.worker = Some(name.to_owned());
        // So long that nothing moves because of it here.
        settings.session_timeout = Duration::from_secs(60);
        open(settings)
    };
    let (first, second) = (worker("one", &caches.0), worker("two", &caches.1));
    let mut one = first.consumer("g", IN.name).unwrap();
    let mut two = second.consumer("g", IN.name).unwrap();
    until("shares", || {
        one.poll(MANY, LOOK).unwrap();
        two.poll(MANY, LOOK).unwrap();
        (one.assigned().len(), two.assigned().len()) == (1, 1)
    });
    let (before, others) = (one.assigned(), two.assigned());
    drop((one, first));
    let first = worker("one", &caches.0);
    let mut one = first.consumer("g", IN.name).unwrap();
    until("the partition is back", || {
        two.poll(MANY, LOOK).unwrap();
        assert_eq!(two.assigned(), others, "the other one is not disturbed");
        one.poll(MANY, LOOK).unwrap();
        !one.assigned().is_empty()
    });
    assert_eq!(one.assigned(), before);
}
