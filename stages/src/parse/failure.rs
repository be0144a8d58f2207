//! Why a part of a raw record could not be read: a stable code and a sentence for people.

/// The stable codes of dead letters that the parse stage makes.
pub mod reason {
    /// No report was found in the whole raw record, and nothing in it failed.
    pub const NOT_A_REPORT: &str = "not-a-report";
    /// The text or the archive ends before it is complete.
    pub const TRUNCATED: &str = "truncated";
    /// An end tag closes what is not open.
    pub const NOT_NESTED: &str = "elements-do-not-nest";
    /// The text has a document type, which could define entities.
    pub const DOCTYPE: &str = "doctype";
    /// The report names no domain.
    pub const NO_POLICY_DOMAIN: &str = "no-policy-domain";
    /// A compressed layer or an archive entry cannot be unpacked.
    pub const CORRUPT: &str = "archive-corrupt";
    /// An archive entry is encrypted.
    pub const ENCRYPTED: &str = "archive-encrypted";
    /// An archive entry uses a compression method other than stored and deflate.
    pub const METHOD: &str = "archive-method-unsupported";
    /// A report on TLS connections (RFC 8460).
    pub const TLS_REPORT: &str = "tls-report-unsupported";
    /// A report on a single message (RFC 6591).
    pub const FAILURE_REPORT: &str = "failure-report-unsupported";
    pub const LIMIT_ATTACHMENT: &str = "limit-attachment";
    pub const LIMIT_UNPACKED: &str = "limit-unpacked";
    pub const LIMIT_RATIO: &str = "limit-ratio";
    pub const LIMIT_ENTRIES: &str = "limit-entries";
    pub const LIMIT_NESTING: &str = "limit-nesting";
    pub const LIMIT_REPORTS: &str = "limit-reports";
    pub const LIMIT_XML_DEPTH: &str = "limit-xml-depth";
    pub const LIMIT_FIELD: &str = "limit-field";
    pub const LIMIT_RECORD: &str = "limit-record";
    pub const LIMIT_RECORDS: &str = "limit-records";
    /// A text holds so many broken reports that looking for good ones between them was given up.
    pub const LIMIT_FAILURES: &str = "limit-failures";
}

/// Why a part could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// One of [`reason`].
    pub reason: &'static str,
    /// What is wrong, where, and what a person can do.
    pub detail: String,
}

impl Failure {
    pub(super) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A bound was exceeded; `setting` is its name in [`super::Limits`], and below `parse` in the configuration.
    pub(super) fn limit(reason: &'static str, what: &str, setting: &str, bound: u64) -> Self {
        Self::new(
            reason,
            format!(
                "{what}; the bound is {bound} (`parse.{setting}`): raise it if this report is genuine, then retry"
            ),
        )
    }
}
