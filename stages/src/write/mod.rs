//! Turns messages into rows of tables: what the lake is given.
//!
//! Pure: which rows and marks a record of `reports.distinct`, `rollups.daily` or `dead.letters` is.
//! Committing them, with their positions, is the runner's.

mod letters;
mod reports;

use arrow::array::RecordBatch;
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::report::{self, kind};
use dmarcflow_schemas::rollup::Rollup;
use dmarcflow_schemas::{Record, ipc};

use crate::{Fault, topics};

pub use letters::{DIED, LETTER, letter_id};

/// What a record adds to a table.
#[derive(Debug, Clone)]
pub struct Addition {
    /// Name of the table.
    pub table: &'static str,
    /// Rows, or marks on rows that are there.
    pub batch: RecordBatch,
    pub marks: bool,
}

/// The tables that a topic's records are written to.
pub fn tables_of(topic: &str) -> &'static [&'static str] {
    match topic {
        topics::DISTINCT => &["records", "reports"],
        topics::ROLLUPS => &["daily", "daily_senders", "daily_reporters", "daily_sources"],
        topics::DEAD_LETTERS => &["dead_letters"],
        _ => &[],
    }
}

/// What a record adds to the tables.
pub fn additions(record: &Record) -> Result<Vec<Addition>, Fault> {
    let what = record.header(header::KIND).unwrap_or_default();
    match (&*record.source.topic, what) {
        (topics::DISTINCT, kind::ROWS) => {
            reports::rows(&ipc::decode(&record.value, &report::SCHEMA).map_err(fault)?)
        }
        (topics::DISTINCT, kind::MARKS) => {
            let batch = ipc::decode(&record.value, &report::MARK_SCHEMA).map_err(fault)?;
            Ok(vec![Addition { table: "reports", batch, marks: true }])
        }
        (topics::ROLLUPS, table) => {
            let rollup = Rollup::of_table(table).ok_or_else(|| fault(format!("no rollup `{table}`")))?;
            let batch = ipc::decode(&record.value, &rollup.schema()).map_err(fault)?;
            Ok(vec![Addition { table: rollup.table(), batch, marks: false }])
        }
        (topics::DEAD_LETTERS, _) => letters::addition(record).map(|a| vec![a]),
        (topic, kind) => Err(fault(format!("no table is made of `{kind}` in {topic}"))),
    }
}

fn fault(e: impl std::fmt::Display) -> Fault {
    Fault::Poison { reason: "schema", detail: format!("the message cannot be read: {e}") }
}
