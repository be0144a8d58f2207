//! An aggregate report and its records: the columns, and the message that carries them.
//!
//! A message of `reports.parsed`, `reports.enriched` and `reports.distinct` is one
//! record batch, a row a report. The report's records are its column `records`, a list
//! of structs. A report too large for one message is *sliced*: several rows with the
//! same columns, the records shared out among them, numbered by `slice` of `slices`.
//! Message schema version: [`VERSION`].

use std::sync::LazyLock;

use arrow::datatypes::SchemaRef;

use crate::column::{Column, Type, fields};
use crate::ipc;

/// Version of the report message, in its `schema` header.
pub const VERSION: u32 = 1;

const OURS: &str = "dmarcflow";
const METADATA: &str = "RFC 9990 §3.1.1.3, RFC 7489 app. C";
const POLICY: &str = "RFC 9990 §3.1.1.4, RFC 7489 app. C";
const ROW: &str = "RFC 9990 §3.1.1.7, RFC 7489 app. C";
const IDENTIFIERS: &str = "RFC 9990 §3.1.1.8, RFC 7489 app. C";
const AUTH: &str = "RFC 9990 §3.1.1.9, RFC 7489 app. C";

/// Who reports, about which domain and interval: with [`PUBLISHED`], what the `reports` table
/// and every row of `records` say of the report they come from.
pub const IDENTITY: &[Column] = &[
    Column::required(
        "policy_domain",
        Type::Utf8,
        "Domain whose DMARC policy was applied, lower case without trailing dot",
        POLICY,
    ),
    Column::required(
        "org_name",
        Type::Utf8,
        "Organisation that made the report; the domain of its address where it gave none",
        METADATA,
    ),
    Column::required(
        "report_id",
        Type::Utf8,
        "The reporter's identifier of the report; not unique by itself",
        METADATA,
    ),
    Column::required(
        "range_begin",
        Type::Timestamp,
        "Begin of the interval that the report covers, as given",
        METADATA,
    ),
    Column::required(
        "range_end",
        Type::Timestamp,
        "End of the interval that the report covers, as given; may be before its begin",
        METADATA,
    ),
];

/// What else the report says of itself.
pub const METADATA_COLUMNS: &[Column] = &[
    Column::optional("email", Type::Utf8, "Contact address of the reporter", METADATA),
    Column::optional("extra_contact_info", Type::Utf8, "Further contact of the reporter", METADATA),
    Column::optional("errors", Type::TextList, "Errors that the reporter says it met", METADATA),
    Column::optional("generator", Type::Utf8, "Software that made the report", METADATA),
    Column::optional(
        "report_version",
        Type::Utf8,
        "Version of the format that the report claims",
        "RFC 9990 §3.1.1.2",
    ),
];

/// The policy that the reporter found published. Absent is kept apart from given:
/// an absent `sp` inherits `p`, an absent `pct` is 100, absent `adkim` and `aspf` are `r`.
pub const PUBLISHED: &[Column] = &[
    Column::optional("p", Type::Utf8, "Published policy of the domain: none, quarantine or reject", POLICY),
    Column::optional("sp", Type::Utf8, "Published policy of subdomains; absent inherits p", POLICY),
    Column::optional(
        "np",
        Type::Utf8,
        "Published policy of non-existent subdomains; absent inherits sp",
        POLICY,
    ),
    Column::optional("adkim", Type::Utf8, "DKIM alignment mode: r or s; absent is r", POLICY),
    Column::optional("aspf", Type::Utf8, "SPF alignment mode: r or s; absent is r", POLICY),
    Column::optional(
        "pct",
        Type::Int32,
        "Share of messages that the policy applies to; absent is 100",
        "RFC 7489 §6.3",
    )
    .in_unit("percent"),
    Column::optional("fo", Type::Utf8, "Failure reporting options", POLICY),
    Column::optional("testing", Type::Utf8, "Policy test mode: y or n", POLICY),
    Column::optional("discovery_method", Type::Utf8, "How the policy was found: psl or treewalk", POLICY),
    Column::optional("psd", Type::Utf8, "Whether the domain is a public suffix domain: y, n or u", POLICY),
];

/// What had to be mended to read the report.
pub const REPAIR: &[Column] = &[
    Column::required(
        "kind",
        Type::Utf8,
        "Kind of repair, a stable short code such as `bom` or `value-mapped`",
        OURS,
    ),
    Column::required(
        "place",
        Type::Utf8,
        "Element that was mended, as a path without indices, or the wrapping",
        OURS,
    ),
    Column::optional("original", Type::Utf8, "The text as it stood, cut to 200 bytes", OURS),
    Column::required("count", Type::Int64, "How many times this repair was made in the report", OURS)
        .in_unit("repairs"),
];

