//! The repository's `examples` folder: a month of four domains in every wrapping there is, and in many a quirk.
//!
//! Each file is made here, so that the folder's truth is known; a test compares it with what is committed.

use crate::archive::{Zip, gzip};
use crate::calendar::Day;
use crate::customer::STORY;
use crate::mail::mbox_entry;
use crate::quirk::Quirk;
use crate::report::Report;
use crate::truth::Truth;
use crate::world::{World, WorldConfig};
use crate::wrapping::Wrapping;

/// The last day of the examples: 2026-05-31.
pub const END: Day = Day(20_604);
/// How many of the files are dead letters: broken on purpose.
pub const BROKEN: u64 = 2;

/// The files and what is in them.
#[derive(Debug)]
pub struct Examples {
    /// Path below the folder, with `/` between its parts, and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    pub truth: Truth,
}

/// Every file of the examples.
pub fn all() -> Examples {
    let config = WorldConfig {
        domains: 4,
        days: 30,
        scale: 0.06,
        quirks: 0.0,
        copies: 0.0,
        ..WorldConfig::new(7, END)
    };
    let world = World::new(config);
    let mut truth = world.truth();
    let mut reports = chosen(&world);
    for (n, report) in reports.iter_mut().enumerate() {
        if n % 4 == 3 {
            report.afflict(Quirk::ALL[n / 4 % Quirk::ALL.len()]);
        }
        report.copies = u32::from(n == 20 || n == 60);
        truth.add(report);
    }
    let (copied, mut rest): (Vec<_>, Vec<_>) = reports.into_iter().partition(|r| r.copies > 0);
    rest.sort_by_key(|r| (r.sent, r.key));
    let mut files = Vec::new();
    for (report, (first, again)) in
        copied.iter().zip([(Wrapping::Gzip, Wrapping::Mail), (Wrapping::Zip, Wrapping::MailSingle)])
    {
        files.push(file("copies", report, first));
        files.push(file("copies/again", report, again));
    }
    distribute(rest, &mut files);
    broken(&mut files);
    Examples { files, truth }
}

/// Google's reports, of the two large domains every day and of the small ones every other; of the other reporters' every
/// twenty-fifth, and those that share an id with another on three days.
fn chosen(world: &World) -> Vec<Report> {
    let mut others = 0;
    let mut keep = |report: &Report| match report.reporter.org {
        "google.com" => STORY[..2].contains(&&*report.domain) || Day::of(report.begin).0 % 2 == 0,
        "GMO Pepabo, Inc." => Day::of(report.end).0 % 10 == 0,
        _ => {
            others += 1;
            others % 25 == 0
        }
    };
    world.reports().filter(|report| keep(report)).collect()
}

/// Packs the reports, in the order in which they came, into files of every kind.
fn distribute(reports: Vec<Report>, files: &mut Vec<(String, Vec<u8>)>) {
    let gzip_only = |r: &Report| matches!(r.quirk, Some(Quirk::JunkAfterGzip | Quirk::GzipTwice));
    let (gzipped, mut rest): (Vec<_>, Vec<_>) = reports.into_iter().partition(gzip_only);
    files.extend(gzipped.iter().map(|r| file("gzip", r, Wrapping::Gzip)));
    // Every so-manieth, so that each folder has some of each domain and reporter.
    for (folder, wrapping, count) in [
        ("xml", Wrapping::Xml, 4),
        ("gzip", Wrapping::Gzip, 5),
        ("zip", Wrapping::Zip, 4),
        ("mail", Wrapping::Mail, 4),
        ("mail", Wrapping::MailSingle, 3),
        ("mail", Wrapping::MailForwarded, 1),
    ] {
        files.extend(spread(&mut rest, count).iter().map(|r| file(folder, r, wrapping)));
    }
    for (n, report) in spread(&mut rest, 5).iter().enumerate() {
        let folder = if n < 3 { "cur" } else { "new" };
        let name = format!("Maildir/{folder}/{}.M{n:06}P4711.mail", report.sent);
        files.push((name, Wrapping::Mail.mail(report).into_bytes()));
    }
    // A Maildir has this folder; version control keeps none that is empty.
    files.push(("Maildir/tmp/.gitkeep".to_owned(), Vec::new()));
    let mails = spread(&mut rest, 16);
    for (n, half) in mails.chunks(8).enumerate() {
        let mbox: String = half.iter().map(|r| mbox_entry(r, &Wrapping::MailSingle.mail(r))).collect();
        files.push((format!("mbox/reports-{}.mbox", n + 1), mbox.into_bytes()));
    }
    let half = rest.len() / 2;
    let (flat, nested) = rest.split_at(half);
    files.push(("zip/first-half-of-may.zip".to_owned(), archive(flat, false)));
    files.push(("zip/second-half-of-may.zip".to_owned(), archive(nested, true)));
}

