//! The reader: elements of one report to its columns, each element's meaning in one place.
//!
//! A function per element, which asks the scanner for the next child and matches its name. Records go to
//! the staging columns as they end; nothing of a report counts before its root is closed.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Limits;
use super::batch::Staging;
use super::failure::reason;
use super::identity::Canon;
use super::model::{Auth, Reason, Report, Row};
use super::names::place;
use super::repairs::{Repairs, kind};
use super::values::{self, Reading, Vocabulary};
use super::xml::{Broken, Scanner, Tag};
use super::{time, words};

/// How much extension text of a report, and of a record, is kept. Bytes.
const EXTENSION_BYTES: usize = 64 << 10;
/// Results and reasons of one record. The standard's own examples have a handful.
const LIST_ITEMS: usize = 4096;

type Result<T> = std::result::Result<T, Broken>;

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
struct Reader<'a, 'r> {
    xml: Scanner<'a, 'r>,
    limits: &'r Limits,
    canon: &'r mut Canon,
    staging: &'r mut Staging,
    report: Report<'a>,
    /// The record that is being read.
    row: Row<'a>,
    /// Sum of the records' hashes.
    row_sum: u128,
    next_index: i32,
}

/// What a record's row element says, before it is known whether the record counts.
#[derive(Default)]
struct RowText<'a> {
    source_ip: Option<Cow<'a, str>>,
    count: Option<Cow<'a, str>>,
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
        if held + text.len() > EXTENSION_BYTES || self.report.errors.len() >= LIST_ITEMS {
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

    fn record(&mut self, parent: Tag<'a>) -> Result<()> {
        self.row.clear();
        self.row.index = self.next_index;
        self.next_index = self.next_index.saturating_add(1);
        if self.next_index as usize > self.limits.records {
            let bound = self.limits.records;
            let what = format!("the report has more than {bound} records (`records`)");
            return Err(Broken { reason: reason::LIMIT_RECORDS, at: parent.at, what });
        }
        let (mut row, mut identifiers, mut auth) = (false, false, false);
        let mut text = RowText::default();
        while let Some(tag) = self.xml.child(parent, place::RECORD)? {
            match tag.name {
                "row" if self.first(&mut row, tag, place::ROW)? => self.row(tag, &mut text)?,
                "identifiers" if self.first(&mut identifiers, tag, place::IDENTIFIERS)? => {
                    self.identifiers(tag)?
                }
                "identities" if self.first(&mut identifiers, tag, place::IDENTIFIERS)? => {
                    self.xml.repairs.add(kind::RENAMED, place::IDENTIFIERS, Some(tag.raw));
                    self.identifiers(tag)?;
                }
                "auth_results" => {
                    auth = true;
                    self.auth_results(tag)?;
                }
                "row" | "identifiers" | "identities" => {}
                _ => {
                    let foreign = self.xml.outer(tag, place::RECORD_EXTENSION)?;
                    keep(&mut self.row.extension, foreign, place::RECORD_EXTENSION, self.xml.repairs);
                }
            }
        }
        for (seen, place) in [(identifiers, place::IDENTIFIERS), (auth, place::AUTH)] {
            if !seen {
                self.xml.repairs.add(kind::MISSING, place, None);
            }
        }
        self.end_record(parent, &text)
    }

    /// Adds the record to the columns, unless it names no address or no number of messages.
    fn end_record(&mut self, record: Tag<'a>, text: &RowText<'a>) -> Result<()> {
        let repairs = &mut *self.xml.repairs;
        let Some(ip) = &text.source_ip else {
            repairs.add(kind::NO_SOURCE_IP, place::SOURCE_IP, None);
            return Ok(());
        };
        let Some(ip) = normal_address(ip) else {
            repairs.add(kind::BAD_SOURCE_IP, place::SOURCE_IP, Some(ip));
            return Ok(());
        };
        let count = text.count.as_deref();
        let Some((messages, exact)) = count.and_then(values::count) else {
            repairs.add(kind::BAD_COUNT, place::COUNT, count);
            return Ok(());
        };
        if !exact {
            repairs.add(kind::VALUE_MAPPED, place::COUNT, count);
        }
        self.row.source_ip = ip;
        self.row.messages = messages;
        self.row_sum = self.row_sum.wrapping_add(self.canon.row(&self.row));
        let bytes = self.canon.len() + self.row.extension.as_ref().map_or(0, |e| e.len());
        if bytes > self.limits.record_bytes {
            return Err(self.too_large(record));
        }
        self.staging.push(&self.row, bytes);
        self.report.record_count += 1;
        self.report.message_count = self.report.message_count.saturating_add(messages);
        if self.row.passes() {
            self.report.passed_count = self.report.passed_count.saturating_add(messages);
        }
        Ok(())
    }

    fn row(&mut self, parent: Tag<'a>, text: &mut RowText<'a>) -> Result<()> {
        let mut evaluated = false;
        while let Some(tag) = self.xml.child(parent, place::ROW)? {
            match tag.name {
                "source_ip" => {
                    let ip = self.xml.leaf(tag, place::SOURCE_IP)?;
                    set(&mut text.source_ip, ip, place::SOURCE_IP, self.xml.repairs);
                }
                "count" => {
                    let count = self.xml.leaf(tag, place::COUNT)?;
                    set(&mut text.count, count, place::COUNT, self.xml.repairs);
                }
                "policy_evaluated" if self.first(&mut evaluated, tag, place::EVALUATED)? => {
                    self.evaluated(tag)?
                }
                "policy_evaluated" => {}
                _ => self.unknown(tag, place::ROW)?,
            }
        }
        if !evaluated {
            self.xml.repairs.add(kind::MISSING, place::EVALUATED, None);
        }
        Ok(())
    }

    fn evaluated(&mut self, parent: Tag<'a>) -> Result<()> {
        let (mut dkim, mut spf) = (None, None);
        while let Some(tag) = self.xml.child(parent, place::EVALUATED)? {
            match tag.name {
                "disposition" => {
                    let word = read_word(&mut self.xml, tag, place::DISPOSITION, &values::DISPOSITION)?;
                    self.row.disposition = self.row.disposition.or(word);
                }
                "dkim" => {
                    dkim = dkim.or(read_word(&mut self.xml, tag, place::EVALUATED_DKIM, &values::ALIGNED)?)
                }
                "spf" => spf = spf.or(read_word(&mut self.xml, tag, place::EVALUATED_SPF, &values::ALIGNED)?),
                "reason" => self.reason(tag)?,
                _ => self.unknown(tag, place::EVALUATED)?,
            }
        }
        self.row.dkim_aligned = dkim == Some("pass");
        self.row.spf_aligned = spf == Some("pass");
        Ok(())
    }

    fn reason(&mut self, parent: Tag<'a>) -> Result<()> {
        self.xml.stray = None;
        let mut reason = Reason::default();
        while let Some(tag) = self.xml.child(parent, place::REASON)? {
            match tag.name {
                "type" => {
                    let word = read_word(&mut self.xml, tag, place::REASON_TYPE, &values::REASON)?;
                    reason.kind = reason.kind.or(word);
                }
                "comment" => {
                    let comment = self.xml.leaf(tag, place::COMMENT)?;
                    set(&mut reason.comment, comment, place::COMMENT, self.xml.repairs);
                }
                _ => self.unknown(tag, place::REASON)?,
            }
        }
        // `<reason>sampled_out</reason>`: the type as text of its parent.
        if let (None, Some(text)) = (reason.kind, self.xml.stray.take()) {
            reason.kind = match values::REASON.read(text) {
                Reading::Exact(word) | Reading::Mapped(word) => Some(word),
                Reading::Unusable => None,
            };
            let short = text.len() <= self.limits.field_bytes;
            if reason.kind == Some("other") && reason.comment.is_none() && short {
                reason.comment = Some(Cow::Borrowed(text));
            }
        }
        if reason.kind.is_some() || reason.comment.is_some() {
            if self.row.reasons.len() >= LIST_ITEMS {
                return Err(self.too_large(parent));
            }
            self.row.reasons.push(reason);
        }
        Ok(())
    }

    fn identifiers(&mut self, parent: Tag<'a>) -> Result<()> {
        while let Some(tag) = self.xml.child(parent, place::IDENTIFIERS)? {
            let (slot, place) = match tag.name {
                "header_from" => (&mut self.row.header_from, place::HEADER_FROM),
                "envelope_from" => (&mut self.row.envelope_from, place::ENVELOPE_FROM),
                "envelope_to" => (&mut self.row.envelope_to, place::ENVELOPE_TO),
                _ => {
                    self.unknown(tag, place::IDENTIFIERS)?;
                    continue;
                }
            };
            let text = normal_domain(self.xml.leaf(tag, place)?);
            // The null sender is a value of its own.
            if text.is_empty() && tag.name == "envelope_from" {
                slot.get_or_insert(text);
            } else {
                set(slot, text, place, self.xml.repairs);
            }
        }
        Ok(())
    }

    fn auth_results(&mut self, parent: Tag<'a>) -> Result<()> {
        while let Some(tag) = self.xml.child(parent, place::AUTH)? {
            match tag.name {
                "dkim" => {
                    let auth = self.auth(tag, &DKIM)?;
                    self.row.dkim.extend(auth);
                }
                "spf" => {
                    let auth = self.auth(tag, &SPF)?;
                    self.row.spf.extend(auth);
                }
                _ => self.unknown(tag, place::AUTH)?,
            }
            if self.row.dkim.len() + self.row.spf.len() > LIST_ITEMS {
                return Err(self.too_large(parent));
            }
        }
        Ok(())
    }

    /// A DKIM or SPF result; none where the element says nothing at all.
    fn auth(&mut self, parent: Tag<'a>, about: &Method) -> Result<Option<Auth<'a>>> {
        let mut auth = Auth::default();
        while let Some(tag) = self.xml.child(parent, about.place)? {
            match tag.name {
                "domain" => {
                    let text = normal_domain(self.xml.leaf(tag, about.domain)?);
                    set(&mut auth.domain, text, about.domain, self.xml.repairs);
                }
                "result" => {
                    let word = read_word(&mut self.xml, tag, about.result.0, about.result.1)?;
                    auth.result = auth.result.or(word);
                }
                "selector" if about.scope.is_none() => {
                    let text = self.xml.leaf(tag, place::DKIM_SELECTOR)?;
                    set(&mut auth.detail, text, place::DKIM_SELECTOR, self.xml.repairs);
                }
                "scope" if let Some(vocabulary) = about.scope => {
                    let word = read_word(&mut self.xml, tag, place::SPF_SCOPE, vocabulary)?;
                    auth.detail = auth.detail.or(word.map(Cow::Borrowed));
                }
                "human_result" => {
                    let text = self.xml.leaf(tag, about.human)?;
                    set(&mut auth.human_result, text, about.human, self.xml.repairs);
                }
                _ => self.unknown(tag, about.place)?,
            }
        }
        let says = auth.domain.is_some()
            || auth.detail.is_some()
            || auth.result.is_some()
            || auth.human_result.is_some();
        Ok(says.then_some(auth))
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
    fn first(&mut self, seen: &mut bool, tag: Tag<'a>, place: &'static str) -> Result<bool> {
        if !std::mem::replace(seen, true) {
            return Ok(true);
        }
        self.xml.repairs.add(kind::REPEATED, place, None);
        self.xml.skip(tag, place)?;
        Ok(false)
    }

    #[cold]
    fn unknown(&mut self, tag: Tag<'a>, place: &'static str) -> Result<()> {
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

    #[cold]
    fn too_large(&self, tag: Tag<'a>) -> Broken {
        let bound = self.limits.record_bytes;
        let what = format!(
            "the record is larger than {bound} bytes (`record_bytes`) or has more than {LIST_ITEMS} results"
        );
        Broken { reason: reason::LIMIT_RECORD, at: tag.at, what }
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

/// How a result of one method is read.
struct Method {
    place: &'static str,
    domain: &'static str,
    result: (&'static str, &'static Vocabulary),
    /// The words of `scope`, where the method has it instead of `selector`.
    scope: Option<&'static Vocabulary>,
    human: &'static str,
}

static DKIM: Method = Method {
    place: place::DKIM,
    domain: place::DKIM_DOMAIN,
    result: (place::DKIM_RESULT, &values::DKIM_RESULT),
    scope: None,
    human: place::DKIM_HUMAN,
};

static SPF: Method = Method {
    place: place::SPF,
    domain: place::SPF_DOMAIN,
    result: (place::SPF_RESULT, &values::SPF_RESULT),
    scope: Some(&values::SPF_SCOPE),
    human: place::SPF_HUMAN,
};

/// A word of a vocabulary; none where the element is empty or unusable.
#[inline]
fn read_word<'a>(
    xml: &mut Scanner<'a, '_>,
    tag: Tag<'a>,
    place: &'static str,
    vocabulary: &Vocabulary,
) -> Result<Option<&'static str>> {
    let text = xml.leaf(tag, place)?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(match vocabulary.read(&text) {
        Reading::Exact(word) => Some(word),
        Reading::Mapped(word) => {
            xml.repairs.add(kind::VALUE_MAPPED, place, Some(&text));
            Some(word)
        }
        Reading::Unusable => {
            xml.repairs.add(kind::VALUE_DROPPED, place, Some(&text));
            None
        }
    })
}

/// Takes a text, unless it is empty or there is one already.
#[inline]
fn set<'a>(slot: &mut Option<Cow<'a, str>>, text: Cow<'a, str>, place: &'static str, repairs: &mut Repairs) {
    if text.is_empty() {
        return;
    }
    if slot.as_ref().is_some_and(|t| !t.is_empty()) {
        repairs.add(kind::REPEATED, place, Some(&text));
    } else {
        *slot = Some(text);
    }
}

/// Appends XML text that is kept as it stands, up to a bound.
fn keep<'a>(slot: &mut Option<Cow<'a, str>>, text: &'a str, place: &'static str, repairs: &mut Repairs) {
    let held = slot.as_ref().map_or(0, |t| t.len());
    let room = EXTENSION_BYTES.saturating_sub(held);
    if text.len() > room {
        repairs.add(kind::EXTENSION_CUT, place, None);
    }
    let text = super::repairs::cut(text, room);
    match slot {
        None => *slot = Some(Cow::Borrowed(text)),
        Some(held) => held.to_mut().push_str(text),
    }
}

/// A domain in lower case, without trailing dot.
#[inline]
fn normal_domain(domain: Cow<'_, str>) -> Cow<'_, str> {
    if !words::any_capital(domain.as_bytes()) && !domain.ends_with('.') {
        return domain;
    }
    Cow::Owned(domain.to_lowercase().trim_end_matches('.').to_owned())
}

/// An address in canonical form; an IPv4 address inside of IPv6 as IPv4.
fn normal_address<'a>(text: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    // What is read as IPv4 stands in canonical form already.
    if text.parse::<Ipv4Addr>().is_ok() {
        return Some(text.clone());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let address: Ipv6Addr = match bare.parse().ok()? {
        IpAddr::V4(v4) => return Some(Cow::Owned(v4.to_string())),
        IpAddr::V6(v6) => v6,
    };
    let canonical = IpAddr::V6(address).to_canonical().to_string();
    Some(if canonical == **text { text.clone() } else { Cow::Owned(canonical) })
}
