//! The embedded log: one process, one folder, nothing to install.
//!
//! Kept in fjall, an LSM tree with a journal: a keyspace a topic with large values apart from their keys, and
//! one each for offsets, state, ledgers and the log's own facts ([`Space`](crate::store::Space) says what
//! lies under which key, `frame.rs` how a record lies there). A batch is one write to the journal, handed to the
//! operating system before it returns: a kill of the process loses nothing, a power cut what was not synced.

mod space;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use fjall::config::FilterPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::LogError;
use crate::core::Core;
use crate::store::{Space, Store, Write};
use space::Reserve;

/// Version of the format on disk.
const FORMAT: u32 = 1;
/// Memory of a topic's newest records before they are written out, in bytes.
const TOPIC_MEMTABLE: u64 = 2 << 20;
/// The least that all such memory together may take before writers wait, in bytes: with less, none of the dozen
/// keyspaces might be full enough to be written out, and nobody would go on.
const LEAST_UNWRITTEN: u64 = 32 << 20;
/// How long a writer waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The smallest memory that the log can work with, in bytes.
const LEAST_MEMORY: u64 = 16 << 20;

/// How the embedded log is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory for buffers and caches, in bytes.
    pub memory_bytes: u64,
    /// Space on the disk that is left free, in bytes: with less, writes are refused with [`LogError::Full`].
    pub reserve_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_bytes: 96 << 20, reserve_bytes: 64 << 20 }
    }
}

/// A log in a folder of this machine.
pub type EmbeddedLog = Core<Disk>;

impl EmbeddedLog {
    /// Opens the log in a folder, which is made where it is missing.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, LogError> {
        let place = path.display().to_string();
        let disk = Disk::open(path, &settings)?;
        let found = disk.get(Space::Meta, b"format")?;
        match found.map(|f| f.as_slice().try_into().map_or(0, u32::from_be_bytes)) {
            None => {
                let value = Some(FORMAT.to_be_bytes().to_vec());
                disk.apply(vec![Write { space: Space::Meta, key: b"format".to_vec(), value }])?;
            }
            Some(FORMAT) => {}
            Some(found) => return Err(LogError::Format { path: place, found, expected: FORMAT }),
        }
        tracing::debug!(path = place, "log opened");
        Self::over(disk, &place)
    }
}

/// Keyspaces of a fjall database.
pub struct Disk {
    database: Database,
    fixed: HashMap<Space, Keyspace>,
    topics: RwLock<HashMap<&'static str, Keyspace>>,
    reserve: Reserve,
    /// Bytes that may wait in memory to be written out.
    unwritten: u64,
}

impl Disk {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self, LogError> {
        let place = || path.display().to_string();
        let database = Database::builder(path)
            .cache_size(settings.memory_bytes.max(LEAST_MEMORY) / 3)
            .journal_compression(CompressionType::None)
            .worker_threads(1)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => LogError::Locked { path: place() },
                other => failed(&other),
            })?;
        let mut fixed = HashMap::new();
        for (space, name) in [
            (Space::Offsets, "offsets"),
            (Space::State, "state"),
            (Space::Ledger, "ledger"),
            (Space::Meta, "meta"),
        ] {
            let keyspace = database
                .keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(TOPIC_MEMTABLE));
            fixed.insert(space, keyspace.map_err(|e| failed(&e))?);
        }
        let reserve = Reserve::new(path, settings.reserve_bytes);
        let unwritten = (settings.memory_bytes / 2).max(LEAST_UNWRITTEN);
        Ok(Self { database, fixed, topics: RwLock::default(), reserve, unwritten })
    }

    fn keyspace(&self, space: Space) -> Result<Keyspace, LogError> {
        let found = match space {
            Space::Topic(name) => {
                self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
            }
            fixed => self.fixed.get(&fixed).cloned(),
        };
        found.ok_or_else(|| LogError::Storage(format!("{space:?} is not open")))
    }
}

impl Store for Disk {
    fn open_topic(&self, name: &'static str, passing: bool) -> Result<(), LogError> {
        // Records are read in order and by their whole key only where they are: a filter would never help.
        let options = || {
            let compression = if passing { CompressionType::None } else { CompressionType::Lz4 };
            KeyspaceCreateOptions::default()
                .max_memtable_size(TOPIC_MEMTABLE)
                .filter_policy(FilterPolicy::disabled())
                .with_kv_separation(Some(KvSeparationOptions::default().compression(compression)))
        };
        let keyspace = self.database.keyspace(name, options).map_err(|e| failed(&e))?;
        self.topics.write().unwrap_or_else(PoisonError::into_inner).insert(name, keyspace);
        Ok(())
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), LogError> {
        let bytes: usize = writes.iter().map(|w| w.key.len() + w.value.as_ref().map_or(0, Vec::len)).sum();
        self.reserve.check(bytes as u64)?;
        // Each keyspace bounds what of its own waits to be written out; this bounds all of them together.
        while self.database.write_buffer_size() > self.unwritten {
            std::thread::sleep(LOOK_AGAIN);
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for Write { space, key, value } in writes {
            let keyspace = self.keyspace(space)?;
            match value {
                Some(value) => batch.insert(&keyspace, key, value),
                None => batch.remove(&keyspace, key),
            }
        }
        batch.commit().map_err(|e| failed(&e))
    }

    fn sync(&self) -> Result<(), LogError> {
        self.database.persist(PersistMode::SyncData).map_err(|e| failed(&e))
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.keyspace(space)?.get(key).map_err(|e| failed(&e))?.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), LogError> {
        let keyspace = self.keyspace(space)?;
        let range = if to.is_empty() { keyspace.range(from..) } else { keyspace.range(from..to) };
        for pair in range {
            let (key, value) = pair.into_inner().map_err(|e| failed(&e))?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn size_of(&self, space: Space, key: &[u8]) -> Result<Option<u64>, LogError> {
        Ok(self.keyspace(space)?.size_of(key).map_err(|e| failed(&e))?.map(u64::from))
    }
}

fn failed(error: &fjall::Error) -> LogError {
    LogError::Storage(match error {
        fjall::Error::Poisoned => {
            "an earlier write failed, nothing more is written so that nothing is damaged; see to the disk and start again"
                .to_owned()
        }
        other => format!("{other:?}"),
    })
}

#[cfg(test)]
mod tests;
