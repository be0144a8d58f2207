//! Hands items over to `reports.raw`, many at a time, each place's bytes once.
//!
//! A *ledger* beside the topic remembers, for every item, the hash of its origin and bytes. It is written in
//! the same batch as the item, so that an intake which was interrupted and runs again goes on where it was.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dmarcflow_log::{Ledger, Log, LogError, Pair};
use dmarcflow_schemas::Message;
use dmarcflow_schemas::message::header;
use dmarcflow_stages::topics::{DEAD_LETTERS, RAW};
use xxhash_rust::xxh3::Xxh3;

use super::{Content, Item};

/// Name of the ledger.
pub(super) const SOURCES: &str = "sources";
/// Bytes that are appended at a time, so that many items share one fsync.
const BATCH_BYTES: usize = 4 << 20;
/// Items that are appended at a time.
const BATCH_ITEMS: usize = 2_048;
/// What an item costs beside its bytes, as far as batching goes.
const OVERHEAD: usize = 256;

/// What became of items so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fed {
    /// Durable in the log.
    pub accepted: u64,
    /// Taken in by an earlier run from the same place: not taken in again.
    pub known: u64,
    /// Larger than what is read: a dead letter.
    pub too_large: u64,
}

/// A batch on its way into the log.
pub struct Feeder {
    log: Arc<dyn Log>,
    pending: Vec<Message>,
    entries: Vec<Pair>,
    keys: HashSet<[u8; 16]>,
    bytes: usize,
    fed: Fed,
    waiting: Fed,
}

impl Feeder {
    pub fn new(log: Arc<dyn Log>) -> Self {
        let (pending, entries, keys) = (Vec::new(), Vec::new(), HashSet::new());
        Self { log, pending, entries, keys, bytes: 0, fed: Fed::default(), waiting: Fed::default() }
    }

    /// Whether an item was taken in before. On an error nobody knows, and nothing has happened.
    pub fn knows(&self, item: &Item) -> Result<bool, LogError> {
        let key = fingerprint(item);
        let is_known = || Ok(self.keys.contains(&key) || self.log.ledger(SOURCES, &key)?.is_some());
        if item.origin == "-" { Ok(false) } else { is_known() }
    }

    /// Counts an item that was taken in before.
    pub fn pass_over(&mut self) {
        self.fed.known += 1;
    }

    /// Takes an item that is not known; what was taken before may become durable by that. On an error the item is
    /// held: [`Feeder::flush`] goes on.
    pub fn take(&mut self, item: Item) -> Result<(), LogError> {
        let key = fingerprint(&item);
        let message = match item.content {
            Content::Bytes(bytes) => {
                self.waiting.accepted += 1;
                Message::new(RAW, key, bytes).with(header::ORIGIN, item.origin)
            }
            Content::TooLarge(size) => {
                self.waiting.too_large += 1;
                too_large(&key, &item.origin, size)
            }
        };
        self.bytes += message.value.len() + OVERHEAD;
        self.pending.push(message);
        self.keys.insert(key);
        self.entries.push((key.to_vec(), now().to_be_bytes().to_vec()));
        if self.bytes >= BATCH_BYTES || self.pending.len() >= BATCH_ITEMS { self.flush() } else { Ok(()) }
    }

    /// Makes everything that was taken durable. On an error it is still held: calling again goes on.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.log.append(self.pending.clone(), Some(Ledger { name: SOURCES, entries: &self.entries }))?;
        crate::crash::point("fed");
        self.pending.clear();
        self.entries.clear();
        self.keys.clear();
        self.bytes = 0;
        let Fed { accepted, too_large, .. } = std::mem::take(&mut self.waiting);
        metrics::counter!("dmarcflow_taken_in_total", "outcome" => "accepted").increment(accepted);
        metrics::counter!("dmarcflow_taken_in_total", "outcome" => "too-large").increment(too_large);
        self.fed.accepted += accepted;
        self.fed.too_large += too_large;
        Ok(())
    }

    /// What is durable, or was known.
    pub fn fed(&self) -> Fed {
        self.fed
    }
}

/// Tells an item of a place from other bytes at that place and from the same bytes elsewhere.
fn fingerprint(item: &Item) -> [u8; 16] {
    let mut hash = Xxh3::new();
    hash.update(&(item.origin.len() as u64).to_le_bytes());
    hash.update(item.origin.as_bytes());
    match &item.content {
        Content::Bytes(bytes) => hash.update(bytes),
        Content::TooLarge(size) => hash.update(&size.unwrap_or(u64::MAX).to_le_bytes()),
    }
    hash.digest128().to_be_bytes()
}

fn too_large(key: &[u8], origin: &str, size: Option<u64>) -> Message {
    let size = size.map_or_else(|| "more bytes than".to_owned(), |n| format!("{n} bytes, more than"));
    Message::new(DEAD_LETTERS, key, Vec::new())
        .with(header::ORIGIN, origin)
        .with(header::STAGE, "ingest")
        .with(header::REASON, "limit-raw-bytes")
        .with(
            header::DETAIL,
            format!("{origin} has {size} `parse.raw_bytes` allows; raise the limit and ingest it again"),
        )
        .with(header::ATTEMPTS, "1")
}

/// A number that no other process draws.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one((std::process::id(), SystemTime::now()))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
