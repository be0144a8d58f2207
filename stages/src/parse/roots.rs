//! The reports of a text: where each begins, and what stands around them.
//!
//! A text should hold one report and nothing else. Some hold junk before or behind it, some hold two. After a
//! report that is broken the next one is looked for, within a bounded amount of work.

use super::Limits;
use super::batch::Staging;
use super::failure::{Failure, reason};
use super::identity::Canon;
use super::model::Report;
use super::names::place;
use super::repairs::{Repairs, kind};
use super::report;
use super::xml::{Broken, Scanner, Tag, begins_name, is_doctype, trim};

/// How often a text is gone through, at most, to find reports behind broken ones.
const PASSES: usize = 8;
/// Work that is done in any case. Bytes.
const WORK_FLOOR: usize = 1 << 20;

/// What a text holds, one after the other.
#[derive(Debug)]
pub(super) enum Found<'t> {
    /// Its records are in the staging columns, its repairs in `repairs`.
    Report(&'t Report<'t>, &'t Repairs),
    /// A report that cannot be read: its text, and whether it is the only one in the whole text.
    Broken { xml: &'t str, alone: bool, failure: Failure },
}

/// What reading a text needs: memory that is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) canon: Canon,
    pub(super) staging: Staging,
    repairs: Repairs,
}

/// Reads every report of a text. `each` says whether to go on.
pub(super) fn read<'t>(
    text: &'t str,
    outer: &Repairs,
    limits: &Limits,
    work: &mut Workspace,
    each: &mut dyn FnMut(Found<'_>, &mut Staging) -> bool,
) -> bool {
    let mut budget = text.len().saturating_mul(PASSES).saturating_add(WORK_FLOOR);
    let mut head = Head::find(text, 0, limits, &mut work.repairs);
    let any = head.root.is_some();
    let mut first = true;
    let mut lines = Lines::default();
    while let Some(root) = head.root {
        work.repairs.clear();
        work.repairs.extend(outer);
        head.note(&mut work.repairs, first);
        let read = match head.doctype {
            Some(at) => Err(Scanner::new(text, at, limits, &mut work.repairs).doctype(at)),
            None => {
                let xml = Scanner::new(text, head.end, limits, &mut work.repairs);
                report::read(xml, root, limits, &mut work.canon, &mut work.staging)
            }
        };
        let from = read.as_ref().map_or(head.end, |(_, end)| *end);
        let mut unused = Repairs::default();
        let next = Head::find(text, from, limits, &mut unused);
        let found = match &read {
            Ok((report, _)) => {
                if let (None, Some(junk)) = (next.root, next.junk) {
                    work.repairs.add(kind::JUNK_AFTER_ROOT, place::TEXT, Some(junk));
                }
                Found::Report(report, &work.repairs)
            }
            Err(broken) => {
                work.staging.clear();
                let end = next.root.map_or(text.len(), |tag| tag.at);
                budget = budget.saturating_sub(broken.at.max(end) - root.at);
                let failure = match (budget, next.root) {
                    (0, Some(_)) => too_many_failures(text, root.at),
                    _ => failure(broken, lines.line_of(text, root.at, broken.at)),
                };
                let end = if budget == 0 { text.len() } else { end };
                Found::Broken { xml: &text[root.at..end], alone: first && end == text.len(), failure }
            }
        };
        if !each(found, &mut work.staging) || budget == 0 {
            break;
        }
        head = next;
        first = false;
    }
    any
}

/// Whether a text holds the beginning of a report.
pub(super) fn has_root(text: &str, limits: &Limits) -> bool {
    Head::find(text, 0, limits, &mut Repairs::default()).root.is_some()
}

/// What stands before the next root.
#[derive(Debug, Default)]
struct Head<'t> {
    root: Option<Tag<'t>>,
    /// Where the root's start tag ends.
    end: usize,
    junk: Option<&'t str>,
    blanks_before_declaration: bool,
    broken_declaration: bool,
    doctype: Option<usize>,
}

