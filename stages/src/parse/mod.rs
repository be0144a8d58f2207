//! Parse: a raw record to the reports in it, each once, and a dead letter for every part that is broken.
//!
//! ```text
//! bytes ── unwrap ──> texts ── roots ──> reports ── report ──> columns ── batch ──> messages
//!          gzip zip     encoding           xml       values      staging
//!          mail mbox                                 time        identity
//! ```
//!
//! What is wrong in a way whose meaning is plain is mended, and the repair is recorded on the report. What
//! would need a guess is a dead letter with its bytes, a stable reason, and a sentence on what can be done.
//! All input is bounded by [`Limits`]; time and memory are linear in it.

mod batch;
mod columns;
mod content;
mod encoding;
mod failure;
mod fields;
mod gzip;
mod identity;
mod limits;
mod mail;
mod mbox;
mod model;
mod names;
mod record;
mod repairs;
mod report;
mod roots;
mod time;
mod unwrap;
mod values;
mod words;
mod xml;
mod zip;

use dmarcflow_schemas::message::header;
use dmarcflow_schemas::{Message, Record};

pub use failure::{Failure, reason};
pub use limits::Limits;
pub use mbox::{MboxMessage, MboxMessages, is_mbox, split_mbox};

use crate::{Fault, Output, Stage, State, Tally, topics};
use batch::{Batches, Finished, Provenance};
use model::Report;
use repairs::Repairs;
use roots::{Found, Workspace};
use unwrap::Visitor;

/// The stage's name, which dead letters carry.
const NAME: &str = "parse";

/// The parse stage.
#[derive(Debug)]
pub struct Parse {
    limits: Limits,
    partitions: u32,
    work: Workspace,
}

impl Parse {
    /// A parse stage whose output topic has `partitions` partitions: a message holds reports of one only.
    pub fn new(limits: Limits, partitions: u32) -> Self {
        Self { limits, partitions, work: Workspace::default() }
    }
}

impl Stage for Parse {
    fn name(&self) -> &'static str {
        NAME
    }

    fn process(&mut self, input: &[Record], _state: &mut dyn State) -> Result<Output, Fault> {
        let mut tally = Tally::default();
        let mut batches = Batches::new(self.partitions);
        for record in input {
            let mut sink = Sink {
                record,
                origin: record.header(header::ORIGIN).unwrap_or_default(),
                limits: &self.limits,
                work: &mut self.work,
                batches: &mut batches,
                tally: &mut tally,
                reports: 0,
                letters: 0,
                letter_bytes: record.value.len().saturating_add(self.limits.unpacked_bytes as usize),
                fault: None,
            };
            unwrap::unwrap(&record.value, &self.limits, &mut sink);
            sink.finish()?;
        }
        Ok(Output { messages: batches.finish()?, tally })
    }
}

/// A part of a raw record that holds reports, or cannot be read.
#[derive(Debug)]
pub struct Document<'a> {
    /// Its path inside the record; empty when it is the whole.
    pub entry: &'a str,
    /// Its bytes, unpacked.
    pub bytes: &'a [u8],
    /// Its text, or why there is none.
    pub text: Result<&'a str, &'a Failure>,
}

