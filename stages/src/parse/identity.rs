//! What tells reports apart: a hash of who reports on what, and a hash of what is said.
//!
//! **Identity** is xxh3-128 of org_name, policy_domain, report_id, begin and end; begin and end as they
//! were given, absent ones as absent. **Content** is xxh3-128 of the policy's columns, the number of
//! records and the sum (modulo 2^128) of the xxh3-128 of each record's values: the sum makes the records
//! a multiset, so their order does not count. Contact lines, errors, extensions, white space and repairs
//! are no content. Values are hashed as they stand in the columns, each with its length before it, absent
//! ones apart from empty ones.
//!
//! This is version 1, and stands in the hashed bytes. Another version tells copies that came before it from
//! those that come after it, so changing it means replaying `reports.raw`.

use xxhash_rust::xxh3::xxh3_128;

use super::model::{Auth, Published, Report, Row};

const VERSION: u8 = 1;
/// Stands in place of the length of an absent value.
const ABSENT: u32 = u32::MAX;

/// Values one after the other, each told from its neighbours.
#[derive(Debug, Default)]
pub(super) struct Canon {
    bytes: Vec<u8>,
}

impl Canon {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.push(VERSION);
    }

    #[inline]
    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.bytes.extend_from_slice(&ABSENT.to_le_bytes()),
        }
    }

    fn number(&mut self, number: Option<i64>) {
        self.bytes.push(u8::from(number.is_some()));
        self.bytes.extend_from_slice(&number.unwrap_or_default().to_le_bytes());
    }

    fn results(&mut self, results: &[Auth<'_>]) {
        self.bytes.extend_from_slice(&(results.len() as u32).to_le_bytes());
        for auth in results {
            self.optional(auth.domain.as_deref());
            self.optional(auth.detail.as_deref());
            self.optional(auth.result);
            self.optional(auth.human_result.as_deref());
        }
    }

    /// The hash of a record.
    pub(super) fn row(&mut self, row: &Row<'_>) -> u128 {
        self.clear();
        self.text(&row.source_ip);
        self.bytes.extend_from_slice(&row.messages.to_le_bytes());
        self.bytes.push(u8::from(row.dkim_aligned) | u8::from(row.spf_aligned) << 1);
        self.optional(row.disposition);
        self.optional(row.header_from.as_deref());
        self.optional(row.envelope_from.as_deref());
        self.optional(row.envelope_to.as_deref());
        self.bytes.extend_from_slice(&(row.reasons.len() as u32).to_le_bytes());
        for reason in &row.reasons {
            self.optional(reason.kind);
            self.optional(reason.comment.as_deref());
        }
        self.results(&row.dkim);
        self.results(&row.spf);
        xxh3_128(&self.bytes)
    }

    /// How many bytes the last hashed record had: about what it takes in columns.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The identity of a report.
    pub(super) fn identity(&mut self, report: &Report<'_>) -> [u8; 16] {
        self.clear();
        self.text(&report.org_name);
        self.text(&report.policy_domain);
        self.text(&report.report_id);
        self.number(report.begin);
        self.number(report.end);
        xxh3_128(&self.bytes).to_be_bytes()
    }

    /// The content of a report; `rows` is the sum of its records' hashes.
    pub(super) fn content(&mut self, published: &Published<'_>, rows: u128, records: i64) -> [u8; 16] {
        self.clear();
        for value in [published.p, published.sp, published.np, published.adkim, published.aspf] {
            self.optional(value);
        }
        self.number(published.pct.map(i64::from));
        self.optional(published.fo.as_deref());
        for value in [published.testing, published.discovery_method, published.psd] {
            self.optional(value);
        }
        self.bytes.extend_from_slice(&records.to_le_bytes());
        self.bytes.extend_from_slice(&rows.to_le_bytes());
        xxh3_128(&self.bytes).to_be_bytes()
    }
}
