//! The state that a stage sees: what is committed, under what it changed in this batch.

use std::collections::HashMap;

use dmarcflow_log::{Consumer, StateChange};
use dmarcflow_stages::{Fault, State};

/// What a stage changed, by key.
pub(super) type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// A stage's view of its state in one partition.
pub(super) struct Overlay<'a> {
    committed: &'a dyn Consumer,
    partition: u32,
    changed: Changes,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(committed: &'a dyn Consumer, partition: u32) -> Self {
        Self { committed, partition, changed: Changes::default() }
    }

    /// What was changed so far.
    pub(super) fn changes(&self) -> &Changes {
        &self.changed
    }

    /// Goes back to what was changed before.
    pub(super) fn restore(&mut self, before: &Changes) {
        self.changed.clone_from(before);
    }

    /// The changes, to be committed; sorted, so that equal input gives equal transactions.
    pub(super) fn into_changes(self) -> Vec<StateChange> {
        let partition = self.partition;
        let mut changes: Vec<_> =
            self.changed.into_iter().map(|(key, value)| StateChange { partition, key, value }).collect();
        changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        changes
    }
}

impl State for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changed.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.committed.state(self.partition, key).map_err(transient),
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.changed.insert(key, value);
    }

    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let found = self.committed.scan(self.partition, prefix, limit).map_err(transient)?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }
}

fn transient(e: dmarcflow_log::LogError) -> Fault {
    Fault::Transient(e.to_string())
}
