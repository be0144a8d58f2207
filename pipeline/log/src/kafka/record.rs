//! A message of the brokers as a record.

use dmarcflow_schemas::{Header, Record, TopicPartition};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

/// The record that a message is, or a piece of one.
pub(super) fn record(source: &TopicPartition, message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|all| {
        let header = |h: rdkafka::message::Header<'_, &[u8]>| Header {
            name: h.key.to_owned(),
            value: h.value.unwrap_or_default().to_vec(),
        };
        all.iter().map(header).collect()
    });
    Record {
        source: source.clone(),
        offset: message.offset() as u64,
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().unwrap_or_default().into(),
        headers: headers.unwrap_or_default(),
        value: message.payload().unwrap_or_default().into(),
    }
}
