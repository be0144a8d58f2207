//! Sources: where reports come from. A source hands over bytes and their origin; it is told
//! "done" only after they are durable in `reports.raw`.

pub mod feed;
pub mod files;
pub mod moved;
pub mod watch;

use std::path::PathBuf;

/// Something that may be a report, as it was found.
#[derive(Debug)]
pub struct Item {
    /// Where it was found: a path, `path#n` for the n-th mail of an mbox, `-` for standard input.
    pub origin: String,
    pub content: Content,
}

/// The bytes of an item.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// It is larger than what is read: its size, where it is known.
    TooLarge(Option<u64>),
}

/// What a source cannot read, and why.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {path}: {error}; it was not taken in, run the command again when it can be read")]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{0} does not exist")]
    Missing(PathBuf),
}
