//! A world in a folder: files, mboxes, Maildirs and archives, written as they are made.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::archive::Zip;
use crate::calendar::Day;
use crate::mail::mbox_entry;
use crate::prng::key;
use crate::report::Report;
use crate::truth::Truth;
use crate::world::World;
use crate::wrapping::Wrapping;

/// Reports in one mbox or one archive.
const CONTAINED: u64 = 500;

/// What the folder is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A file a report, all of one kind, in a folder a day.
    Files(Wrapping),
    /// Mboxes of 500 mails.
    Mbox,
    /// Zip archives of 500 reports.
    Archives,
    /// One Maildir.
    Maildir,
    /// Of everything some.
    Mixed,
}

/// A world that was written.
#[derive(Debug)]
pub struct Written {
    pub files: u64,
    pub bytes: u64,
    pub truth: Truth,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {error}", path = path.display())]
pub struct WriteError {
    pub path: PathBuf,
    #[source]
    pub error: io::Error,
}

/// Writes every report of a world below a folder, which is made where it is missing. `progress` is called after each
/// report with the number of reports so far.
pub fn write(
    world: &World,
    dir: &Path,
    form: Form,
    mut progress: impl FnMut(u64),
) -> Result<Written, WriteError> {
    let mut folder = Folder::new(dir);
    let mut truth = world.truth();
    if form == Form::Maildir {
        folder.maildir("")?;
    } else if form == Form::Mixed {
        folder.maildir("Maildir")?;
    }
    for report in world.reports() {
        folder.put(&report, form)?;
        for n in 0..report.copies {
            // Another wrapping than the first delivery's, wherever that can be told.
            let wrappings = [Wrapping::Zip, Wrapping::MailSingle, Wrapping::Gzip];
            let others: Vec<_> = wrappings.into_iter().filter(|w| form != Form::Files(*w)).collect();
            folder.file(&format!("copies/{n}"), &report, others[n as usize % others.len()])?;
        }
        truth.add(&report);
        progress(truth.total.reports);
    }
    folder.finish()?;
    Ok(Written { files: folder.files, bytes: folder.bytes, truth })
}

struct Folder<'a> {
    dir: &'a Path,
    /// Folders that are there already.
    made: HashSet<PathBuf>,
    mbox: Option<(PathBuf, BufWriter<File>, u64)>,
    archive: Zip,
    files: u64,
    bytes: u64,
}

impl<'a> Folder<'a> {
    fn new(dir: &'a Path) -> Self {
        Self { dir, made: HashSet::new(), mbox: None, archive: Zip::default(), files: 0, bytes: 0 }
    }

    fn put(&mut self, report: &Report, form: Form) -> Result<(), WriteError> {
        match form {
            Form::Files(wrapping) => self.file("", report, wrapping),
            Form::Mbox => self.mail("", report),
            Form::Archives => self.archived("", report),
            Form::Maildir => self.delivered("", report),
            Form::Mixed => match report.rng(key("form")).below(20) {
                0 => self.file("xml", report, Wrapping::Xml),
                1..=7 => self.file("gzip", report, Wrapping::Gzip),
                8..=10 => self.file("zip", report, Wrapping::Zip),
                11..=12 => self.file("mail", report, Wrapping::Mail),
                13 => self.file("mail", report, Wrapping::MailSingle),
                14 => self.file("mail/forwarded", report, Wrapping::MailForwarded),
                15 => self.delivered("Maildir", report),
                16..=17 => self.archived("archives", report),
                _ => self.mail("mbox", report),
            },
        }
    }

    fn file(&mut self, below: &str, report: &Report, wrapping: Wrapping) -> Result<(), WriteError> {
        let name = format!("{}/{}.{}", Day::of(report.begin), report.file_name(), wrapping.extension());
        self.write(&Path::new(below).join(name), &wrapping.wrap(report))
    }

    fn delivered(&mut self, below: &str, report: &Report) -> Result<(), WriteError> {
        let mail =
            if report.key.is_multiple_of(2) { Wrapping::Mail } else { Wrapping::MailSingle }.mail(report);
        let unique = format!("{}.M{:06}P4711.mail", report.sent, self.files % 1_000_000);
        let read = report.key.is_multiple_of(3);
        let name = if read { format!("cur/{unique}:2,S") } else { format!("new/{unique}") };
        self.write(&Path::new(below).join(name), mail.as_bytes())
    }

