//! Changes of the log that are applied as one.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dmarcflow_schemas::message::partition_of;
use dmarcflow_schemas::{Message, TopicPartition};

use crate::keys::{Span, record_key, span_write};
use crate::state::State;
use crate::store::{Space, Store, Write};
use crate::{LogError, frame};

/// Changes that are to be applied as one, and the spans that follow from them.
pub(crate) struct Batch<'a> {
    state: &'a State,
    pub(crate) writes: Vec<Write>,
    spans: HashMap<TopicPartition, Span>,
    now: i64,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { state, writes: Vec::new(), spans: HashMap::new(), now: now.as_millis() as i64 }
    }

    pub(crate) fn put(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.writes.push(Write { space, key, value });
    }

    /// Adds messages at the ends of their partitions.
    pub(crate) fn add_all(&mut self, messages: &[Message]) -> Result<Vec<(TopicPartition, u64)>, LogError> {
        let mut positions = Vec::with_capacity(messages.len());
        for message in messages {
            let topic = self.state.topic(message.topic)?;
            let partition = partition_of(&message.key, topic.spec.partitions);
            let at = TopicPartition::new(message.topic, partition);
            let span = self.spans.entry(at.clone()).or_insert(topic.spans[partition as usize]);
            let value = frame::encode(message, self.now);
            let key = record_key(partition, span.high);
            positions.push((at, span.high));
            span.high += 1;
            span.bytes += value.len() as u64;
            self.writes.push(Write { space: Space::Topic(topic.spec.name), key, value: Some(value) });
        }
        Ok(positions)
    }

    /// Applies everything; the spans are to be taken over after that.
    pub(crate) fn finish(mut self, store: &impl Store) -> Result<Vec<(TopicPartition, Span)>, LogError> {
        let spans: Vec<_> = self.spans.into_iter().collect();
        self.writes.extend(spans.iter().map(|(p, span)| span_write(&p.topic, p.partition, span)));
        store.apply(self.writes)?;
        Ok(spans)
    }
}
