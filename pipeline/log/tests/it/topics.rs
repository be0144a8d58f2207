//! Topics that do not fit are refused with the command that mends them; secrets are never told.

use dmarcflow_log::{KafkaLog, Log, LogError};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::{IN, settings, shared};

#[test]
fn a_topic_that_loses_messages_is_refused_until_it_is_mended() {
    let Some(cluster) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&cluster.brokers(), dir.path());
    let name = format!("{}in", settings.prefix);
    let admin: AdminClient<DefaultClientContext> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1))
        .set("retention.bytes", "-1")
        .set("max.message.bytes", "5000000")
        .set("compression.type", "producer");
    let made = futures::executor::block_on(admin.create_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    let log = KafkaLog::open(settings).unwrap();
    let error = log.create_topics(&[IN]).unwrap_err();
    let LogError::TopicSetting { topic, setting, found, expected, mend } = &error else { panic!("{error}") };
    assert_eq!((topic, *setting, &**expected), (&name, "retention.ms", "-1"));
    assert!(error.to_string().contains(found) && error.to_string().contains(mend), "{error}");
    let command = format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config retention.ms=-1",
        cluster.brokers()
    );
    assert_eq!(*mend, command);
    let mut mended = AlterConfig::new(ResourceSpecifier::Topic(&name));
    for (key, value) in
        [("retention.ms", "-1"), ("max.message.bytes", "5000000"), ("compression.type", "producer")]
    {
        mended = mended.set(key, value);
    }
    let done = futures::executor::block_on(admin.alter_configs(&[mended], &AdminOptions::new())).unwrap();
    assert!(done[0].is_ok(), "{done:?}");
    log.create_topics(&[IN]).unwrap();
}

#[test]
fn secrets_are_not_told() {
    let Some(cluster) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let secret = "hunter2-of-the-broker";
    let mut wrong = settings(&cluster.brokers(), dir.path());
    for (key, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "me"),
        ("sasl.password", secret),
        ("ssl.ca.pem", secret),
    ] {
        wrong.properties.insert(key.to_owned(), value.to_owned());
        let shown = format!("{wrong:?}");
        assert!(shown.contains(key) && !shown.contains(secret), "{shown}");
    }
    let refused = KafkaLog::open(wrong.clone()).err().unwrap();
    assert!(!format!("{refused} {refused:?}").contains(secret), "{refused}");
    wrong.properties.remove("ssl.ca.pem");
    let refused = KafkaLog::open(wrong).err().unwrap();
    assert!(!format!("{refused} {refused:?}").contains(secret), "{refused}");
}
