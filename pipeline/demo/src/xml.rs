//! A report as XML, in a dialect, with its quirk.

use std::fmt::Write as _;

use crate::calendar::iso;
use crate::dialect::{Check, Dialect, Identifier, Metadata, Published};
use crate::quirk::Quirk;
use crate::report::{Disposition, Outcome, Record, Report};

impl Report {
    /// The bytes of the report in its reporter's dialect.
    pub fn xml(&self) -> Vec<u8> {
        self.to_xml(self.reporter.dialect)
    }

    /// The bytes of the report in any dialect.
    pub fn to_xml(&self, dialect: &Dialect) -> Vec<u8> {
        let mut writer = Writer::new(dialect, self.quirk, 600 + 900 * self.records.len());
        writer.declaration();
        writer.feedback(self);
        writer.bytes()
    }
}

struct Writer<'a> {
    out: String,
    depth: usize,
    dialect: &'a Dialect,
    quirk: Option<Quirk>,
    prefix: &'static str,
}

impl<'a> Writer<'a> {
    fn new(dialect: &'a Dialect, quirk: Option<Quirk>, capacity: usize) -> Self {
        let prefix = if quirk == Some(Quirk::UndeclaredPrefix) { "ns0:" } else { "" };
        Self { out: String::with_capacity(capacity), depth: 0, dialect, quirk, prefix }
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.quirk == Some(quirk)
    }

    /// The text as bytes, in the encoding that the quirk asks for.
    fn bytes(mut self) -> Vec<u8> {
        match self.quirk {
            Some(Quirk::ByteOrderMark) => self.out.insert(0, '\u{feff}'),
            Some(Quirk::LeadingBlankLines) => self.out.insert_str(0, "\n\n"),
            Some(Quirk::JunkAfterRoot) => self.out.push_str("\n-- \nsent by the report service\n"),
            Some(Quirk::Utf16) => {
                let text = std::iter::once(0xfeff).chain(self.out.encode_utf16());
                return text.flat_map(u16::to_le_bytes).collect();
            }
            // Below 256 windows-1252 is Unicode, but for the controls, which no report has.
            Some(Quirk::Windows1252) => {
                return self.out.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
            }
            _ => {}
        }
        self.out.into_bytes()
    }

    fn declaration(&mut self) {
        let declaration = match self.quirk {
            Some(Quirk::NoDeclaration) => "",
            Some(Quirk::BrokenDeclaration) => r#"<?xml version="1.0" encoding="UTF-8">"#,
            Some(Quirk::Utf16) => r#"<?xml version="1.0" encoding="UTF-16"?>"#,
            Some(Quirk::Windows1252) => r#"<?xml version="1.0" encoding="windows-1252"?>"#,
            _ => self.dialect.declaration,
        };
        if !declaration.is_empty() {
            self.out.push_str(declaration);
            self.out.push_str(self.dialect.newline);
        }
    }

