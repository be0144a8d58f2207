//! Mbox: one message after the other, in memory one at a time.
//!
//! A message begins at a line `From ` with a time of day, at the file's beginning or after an
//! empty line. Lines that were escaped as `>From ` are given back as they were.

use std::io::{self, BufRead};

/// What a message's first line begins with.
const SEPARATOR: &[u8] = b"From ";
/// How much of a separator line is looked at for its time. Bytes.
const SEPARATOR_MAX: usize = 512;

/// A message of an mbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MboxMessage {
    /// Ordinal in the mbox, from 1.
    pub number: u64,
    /// Its bytes, without the separator line.
    pub bytes: Vec<u8>,
    /// Its whole size; larger than `bytes` where it was cut at the bound. Bytes.
    pub size: u64,
}

/// The messages of an mbox.
#[derive(Debug)]
pub struct MboxMessages<R> {
    reader: R,
    message_bytes: usize,
    number: u64,
    line: Vec<u8>,
    /// Whether `line` holds the separator of the next message.
    pending: bool,
}

/// Splits an mbox; of each message at most `message_bytes` are kept.
pub fn split_mbox<R: BufRead>(reader: R, message_bytes: usize) -> MboxMessages<R> {
    MboxMessages { reader, message_bytes, number: 0, line: Vec::new(), pending: false }
}

/// Whether bytes begin as an mbox does.
pub fn is_mbox(bytes: &[u8]) -> bool {
    let line = bytes.get(..bytes.len().min(SEPARATOR_MAX)).unwrap_or_default();
    is_separator(line.split(|&b| b == b'\n').next().unwrap_or_default())
}

fn is_separator(line: &[u8]) -> bool {
    line.starts_with(SEPARATOR)
        && line
            .windows(5)
            .take(SEPARATOR_MAX)
            .any(|w| w[2] == b':' && [w[0], w[1], w[3], w[4]].iter().all(u8::is_ascii_digit))
}

impl<R: BufRead> MboxMessages<R> {
    /// Reads a line into `line`, no more of it than is kept or looked at; gives its whole size, 0 at the end.
    fn read_line(&mut self) -> io::Result<u64> {
        self.line.clear();
        let bound = self.message_bytes.max(SEPARATOR_MAX);
        let mut size = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            let (used, ended) = match memchr::memchr(b'\n', buffer) {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            let room = bound.saturating_sub(self.line.len()).min(used);
            self.line.extend_from_slice(&buffer[..room]);
            self.reader.consume(used);
            size += used as u64;
            if ended {
                return Ok(size);
            }
        }
    }

    fn read_message(&mut self) -> io::Result<Option<MboxMessage>> {
        if !self.pending && self.read_line()? == 0 {
            return Ok(None);
        }
        let mut size = 0;
        let mut bytes = Vec::new();
        if !is_separator(&self.line) {
            // The file does not begin with a separator: its head is a message all the same.
            size += self.line.len() as u64;
            bytes.extend_from_slice(&self.line);
        }
        self.pending = false;
        let mut after_empty = false;
        loop {
            let read = self.read_line()?;
            if read == 0 {
                break;
            }
            if after_empty && is_separator(&self.line) {
                self.pending = true;
                break;
            }
            after_empty = matches!(self.line.as_slice(), b"\n" | b"\r\n");
            let escaped = self
                .line
                .iter()
                .position(|&b| b != b'>')
                .is_some_and(|n| n > 0 && self.line[n..].starts_with(SEPARATOR));
            let line = &self.line[usize::from(escaped)..];
            size += read - u64::from(escaped);
            let room = self.message_bytes.saturating_sub(bytes.len()).min(line.len());
            bytes.extend_from_slice(&line[..room]);
        }
        self.number += 1;
        Ok(Some(MboxMessage { number: self.number, bytes, size }))
    }
}

impl<R: BufRead> Iterator for MboxMessages<R> {
    type Item = io::Result<MboxMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_message().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mbox: &str, bound: usize, buffer: usize) -> Vec<(String, u64)> {
        let reader = io::BufReader::with_capacity(buffer, mbox.as_bytes());
        split_mbox(reader, bound)
            .map(|m| m.unwrap())
            .map(|m| (String::from_utf8(m.bytes).unwrap(), m.size))
            .collect()
    }

    const MBOX: &str = "From a@b Sat Jan  3 01:05:34 2025\nSubject: 1\n\nFrom here on\n>From x\n>>From y\n\n\
                        From MAILER-DAEMON Sat Jan  3 01:05:34 2025\r\nSubject: 2\r\n\r\nbody\r\n";

    #[test]
    fn messages_are_split_at_separators_and_unescaped() {
        for buffer in [1, 7, 8192] {
            let messages: Vec<_> = split(MBOX, 1 << 20, buffer).into_iter().map(|m| m.0).collect();
            assert_eq!(
                messages,
                ["Subject: 1\n\nFrom here on\nFrom x\n>From y\n\n", "Subject: 2\r\n\r\nbody\r\n"]
            );
        }
        assert!(is_mbox(MBOX.as_bytes()));
        assert!(!is_mbox(b"From: a@b\nDate: Sat 01:05:34\n"));
        assert_eq!(split("", 10, 10), []);
    }

    #[test]
    fn a_message_beyond_the_bound_is_cut_and_its_size_told() {
        let messages = split(MBOX, 10, 16);
        assert_eq!(messages[0], ("Subject: 1".to_owned(), 41));
        assert_eq!(messages[1].0, "Subject: 2");
    }
}
