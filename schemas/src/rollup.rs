//! Rollups: messages by day, one table per family of question.
//!
//! A rollup is a *mergeable partial sum*: a row holds the measures of some records, and
//! the measures of rows with equal keys add up. Compaction adds them up on disk.
//! A message of `rollups.daily` is a batch of one table, named by its `kind` header.

use std::sync::LazyLock;

use arrow::datatypes::SchemaRef;

use crate::column::{Column, Type, fields};
use crate::ipc;

/// Version of the rollup messages, in their `schema` header.
pub const VERSION: u32 = 1;

const OURS: &str = "dmarcflow";
const ROW: &str = "RFC 9990 §3.1.1.7, RFC 7489 app. C";

const DATE: Column =
    Column::required("date", Type::Date, "UTC day that the messages were apportioned to", OURS);
const POLICY_DOMAIN: Column = Column::required(
    "policy_domain",
    Type::Utf8,
    "Domain whose DMARC policy was applied",
    "RFC 9990 §3.1.1.4",
);
const DKIM_ALIGNED: Column =
    Column::required("dkim_aligned", Type::Bool, "An aligned DKIM signature verified", ROW);
const SPF_ALIGNED: Column = Column::required("spf_aligned", Type::Bool, "An aligned SPF check passed", ROW);
const DMARC_PASS: Column =
    Column::required("dmarc_pass", Type::Bool, "The one verdict: dkim_aligned or spf_aligned", "RFC 9989 §4");
const DISPOSITION: Column = Column::optional("disposition", Type::Utf8, "What the receiver did", ROW);
const SERVICE: Column = Column::optional("service", Type::Utf8, "Sending service, where recognised", OURS);
const ASN: Column = Column::optional("asn", Type::Int64, "Autonomous system of the source address", OURS);
const COUNTRY: Column = Column::optional("country", Type::Utf8, "Country of the source address", OURS);
const FORWARDING: Column =
    Column::optional("forwarding", Type::Utf8, "Sign that the messages were forwarded", OURS);

const MESSAGES: Column =
    Column::required("messages", Type::Int64, "Messages of the day", ROW).in_unit("messages");
const APPORTIONED: Column = Column::required(
    "apportioned_messages",
    Type::Int64,
    "Those of them that come from an interval which crosses a UTC day, shared over its days",
    OURS,
)
.in_unit("messages");

/// What `daily` is keyed by.
pub const DAILY_KEY: &[Column] = &[DATE, POLICY_DOMAIN, DKIM_ALIGNED, SPF_ALIGNED, DMARC_PASS, DISPOSITION];
/// What `daily_senders` is keyed by.
pub const SENDERS_KEY: &[Column] = &[
    DATE,
    POLICY_DOMAIN,
    SERVICE,
    ASN,
    COUNTRY,
    FORWARDING,
    DKIM_ALIGNED,
    SPF_ALIGNED,
    DMARC_PASS,
    DISPOSITION,
];
/// What `daily_reporters` is keyed by.
pub const REPORTERS_KEY: &[Column] = &[
    DATE,
    POLICY_DOMAIN,
    Column::required("org_name", Type::Utf8, "Organisation that made the reports", "RFC 9990 §3.1.1.3"),
    DMARC_PASS,
];
/// What `daily_sources` is keyed by.
pub const SOURCES_KEY: &[Column] = &[
    DATE,
    Column::required("source_ip", Type::Utf8, "Address that sent the messages", ROW),
    POLICY_DOMAIN,
    Column::optional("header_from", Type::Utf8, "Domain of the From header", "RFC 9990 §3.1.1.8"),
    SERVICE,
    ASN,
    COUNTRY,
    FORWARDING,
    DKIM_ALIGNED,
    SPF_ALIGNED,
    DMARC_PASS,
    DISPOSITION,
];
/// What every rollup adds up.
pub const MEASURES: &[Column] = &[MESSAGES, APPORTIONED];

/// A family of rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rollup {
    Daily,
    Senders,
    Reporters,
    Sources,
}

impl Rollup {
    pub const ALL: [Self; 4] = [Self::Daily, Self::Senders, Self::Reporters, Self::Sources];

    /// The table, and the `kind` header of its messages.
    pub fn table(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Senders => "daily_senders",
            Self::Reporters => "daily_reporters",
            Self::Sources => "daily_sources",
        }
    }

    /// The rollup of that table.
    pub fn of_table(table: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.table() == table)
    }

    /// The columns whose values tell rows apart.
    pub fn key(self) -> &'static [Column] {
        match self {
            Self::Daily => DAILY_KEY,
            Self::Senders => SENDERS_KEY,
            Self::Reporters => REPORTERS_KEY,
            Self::Sources => SOURCES_KEY,
        }
    }

    /// The schema of table and message: key, then measures.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 4]> =
            LazyLock::new(|| Rollup::ALL.map(|r| ipc::schema(fields(r.key().iter().chain(MEASURES)))));
        SCHEMAS[self as usize].clone()
    }
}
