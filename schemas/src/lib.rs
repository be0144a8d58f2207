//! What flows and what is kept: the one place where a column is defined.
//!
//! * [`column`] — how a column is described: type, unit, meaning, source.
//! * [`report`] — the columns of an aggregate report and of its records, and the
//!   nested message that carries them between stages.
//! * [`tables`] — the tables of the lake, composed of those columns.
//! * [`message`] — what a topic holds: key, headers, value, position.
//! * [`ipc`] — a message's value as Arrow IPC, with its schema version, and the
//!   rule by which an older version is read.
//!
//! Nothing here does I/O; nothing here knows of tokio, a log or a query engine.

pub mod column;
pub mod ipc;
pub mod message;
pub mod report;
pub mod rollup;
pub mod tables;

pub use column::{Column, Type};
pub use message::{Header, Message, Record, TopicPartition};
pub use tables::{TABLES, Table};