/// Text that the report carries beside the standard's elements, and its repairs.
pub const KEPT: &[Column] = &[
    Column::optional(
        "extension",
        Type::Utf8,
        "Extension elements of the report, as XML text",
        "RFC 9990 §3.1.1.6",
    ),
    Column::required("repairs", Type::StructList(REPAIR), "What had to be mended to read the report", OURS),
];

/// Where the report came from.
pub const PROVENANCE: &[Column] = &[
    Column::required(
        "origin",
        Type::Utf8,
        "Where the report came from: a path, `mbox#n`, a mailbox URL",
        OURS,
    ),
    Column::required(
        "entry",
        Type::Utf8,
        "Path of the report inside that: archive entries and mail parts; empty when it is the whole",
        OURS,
    ),
    Column::required("received_at", Type::Timestamp, "When it was accepted into reports.raw", OURS),
    Column::required("raw_partition", Type::Int32, "Partition of reports.raw that keeps the bytes", OURS),
    Column::required("raw_offset", Type::Int64, "Offset in that partition", OURS),
    Column::required(
        "part",
        Type::Int32,
        "Ordinal of the report among those of the raw record, from 0",
        OURS,
    ),
    Column::required("xml_bytes", Type::Int64, "Size of the report's XML, unpacked", OURS).in_unit("bytes"),
];

/// A reason why the disposition differs from the policy.
pub const REASON: &[Column] = &[
    Column::optional(
        "type",
        Type::Utf8,
        "Reason: forwarded, local_policy, mailing_list, other, policy_test_mode, sampled_out or trusted_forwarder",
        ROW,
    ),
    Column::optional("comment", Type::Utf8, "The reporter's words", ROW),
];

/// A DKIM signature's result.
pub const DKIM: &[Column] = &[
    Column::optional("domain", Type::Utf8, "Signing domain (d=), lower case", AUTH),
    Column::optional("selector", Type::Utf8, "Selector (s=)", AUTH),
    Column::optional("result", Type::Utf8, "none, pass, fail, policy, neutral, temperror or permerror", AUTH),
    Column::optional("human_result", Type::Utf8, "The reporter's words", AUTH),
];

/// An SPF check's result.
pub const SPF: &[Column] = &[
    Column::optional("domain", Type::Utf8, "Checked domain, lower case", AUTH),
    Column::optional("scope", Type::Utf8, "Identity that was checked: helo or mfrom", AUTH),
    Column::optional(
        "result",
        Type::Utf8,
        "none, neutral, pass, fail, softfail, temperror or permerror",
        AUTH,
    ),
    Column::optional("human_result", Type::Utf8, "The reporter's words", AUTH),
];

/// What a record says.
pub const RECORD: &[Column] = &[
    Column::required("record_index", Type::Int32, "Ordinal of the record in its report, from 0", OURS),
    Column::required("source_ip", Type::Utf8, "Address that sent the messages, in canonical form", ROW),
    Column::required("messages", Type::Int64, "Messages that the record stands for", ROW).in_unit("messages"),
    Column::optional(
        "disposition",
        Type::Utf8,
        "What the receiver did: none, pass, quarantine or reject",
        ROW,
    ),
    Column::required(
        "dkim_aligned",
        Type::Bool,
        "policy_evaluated/dkim is pass: an aligned DKIM signature verified",
        ROW,
    ),
    Column::required(
        "spf_aligned",
        Type::Bool,
        "policy_evaluated/spf is pass: an aligned SPF check passed",
        ROW,
    ),
    Column::required(
        "dmarc_pass",
        Type::Bool,
        "The one verdict: dkim_aligned or spf_aligned",
        "RFC 9989 §4, RFC 7489 §6.6.2",
    ),
    Column::required("reasons", Type::StructList(REASON), "Why the disposition differs from the policy", ROW),
    Column::optional("header_from", Type::Utf8, "Domain of the From header, lower case", IDENTIFIERS),
    Column::optional(
        "envelope_from",
        Type::Utf8,
        "Domain of the envelope sender, lower case; empty is the null sender",
        IDENTIFIERS,
    ),
    Column::optional("envelope_to", Type::Utf8, "Domain of the envelope recipient, lower case", IDENTIFIERS),
    Column::required("dkim", Type::StructList(DKIM), "Every DKIM result, in the report's order", AUTH),
    Column::required("spf", Type::StructList(SPF), "Every SPF result, in the report's order", AUTH),
    Column::optional(
        "record_extension",
        Type::Utf8,
        "Foreign elements of the record, as XML text",
        "RFC 9990 §3.1.1.6",
    ),
];

