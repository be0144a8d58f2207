//! A broker that asks who we are: what is passed through, and what is said when it is wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dmarcflow_log::{KafkaLog, KafkaSettings, Log, LogError, PollLimits};
use dmarcflow_schemas::{Message, TopicPartition};

use crate::IN;
use crate::broker::Cluster;

const ALL: PollLimits = PollLimits { records: 100, bytes: 1 << 20 };

fn open(cluster: &Cluster, properties: &[(&str, &str)]) -> Result<KafkaLog, LogError> {
    let cache = tempfile::tempdir().unwrap().keep();
    let mut settings = KafkaSettings::new(cluster.brokers(), cache);
    settings.replication = 1;
    let authority = cluster.authority().display().to_string();
    let common = [("security.protocol", "SASL_SSL"), ("ssl.ca.location", &authority)];
    let all = common.iter().chain(properties).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    settings.properties = all.collect::<BTreeMap<_, _>>();
    KafkaLog::open(settings)
}

#[test]
fn who_proves_who_he_is_works_over_tls() {
    let Some(cluster) = Cluster::start_secured() else { return };
    let user = [("sasl.username", "user"), ("sasl.password", "secret")];
    let bearer = [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=user scope=all"),
    ];
    let mut expected = 0;
    for properties in [
        [&[("sasl.mechanism", "PLAIN")], &user[..]].concat(),
        [&[("sasl.mechanism", "SCRAM-SHA-512")], &user[..]].concat(),
        bearer.to_vec(),
    ] {
        let log = open(&cluster, &properties).unwrap_or_else(|e| panic!("{properties:?}: {e}"));
        log.create_topics(&[IN]).unwrap();
        log.append(vec![Message::new(IN.name, *b"key", b"value".to_vec())], None).unwrap();
        expected += 1;
        // What was committed can be read as soon as its mark is everywhere.
        let read = |p| log.read(&TopicPartition::new(IN.name, p), 0, ALL).unwrap().len();
        let until = Instant::now() + Duration::from_secs(30);
        while (0..IN.partitions).map(read).sum::<usize>() < expected {
            assert!(Instant::now() < until, "{properties:?}");
        }
    }

    let wrong = [("sasl.mechanism", "PLAIN"), ("sasl.username", "user"), ("sasl.password", "guess")];
    let said = open(&cluster, &wrong).err().unwrap().to_string();
    assert!(said.to_lowercase().contains("authentication failed") && !said.contains("guess"), "{said}");
    let unknown = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "user"),
        ("sasl.password", "secret"),
        ("ssl.ca.location", "/nowhere"),
    ];
    let said = open(&cluster, &unknown).err().unwrap().to_string();
    assert!(said.contains("ssl.ca.location"), "{said}");
}
