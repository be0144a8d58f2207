//! The one contract suite.

use std::time::Duration;

use dmarcflow_log::{KafkaLog, contract};

use crate::{settings, shared};

#[test]
fn the_contract_holds_over_kafka() {
    let Some(cluster) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    contract::suite(|| {
        let mut settings = settings(&cluster.brokers(), dir.path());
        settings.replication = 1;
        // Nobody is killed here: a slow machine must not look like it.
        settings.session_timeout = Duration::from_secs(30);
        KafkaLog::open(settings).unwrap()
    });
}
