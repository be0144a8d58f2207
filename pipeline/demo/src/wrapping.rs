//! One report as one file.

use crate::archive::{Zip, gzip};
use crate::mail::{self, Attachment};
use crate::quirk::Quirk;
use crate::report::Report;

/// What a report's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrapping {
    Xml,
    Gzip,
    Zip,
    /// A mail with text and a gzip or a zip.
    Mail,
    /// A mail that is nothing but a gzip.
    MailSingle,
    /// A mail with a mail with the report, as a person forwards it.
    MailForwarded,
}

impl Wrapping {
    /// Every wrapping.
    pub const ALL: [Self; 6] =
        [Self::Xml, Self::Gzip, Self::Zip, Self::Mail, Self::MailSingle, Self::MailForwarded];

    /// How the file's name ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Gzip => "xml.gz",
            Self::Zip => "zip",
            Self::Mail | Self::MailSingle | Self::MailForwarded => "eml",
        }
    }

    /// The file's bytes.
    pub fn wrap(self, report: &Report) -> Vec<u8> {
        match self {
            Self::Xml => report.xml(),
            Self::Gzip => gzipped(report),
            Self::Zip => zipped(report),
            _ => mail::crlf(&self.mail(report)),
        }
    }

    /// A mail with line feeds; of wrappings that are no mails the multipart one.
    pub(crate) fn mail(self, report: &Report) -> String {
        match self {
            Self::MailSingle => mail::single(report, &attachment(report, Self::Gzip)),
            Self::MailForwarded => {
                mail::forwarded(report, &mail::multipart(report, &attachment(report, Self::Gzip)))
            }
            _ => {
                let zip = report.reporter.receiver == "google.com";
                mail::multipart(report, &attachment(report, if zip { Self::Zip } else { Self::Gzip }))
            }
        }
    }
}

fn attachment(report: &Report, packing: Wrapping) -> Attachment {
    let name = format!("{}.{}", report.file_name(), packing.extension());
    match packing {
        Wrapping::Zip => Attachment { name, media_type: "application/zip", bytes: zipped(report) },
        _ => Attachment { name, media_type: "application/gzip", bytes: gzipped(report) },
    }
}

fn gzipped(report: &Report) -> Vec<u8> {
    let mut bytes = gzip(&report.xml());
    match report.quirk {
        Some(Quirk::JunkAfterGzip) => bytes.extend(b"\r\n--\r\nscanned by the gateway\r\n"),
        Some(Quirk::GzipTwice) => bytes = gzip(&bytes),
        _ => {}
    }
    bytes
}

fn zipped(report: &Report) -> Vec<u8> {
    let mut zip = Zip::default();
    zip.add(&format!("{}.xml", report.file_name()), &report.xml(), report.sent);
    zip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;
    use crate::dialect::DIALECTS;
    use crate::world::{World, WorldConfig};
    use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
    use std::io::Read;

    fn unzip(bytes: &[u8]) -> Vec<u8> {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut out = Vec::new();
        archive.by_index(0).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        if out.starts_with(&[0x1f, 0x8b]) { gunzip(&out) } else { out }
    }

    fn attached(message: &Message<'_>) -> Vec<u8> {
        let mut found = Vec::new();
        for part in &message.parts {
            match &part.body {
                PartType::Message(inner) => found.push(attached(inner)),
                _ if part.attachment_name().is_some() => found.push(part.contents().to_vec()),
                _ => {}
            }
        }
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    fn unpack(bytes: &[u8]) -> Vec<u8> {
        match bytes {
            [b'P', b'K', ..] => unzip(bytes),
            [0x1f, 0x8b, ..] => gunzip(bytes),
            [b'R' | b'D', ..] => unpack(&attached(&MessageParser::default().parse(bytes).unwrap())),
            _ => bytes.to_vec(),
        }
    }

    fn world() -> World {
        World::new(WorldConfig { reports: Some(200), quirks: 0.3, ..WorldConfig::new(9, Day(20_600)) })
    }

    #[test]
    fn every_wrapping_gives_the_report_back() {
        for report in world().reports() {
            for wrapping in Wrapping::ALL {
                assert!(
                    unpack(&wrapping.wrap(&report)) == report.xml(),
                    "{wrapping:?} of {}",
                    report.file_name()
                );
            }
        }
    }

    #[test]
    fn every_dialect_is_well_formed_xml() {
        let world = World::new(WorldConfig { quirks: 0.0, ..world().config().clone() });
        for (n, report) in world.reports().enumerate() {
            let dialect = if n % 2 == 0 { report.reporter.dialect } else { DIALECTS[n / 2 % DIALECTS.len()] };
            let xml = report.to_xml(dialect);
            let mut reader = quick_xml::Reader::from_reader(&*xml);
            let (mut rows, mut counted, mut counts) = (0, false, 0);
            loop {
                match reader.read_event().unwrap_or_else(|e| panic!("{}: {e}", dialect.name)) {
                    quick_xml::events::Event::Start(tag) => {
                        rows += usize::from(tag.name().as_ref() == b"row");
                        counted = tag.name().as_ref() == b"count";
                    }
                    quick_xml::events::Event::Text(text) if counted => {
                        counts += str::from_utf8(&text).unwrap().parse::<u64>().unwrap();
                        counted = false;
                    }
                    quick_xml::events::Event::Eof => break,
                    _ => {}
                }
            }
            assert_eq!((rows, counts), (report.records.len(), report.messages()), "{}", dialect.name);
        }
    }
}
