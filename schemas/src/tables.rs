//! The tables of the lake.

use arrow::datatypes::SchemaRef;

use crate::column::{Column, Type, fields};
use crate::ipc;
use crate::report::{
    CARRIED, ENRICHMENT, IDENTITY, KEPT, METADATA_COLUMNS, PROVENANCE, PUBLISHED, RECORD, VERSIONS, concat,
};
use crate::rollup::{DAILY_KEY, MEASURES, REPORTERS_KEY, SENDERS_KEY, SOURCES_KEY};

const OURS: &str = "dmarcflow";

/// How rows of a table come together when they are written and compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// A row is written once and stays.
    Append,
    /// A row is identified by this column; a *mark* changes some columns of it later.
    Keyed(&'static str),
    /// Rows with equal keys add up: every column but the last two measures is key.
    Sum,
}

/// A table: its columns and how it is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    /// What a row is, in a sentence.
    pub row: &'static str,
    pub columns: &'static [Column],
    /// The columns that files are sorted by, after the partition.
    pub sort: &'static [&'static str],
    /// Columns with a bloom filter.
    pub bloom: &'static [&'static str],
    pub merge: Merge,
}

/// The column that every table is partitioned by.
pub const PARTITION: &str = "date";

const DATE: Column = Column::required("date", Type::Date, "Partition: UTC date of range_begin", OURS);
const REPORT_KEY: Column = Column::required(
    "report_key",
    Type::Utf8,
    "Identifies a distinct report: hash of identity and content, 32 hex digits; joins reports and records",
    OURS,
);
const TOTALS: &[Column] = &[
    CARRIED[2],
    Column::required("messages", Type::Int64, "Messages of the report", OURS).in_unit("messages"),
    Column::required("passed_messages", Type::Int64, "Those of them that pass DMARC", OURS)
        .in_unit("messages"),
    Column::required("copies", Type::Int64, "How many copies of the report came", OURS).in_unit("copies"),
    Column::required("conflict", Type::Bool, "Another report has the same identity and other content", OURS),
];

const REPORTS: &[Column] =
    &concat::<
        {
            2 + IDENTITY.len()
                + METADATA_COLUMNS.len()
                + PUBLISHED.len()
                + TOTALS.len()
                + KEPT.len()
                + PROVENANCE.len()
                + VERSIONS.len()
        },
    >(&[&[DATE, REPORT_KEY], IDENTITY, METADATA_COLUMNS, PUBLISHED, TOTALS, KEPT, PROVENANCE, VERSIONS]);

const RECORDS: &[Column] =
    &concat::<{ 2 + IDENTITY.len() + RECORD.len() + ENRICHMENT.len() + VERSIONS.len() }>(&[
        &[DATE, REPORT_KEY],
        IDENTITY,
        RECORD,
        ENRICHMENT,
        VERSIONS,
    ]);

const DAILY: &[Column] = &concat::<{ DAILY_KEY.len() + MEASURES.len() }>(&[DAILY_KEY, MEASURES]);
const DAILY_SENDERS: &[Column] = &concat::<{ SENDERS_KEY.len() + MEASURES.len() }>(&[SENDERS_KEY, MEASURES]);
const DAILY_REPORTERS: &[Column] =
    &concat::<{ REPORTERS_KEY.len() + MEASURES.len() }>(&[REPORTERS_KEY, MEASURES]);
const DAILY_SOURCES: &[Column] = &concat::<{ SOURCES_KEY.len() + MEASURES.len() }>(&[SOURCES_KEY, MEASURES]);

/// The states of a dead letter, as column `state` shows them.
pub mod letter_state {
    /// Nobody has dealt with it.
    pub const OPEN: &str = "open";
    /// Sent back to the topic that it came from.
    pub const RETRIED: &str = "retried";
    /// Put aside by a person.
    pub const DISCARDED: &str = "discarded";
}