    fn feedback(&mut self, report: &Report) {
        let attributes = match self.quirk {
            Some(Quirk::OtherNamespace) => r#" xmlns="http://dmarc.org/dmarc-xml/0.1""#,
            Some(Quirk::MalformedNamespace) => r#" xmlns="http//dmarc.org/dmarc-xml/0.1""#,
            _ => self.dialect.root,
        };
        self.line_start();
        let _ = write!(self.out, "<{}feedback{attributes}>{}", self.prefix, self.dialect.newline);
        self.depth += 1;
        if self.has(Quirk::StraySchemaTag) {
            self.line_start();
            self.out.push_str(r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="http://dmarc.org/dmarc-xml/0.1">"#);
            self.out.push_str(self.dialect.newline);
        }
        if let Some(version) = self.dialect.version {
            self.leaf("version", version);
        }
        self.metadata(report);
        self.published(report, report.policy.p);
        if self.has(Quirk::PolicyTwice) {
            let other =
                if report.policy.p == Disposition::None { Disposition::Reject } else { Disposition::None };
            self.published(report, other);
        }
        for record in &report.records {
            self.record(record);
        }
        self.close("feedback");
        self.out.truncate(self.out.len() - self.dialect.newline.len());
        self.out.push_str(self.dialect.tail);
    }

    fn metadata(&mut self, report: &Report) {
        self.open("report_metadata");
        for element in self.dialect.metadata {
            match element {
                Metadata::Org => self.leaf("org_name", report.reporter.org),
                Metadata::Email if self.has(Quirk::UnescapedAddress) => {
                    self.leaf_raw("email", &format!("<{}>", report.reporter.email));
                }
                Metadata::Email => self.leaf("email", report.reporter.email),
                Metadata::Contact => self.contact(report.reporter.contact),
                Metadata::Id if self.has(Quirk::BracketedId) => {
                    self.leaf("report_id", &format!("<{}>", report.id))
                }
                Metadata::Id => self.leaf("report_id", &report.id),
                Metadata::Range => {
                    self.open("date_range");
                    self.time("begin", report.begin);
                    self.time("end", report.end);
                    self.close("date_range");
                }
                Metadata::Generator(generator) => self.leaf("generator", generator),
            }
        }
        if self.has(Quirk::UnknownElements) {
            self.open("vendor_data");
            self.leaf("build", "4711");
            self.close("vendor_data");
        }
        self.close("report_metadata");
    }

    fn contact(&mut self, contact: &str) {
        match self.quirk {
            Some(Quirk::BareAmpersand) => {
                self.leaf_raw("extra_contact_info", "https://help.example/?topic=dmarc&lang=en")
            }
            Some(Quirk::Windows1252) => {
                self.leaf("extra_contact_info", "Zustellbüro, Käthe-Kollwitz-Straße 5")
            }
            _ => self.leaf("extra_contact_info", contact),
        }
    }

    fn time(&mut self, name: &str, seconds: i64) {
        match self.quirk {
            Some(Quirk::PaddedNumbers) => self.leaf(name, &format!("\n{seconds} ")),
            Some(Quirk::Milliseconds) => self.leaf(name, &format!("{seconds}000")),
            Some(Quirk::IsoTimes) => self.leaf(name, &iso(seconds)),
            _ => self.number(name, seconds.cast_unsigned()),
        }
    }

    fn published(&mut self, report: &Report, p: Disposition) {
        let policy = &report.policy;
        self.open("policy_published");
        for element in self.dialect.published {
            match element {
                Published::Domain => self.leaf("domain", &report.domain),
                Published::Adkim => self.leaf("adkim", if policy.strict.0 { "s" } else { "r" }),
                Published::Aspf => self.leaf("aspf", if policy.strict.1 { "s" } else { "r" }),
                Published::P => self.word("p", p.name()),
                Published::Sp | Published::SpIfGiven | Published::SpOrEmpty => match (element, policy.sp) {
                    (_, Some(sp)) => self.word("sp", sp.name()),
                    (Published::SpOrEmpty, None) => self.leaf("sp", ""),
                    _ if self.has(Quirk::EmptyValues) => self.leaf("sp", ""),
                    (Published::Sp, None) => self.word("sp", p.name()),
                    _ => {}
                },
                Published::Pct => self.number("pct", u64::from(policy.pct.unwrap_or(100))),
                Published::Fo => self.leaf("fo", "0"),
                Published::Np => self.word("np", policy.sp.unwrap_or(p).name()),
                Published::Testing => self.leaf("testing", "n"),
                Published::Discovery => self.leaf("discovery_method", "treewalk"),
            }
        }
        self.close("policy_published");
    }

    fn record(&mut self, record: &Record) {
        self.open("record");
        self.row(record);
        let identifiers = if self.has(Quirk::Identities) { "identities" } else { "identifiers" };
        self.open(identifiers);
        for element in self.dialect.identifiers {
            match element {
                Identifier::HeaderFrom => self.leaf("header_from", &record.header_from),
                Identifier::EnvelopeFrom => self.leaf("envelope_from", &record.envelope_from),
                Identifier::EnvelopeTo => {
                    if let Some(to) = &record.envelope_to {
                        self.leaf("envelope_to", to);
                    }
                }
            }
        }
        self.close(identifiers);
        self.open("auth_results");
        if self.dialect.spf_before_dkim {
            self.spf(record);
        }
        for s in record.dkim.iter() {
            self.check("dkim", self.dialect.dkim, &s.domain, &s.selector, s.outcome);
        }
        if !self.dialect.spf_before_dkim {
            self.spf(record);
        }
        self.close("auth_results");
        if self.has(Quirk::UnknownElements) {
            self.leaf("spam_score", "0.1");
        }
        self.close("record");
    }

    fn row(&mut self, record: &Record) {
        self.open("row");
        self.line_start();
        let _ = write!(
            self.out,
            "<{0}source_ip>{1}</{0}source_ip>{2}",
            self.prefix, record.source, self.dialect.newline
        );
        if self.has(Quirk::PaddedNumbers) {
            self.leaf("count", &format!(" {} ", record.count));
        } else {
            self.number("count", record.count);
        }
        self.open("policy_evaluated");
        self.word("disposition", record.disposition.name());
        self.word("dkim", if record.dkim_aligned { "pass" } else { "fail" });
        self.word("spf", if record.spf_aligned { "pass" } else { "fail" });
        if let Some(reason) = record.reason {
            self.reason(reason.kind, reason.comment);
        } else if self.dialect.empty_reason || self.has(Quirk::EmptyValues) {
            self.reason("", "");
        }
        self.close("policy_evaluated");
        self.close("row");
    }

    fn reason(&mut self, kind: &str, comment: &str) {
        self.open("reason");
        self.leaf("type", kind);
        self.leaf("comment", comment);
        self.close("reason");
    }

    fn spf(&mut self, record: &Record) {
        self.check("spf", self.dialect.spf, &record.spf.domain, "", record.spf.outcome);
    }

    fn check(&mut self, name: &str, elements: &[Check], domain: &str, selector: &str, outcome: Outcome) {
        self.open(name);
        for element in elements {
            match element {
                Check::Domain => self.leaf("domain", domain),
                Check::Selector if self.has(Quirk::NoSelector) => {}
                Check::Selector => self.leaf("selector", selector),
                Check::Scope => self.leaf("scope", "mfrom"),
                Check::Result if self.has(Quirk::HardFail) && outcome == Outcome::Fail => {
                    self.leaf("result", "hardfail")
                }
                Check::Result => self.word("result", outcome.name()),
                Check::Human => self.leaf("human_result", outcome.name()),
                Check::HumanEmpty => {
                    self.line_start();
                    let _ = write!(self.out, "<{}human_result/>{}", self.prefix, self.dialect.newline);
                }
            }
        }
        self.close(name);
    }

    fn line_start(&mut self) {
        for _ in 0..self.depth {
            self.out.push_str(self.dialect.indent);
        }
    }

    fn open(&mut self, name: &str) {
        self.line_start();
        self.tag("<", name);
        self.out.push_str(self.dialect.newline);
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.line_start();
        self.tag("</", name);
        self.out.push_str(self.dialect.newline);
    }

    fn tag(&mut self, opening: &str, name: &str) {
        self.out.push_str(opening);
        self.out.push_str(self.prefix);
        self.out.push_str(name);
        self.out.push('>');
    }

    /// A word of an enumeration.
    fn word(&mut self, name: &str, word: &str) {
        match word.split_at_checked(1) {
            Some((first, rest)) if self.has(Quirk::LetterCase) => {
                self.leaf(name, &format!("{}{rest}", first.to_ascii_uppercase()));
            }
            _ => self.leaf(name, word),
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.line_start();
        self.tag("<", name);
        let _ = write!(self.out, "{number}");
        self.tag("</", name);
        self.out.push_str(self.dialect.newline);
    }

    fn leaf(&mut self, name: &str, text: &str) {
        if text.bytes().any(|b| matches!(b, b'&' | b'<' | b'>')) {
            self.leaf_raw(name, &text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        } else {
            self.leaf_raw(name, text);
        }
    }

    /// An element with that text as it stands.
    fn leaf_raw(&mut self, name: &str, text: &str) {
        self.line_start();
        self.tag("<", name);
        self.out.push_str(text);
        self.tag("</", name);
        self.out.push_str(self.dialect.newline);
    }
}