impl<'t> Head<'t> {
    fn find(text: &'t str, from: usize, limits: &Limits, repairs: &mut Repairs) -> Self {
        let bytes = text.as_bytes();
        let mut head = Self::default();
        let mut xml = Scanner::new(text, from, limits, repairs);
        loop {
            let pos = xml.pos;
            let at = memchr::memchr(b'<', &bytes[pos..]).map_or(bytes.len(), |n| pos + n);
            head.note_junk(trim(&text[pos..at]));
            xml.pos = at + 1;
            match &bytes[at..] {
                [] => return head,
                rest if is_doctype(rest) => head.doctype = head.doctype.or(Some(at)),
                [b'<', b'?', ..] => xml.pos = head.instruction(text, from, at),
                [b'<', b'!', ..] => match xml.markup_end(at) {
                    Ok(Some(end)) => xml.pos = end,
                    Ok(None) => head.note_junk("<!"),
                    // A comment that does not end hides all that follows.
                    Err(_) => return head,
                },
                [b'<', b, ..] if begins_name(*b) => match xml.start_tag(at) {
                    Ok(Some(tag)) if tag.name == "feedback" => {
                        head.root = Some(tag);
                        head.end = xml.pos;
                        return head;
                    }
                    Ok(Some(_)) => head.note_junk(&text[at..xml.pos]),
                    Ok(None) => head.note_junk("<"),
                    Err(_) => return head,
                },
                _ => head.note_junk("<"),
            }
        }
    }

    /// Passes over `<?…?>`; gives where it ends. A declaration without `?>` ends at its `>` or before the next tag.
    fn instruction(&mut self, text: &'t str, from: usize, at: usize) -> usize {
        let bytes = text.as_bytes();
        if !text[at..].starts_with("<?xml") {
            let close = memchr::memmem::find(&bytes[at + 2..], b"?>").map(|n| n + 3);
            return at
                + close.or_else(|| memchr::memchr(b'>', &bytes[at..])).unwrap_or(bytes.len() - at - 1)
                + 1;
        }
        self.blanks_before_declaration |= at > from;
        match memchr::memchr2(b'>', b'<', &bytes[at + 1..]).map(|n| at + 1 + n) {
            Some(end) if bytes[end] == b'>' => {
                self.broken_declaration |= bytes[end - 1] != b'?';
                end + 1
            }
            Some(end) => {
                self.broken_declaration = true;
                end
            }
            None => bytes.len(),
        }
    }

    fn note_junk(&mut self, junk: &'t str) {
        if !junk.is_empty() {
            self.junk.get_or_insert(junk);
        }
    }

    fn note(&self, repairs: &mut Repairs, first: bool) {
        if !first {
            repairs.add(kind::SEVERAL_REPORTS, place::TEXT, None);
        }
        if first && self.blanks_before_declaration {
            repairs.add(kind::LEADING_BLANKS, place::TEXT, None);
        }
        if self.broken_declaration {
            repairs.add(kind::DECLARATION, place::TEXT, None);
        }
        if let Some(junk) = self.junk {
            repairs.add(kind::JUNK_BEFORE_ROOT, place::TEXT, Some(junk));
        }
    }
}

/// Line numbers, without counting the same lines for each report.
#[derive(Debug, Default)]
struct Lines {
    counted: usize,
    before: usize,
}

impl Lines {
    /// The line of `at`, from 1. `root` does not fall from call to call.
    fn line_of(&mut self, text: &str, root: usize, at: usize) -> usize {
        let newlines = |from: usize, to: usize| {
            text.as_bytes().get(from..to).map_or(0, |bytes| memchr::memchr_iter(b'\n', bytes).count())
        };
        self.before += newlines(self.counted, root);
        self.counted = root;
        self.before + newlines(root, at) + 1
    }
}

/// What is wrong, where, and what a person can do.
fn failure(broken: &Broken, line: usize) -> Failure {
    let remedy = match broken.reason {
        reason::TRUNCATED => "it was cut off on its way: ask the reporter for it again",
        reason::NOT_NESTED => {
            "something in it was lost, and guessing would count wrong: ask the reporter for it again"
        }
        reason::DOCTYPE => "remove the declaration and hand the report over again, if you trust it",
        reason::NO_POLICY_DOMAIN => "without it the report says nothing: tell the reporter",
        reason::LIMIT_XML_DEPTH => "raise `parse.xml_depth` if the report is genuine, then retry",
        reason::LIMIT_FIELD => "raise `parse.field_bytes` if the report is genuine, then retry",
        reason::LIMIT_RECORD => "raise `parse.record_bytes` if the report is genuine, then retry",
        reason::LIMIT_RECORDS => "raise `parse.records` if the report is genuine, then retry",
        _ => "see to the report, then retry",
    };
    Failure::new(broken.reason, format!("{} (line {line}, byte {}); {remedy}", broken.what, broken.at))
}

fn too_many_failures(text: &str, at: usize) -> Failure {
    let what = format!(
        "from byte {at} of {} on, reports are broken inside of each other, and looking for good ones was given up; \
         take the text apart by hand and hand over the parts",
        text.len()
    );
    Failure::new(reason::LIMIT_FAILURES, what)
}