const DEAD_LETTERS: &[Column] = &[
    Column::required("date", Type::Date, "Partition: UTC date of died_at", OURS),
    Column::required(
        "letter",
        Type::Utf8,
        "Identifies the letter: partition/offset in dead.letters, which keeps its bytes",
        OURS,
    ),
    Column::required("died_at", Type::Timestamp, "When it was given up", OURS),
    Column::required("stage", Type::Utf8, "The stage that gave it up", OURS),
    Column::required("reason", Type::Utf8, "Why, a stable short code", OURS),
    Column::required("detail", Type::Utf8, "Why, in a sentence", OURS),
    Column::required("origin", Type::Utf8, "Where it came from: a path, `mbox#n`, a mailbox URL", OURS),
    Column::required(
        "entry",
        Type::Utf8,
        "Path of the dead part inside that; empty when it is the whole",
        OURS,
    ),
    Column::required("position", Type::Utf8, "topic/partition/offset of the record that it stood in", OURS),
    Column::required("attempts", Type::Int64, "How many times it was tried", OURS).in_unit("attempts"),
    Column::required("size", Type::Int64, "Size of what dead.letters keeps", OURS).in_unit("bytes"),
    Column::required("state", Type::Utf8, "open, retried or discarded", OURS),
];

/// Every table, in the order in which documentation lists them.
pub const TABLES: &[Table] = &[
    Table {
        name: "reports",
        row: "One distinct aggregate report, with its repairs, provenance and conflict mark",
        columns: REPORTS,
        sort: &["policy_domain", "org_name", "range_begin", "report_key"],
        bloom: &["report_key"],
        merge: Merge::Keyed("report_key"),
    },
    Table {
        name: "records",
        row: "One record of a distinct report, with every authentication result and its enrichment",
        columns: RECORDS,
        sort: &["policy_domain", "source_ip", "report_key", "record_index"],
        bloom: &["source_ip", "report_key"],
        merge: Merge::Append,
    },
    Table {
        name: "daily",
        row: "Messages of a day by domain, verdict and disposition",
        columns: DAILY,
        sort: &["policy_domain"],
        bloom: &[],
        merge: Merge::Sum,
    },
    Table {
        name: "daily_senders",
        row: "Messages of a day by domain, sending service, network, country and verdict",
        columns: DAILY_SENDERS,
        sort: &["policy_domain", "service"],
        bloom: &[],
        merge: Merge::Sum,
    },
    Table {
        name: "daily_reporters",
        row: "Messages of a day by domain, reporter and verdict",
        columns: DAILY_REPORTERS,
        sort: &["policy_domain", "org_name"],
        bloom: &[],
        merge: Merge::Sum,
    },
    Table {
        name: "daily_sources",
        row: "Messages of a day by source address, domain and verdict; sorted by address",
        columns: DAILY_SOURCES,
        sort: &["source_ip", "policy_domain"],
        bloom: &["source_ip"],
        merge: Merge::Sum,
    },
    Table {
        name: "dead_letters",
        row: "One input that could not be read, and what became of it",
        columns: DEAD_LETTERS,
        sort: &["died_at", "letter"],
        bloom: &[],
        merge: Merge::Keyed("letter"),
    },
];

impl Table {
    /// The table of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|t| t.name == name)
    }

    /// Its Arrow schema; `date` first.
    pub fn schema(&self) -> SchemaRef {
        ipc::schema(fields(self.columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_table_is_partitioned_sorted_and_documented_by_columns_it_has() {
        for table in TABLES {
            let names: Vec<_> = table.columns.iter().map(|c| c.name).collect();
            assert_eq!(names[0], PARTITION, "{}", table.name);
            assert_eq!(
                names.iter().collect::<HashSet<_>>().len(),
                names.len(),
                "{} repeats a column",
                table.name
            );
            for column in table.sort.iter().chain(table.bloom) {
                assert!(names.contains(column), "{} has no column {column}", table.name);
            }
            for column in table.columns {
                assert!(
                    !column.meaning.is_empty() && !column.source.is_empty(),
                    "{}.{}",
                    table.name,
                    column.name
                );
            }
        }
    }
}
