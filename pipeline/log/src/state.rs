//! What is known of a log while it is open.

use std::collections::HashMap;

use dmarcflow_schemas::TopicPartition;

use crate::groups::Groups;
use crate::keys::Span;
use crate::{LogError, TopicSpec};

#[derive(Default)]
pub(crate) struct State {
    pub(crate) topics: HashMap<&'static str, Topic>,
    pub(crate) groups: Groups,
    pub(crate) offsets: HashMap<(String, TopicPartition), u64>,
    /// Batches applied so far.
    pub(crate) applied: u64,
    /// How often `wake` was called.
    pub(crate) woken: u64,
}

pub(crate) struct Topic {
    pub(crate) spec: TopicSpec,
    pub(crate) spans: Vec<Span>,
}

impl State {
    pub(crate) fn topic(&self, name: &str) -> Result<&Topic, LogError> {
        self.topics.get(name).ok_or_else(|| LogError::UnknownTopic(name.to_owned()))
    }

    pub(crate) fn span(&self, partition: &TopicPartition) -> Result<Span, LogError> {
        let topic = self.topic(&partition.topic)?;
        topic
            .spans
            .get(partition.partition as usize)
            .copied()
            .ok_or_else(|| LogError::UnknownTopic(partition.to_string()))
    }

    /// Takes over what the store has applied. Returns the number of the batch.
    pub(crate) fn settle(&mut self, spans: Vec<(TopicPartition, Span)>) -> u64 {
        for (partition, span) in spans {
            if let Some(topic) = self.topics.get_mut(&*partition.topic) {
                topic.spans[partition.partition as usize] = span;
            }
        }
        self.applied += 1;
        self.applied
    }
}
