//! What a log is kept in: ordered keys and values, written in atomic batches.

use crate::LogError;

/// Where a key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Records of a topic, by its name: partition (u32), offset (u64) -> frame (see `frame.rs`).
    Topic(&'static str),
    /// Positions of groups: group, 0, topic, 0, partition (u32) -> next offset (u64).
    Offsets,
    /// State of stages: group, 0, topic, 0, partition (u32), key -> value.
    State,
    /// Ledgers: name, 0, key -> value.
    Ledger,
    /// `format` -> version (u32); `topic` 0 name -> partitions (u32);
    /// `span` 0 topic 0 partition (u32) -> low (u64), high (u64), bytes (u64).
    Meta,
}

/// A change: a value, or none to forget the key.
pub struct Write {
    pub space: Space,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Ordered keys and values.
pub trait Store: Send + Sync + 'static {
    /// Makes a topic's space ready; `passing` as in [`TopicSpec`](crate::TopicSpec).
    fn open_topic(&self, name: &'static str, passing: bool) -> Result<(), LogError>;

    /// Applies all changes or none; they survive the process, not a power cut.
    fn apply(&self, writes: Vec<Write>) -> Result<(), LogError>;

    /// Makes what was applied survive a power cut.
    fn sync(&self) -> Result<(), LogError>;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, LogError>;

    /// Calls `each` with the pairs from `from` on, below `to`, in order, until it returns false.
    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), LogError>;

    /// The size of a value.
    fn size_of(&self, space: Space, key: &[u8]) -> Result<Option<u64>, LogError>;
}

/// The first key after all that begin with `prefix`; empty where there is none.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_prefix_is_the_next_key_of_its_length_or_shorter() {
        assert_eq!(super::after(b"ab"), b"ac");
        assert_eq!(super::after(&[1, 255, 255]), [2]);
        assert!(super::after(&[255]).is_empty());
    }
}
