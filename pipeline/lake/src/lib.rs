//! The lake: results as Delta Lake tables, where every commit carries the positions it came from.
//!
//! A commit is one entry of a table's log: data files that it adds, files that it replaces, and for each
//! consumed partition `txn(app = group/topic/partition, version = next offset)`. So a batch that is
//! given again, after a crash at any instant or by another process, writes nothing. Files that
//! are in no entry do not exist for any reader; a vacuum removes them.
//!
//! Three kinds of table ([`dmarcflow_schemas::tables::Merge`]): rows that stay, rows that marks change,
//! and partial sums that are added up.
//!
//! What is absent: no SQL, no caching of data, no deleting of rows.

pub mod commit;
mod compact;
mod define;
mod durable;
mod error;
mod export;
mod index;
mod join;
mod lake;
mod layout;
mod marks;
mod merge;
mod options;
mod read;
mod replace;
mod rows;
mod store;
mod table;
mod vacuum;

pub use commit::{CommitOutcome, Committed, Position};
pub use compact::Compaction;
pub use error::{Cause, LakeError};
pub use export::Exported;
pub use lake::{Lake, TableStats};
pub use options::{Options, Step, StepHook};
