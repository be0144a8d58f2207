//! One record: row, identifiers and authentication results to a row of the columns.
//!
//! A record that names no address or no number of messages is left out, and said so; the report stays.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::failure::reason;
use super::fields::{keep, normal_domain, read_word, set};
use super::model::{Auth, Reason};
use super::names::place;
use super::repairs::kind;
use super::report::Reader;
use super::values::{self, Reading, Vocabulary};
use super::xml::{Broken, Result, Tag};

/// Results, and reasons, of one record. The standard's own examples have a handful.
const LIST_ITEMS: usize = 4096;

/// What a record's row element says, before it is known whether the record counts.
#[derive(Default)]
struct RowText<'a> {
    source_ip: Option<Cow<'a, str>>,
    count: Option<Cow<'a, str>>,
}

impl<'a> Reader<'a, '_> {
    pub(super) fn record(&mut self, parent: Tag<'a>) -> Result<()> {
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

    #[cold]
    fn too_large(&self, tag: Tag<'a>) -> Broken {
        let bound = self.limits.record_bytes;
        let what = format!(
            "the record is larger than {bound} bytes (`record_bytes`) or has more than {LIST_ITEMS} results"
        );
        Broken { reason: reason::LIMIT_RECORD, at: tag.at, what }
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
