//! The local copy of what the brokers keep: state of partitions and ledgers, each with the place in its changelog up
//! to which it was copied.
//!
//! A copy is never ahead of the changelog and is changed together with its place, so it may be lost, or be old, at
//! any time. In one process several members may come to copy the same partition one after another: each takes a
//! ticket, and a member with an older ticket than the last no longer changes anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::LogError;
use crate::embedded::Disk;
use crate::store::{Space, Store, Write};

/// Keys that are removed at a time.
const CLEAR: usize = 4_096;

/// Whose copy: a changelog's partition, and the keys that are its.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) space: Space,
    /// What all keys begin with.
    pub(super) prefix: Vec<u8>,
    /// The changelog as the brokers know it.
    pub(super) changelog: String,
    pub(super) partition: u32,
}

impl Part {
    fn place(&self) -> Vec<u8> {
        [b"copy\0", self.changelog.as_bytes(), b"\0", &self.partition.to_be_bytes()].concat()
    }

    /// A record of the changelog as a change of the copy.
    pub(super) fn write(&self, key: &[u8], value: Option<&[u8]>) -> Write {
        let key = [&self.prefix[..], key].concat();
        Write { space: self.space, key, value: value.map(<[u8]>::to_vec) }
    }
}

/// How far a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The next offset of the changelog to read.
    pub(super) next: u64,
    /// When that was so: milliseconds since 1970.
    pub(super) at: i64,
}

/// The right to change a copy, until somebody else takes it.
pub(super) type Ticket = u64;

pub(super) struct Copy {
    pub(super) disk: Disk,
    tickets: Mutex<HashMap<Part, Ticket>>,
}

impl Copy {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, tickets: Mutex::default() }
    }

    /// Takes the right to change a part; nobody who had it before changes it any more.
    pub(super) fn take(&self, part: &Part) -> Ticket {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = tickets.entry(part.clone()).or_default();
        *ticket += 1;
        *ticket
    }

    /// Up to where a part was copied.
    pub(super) fn place(&self, part: &Part) -> Result<Option<Place>, LogError> {
        let found = self.disk.get(Space::Meta, &part.place())?;
        Ok(found.and_then(|bytes| {
            let (next, at) = bytes.split_first_chunk::<8>()?;
            Some(Place { next: u64::from_be_bytes(*next), at: i64::from_be_bytes(at.try_into().ok()?) })
        }))
    }

    /// Changes a part together with its place. False when the ticket is no longer the last.
    pub(super) fn apply(
        &self,
        part: &Part,
        ticket: Ticket,
        mut writes: Vec<Write>,
        next: u64,
    ) -> Result<bool, LogError> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.get(part) != Some(&ticket) {
            return Ok(false);
        }
        let value = [next.to_be_bytes(), now().to_be_bytes()].concat();
        writes.push(Write { space: Space::Meta, key: part.place(), value: Some(value) });
        self.disk.apply(writes)?;
        Ok(true)
    }

    /// Forgets a part; its place goes first, so that half a copy is never taken for a whole one.
    pub(super) fn clear(&self, part: &Part) -> Result<(), LogError> {
        self.disk.apply(vec![Write { space: Space::Meta, key: part.place(), value: None }])?;
        let end = crate::store::after(&part.prefix);
        loop {
            let mut writes = Vec::new();
            self.disk.range(part.space, &part.prefix, &end, &mut |key, _| {
                writes.push(Write { space: part.space, key: key.to_vec(), value: None });
                writes.len() < CLEAR
            })?;
            if writes.is_empty() {
                return Ok(());
            }
            self.disk.apply(writes)?;
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
