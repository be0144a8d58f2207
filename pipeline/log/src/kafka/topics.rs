//! The topics on the brokers: made as the promises need them, and checked where they are already there.
//!
//! | topic | `cleanup.policy` | partitions | holds |
//! |---|---|---|---|
//! | `PREFIX` name | `delete`, without limit: we trim ourselves | as configured | messages |
//! | `PREFIX` `state.` group `.` topic | `compact` | those of the topic | a group's state, by partition |
//! | `PREFIX` `ledger` | `compact` | 1 | ledgers |

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::Inner;
use super::client::{REQUEST, STATE_BYTES};
use super::error::failed;
use crate::LogError;

/// How long marks of deletion stay in a changelog.
pub(super) const TOMBSTONES: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a new topic may take to be known everywhere.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A topic as it has to be.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) partitions: u32,
    settings: Vec<(&'static str, String)>,
}

impl Wanted {
    /// A topic of messages, whose largest batch has `bytes`.
    pub(super) fn messages(name: String, partitions: u32, bytes: usize) -> Self {
        let settings = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("max.message.bytes", bytes.to_string()),
            ("compression.type", "producer".to_owned()),
            ("message.timestamp.type", "CreateTime".to_owned()),
        ];
        Self { name, partitions, settings }
    }

    /// A compacted topic.
    pub(super) fn changelog(name: String, partitions: u32) -> Self {
        let settings = vec![
            ("cleanup.policy", "compact".to_owned()),
            ("max.message.bytes", (STATE_BYTES + (64 << 10)).to_string()),
            ("delete.retention.ms", TOMBSTONES.as_millis().to_string()),
        ];
        Self { name, partitions, settings }
    }
}

/// Makes what is missing and checks what is there.
pub(super) fn ensure(log: &Inner, wanted: &[Wanted]) -> Result<(), LogError> {
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    let mut missing = Vec::new();
    for topic in wanted {
        match partitions(log, &topic.name)? {
            None => missing.push(topic),
            Some(found) => check_partitions(topic, found)?,
        }
    }
    let new: Vec<_> = missing
        .iter()
        .map(|t| {
            let replication = TopicReplication::Fixed(i32::from(log.settings.replication));
            let mut new = NewTopic::new(&t.name, t.partitions as i32, replication);
            new.config = t.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
            new
        })
        .collect();
    if !new.is_empty() {
        let made =
            block_on(log.admin.create_topics(&new, &options)).map_err(|e| failed("creating topics", &e))?;
        for result in made {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(failed(&format!("creating the topic {name}"), &KafkaError::AdminOp(code)));
                }
            }
        }
    }
    for topic in missing {
        wait(log, topic)?;
    }
    check_settings(log, wanted, &options)
}

/// Deletes a group and its changelog.
pub(super) fn forget(log: &Inner, group: &str, changelog: &str) -> Result<(), LogError> {
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    let what = format!("forgetting the group {group}");
    let groups = block_on(log.admin.delete_groups(&[group], &options)).map_err(|e| failed(&what, &e))?;
    for result in groups {
        match result {
            Ok(_) | Err((_, Code::GroupIdNotFound)) => {}
            Err((_, code)) => return Err(failed(&what, &KafkaError::AdminOp(code))),
        }
    }
    // The changelog last: as long as it is there the group is known, and can be forgotten again.
    let name = log.settings.named(changelog);
    let topics = block_on(log.admin.delete_topics(&[&name], &options)).map_err(|e| failed(&what, &e))?;
    for result in topics {
        match result {
            Ok(_) | Err((_, Code::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(failed(&what, &KafkaError::AdminOp(code))),
        }
    }
    let until = Instant::now() + KNOWN_WITHIN;
    while partitions(log, &name)?.is_some() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits until a new topic has leaders everywhere.
fn wait(log: &Inner, topic: &Wanted) -> Result<(), LogError> {
    let until = Instant::now() + KNOWN_WITHIN;
    loop {
        if let Some(found) = partitions(log, &topic.name)? {
            return check_partitions(topic, found);
        }
        if Instant::now() > until {
            let what = format!("creating the topic {}", topic.name);
            return Err(LogError::Away { what, reason: "its partitions have no leaders yet".to_owned() });
        }
        std::thread::sleep(LOOK);
    }
}

/// How many partitions a topic has; none when it is not there, or not yet everywhere.
fn partitions(log: &Inner, name: &str) -> Result<Option<u32>, LogError> {
    let client = log.admin.inner();
    let found = client.fetch_metadata(Some(name), REQUEST).map_err(|e| failed("asking for topics", &e))?;
    let topic = found.topics().iter().find(|t| t.name() == name);
    Ok(topic.and_then(|t| {
        let led = t.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none());
        (t.error().is_none() && led && !t.partitions().is_empty()).then(|| t.partitions().len() as u32)
    }))
}

fn check_partitions(topic: &Wanted, found: u32) -> Result<(), LogError> {
    if found == topic.partitions {
        return Ok(());
    }
    Err(LogError::Partitions { topic: topic.name.clone(), found, expected: topic.partitions })
}

/// Checks settings, waiting for brokers that do not know a new topic yet.
fn check_settings(log: &Inner, wanted: &[Wanted], options: &AdminOptions) -> Result<(), LogError> {
    let until = Instant::now() + KNOWN_WITHIN;
    loop {
        match look_at_settings(log, wanted, options) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() && Instant::now() < until => std::thread::sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
}

fn look_at_settings(log: &Inner, wanted: &[Wanted], options: &AdminOptions) -> Result<(), LogError> {
    let which: Vec<_> = wanted.iter().map(|t| ResourceSpecifier::Topic(&t.name)).collect();
    let what = "asking for the settings of topics";
    let found = block_on(log.admin.describe_configs(&which, options)).map_err(|e| failed(what, &e))?;
    for (topic, found) in wanted.iter().zip(found) {
        let found = found.map_err(|code| failed(what, &KafkaError::AdminOp(code)))?;
        for &(setting, ref expected) in &topic.settings {
            let Some(value) = found.get(setting).and_then(|entry| entry.value.clone()) else {
                let reason = format!("{} has no {setting} yet", topic.name);
                return Err(LogError::Away { what: what.to_owned(), reason });
            };
            if !agrees(setting, &value, expected) {
                return Err(LogError::TopicSetting {
                    mend: format!(
                        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {} --add-config {setting}={expected}",
                        log.settings.brokers, topic.name
                    ),
                    topic: topic.name.clone(),
                    setting,
                    found: value,
                    expected: expected.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Whether what a topic has serves as well as what is wanted.
fn agrees(setting: &str, found: &str, expected: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    match setting {
        "max.message.bytes" | "delete.retention.ms" => number(found) >= number(expected),
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_room_is_no_mismatch() {
        assert!(agrees("max.message.bytes", "2000000", "1000000"));
        assert!(!agrees("max.message.bytes", "1000", "1000000"));
        assert!(!agrees("cleanup.policy", "compact", "delete"));
    }
}
