//! Answers: the SQL files, and a read-only session that runs them over the lake.
//!
//! * [`Session`] — a lake as SQL sees it: tables at their newest version, flat views, limits.
//! * [`Library`] — the questions that come with the program, one SQL file each.
//! * [`Format`] — how an [`Answer`] is written: a table for people, CSV, JSON, NDJSON, Parquet.
//! * [`prompt`] — the interactive prompt.
//!
//! Nothing here writes to a lake, reads a file that is not of the lake, or pastes a value into SQL.

mod bind;
mod catalog;
mod error;
mod format;
mod header;
mod lake_tables;
mod library;
mod newest;
pub mod prompt;
mod read_only;
mod run;
mod session;
mod table;

pub use bind::Params;
pub use error::QueryError;
pub use format::{Format, TableStyle};
pub use header::{Documented, Header, Parameter, ParameterType};
pub use library::{Library, Query};
pub use run::Answer;
pub use session::{Options, Session};
