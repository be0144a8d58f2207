//! A raw record to its texts: archives, compressed layers, mails and mailboxes, however they are nested.
//!
//! The kind is told from the bytes, never from a name or a media type. One layer is in memory at a time per
//! level of nesting, and everything that is unpacked counts against one bound.

use std::borrow::Cow;

use super::Limits;
use super::failure::{Failure, reason};
use super::mail::{self, Part};
use super::repairs::{Repairs, kind};
use super::{encoding, gzip, mbox, zip};

/// How much of an archive entry's or an attachment's name is kept. Bytes.
const NAME_BYTES: usize = 200;
/// A mail may be this much larger than its attachments: base64, and its text.
const MAIL_FACTOR: u64 = 2;

/// What is found in a raw record. Both say whether to go on.
pub(super) trait Visitor {
    /// A text that may hold reports.
    fn text(&mut self, entry: &str, bytes: &[u8], repairs: &Repairs) -> bool;
    /// A part that cannot be read.
    fn bad(&mut self, entry: &str, bytes: &[u8], failure: Failure) -> bool;
}

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zip,
    Mbox,
    Mail,
    Text,
    TlsReport,
    Other,
}

/// Shows a visitor every part of a raw record.
pub(super) fn unwrap(bytes: &[u8], limits: &Limits, visitor: &mut dyn Visitor) {
    let mut unwrap = Unwrap {
        limits,
        visitor,
        left: limits.unpacked_bytes,
        entries: 0,
        path: String::new(),
        repairs: Repairs::default(),
        stopped: false,
    };
    unwrap.descend(bytes, 0);
}

struct Unwrap<'l, 'v> {
    limits: &'l Limits,
    visitor: &'v mut dyn Visitor,
    /// What may still be unpacked. Bytes.
    left: u64,
    /// Entries, parts and layers so far.
    entries: usize,
    /// Path of the part at hand.
    path: String,
    /// What was mended on the way to the part at hand.
    repairs: Repairs,
    stopped: bool,
}

