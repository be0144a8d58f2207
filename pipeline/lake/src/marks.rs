//! Marks: changes to some columns of rows that are named by their key.
//!
//! Values are absolute, the last mark of a key holds, and a mark of a row that is not there changes
//! nothing: applied twice, or to a file that another commit has rewritten, the outcome is the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::interleave;
use arrow::error::ArrowError;
use dmarcflow_schemas::tables::{Merge, PARTITION, Table};

use crate::error::{During, LakeError};
use crate::rows::dates;

/// A commit's marks.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    key: &'static str,
    /// Of each mark batch, the columns that it changes, in one order.
    batches: Vec<Vec<ArrayRef>>,
    columns: Vec<String>,
    /// By partition and key: the batch and the row of the last mark.
    by_date: BTreeMap<i32, HashMap<String, (usize, usize)>>,
}

impl Marks {
    /// The marks in these batches: the partition, the key, and the columns to change.
    pub(crate) fn new(table: &Table, batches: &[RecordBatch]) -> Result<Self, LakeError> {
        let refused = |reason: String| During { table: table.name, what: "reading marks" }.rows(reason);
        let mut batches = batches.iter().filter(|batch| batch.num_rows() > 0).peekable();
        let Some(first) = batches.peek() else { return Ok(Self::default()) };
        let Merge::Keyed(key) = table.merge else {
            return Err(refused("the table takes no marks".to_owned()));
        };
        let schema = first.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns: Vec<String> =
            names.filter(|name| ![PARTITION, key].contains(name)).map(str::to_owned).collect();
        for name in &columns {
            let found = schema.field_with_name(name).map(|field| field.data_type().clone()).ok();
            let wanted =
                table.columns.iter().find(|column| column.name == name).map(|column| column.r#type.arrow());
            if wanted.is_none() || wanted != found || table.sort.contains(&name.as_str()) {
                return Err(refused(format!("marks cannot change column `{name}` to that type, or at all")));
            }
        }
        let mut marks = Self { key, columns, ..Self::default() };
        for batch in batches {
            marks.take(batch).map_err(refused)?;
        }
        Ok(marks)
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let absent = |name: &str| format!("a batch of marks has no column `{name}`, or one of another type");
        let dates = dates(batch).ok_or_else(|| absent(PARTITION))?;
        let keys = batch.column_by_name(self.key).and_then(|column| column.as_string_opt::<i32>());
        let keys = keys.ok_or_else(|| absent(self.key))?;
        if dates.null_count() + keys.null_count() > 0 {
            return Err("a mark has no date or no key".to_owned());
        }
        let columns =
            self.columns.iter().map(|name| batch.column_by_name(name).cloned().ok_or_else(|| absent(name)));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let n = self.batches.len();
        for row in 0..batch.num_rows() {
            self.by_date.entry(dates.value(row)).or_default().insert(keys.value(row).to_owned(), (n, row));
        }
        self.batches.push(columns);
        Ok(())
    }

    /// The column that names rows.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    /// The partitions with marks.
    pub(crate) fn dates(&self) -> Vec<i32> {
        self.by_date.keys().copied().collect()
    }

    /// How many rows are marked.
    pub(crate) fn len(&self) -> usize {
        self.by_date.values().map(HashMap::len).sum()
    }

    /// The keys that are marked in a partition.
    pub(crate) fn keys(&self, date: i32) -> impl Iterator<Item = &str> {
        self.by_date.get(&date).into_iter().flat_map(|keys| keys.keys().map(String::as_str))
    }

    /// Adds the keys of a partition's rows that are marked to `found`.
    pub(crate) fn find(&self, date: i32, rows: &RecordBatch, found: &mut HashSet<String>) {
        let Some(marks) = self.by_date.get(&date) else { return };
        for key in self.keys_of(rows).into_iter().flatten().flatten() {
            if marks.contains_key(key) && !found.contains(key) {
                found.insert(key.to_owned());
            }
        }
    }

    /// The rows of a partition with their marks, or none when none of them is marked.
    pub(crate) fn apply(&self, date: i32, rows: &RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
        let (Some(marks), Some(keys)) = (self.by_date.get(&date), self.keys_of(rows)) else {
            return Ok(None);
        };
        // Source 0 of the interleaving is the row itself, source n + 1 the batch n of marks.
        let mark =
            |key: Option<&str>| key.and_then(|key| marks.get(key)).map(|&(batch, mark)| (batch + 1, mark));
        let take: Vec<_> = keys.iter().enumerate().map(|(row, key)| mark(key).unwrap_or((0, row))).collect();
        if take.iter().all(|(source, _)| *source == 0) {
            return Ok(None);
        }
        let mut columns = rows.columns().to_vec();
        for (n, name) in self.columns.iter().enumerate() {
            let at = rows.schema_ref().index_of(name)?;
            let mut sources: Vec<&dyn Array> = vec![rows.column(at).as_ref()];
            sources.extend(self.batches.iter().map(|batch| batch[n].as_ref()));
            columns[at] = interleave(&sources, &take)?;
        }
        RecordBatch::try_new(Arc::clone(rows.schema_ref()), columns).map(Some)
    }

    fn keys_of<'a>(&self, rows: &'a RecordBatch) -> Option<&'a StringArray> {
        rows.column_by_name(self.key).and_then(|column| column.as_string_opt::<i32>())
    }
}
