//! A place of this process among those that share a cache folder: it is locked while the process lives, and
//! what stands in it names the process's transactions, so that the next one ends what a killed one left open.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::KafkaSettings;
use super::copy::Copy;
use crate::LogError;
use crate::embedded::{Disk, Settings};
use crate::store::{Space, Store, Write};

/// Processes that may share a cache folder.
const SLOTS: u32 = 64;
/// Memory of the local copies' buffers and caches, in bytes.
const MEMORY: u64 = 32 << 20;
/// Space on the disk that local copies leave free, in bytes.
const RESERVE: u64 = 64 << 20;

/// A locked place.
pub(super) struct Slot {
    pub(super) copy: Copy,
    /// Names this place among all that ever were.
    pub(super) identity: String,
}

impl Slot {
    /// Takes the first free place.
    pub(super) fn take(settings: &KafkaSettings, cluster: &str) -> Result<Self, LogError> {
        for n in 0..SLOTS {
            let path = settings.cache.join(n.to_string());
            match open(&path) {
                Err(LogError::Locked { .. }) => {}
                Err(error) => return Err(error),
                Ok(disk) => return Self::over(disk, settings, cluster, n),
            }
        }
        Err(LogError::Locked { path: settings.cache.display().to_string() })
    }

    fn over(disk: Disk, settings: &KafkaSettings, cluster: &str, n: u32) -> Result<Self, LogError> {
        // Copies of another cluster's state, or of another deployment's, say nothing about this one's.
        let owner = format!("{cluster}\0{}", settings.prefix).into_bytes();
        if disk.get(Space::Meta, b"owner")?.is_some_and(|found| found != owner) {
            clear(&disk)?;
        }
        let mut writes = vec![Write { space: Space::Meta, key: b"owner".to_vec(), value: Some(owner) }];
        let identity = match (&settings.worker, disk.get(Space::Meta, b"identity")?) {
            (Some(worker), _) => format!("{worker}-{n}"),
            (None, Some(found)) => String::from_utf8_lossy(&found).into_owned(),
            (None, None) => {
                let made = format!("{:016x}", random());
                let value = Some(made.clone().into_bytes());
                writes.push(Write { space: Space::Meta, key: b"identity".to_vec(), value });
                made
            }
        };
        disk.apply(writes)?;
        disk.sync()?;
        Ok(Self { copy: Copy::new(disk), identity })
    }
}

fn open(path: &Path) -> Result<Disk, LogError> {
    std::fs::create_dir_all(path).map_err(|e| {
        let place = path.display();
        LogError::Storage(format!(
            "cannot make the cache folder {place}: {e}; choose another with `kafka.cache`"
        ))
    })?;
    Disk::open(path, &Settings { memory_bytes: MEMORY, reserve_bytes: RESERVE })
}

fn clear(disk: &Disk) -> Result<(), LogError> {
    for space in [Space::State, Space::Ledger, Space::Meta] {
        let mut writes = Vec::new();
        disk.range(space, &[], &[], &mut |key, _| {
            writes.push(Write { space, key: key.to_vec(), value: None });
            true
        })?;
        disk.apply(writes)?;
    }
    Ok(())
}

/// A number that no other process draws.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()))
}
