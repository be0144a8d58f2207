//! What a table's log says at one version: its live files by partition, and its positions.
//!
//! Kept in memory and moved forward by the log's entries, so that a commit reads no log of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deltalake::kernel::{Action, Add, Remove};
use deltalake::table::state::DeltaTableState;
use dmarcflow_schemas::tables::PARTITION;

use crate::layout::now;
use crate::rows::{date_days, date_text};

/// A live data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// In the table.
    pub(crate) path: Arc<str>,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) version: u64,
    /// By days since 1970-01-01, then path.
    pub(crate) files: BTreeMap<i32, BTreeMap<Arc<str>, DataFile>>,
    /// Next offset by application, of those that are known; see [`crate::table`].
    pub(crate) positions: HashMap<String, Option<i64>>,
}

/// An entry that this program cannot follow, and why.
#[derive(Debug)]
pub(crate) struct Foreign(pub(crate) String);

impl Index {
    /// The files of a state that delta-rs has read.
    pub(crate) fn read(state: &DeltaTableState) -> Result<Self, Foreign> {
        let mut index = Self { version: state.version(), ..Self::default() };
        for file in state.log_data().iter() {
            if file.deletion_vector_descriptor().is_some() {
                return Err(Foreign(format!("{} has a deletion vector", file.path())));
            }
            let date = file.partition_values_map().remove(PARTITION).flatten();
            let rows = file.num_records().map_or(0, |rows| rows as u64);
            index.insert(date.as_deref(), &file.path(), file.size(), rows)?;
        }
        Ok(index)
    }

    /// Moves one version forward.
    pub(crate) fn apply(&mut self, actions: &[Action]) -> Result<(), Foreign> {
        for action in actions {
            match action {
                Action::Add(add) => self.add(add)?,
                Action::Remove(remove) => self.remove(&remove.path),
                Action::Txn(txn) => {
                    self.positions.insert(txn.app_id.clone(), Some(txn.version));
                }
                Action::Protocol(protocol) if protocol.min_writer_version() > 2 => {
                    return Err(Foreign(format!(
                        "it now asks for writer version {}",
                        protocol.min_writer_version()
                    )));
                }
                _ => {}
            }
        }
        self.version += 1;
        Ok(())
    }

    fn add(&mut self, add: &Add) -> Result<(), Foreign> {
        if add.deletion_vector.is_some() {
            return Err(Foreign(format!("{} has a deletion vector", add.path)));
        }
        let date = add.partition_values.get(PARTITION).and_then(Option::as_deref);
        let rows = add.stats.as_deref().and_then(records).unwrap_or(0);
        self.insert(date, &add.path, add.size, rows)
    }

    fn insert(&mut self, date: Option<&str>, path: &str, bytes: i64, rows: u64) -> Result<(), Foreign> {
        let date =
            date.and_then(date_days).ok_or_else(|| Foreign(format!("{path} has no partition date")))?;
        let path: Arc<str> = Arc::from(path);
        let file = DataFile { path: Arc::clone(&path), bytes: u64::try_from(bytes).unwrap_or(0), rows };
        self.files.entry(date).or_default().insert(path, file);
        Ok(())
    }

    fn remove(&mut self, path: &str) {
        // The path says its partition, where we wrote it; another program's may not.
        let date = path.strip_prefix("date=").and_then(|rest| date_days(rest.split('/').next()?));
        let in_named = date.is_some_and(|date| self.remove_from(date, path));
        if !in_named {
            let date = self.files.iter().find(|(_, files)| files.contains_key(path)).map(|(date, _)| *date);
            date.map(|date| self.remove_from(date, path));
        }
    }

    fn remove_from(&mut self, date: i32, path: &str) -> bool {
        let Some(files) = self.files.get_mut(&date) else { return false };
        let removed = files.remove(path).is_some();
        if files.is_empty() {
            self.files.remove(&date);
        }
        removed
    }

    /// Whether a file of that partition is live.
    pub(crate) fn has(&self, date: i32, path: &str) -> bool {
        self.files.get(&date).is_some_and(|files| files.contains_key(path))
    }

    /// A partition's files, in the order of their paths.
    pub(crate) fn partition(&self, date: i32) -> Vec<DataFile> {
        self.files.get(&date).map(|files| files.values().cloned().collect()).unwrap_or_default()
    }
}

/// The entry that takes a file out of the table. `changes` says whether its rows go with it.
pub(crate) fn removal(date: i32, file: &DataFile, changes: bool) -> Action {
    Action::Remove(Remove {
        path: file.path.to_string(),
        data_change: changes,
        deletion_timestamp: Some(now()),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::from([(PARTITION.to_owned(), Some(date_text(date)))])),
        size: Some(file.bytes as i64),
        ..Remove::default()
    })
}

fn records(stats: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(stats).ok()?.get("numRecords")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::kernel::{DeletionVectorDescriptor, StorageType, Transaction};

    fn add(date: &str, path: &str) -> Action {
        Action::Add(Add {
            path: path.to_owned(),
            partition_values: HashMap::from([(PARTITION.to_owned(), Some(date.to_owned()))]),
            size: 7,
            stats: Some("{\"numRecords\":3}".to_owned()),
            ..Add::default()
        })
    }

    #[test]
    fn entries_move_files_and_positions_forward() {
        let mut index = Index::default();
        let named = "date=2024-01-01/a.parquet";
        index.apply(&[add("2024-01-01", named), add("2024-01-02", "elsewhere/b.parquet")]).unwrap();
        index.apply(&[Action::Txn(Transaction::new("g/t/0", 5))]).unwrap();
        assert_eq!(index.version, 2);
        assert_eq!(index.positions["g/t/0"], Some(5));
        let files = index.partition(date_days("2024-01-01").unwrap());
        assert_eq!(files, [DataFile { path: named.into(), bytes: 7, rows: 3 }]);
        let gone = DataFile { path: "elsewhere/b.parquet".into(), bytes: 7, rows: 3 };
        index.apply(&[removal(0, &files[0], true), removal(0, &gone, false)]).unwrap();
        assert!(index.files.is_empty());
    }

    #[test]
    fn a_deletion_vector_is_not_passed_over() {
        let mut with = add("2024-01-01", "a");
        if let Action::Add(add) = &mut with {
            add.deletion_vector = Some(DeletionVectorDescriptor {
                storage_type: StorageType::UuidRelativePath,
                path_or_inline_dv: "x".to_owned(),
                offset: None,
                size_in_bytes: 1,
                cardinality: 1,
            });
        }
        assert!(Index::default().apply(&[with]).is_err());
    }
}
