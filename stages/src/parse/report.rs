//! The reader: elements of one report to its columns, each element's meaning in one place.
//!
//! A function per element, which asks the scanner for the next child and matches its name. Records go to
//! the staging columns as they end; nothing of a report counts before its root is closed.

use std::borrow::Cow;

use super::Limits;
use super::batch::Staging;
use super::failure::reason;
use super::fields::{EXTENSION_BYTES, keep, normal_domain, read_word, set};
use super::identity::Canon;
use super::model::{Report, Row};
use super::names::place;
use super::repairs::kind;
use super::time;
use super::values;
use super::xml::{Broken, Result, Scanner, Tag};

/// Errors of one report.
const ERRORS: usize = 1024;

/// Reads a report whose root's start tag was just read; gives it and where its end tag ends.
pub(super) fn read<'a, 'r>(
    xml: Scanner<'a, 'r>,
    root: Tag<'a>,
    limits: &'r Limits,
    canon: &'r mut Canon,
    staging: &'r mut Staging,
) -> Result<(Report<'a>, usize)> {
    let report = Report::default();
    let mut reader =
        Reader { xml, limits, canon, staging, report, row: Row::default(), row_sum: 0, next_index: 0 };
    reader.feedback(root)?;
    reader.finish(root)
}

/// What is known while a report is read.
pub(super) struct Reader<'a, 'r> {
    pub(super) xml: Scanner<'a, 'r>,
    pub(super) limits: &'r Limits,
    pub(super) canon: &'r mut Canon,
    pub(super) staging: &'r mut Staging,
    pub(super) report: Report<'a>,
    /// The record that is being read.
    pub(super) row: Row<'a>,
    /// Sum of the records' hashes.
    pub(super) row_sum: u128,
    pub(super) next_index: i32,
}

