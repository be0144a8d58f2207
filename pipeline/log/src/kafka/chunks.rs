//! Values larger than a message, in pieces: a record is given whole, in its place, or not at all.
//!
//! The pieces of a value are messages of one transaction, in order in one partition; other producers' messages
//! may stand between them. Each has the header [`CHUNK`]: set (16 bytes), number (u32), count (u32), big-endian.
//! The first also has the record's own headers. The record stands at the offset of its *first* piece, so
//! what follows in the partition is held back until the last one came: the offset after a record that was
//! given never skips one that was not. Pieces whose first one stands before the place where reading began belong
//! to a record that was read before, and are passed over.

use std::collections::VecDeque;

use dmarcflow_schemas::{Header, Record};

/// The header that makes a message a piece.
pub(super) const CHUNK: &str = "dmarcflow.chunk";
/// What a header costs on the wire beside its name and value, at most.
const HEADER_COST: usize = 10;
/// The smallest piece worth sending, in bytes.
const LEAST: usize = 1 << 10;

/// Which piece of which value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) set: [u8; 16],
    pub(super) number: u32,
    pub(super) count: u32,
}

impl Piece {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.set[..], &self.number.to_be_bytes(), &self.count.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (set, rest) = bytes.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let count = rest.try_into().ok().map(u32::from_be_bytes)?;
        Some(Self { set: *set, number: u32::from_be_bytes(*number), count })
    }
}

/// How many bytes of a value go into one message with this key and these headers; none when all of it does.
pub(super) fn piece_size(key: &[u8], headers: &[Header], value: usize, most: usize) -> Option<usize> {
    let beside =
        key.len() + headers.iter().map(|h| h.name.len() + h.value.len() + HEADER_COST).sum::<usize>();
    if beside + value <= most {
        return None;
    }
    Some(most.saturating_sub(beside + CHUNK.len() + 24 + HEADER_COST).max(LEAST))
}

/// A record, or one of which pieces are missing.
struct Slot {
    record: Record,
    /// Of a record in pieces: the set, and the value so far.
    open: Option<(Piece, Vec<u8>)>,
}

/// Puts the messages of one partition together to records.
#[derive(Default)]
pub(super) struct Assembler {
    slots: VecDeque<Slot>,
    /// Bytes held.
    bytes: usize,
}

impl Assembler {
    /// Takes the next message of the partition.
    pub(super) fn push(&mut self, mut message: Record) {
        self.bytes += message.value.len();
        let at = message.headers.iter().position(|h| h.name == CHUNK);
        let Some(piece) = at.and_then(|at| Piece::decode(&message.headers.remove(at).value)) else {
            self.slots.push_back(Slot { record: message, open: None });
            return;
        };
        if piece.number == 0 && piece.count > 1 {
            let value = message.value.to_vec();
            message.value = [].into();
            self.slots.push_back(Slot { record: message, open: Some((piece, value)) });
            return;
        }
        let open = self.slots.iter_mut().find(|s| s.open.as_ref().is_some_and(|(p, _)| p.set == piece.set));
        match open {
            Some(slot) => slot.add(piece, &message.value),
            None => self.bytes -= message.value.len(),
        }
    }

    /// The first record, if it is whole.
    pub(super) fn front(&self) -> Option<&Record> {
        self.slots.front().filter(|slot| slot.open.is_none()).map(|slot| &slot.record)
    }

    /// Takes the first record, if it is whole.
    pub(super) fn pop(&mut self) -> Option<Record> {
        self.front()?;
        let record = self.slots.pop_front()?.record;
        self.bytes -= record.value.len();
        Some(record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many records are held.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the values held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Slot {
    fn add(&mut self, piece: Piece, bytes: &[u8]) {
        let Some((last, value)) = &mut self.open else { return };
        value.extend_from_slice(bytes);
        *last = piece;
        if piece.number + 1 == piece.count {
            self.record.value = std::mem::take(value).into();
            self.open = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use dmarcflow_schemas::TopicPartition;

    use super::*;

    fn message(offset: u64, value: &[u8], piece: Option<(u8, u32, u32)>) -> Record {
        let headers = piece
            .map(|(set, number, count)| Piece { set: [set; 16], number, count }.encode())
            .map(|value| vec![Header { name: CHUNK.to_owned(), value }])
            .unwrap_or_default();
        let source = TopicPartition::new("t", 0);
        Record { source, offset, timestamp: 0, key: [].into(), headers, value: value.into() }
    }

    fn drain(assembler: &mut Assembler) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| assembler.pop()).map(|r| (r.offset, r.value.to_vec())).collect()
    }

    #[test]
    fn records_come_whole_and_in_the_order_of_their_first_pieces() {
        let mut assembler = Assembler::default();
        assembler.push(message(5, b"tail of a record read before", Some((9, 2, 3))));
        assert!(assembler.is_empty() && assembler.bytes() == 0);
        assembler.push(message(6, b"a", Some((1, 0, 3))));
        assembler.push(message(7, b"between", None));
        assembler.push(message(8, b"x", Some((2, 0, 2))));
        assembler.push(message(9, b"b", Some((1, 1, 3))));
        assert!(drain(&mut assembler).is_empty(), "nothing overtakes a record that is not whole");
        assembler.push(message(10, b"c", Some((1, 2, 3))));
        assert_eq!(drain(&mut assembler), [(6, b"abc".to_vec()), (7, b"between".to_vec())]);
        assembler.push(message(11, b"y", Some((2, 1, 2))));
        assert_eq!(drain(&mut assembler), [(8, b"xy".to_vec())]);
        assert!(assembler.is_empty() && assembler.bytes() == 0);
    }

    #[test]
    fn only_what_does_not_fit_is_cut() {
        assert_eq!(piece_size(b"key", &[], 9_997, 10_000), None);
        let size = piece_size(b"key", &[], 9_998, 10_000).unwrap();
        assert!((9_000..9_997).contains(&size), "{size}");
        assert_eq!(piece_size(&[0; 20_000], &[], 9_998, 10_000), Some(LEAST), "a key that leaves no room");
    }
}