/// What the enrich stage adds to a record. Absent before it.
pub const ENRICHMENT: &[Column] = &[
    Column::optional("country", Type::Utf8, "Country of the source address, ISO 3166-1 alpha-2", OURS),
    Column::optional("asn", Type::Int64, "Autonomous system that announces the source address", OURS),
    Column::optional("as_name", Type::Utf8, "Name of that autonomous system, where known", OURS),
    Column::optional("network", Type::Utf8, "Network of the source address: its /24, or /48 for IPv6", OURS),
    Column::optional("service", Type::Utf8, "Sending service that the record was recognised as", OURS),
    Column::optional(
        "service_evidence",
        Type::Utf8,
        "What it was recognised by: dkim:DOMAIN, spf:DOMAIN or asn:NUMBER",
        OURS,
    ),
    Column::optional("service_confidence", Type::Float64, "How sure that is, from 0 to 1", OURS),
    Column::optional(
        "forwarding",
        Type::Utf8,
        "Sign that the messages were forwarded: mailing_list, forwarder or srs",
        OURS,
    ),
];

/// The versions of the references that a row was made with. Absent before enrichment.
pub const VERSIONS: &[Column] = &[
    Column::optional("geo_version", Type::Utf8, "Version of the address data", OURS),
    Column::optional("services_version", Type::Utf8, "Version of the table of sending services", OURS),
];

/// What only the message carries: the hashes that tell reports apart, and slicing.
pub const CARRIED: &[Column] = &[
    Column::required(
        "identity",
        Type::Hash,
        "Hash of org_name, policy_domain, report_id, range_begin and range_end",
        OURS,
    ),
    Column::required(
        "content",
        Type::Hash,
        "Hash of policy and rows, rows as a multiset: the same for every copy of a report",
        OURS,
    ),
    Column::required("record_count", Type::Int64, "Records of the whole report", OURS).in_unit("records"),
    Column::required("message_count", Type::Int64, "Messages of the whole report", OURS).in_unit("messages"),
    Column::required("passed_count", Type::Int64, "Messages of the whole report that pass DMARC", OURS)
        .in_unit("messages"),
    Column::required("slice", Type::Int32, "Ordinal of this slice of the report, from 0", OURS),
    Column::required("slices", Type::Int32, "Slices that the report is cut into, from 1", OURS),
];

/// The record's columns of the message: as reported, then as enriched.
pub const MESSAGE_RECORD: &[Column] = &concat::<{ RECORD.len() + ENRICHMENT.len() }>(&[RECORD, ENRICHMENT]);

/// The column that holds a report's records.
pub const RECORDS: Column = Column::required(
    "records",
    Type::StructList(MESSAGE_RECORD),
    "The report's records, or this slice's share of them",
    OURS,
);

/// What a message of `reports.distinct` is, in its `kind` header.
pub mod kind {
    /// Reports seen for the first time, as [`super::SCHEMA`].
    pub const ROWS: &str = "rows";
    /// Changes to reports that earlier messages held, as [`super::MARK_SCHEMA`].
    pub const MARKS: &str = "marks";
}

/// A mark: what became known of a report after its row was written. Values are absolute,
/// so that a mark that is applied twice changes nothing.
pub const MARK: &[Column] = &[
    Column::required("date", Type::Date, "UTC date of the report's range_begin", OURS),
    Column::required("report_key", Type::Utf8, "The report", OURS),
    Column::required("copies", Type::Int64, "How many copies of the report have come", OURS)
        .in_unit("copies"),
    Column::required("conflict", Type::Bool, "Another report has the same identity and other content", OURS),
];

/// The schema of marks.
pub static MARK_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| ipc::schema(fields(MARK)));

/// The message's schema.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let columns = [IDENTITY, METADATA_COLUMNS, PUBLISHED, KEPT, PROVENANCE, VERSIONS, CARRIED, &[RECORDS]];
    ipc::schema(fields(columns.into_iter().flatten()))
});

/// Columns one after the other, at compile time.
pub(crate) const fn concat<const N: usize>(groups: &[&[Column]]) -> [Column; N] {
    let mut out = [Column::required("", Type::Bool, "", ""); N];
    let (mut n, mut g) = (0, 0);
    while g < groups.len() {
        let mut c = 0;
        while c < groups[g].len() {
            out[n] = groups[g][c];
            n += 1;
            c += 1;
        }
        g += 1;
    }
    assert!(n == N, "the columns of the groups fill the array");
    out
}
