//! What can go wrong with the lake: on which table, while doing what, and what helps.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;

/// Any cause, kept for the log.
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// Why the lake could not do what it was asked for. The tables are as they were before.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("the lake cannot be kept at `{location}`: {reason}")]
    Location { location: String, reason: String },
    #[error("the lake has no table `{0}`")]
    UnknownTable(String),
    #[error(
        "no space is left for table `{table}` while {during}: make room, it goes on by itself ({source})"
    )]
    Full { table: String, during: &'static str, source: Cause },
    #[error("the store of table `{table}` failed while {during}; trying again later may help: {source}")]
    Away { table: String, during: &'static str, source: Cause },
    #[error(
        "the store of table `{table}` refused, {during}; check bucket, credentials and permissions: {source}"
    )]
    Refused { table: String, during: &'static str, source: Cause },
    #[error("column `{column}` of table `{table}` {problem}: {remedy}")]
    Schema { table: String, column: String, problem: String, remedy: &'static str },
    #[error("rows for table `{table}` do not fit it: {reason}")]
    Rows { table: String, reason: String },
    #[error(
        "table `{table}` holds `{app}` up to {stored} and was given a batch from {from} to {next}: another writer was there, \
         read again from where the table stands"
    )]
    Position { table: String, app: String, stored: u64, from: u64, next: u64 },
    /// Another flow's rows took the place of this one's.
    #[error("table `{table}` is written by another flow since a replay was promoted")]
    Sealed { table: String },
    #[error(
        "table `{table}` changed {attempts} times while a commit was tried: too many writers, try again later"
    )]
    Contended { table: String, attempts: usize },
    #[error("table `{table}` could not be read while {during}: {source}")]
    Damaged { table: String, during: &'static str, source: Cause },
    #[error("table `{table}` was changed by another program in a way that this one cannot follow: {reason}")]
    Unsupported { table: String, reason: String },
    #[error("the export to {path} failed: {reason}")]
    Export { path: String, reason: String },
}

impl LakeError {
    /// Whether trying again later can help, without anybody changing the configuration.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Away { .. } | Self::Contended { .. })
    }
}

/// Where an error came up: what turns a library's error into a [`LakeError`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct During<'a> {
    pub(crate) table: &'a str,
    pub(crate) what: &'static str,
}

impl During<'_> {
    /// The error for this cause. What is behind it is found along the chain of sources.
    pub(crate) fn error(self, cause: impl Into<Cause>) -> LakeError {
        let source: Cause = cause.into();
        let (table, during) = (self.table.to_owned(), self.what);
        match kind(source.as_ref()) {
            Kind::Full => LakeError::Full { table, during, source },
            Kind::Away => LakeError::Away { table, during, source },
            Kind::Refused => LakeError::Refused { table, during, source },
            Kind::Other => LakeError::Damaged { table, during, source },
        }
    }

    /// Rows that Arrow or Parquet would not take.
    pub(crate) fn rows(self, cause: impl std::fmt::Display) -> LakeError {
        LakeError::Rows { table: self.table.to_owned(), reason: cause.to_string() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Away,
    Refused,
    Other,
}

/// The most telling kind in the chain: an I/O error tells more than the store's error around it.
fn kind(error: &(dyn Error + 'static)) -> Kind {
    let mut found = Kind::Other;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            match io_kind(io) {
                Kind::Other => {}
                kind => return kind,
            }
        }
        if let Some(store) = error.downcast_ref::<StoreError>() {
            match store_kind(store) {
                Kind::Other => {}
                kind => found = kind,
            }
        }
        next = error.source();
    }
    found
}

fn io_kind(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
        io::ErrorKind::PermissionDenied => Kind::Refused,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::Other => Kind::Other,
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists => Kind::Other,
        _ => Kind::Away,
    }
}

fn store_kind(error: &StoreError) -> Kind {
    match error {
        StoreError::Generic { source, .. } if is_refusal(&source.to_string()) => Kind::Refused,
        StoreError::Generic { .. } | StoreError::JoinError { .. } => Kind::Away,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Kind::Refused,
        _ => Kind::Other,
    }
}

/// Whether a server answered that the request can never succeed: a status 4xx that does not ask to try
/// again. Lists and deletes have it in their text only.
fn is_refusal(text: &str) -> bool {
    let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3));
    status.is_some_and(|status| status.starts_with('4') && !["408", "409", "425", "429"].contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURING: During<'static> = During { table: "daily", what: "writing files" };

    fn generic(io: io::ErrorKind) -> StoreError {
        StoreError::Generic { store: "test", source: Box::new(io::Error::from(io)) }
    }

    #[test]
    fn a_full_disk_is_told_from_a_store_that_is_away_and_from_one_that_refuses() {
        assert!(matches!(DURING.error(generic(io::ErrorKind::StorageFull)), LakeError::Full { .. }));
        assert!(matches!(DURING.error(generic(io::ErrorKind::ConnectionRefused)), LakeError::Away { .. }));
        assert!(matches!(DURING.error(generic(io::ErrorKind::PermissionDenied)), LakeError::Refused { .. }));
        assert!(!DURING.error(generic(io::ErrorKind::PermissionDenied)).is_transient());
        assert!(DURING.error(generic(io::ErrorKind::TimedOut)).is_transient());
    }

    #[test]
    fn a_server_that_refuses_is_told_from_one_that_is_busy() {
        let answer = |status: &str| StoreError::Generic {
            store: "S3",
            source: format!("Server returned non-2xx status code: {status} Text").into(),
        };
        assert!(matches!(DURING.error(answer("404")), LakeError::Refused { .. }));
        assert!(DURING.error(answer("429")).is_transient());
        assert!(DURING.error(answer("503")).is_transient());
    }

    #[test]
    fn a_missing_file_is_damage_and_not_transient() {
        let missing = StoreError::NotFound { path: "x".into(), source: "gone".into() };
        assert!(matches!(DURING.error(missing), LakeError::Damaged { .. }));
    }
}