/// Shows every part of a raw record that holds reports or cannot be read.
pub fn documents(bytes: &[u8], limits: &Limits, each: &mut dyn FnMut(Document<'_>)) {
    struct Lister<'l, 'e>(&'l Limits, &'e mut dyn FnMut(Document<'_>));
    impl Visitor for Lister<'_, '_> {
        fn text(&mut self, entry: &str, bytes: &[u8], _: &Repairs) -> bool {
            let text = encoding::decode(bytes, &mut Repairs::default());
            if roots::has_root(&text, self.0) {
                (self.1)(Document { entry, bytes, text: Ok(&text) });
            }
            true
        }
        fn bad(&mut self, entry: &str, bytes: &[u8], failure: Failure) -> bool {
            (self.1)(Document { entry, bytes, text: Err(&failure) });
            true
        }
    }
    unwrap::unwrap(bytes, limits, &mut Lister(limits, each));
}

/// Takes what is found in one raw record to messages.
struct Sink<'p> {
    record: &'p Record,
    origin: &'p str,
    limits: &'p Limits,
    work: &'p mut Workspace,
    batches: &'p mut Batches,
    tally: &'p mut Tally,
    /// Reports of this record so far.
    reports: usize,
    /// Dead letters of this record so far.
    letters: usize,
    /// How many bytes its dead letters may still hold.
    letter_bytes: usize,
    fault: Option<Fault>,
}

impl Visitor for Sink<'_> {
    fn text(&mut self, entry: &str, bytes: &[u8], outer: &Repairs) -> bool {
        let mut repairs = outer.clone();
        let text = encoding::decode(bytes, &mut repairs);
        let mut work = std::mem::take(self.work);
        let mut go_on = true;
        roots::read(&text, &repairs, self.limits, &mut work, &mut |found, staging| {
            go_on = match found {
                Found::Report(report, repairs) => self.report(entry, report, repairs, staging),
                Found::Broken { alone: true, failure, .. } => self.bad(entry, bytes, failure),
                Found::Broken { xml, failure, .. } => self.bad(entry, xml.as_bytes(), failure),
            };
            go_on
        });
        *self.work = work;
        go_on
    }

    fn bad(&mut self, entry: &str, bytes: &[u8], failure: Failure) -> bool {
        self.letters += 1;
        if self.letters < self.limits.failures {
            self.letter(entry, bytes, &failure);
            return true;
        }
        let bound = self.limits.failures as u64;
        let last = Failure::limit(
            reason::LIMIT_FAILURES,
            "it has too many broken parts, and the others were not looked at",
            "failures",
            bound,
        );
        let record = self.record;
        self.letter("", &record.value, &last);
        false
    }
}

impl Sink<'_> {
    fn report(
        &mut self,
        entry: &str,
        report: &Report<'_>,
        repairs: &Repairs,
        staging: &mut batch::Staging,
    ) -> bool {
        if self.reports >= self.limits.reports {
            let bound = self.limits.reports as u64;
            staging.clear();
            self.bad(
                entry,
                &[],
                Failure::limit(reason::LIMIT_REPORTS, "the record holds too many reports", "reports", bound),
            );
            return false;
        }
        let received_at = self.record.timestamp.saturating_mul(1000);
        let mut repairs = std::borrow::Cow::Borrowed(repairs);
        let interval = match (report.begin, report.end) {
            (Some(begin), Some(end)) => (begin, end),
            given => {
                repairs.to_mut().add(repairs::kind::NO_DATE_RANGE, names::place::DATE_RANGE, None);
                let (begin, end) = given;
                let known = begin.or(end).unwrap_or(received_at);
                (known, known)
            }
        };
        let from = Provenance {
            origin: self.origin,
            entry,
            received_at,
            raw_partition: self.record.source.partition as i32,
            raw_offset: self.record.offset as i64,
            part: self.reports as i32,
        };
        self.reports += 1;
        self.tally.add("reports", 1);
        self.tally.add("records", report.record_count as u64);
        self.tally.add("messages", report.message_count as u64);
        for (kind, _, _, count) in repairs.iter() {
            self.tally.add(&format!("repair/{kind}"), count as u64);
        }
        match self.batches.add(&Finished { report, repairs: &repairs, from, interval }, staging) {
            Ok(()) => true,
            Err(fault) => {
                self.fault = Some(fault);
                false
            }
        }
    }

    fn letter(&mut self, entry: &str, bytes: &[u8], failure: &Failure) {
        self.tally.add(&format!("dead/{}", failure.reason), 1);
        // Parts of an archive may overlap: what its dead letters hold together is bounded too.
        let (value, detail) = match self.letter_bytes.checked_sub(bytes.len()) {
            Some(left) => {
                self.letter_bytes = left;
                (bytes.to_vec(), failure.detail.clone())
            }
            None => (
                Vec::new(),
                format!("{}; its bytes stand in {} only", failure.detail, self.record.position()),
            ),
        };
        self.batches.messages.push(
            Message::new(topics::DEAD_LETTERS, self.origin, value)
                .with(header::ORIGIN, self.origin)
                .with(header::STAGE, NAME)
                .with(header::REASON, failure.reason)
                .with(header::DETAIL, detail)
                .with(header::ATTEMPTS, "1")
                .with(header::POSITION, self.record.position())
                .with(header::ENTRY, entry),
        );
    }

    /// Gives the record a fate where nothing in it had one.
    fn finish(mut self) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.tally.add("bytes", self.record.value.len() as u64);
        if self.reports == 0 && self.letters == 0 {
            let detail = "no aggregate report was found in it, neither as XML nor in an archive or mail; if it is not meant to hold one, discard it";
            let record = self.record;
            self.letter("", &record.value, &Failure::new(reason::NOT_A_REPORT, detail));
        }
        Ok(())
    }
}
