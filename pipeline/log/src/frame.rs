//! How a record lies in the log: one byte of format, then timestamp, key, headers and value.
//!
//! ```text
//! 0x01 | timestamp i64 | key length u32, key | headers u16, { name length u16, name, value length u32, value } | value
//! ```
//!
//! All numbers are big-endian. The value is what is left, so that its length is written nowhere.

use dmarcflow_schemas::message::Bytes;
use dmarcflow_schemas::{Header, Message, Record, TopicPartition};

const FORMAT: u8 = 1;

/// A message as bytes.
pub(crate) fn encode(message: &Message, timestamp: i64) -> Vec<u8> {
    let headers: usize = message.headers.iter().map(|h| h.name.len() + h.value.len() + 6).sum();
    let mut out = Vec::with_capacity(15 + message.key.len() + headers + message.value.len());
    out.push(FORMAT);
    out.extend(timestamp.to_be_bytes());
    out.extend((message.key.len() as u32).to_be_bytes());
    out.extend(&message.key);
    out.extend((message.headers.len() as u16).to_be_bytes());
    for header in &message.headers {
        out.extend((header.name.len() as u16).to_be_bytes());
        out.extend(header.name.as_bytes());
        out.extend((header.value.len() as u32).to_be_bytes());
        out.extend(&header.value);
    }
    out.extend(&message.value);
    out
}

/// The record in those bytes, or what is wrong with them.
pub(crate) fn decode(source: &TopicPartition, offset: u64, bytes: &[u8]) -> Result<Record, &'static str> {
    let mut at = Cursor(bytes);
    if at.take(1)? != [FORMAT] {
        return Err("unknown format");
    }
    let timestamp = i64::from_be_bytes(at.array()?);
    let length = u32::from_be_bytes(at.array()?) as usize;
    let key = Bytes::from(at.take(length)?);
    let count = u16::from_be_bytes(at.array()?);
    let mut headers = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(at.array()?));
        let name =
            std::str::from_utf8(at.take(length)?).map_err(|_| "a header's name is not UTF-8")?.to_owned();
        let length = u32::from_be_bytes(at.array()?) as usize;
        headers.push(Header { name, value: at.take(length)?.to_vec() });
    }
    Ok(Record { source: source.clone(), offset, timestamp, key, headers, value: Bytes::from(at.0) })
}

/// The timestamp in a record's bytes.
pub(crate) fn timestamp(bytes: &[u8]) -> Option<i64> {
    bytes.get(1..9)?.try_into().ok().map(i64::from_be_bytes)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "it is cut off")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_and_a_cut_one_is_refused() {
        let message = Message::new("t", *b"key", b"value".to_vec()).with("name", "text").with("empty", "");
        let bytes = encode(&message, -5);
        let record = decode(&TopicPartition::new("t", 2), 7, &bytes).unwrap();
        assert_eq!(
            (&*record.key, &*record.value, record.offset, record.timestamp),
            (&b"key"[..], &b"value"[..], 7, -5)
        );
        assert_eq!(record.headers, message.headers);
        assert_eq!(timestamp(&bytes), Some(-5));
        for length in 0..bytes.len() - message.value.len() {
            assert!(decode(&record.source, 0, &bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(decode(&record.source, 0, b"\x02........."), Err("unknown format"));
    }
}