/// Takes `count` reports out, evenly spaced.
fn spread(reports: &mut Vec<Report>, count: usize) -> Vec<Report> {
    let all = std::mem::take(reports);
    let (there, mut taken) = (all.len(), Vec::with_capacity(count));
    for (n, report) in all.into_iter().enumerate() {
        if (n + 1) * count / there > n * count / there { taken.push(report) } else { reports.push(report) }
    }
    taken
}

fn file(folder: &str, report: &Report, wrapping: Wrapping) -> (String, Vec<u8>) {
    (format!("{folder}/{}.{}", report.file_name(), wrapping.extension()), wrapping.wrap(report))
}

/// Many reports in one archive; on request in folders, gzipped, with what else people and systems put into archives.
fn archive(reports: &[Report], nested: bool) -> Vec<u8> {
    let mut zip = Zip::default();
    for report in reports {
        let (name, xml) = (report.file_name(), report.xml());
        if !nested {
            zip.add(&format!("{name}.xml"), &xml, report.sent);
            continue;
        }
        let folder = format!("export/{}", report.domain);
        match report.key % 4 {
            0 => zip.add(&format!("{folder}/{name}.xml.gz"), &gzip(&xml), report.sent),
            _ => zip.add(&format!("{folder}/{name}.xml"), &xml, report.sent),
        }
    }
    if nested {
        zip.add("export/readme.txt", b"Exported by the old reporting tool.\n", END.start());
        zip.add("__MACOSX/export/._readme.txt", b"\0\x05\x16\x07\0\x02\0\0Mac OS X", END.start());
    }
    zip.finish()
}

/// What cannot be read: a download that broke off, and an archive without a report.
fn broken(files: &mut Vec<(String, Vec<u8>)>) {
    let lines = "<feedback><report_metadata><org_name>google.com</org_name>".repeat(40);
    let mut cut = gzip(lines.as_bytes());
    cut.truncate(cut.len() / 2);
    files.push(("broken/google.com!nordwind.example!1780012800!1780099199.xml.gz".to_owned(), cut));
    let mut zip = Zip::default();
    zip.add("readme.txt", b"The reports are in the other archive.\n", END.start());
    files.push(("broken/no-report-inside.zip".to_owned(), zip.finish()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    #[test]
    fn the_committed_examples_are_these() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        for (name, bytes) in all().files {
            let committed = std::fs::read(folder.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(committed == bytes, "{name} differs: cargo run -p dmarcflow-demo --example regenerate");
        }
    }

    #[test]
    fn nothing_else_is_committed() {
        fn walk(dir: &Path, found: &mut BTreeSet<String>, root: &Path) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found, root);
                } else {
                    found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let mut found = BTreeSet::new();
        walk(&folder, &mut found, &folder);
        let made = all().files.into_iter().map(|(name, _)| name);
        assert_eq!(found, made.collect());
    }

    #[test]
    fn the_examples_are_few_small_and_tell_the_story() {
        let Examples { files, truth } = all();
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!((36..=48).contains(&files.len()), "{} files", files.len());
        assert!(bytes < 200_000, "{bytes} bytes");
        assert_eq!(files.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), files.len());

        assert_eq!((truth.domains.len(), truth.copies), (4, 2));
        assert!(truth.begins.len() >= 30 && truth.reporters.len() >= 12 && truth.conflicts >= 2);
        let kinds: BTreeMap<_, _> = truth.labels.iter().map(|l| (l.kind, l.messages)).collect();
        assert!(kinds.len() == 3 && kinds.values().all(|n| *n >= 20), "{kinds:?}");
        assert_eq!(truth.quirks.len(), Quirk::ALL.len());
    }
}