    fn mail(&mut self, below: &str, report: &Report) -> Result<(), WriteError> {
        let (path, mut file, mails) = match self.mbox.take() {
            Some(open) if open.2 < CONTAINED => open,
            full => {
                close(full)?;
                let path = self.path(&Path::new(below).join(format!("reports-{:06}.mbox", self.files)))?;
                self.files += 1;
                let file = File::create(&path).map_err(|error| WriteError { path: path.clone(), error })?;
                (path, BufWriter::new(file), 0)
            }
        };
        let entry = mbox_entry(report, &Wrapping::Mail.mail(report));
        self.bytes += entry.len() as u64;
        file.write_all(entry.as_bytes()).map_err(|error| WriteError { path: path.clone(), error })?;
        self.mbox = Some((path, file, mails + 1));
        Ok(())
    }

    fn archived(&mut self, below: &str, report: &Report) -> Result<(), WriteError> {
        let name = format!("{}/{}.xml", Day::of(report.begin), report.file_name());
        self.archive.add(&name, &report.xml(), report.sent);
        if u64::from(self.archive.entries()) < CONTAINED { Ok(()) } else { self.close_archive(below) }
    }

    fn close_archive(&mut self, below: &str) -> Result<(), WriteError> {
        let archive = std::mem::take(&mut self.archive).finish();
        self.write(&Path::new(below).join(format!("reports-{:06}.zip", self.files)), &archive)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        if self.archive.entries() > 0 {
            self.close_archive("")?;
        }
        close(self.mbox.take())
    }

    fn maildir(&mut self, below: &str) -> Result<(), WriteError> {
        ["cur", "new", "tmp"]
            .into_iter()
            .try_for_each(|name| self.path(&Path::new(below).join(name).join("x")).map(drop))
    }

    fn write(&mut self, name: &Path, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.path(name)?;
        self.files += 1;
        self.bytes += bytes.len() as u64;
        fs::write(&path, bytes).map_err(|error| WriteError { path, error })
    }

    /// The path of a file, its folder made.
    fn path(&mut self, name: &Path) -> Result<PathBuf, WriteError> {
        let path = self.dir.join(name);
        let parent = path.parent().unwrap_or(self.dir);
        if !self.made.contains(parent) {
            fs::create_dir_all(parent).map_err(|error| WriteError { path: parent.to_owned(), error })?;
            self.made.insert(parent.to_owned());
        }
        Ok(path)
    }
}

fn close(mbox: Option<(PathBuf, BufWriter<File>, u64)>) -> Result<(), WriteError> {
    let Some((path, mut file, _)) = mbox else { return Ok(()) };
    file.flush().map_err(|error| WriteError { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WorldConfig;

    fn files(dir: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
        let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                files(&path, into);
            } else {
                into.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }

    #[test]
    fn every_form_delivers_every_report_and_its_copies_once() {
        let world = World::new(WorldConfig { copies: 0.1, ..WorldConfig::sized(2, Day(20_600), 700) });
        let forms = Wrapping::ALL.map(Form::Files);
        for form in forms.into_iter().chain([Form::Mbox, Form::Archives, Form::Maildir, Form::Mixed]) {
            let dir = tempfile::tempdir().unwrap();
            let written = write(&world, dir.path(), form, |_| {}).unwrap();
            let mut found = Vec::new();
            files(dir.path(), &mut found);
            assert_eq!(found.len() as u64, written.files, "{form:?}: a name was used twice");
            assert_eq!(found.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>(), written.bytes);
            let held = |(path, bytes): &(PathBuf, Vec<u8>)| match path.extension().and_then(|e| e.to_str()) {
                Some("mbox") => bytes.windows(6).filter(|w| w == b"\nFrom ").count() as u64 + 1,
                Some("zip") => zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap().len() as u64,
                _ => 1,
            };
            let delivered: u64 = found.iter().map(held).sum();
            assert_eq!(delivered, written.truth.total.reports + written.truth.copies, "{form:?}");
            assert!(written.truth.copies > 30);
        }
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let world = World::new(WorldConfig::sized(2, Day(20_600), 5));
        let error = write(&world, &file, Form::Files(Wrapping::Xml), |_| {}).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot write {}", file.display())), "{error}");
    }
}
