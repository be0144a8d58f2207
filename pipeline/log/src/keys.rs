//! Keys and values of the log's own spaces (see [`Space`]), as part of its format.

use dmarcflow_schemas::TopicPartition;

use crate::store::{Space, Write, after};

/// What a partition keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) bytes: u64,
}

pub(crate) fn record_key(partition: u32, offset: u64) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &offset.to_be_bytes()].concat()
}

pub(crate) fn state_key(group: &str, topic: &str, partition: u32, key: &[u8]) -> Vec<u8> {
    [group.as_bytes(), b"\0", topic.as_bytes(), b"\0", &partition.to_be_bytes(), key].concat()
}

/// The keys of a state that begin with `prefix`: the first one, and the one after the last.
pub(crate) fn state_range(group: &str, topic: &str, partition: u32, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = state_key(group, topic, partition, prefix);
    let to = after(&from);
    (from, to)
}

pub(crate) fn ledger_key(name: &str, key: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", key].concat()
}

pub(crate) fn span_key(topic: &str, partition: u32) -> Vec<u8> {
    [b"span\0", topic.as_bytes(), b"\0", &partition.to_be_bytes()].concat()
}

pub(crate) fn span_write(topic: &str, partition: u32, span: &Span) -> Write {
    let value = [span.low, span.high, span.bytes].map(u64::to_be_bytes).concat();
    Write { space: Space::Meta, key: span_key(topic, partition), value: Some(value) }
}

pub(crate) fn offset_write(group: &str, partition: &TopicPartition, offset: u64) -> Write {
    let key = state_key(group, &partition.topic, partition.partition, &[]);
    Write { space: Space::Offsets, key, value: Some(offset.to_be_bytes().to_vec()) }
}

pub(crate) fn offset_of(key: &[u8]) -> Option<(String, TopicPartition)> {
    let (names, partition) = key.split_last_chunk::<4>()?;
    let mut names = std::str::from_utf8(names).ok()?.split('\0');
    let (group, topic) = (names.next()?, names.next()?);
    Some((group.to_owned(), TopicPartition::new(topic, u32::from_be_bytes(*partition))))
}