fn kind_of(bytes: &[u8]) -> Kind {
    if bytes.starts_with(gzip::MAGIC) {
        return Kind::Gzip;
    }
    if zip::MAGICS.iter().any(|m| bytes.starts_with(m)) {
        return Kind::Zip;
    }
    if mbox::is_mbox(bytes) {
        return Kind::Mbox;
    }
    if encoding::utf16(bytes).is_some() {
        return Kind::Text;
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let contains = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    match text.first() {
        Some(b'<') => Kind::Text,
        Some(b'{') if contains("\"policies\"") && contains("\"organization-name\"") => Kind::TlsReport,
        _ if mail::is_mail(text) => Kind::Mail,
        _ if contains("feedback") || contains("FEEDBACK") || contains("Feedback") => Kind::Text,
        _ => Kind::Other,
    }
}

impl Unwrap<'_, '_> {
    fn descend(&mut self, bytes: &[u8], depth: usize) {
        if self.stopped {
            return;
        }
        let kind = kind_of(bytes);
        if depth > self.limits.nesting && kind != Kind::Other {
            return self.too_deep(bytes);
        }
        let packed = matches!(kind, Kind::Gzip | Kind::Zip);
        if packed && bytes.len() as u64 > self.limits.attachment_bytes {
            let what = format!("the archive has {} bytes", bytes.len());
            let bound = self.limits.attachment_bytes;
            return self
                .bad(bytes, Failure::limit(reason::LIMIT_ATTACHMENT, &what, "attachment_bytes", bound));
        }
        match kind {
            Kind::Gzip => self.gzip(bytes, depth),
            Kind::Zip => self.zip(bytes, depth),
            Kind::Mbox => self.mbox(bytes, depth),
            Kind::Mail => self.part(&Part::read(bytes.trim_ascii_start()), depth),
            Kind::Text => self.stopped |= !self.visitor.text(&self.path, bytes, &self.repairs),
            Kind::TlsReport => self.bad(
                bytes,
                Failure::new(reason::TLS_REPORT, "this is a report on TLS connections (RFC 8460), which is not read yet: it is kept here until it is"),
            ),
            Kind::Other => {}
        }
    }

    fn gzip(&mut self, packed: &[u8], depth: usize) {
        if !self.count_entry(packed) {
            return;
        }
        match gzip::unpack(packed, self.limits, self.left) {
            Ok(unpacked) => {
                self.left = self.left.saturating_sub(unpacked.bytes.len() as u64);
                let outer = self.repairs.clone();
                if unpacked.junk > 0 {
                    self.repairs.add(
                        kind::JUNK_AFTER_GZIP,
                        "gzip",
                        Some(&format!("{} bytes", unpacked.junk)),
                    );
                }
                self.descend(&unpacked.bytes, depth + 1);
                self.repairs = outer;
            }
            Err(failure) => self.bad(packed, failure),
        }
    }

    fn zip(&mut self, archive: &[u8], depth: usize) {
        let entries = match zip::entries(archive, self.limits.entries) {
            Ok(entries) => entries,
            Err(failure) => return self.bad(archive, failure),
        };
        for entry in entries {
            if self.stopped || !self.count_entry(archive) {
                return;
            }
            if entry.is_noise() {
                continue;
            }
            let outer = self.enter(&entry.name);
            match entry.unpack(self.limits, self.left) {
                Ok(bytes) => {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    self.descend(&bytes, depth + 1);
                }
                Err(failure) => self.bad(entry.raw, failure),
            }
            self.path.truncate(outer);
        }
    }

    /// Each message has the bounds of a raw record of its own.
    fn mbox(&mut self, bytes: &[u8], depth: usize) {
        let bound = self.limits.attachment_bytes.saturating_mul(MAIL_FACTOR);
        let messages = mbox::split_mbox(bytes, usize::try_from(bound).unwrap_or(usize::MAX));
        // Reading from memory does not fail.
        for message in messages.flatten() {
            if self.stopped {
                return;
            }
            (self.left, self.entries) = (self.limits.unpacked_bytes, 0);
            let outer = self.enter(&format!("message {}", message.number));
            if message.size > message.bytes.len() as u64 {
                let what = format!("the mail has {} bytes", message.size);
                self.bad(&[], Failure::limit(reason::LIMIT_ATTACHMENT, &what, "attachment_bytes", bound));
            } else {
                self.descend(&message.bytes, depth + 1);
            }
            self.path.truncate(outer);
        }
    }

    /// A mail or a part of one.
    fn part(&mut self, part: &Part<'_>, depth: usize) {
        if depth > self.limits.nesting {
            return self.too_deep(part.whole);
        }
        if !part.header.is_multipart() {
            return self.body(part, depth);
        }
        let is_arf = |p: &Part<'_>| p.header.media == "message/feedback-report";
        if memchr::memmem::find(part.body, b"feedback-report").is_some()
            && part.children().any(|p| is_arf(&p))
        {
            return self.failure_report(part.whole);
        }
        for (n, child) in part.children().enumerate() {
            if self.stopped || !self.count_entry(part.whole) {
                return;
            }
            let outer = self.enter(&format!("part {}", n + 1));
            self.part(&child, depth + 1);
            self.path.truncate(outer);
        }
    }

    fn body(&mut self, part: &Part<'_>, depth: usize) {
        if part.header.media == "message/feedback-report" {
            return self.failure_report(part.whole);
        }
        let outer_path = self.path.len();
        if let Some(name) = &part.header.name {
            self.enter(name);
        }
        let outer = self.repairs.clone();
        let (bytes, mismatch) = part.decoded();
        let mismatch = mismatch.or((!part.header.encoding_is_legal()).then_some(part.header.encoding()));
        if let Some(encoding) = mismatch {
            self.repairs.add(kind::TRANSFER_ENCODING, "mail", Some(encoding));
        }
        let decoded = if matches!(bytes, Cow::Owned(_)) { bytes.len() as u64 } else { 0 };
        if decoded > self.left {
            let what = format!("the part decodes to {decoded} bytes, {} are left for this record", self.left);
            self.bad(
                part.whole,
                Failure::limit(reason::LIMIT_UNPACKED, &what, "unpacked_bytes", self.limits.unpacked_bytes),
            );
        } else {
            self.left -= decoded;
            self.descend(&bytes, depth + 1);
        }
        self.repairs = outer;
        self.path.truncate(outer_path);
    }

    fn failure_report(&mut self, mail: &[u8]) {
        let what = "this is a report on a single message (RFC 6591), which is not read yet: it is kept here until it is";
        self.bad(mail, Failure::new(reason::FAILURE_REPORT, what));
    }

    fn too_deep(&mut self, bytes: &[u8]) {
        let bound = self.limits.nesting as u64;
        self.bad(
            bytes,
            Failure::limit(reason::LIMIT_NESTING, "archives and mails are nested too deep", "nesting", bound),
        );
    }

    fn bad(&mut self, bytes: &[u8], failure: Failure) {
        self.stopped |= !self.visitor.bad(&self.path, bytes, failure);
    }

    /// Whether there may be one more entry.
    fn count_entry(&mut self, bytes: &[u8]) -> bool {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let bound = self.limits.entries as u64;
            self.bad(
                bytes,
                Failure::limit(reason::LIMIT_ENTRIES, "the record has too many parts", "entries", bound),
            );
            self.stopped = true;
        }
        !self.stopped
    }

    /// Goes into a named part; gives what to cut the path back to.
    fn enter(&mut self, name: &str) -> usize {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('/');
        }
        let name = super::repairs::cut(name, NAME_BYTES);
        self.path.extend(name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }));
        outer
    }
}