impl<'a> Reader<'a, '_> {
    fn feedback(&mut self, root: Tag<'a>) -> Result<()> {
        let (mut metadata, mut policy) = (false, false);
        while let Some(tag) = self.xml.child(root, place::FEEDBACK)? {
            match tag.name {
                "record" => self.record(tag)?,
                "report_metadata" if self.first(&mut metadata, tag, place::METADATA)? => {
                    self.metadata(tag)?
                }
                "policy_published" if self.first(&mut policy, tag, place::POLICY)? => self.policy(tag)?,
                "report_metadata" | "policy_published" => {}
                "version" => {
                    let text = self.xml.leaf(tag, place::VERSION)?;
                    set(&mut self.report.version, text, place::VERSION, self.xml.repairs);
                }
                "extension" => {
                    let text = self.xml.outer(tag, place::EXTENSION)?;
                    keep(&mut self.report.extension, text, place::EXTENSION, self.xml.repairs);
                }
                _ => self.unknown(tag, place::FEEDBACK)?,
            }
        }
        Ok(())
    }

    fn metadata(&mut self, parent: Tag<'a>) -> Result<()> {
        let mut range = false;
        let (mut org_name, mut report_id) = (None, None);
        while let Some(tag) = self.xml.child(parent, place::METADATA)? {
            let (slot, place) = match tag.name {
                "org_name" => (&mut org_name, place::ORG_NAME),
                "report_id" => (&mut report_id, place::REPORT_ID),
                "email" => (&mut self.report.email, place::EMAIL),
                "extra_contact_info" => (&mut self.report.extra_contact_info, place::CONTACT),
                "generator" => (&mut self.report.generator, place::GENERATOR),
                "date_range" => {
                    if self.first(&mut range, tag, place::DATE_RANGE)? {
                        self.date_range(tag)?;
                    }
                    continue;
                }
                "error" => {
                    self.error(tag)?;
                    continue;
                }
                _ => {
                    self.unknown(tag, place::METADATA)?;
                    continue;
                }
            };
            let text = self.xml.leaf(tag, place)?;
            set(slot, text, place, self.xml.repairs);
        }
        self.report.org_name = org_name.unwrap_or_default();
        self.report.report_id =
            report_id.map(|id| self.without_brackets(id, place::REPORT_ID)).unwrap_or_default();
        if let Some(email) = self.report.email.take() {
            self.report.email = Some(self.without_brackets(email, place::EMAIL));
        }
        Ok(())
    }

    fn error(&mut self, tag: Tag<'a>) -> Result<()> {
        let text = self.xml.leaf(tag, place::ERROR)?;
        let held: usize = self.report.errors.iter().map(|e| e.len()).sum();
        if held + text.len() > EXTENSION_BYTES || self.report.errors.len() >= ERRORS {
            self.xml.repairs.add(kind::EXTENSION_CUT, place::ERROR, None);
        } else if !text.is_empty() {
            self.report.errors.push(text);
        }
        Ok(())
    }

    fn date_range(&mut self, parent: Tag<'a>) -> Result<()> {
        while let Some(tag) = self.xml.child(parent, place::DATE_RANGE)? {
            match tag.name {
                "begin" => {
                    let instant = self.instant(tag, place::BEGIN)?;
                    self.report.begin = self.report.begin.or(instant);
                }
                "end" => {
                    let instant = self.instant(tag, place::END)?;
                    self.report.end = self.report.end.or(instant);
                }
                _ => self.unknown(tag, place::DATE_RANGE)?,
            }
        }
        Ok(())
    }

    fn policy(&mut self, parent: Tag<'a>) -> Result<()> {
        let mut domain = None;
        while let Some(tag) = self.xml.child(parent, place::POLICY)? {
            let p = &mut self.report.published;
            let (slot, place, vocabulary) = match tag.name {
                "p" => (&mut p.p, place::P, &values::POLICY),
                "sp" => (&mut p.sp, place::SP, &values::POLICY),
                "np" => (&mut p.np, place::NP, &values::POLICY),
                "adkim" => (&mut p.adkim, place::ADKIM, &values::ALIGNMENT),
                "aspf" => (&mut p.aspf, place::ASPF, &values::ALIGNMENT),
                "testing" | "t" => (&mut p.testing, place::TESTING, &values::YES_NO),
                "discovery_method" => (&mut p.discovery_method, place::DISCOVERY, &values::DISCOVERY),
                "psd" => (&mut p.psd, place::PSD, &values::PSD),
                other => {
                    match other {
                        "domain" => {
                            let text = self.xml.leaf(tag, place::POLICY_DOMAIN)?;
                            set(&mut domain, text, place::POLICY_DOMAIN, self.xml.repairs);
                        }
                        "fo" => {
                            let text = self.xml.leaf(tag, place::FO)?;
                            set(&mut self.report.published.fo, text, place::FO, self.xml.repairs);
                        }
                        "pct" => self.pct(tag)?,
                        // Of the DNS record, in reports of old drafts; they say nothing of the messages.
                        "version_published" | "rf" | "ri" => self.xml.skip(tag, place::POLICY)?,
                        _ => self.unknown(tag, place::POLICY)?,
                    }
                    continue;
                }
            };
            let word = read_word(&mut self.xml, tag, place, vocabulary)?;
            *slot = slot.or(word);
        }
        self.report.policy_domain = domain.map(normal_domain).unwrap_or_default();
        Ok(())
    }

    fn pct(&mut self, tag: Tag<'a>) -> Result<()> {
        let text = self.xml.leaf(tag, place::PCT)?;
        let number = text.strip_suffix('%').unwrap_or(&text).trim();
        match number.parse::<i32>() {
            Ok(pct) if (0..=100).contains(&pct) => {
                if number.len() < text.len() {
                    self.xml.repairs.add(kind::VALUE_MAPPED, place::PCT, Some(&text));
                }
                self.report.published.pct = self.report.published.pct.or(Some(pct));
            }
            _ if text.is_empty() => {}
            _ => self.xml.repairs.add(kind::VALUE_DROPPED, place::PCT, Some(&text)),
        }
        Ok(())
    }

    fn instant(&mut self, tag: Tag<'a>, place: &'static str) -> Result<Option<i64>> {
        let text = self.xml.leaf(tag, place)?;
        let instant = time::parse(&text);
        match instant {
            Some((_, true)) => {}
            Some((_, false)) => self.xml.repairs.add(kind::TIMESTAMP, place, Some(&text)),
            None if text.is_empty() => {}
            None => self.xml.repairs.add(kind::BAD_TIMESTAMP, place, Some(&text)),
        }
        Ok(instant.map(|(micros, _)| micros))
    }

    /// Whether this is the first of its kind; any further one is passed over.
    #[inline]
    pub(super) fn first(&mut self, seen: &mut bool, tag: Tag<'a>, place: &'static str) -> Result<bool> {
        if !std::mem::replace(seen, true) {
            return Ok(true);
        }
        self.xml.repairs.add(kind::REPEATED, place, None);
        self.xml.skip(tag, place)?;
        Ok(false)
    }

    #[cold]
    pub(super) fn unknown(&mut self, tag: Tag<'a>, place: &'static str) -> Result<()> {
        self.xml.repairs.add(kind::UNKNOWN, place, Some(tag.raw));
        self.xml.skip(tag, place)
    }

    /// `id@host` of `<id@host>`.
    fn without_brackets(&mut self, text: Cow<'a, str>, place: &'static str) -> Cow<'a, str> {
        let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).map(str::trim);
        match inner {
            Some(inner) if !inner.is_empty() => {
                self.xml.repairs.add(kind::ANGLE_BRACKETS, place, Some(&text));
                Cow::Owned(inner.to_owned())
            }
            _ => text,
        }
    }

    fn finish(self, root: Tag<'a>) -> Result<(Report<'a>, usize)> {
        let mut report = self.report;
        if report.policy_domain.is_empty() {
            let what = "the report names no domain in policy_published".to_owned();
            return Err(Broken { reason: reason::NO_POLICY_DOMAIN, at: root.at, what });
        }
        if report.org_name.is_empty() {
            self.xml.repairs.add(kind::EMPTY_ORG, place::ORG_NAME, None);
            let address = report.email.as_deref().unwrap_or_default();
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain.trim_end_matches('>'));
            report.org_name = Cow::Owned(domain.trim().to_lowercase());
        }
        if report.report_id.is_empty() {
            self.xml.repairs.add(kind::MISSING, place::REPORT_ID, None);
        }
        report.xml_bytes = (self.xml.pos - root.at) as i64;
        report.identity = self.canon.identity(&report);
        report.content = self.canon.content(&report.published, self.row_sum, report.record_count);
        Ok((report, self.xml.pos))
    }
}
