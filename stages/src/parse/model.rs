//! A report and one record of it while they are read: borrowed from the text, already normalised.

use std::borrow::Cow;

/// A report without its records.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    pub(super) org_name: Cow<'a, str>,
    pub(super) policy_domain: Cow<'a, str>,
    pub(super) report_id: Cow<'a, str>,
    /// Microseconds since 1970-01-01 UTC, as given.
    pub(super) begin: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) email: Option<Cow<'a, str>>,
    pub(super) extra_contact_info: Option<Cow<'a, str>>,
    pub(super) errors: Vec<Cow<'a, str>>,
    pub(super) generator: Option<Cow<'a, str>>,
    pub(super) version: Option<Cow<'a, str>>,
    pub(super) published: Published<'a>,
    pub(super) extension: Option<Cow<'a, str>>,
    pub(super) identity: [u8; 16],
    pub(super) content: [u8; 16],
    pub(super) record_count: i64,
    pub(super) message_count: i64,
    pub(super) passed_count: i64,
    pub(super) xml_bytes: i64,
}

/// The policy that the reporter found; absent apart from given.
#[derive(Debug, Default)]
pub(super) struct Published<'a> {
    pub(super) p: Option<&'static str>,
    pub(super) sp: Option<&'static str>,
    pub(super) np: Option<&'static str>,
    pub(super) adkim: Option<&'static str>,
    pub(super) aspf: Option<&'static str>,
    pub(super) pct: Option<i32>,
    pub(super) fo: Option<Cow<'a, str>>,
    pub(super) testing: Option<&'static str>,
    pub(super) discovery_method: Option<&'static str>,
    pub(super) psd: Option<&'static str>,
}

/// A record.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) index: i32,
    pub(super) source_ip: Cow<'a, str>,
    pub(super) messages: i64,
    pub(super) disposition: Option<&'static str>,
    pub(super) dkim_aligned: bool,
    pub(super) spf_aligned: bool,
    pub(super) reasons: Vec<Reason<'a>>,
    pub(super) header_from: Option<Cow<'a, str>>,
    pub(super) envelope_from: Option<Cow<'a, str>>,
    pub(super) envelope_to: Option<Cow<'a, str>>,
    pub(super) dkim: Vec<Auth<'a>>,
    pub(super) spf: Vec<Auth<'a>>,
    pub(super) extension: Option<Cow<'a, str>>,
}

impl Row<'_> {
    /// The one verdict.
    pub(super) fn passes(&self) -> bool {
        self.dkim_aligned || self.spf_aligned
    }

    /// Makes room for the next record; lists keep their memory.
    pub(super) fn clear(&mut self) {
        self.reasons.clear();
        self.dkim.clear();
        self.spf.clear();
        self.source_ip = Cow::Borrowed("");
        self.messages = 0;
        self.disposition = None;
        self.dkim_aligned = false;
        self.spf_aligned = false;
        self.header_from = None;
        self.envelope_from = None;
        self.envelope_to = None;
        self.extension = None;
    }
}

/// Why a disposition differs from the policy.
#[derive(Debug, Default)]
pub(super) struct Reason<'a> {
    pub(super) kind: Option<&'static str>,
    pub(super) comment: Option<Cow<'a, str>>,
}

/// A DKIM or SPF result.
#[derive(Debug, Default)]
pub(super) struct Auth<'a> {
    pub(super) domain: Option<Cow<'a, str>>,
    /// DKIM's selector, SPF's scope.
    pub(super) detail: Option<Cow<'a, str>>,
    pub(super) result: Option<&'static str>,
    pub(super) human_result: Option<Cow<'a, str>>,
}
