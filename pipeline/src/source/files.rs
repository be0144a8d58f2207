//! Files, folders, Maildirs, mboxes and standard input, one item at a time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use dmarcflow_stages::parse::{is_mbox, split_mbox};

use super::{Content, Item, SourceError};

/// Size of a file, in bytes, up to which it is read at once: all but archives of the largest kind.
const AT_ONCE: u64 = 1 << 20;

/// What to walk and how.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Largest item that is read, in bytes.
    pub largest: u64,
    /// A folder that is passed over: our own data.
    pub except: Option<PathBuf>,
}

impl Walk {
    /// Calls `each` with every file below the paths, in order of their names; `-` is standard input.
    /// Hidden files and a Maildir's `tmp` are passed over.
    pub fn files(
        &self,
        paths: &[PathBuf],
        each: &mut dyn FnMut(Result<PathBuf, SourceError>) -> io::Result<()>,
    ) -> io::Result<()> {
        for path in paths {
            if path.as_os_str() == "-" {
                each(Ok(path.clone()))?;
            } else if !path.exists() {
                each(Err(SourceError::Missing(path.clone())))?;
            } else {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let is_folder = path.is_dir();
                self.below(path, is_folder, each)?;
            }
        }
        Ok(())
    }

    fn below(
        &self,
        path: PathBuf,
        is_folder: bool,
        each: &mut dyn FnMut(Result<PathBuf, SourceError>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !is_folder {
            return each(Ok(path));
        }
        if self.except.as_ref() == Some(&path) {
            return Ok(());
        }
        let entries = match entries(&path) {
            Ok(entries) => entries,
            Err(error) => return each(Err(SourceError::Read { path, error })),
        };
        let maildir = ["cur", "new", "tmp"].iter().all(|part| entries.iter().any(|(name, _)| name == part));
        for (name, is_folder) in entries {
            let below = path.join(&name);
            let hidden = name.as_encoded_bytes().first() == Some(&b'.') && !below.join("cur").is_dir();
            let unfinished = maildir && name == "tmp";
            if !hidden && !unfinished {
                self.below(below, is_folder, each)?;
            }
        }
        Ok(())
    }

    /// Calls `each` with every item of a file: itself, or each mail of an mbox.
    pub fn items(
        &self,
        path: &Path,
        each: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), SourceError> {
        let failed = |error| SourceError::Read { path: path.to_owned(), error };
        if path.as_os_str() == "-" {
            return self.read("-", BufReader::new(io::stdin()), None, each).map_err(failed);
        }
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let origin =
            if path.is_absolute() { path.to_owned() } else { path.canonicalize().map_err(failed)? };
        let origin = origin.display().to_string();
        if size > AT_ONCE {
            let reader = BufReader::with_capacity(64 << 10, file);
            return self.read(&origin, reader, Some(size), each).map_err(failed);
        }
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.read_to_end(&mut bytes).map_err(failed)?;
        if is_mbox(&bytes) || bytes.len() as u64 > self.largest {
            return self.read(&origin, &bytes[..], Some(size), each).map_err(failed);
        }
        each(Item { origin, content: Content::Bytes(bytes) }).map_err(failed)
    }

    fn read(
        &self,
        origin: &str,
        mut reader: impl BufRead,
        size: Option<u64>,
        each: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> io::Result<()> {
        if is_mbox(reader.fill_buf()?) {
            for mail in split_mbox(reader, self.largest as usize) {
                let mail = mail?;
                let whole = mail.size <= mail.bytes.len() as u64;
                let content =
                    if whole { Content::Bytes(mail.bytes) } else { Content::TooLarge(Some(mail.size)) };
                each(Item { origin: format!("{origin}#{}", mail.number), content })?;
            }
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(size.unwrap_or_default().min(self.largest) as usize + 1);
        reader.take(self.largest + 1).read_to_end(&mut bytes)?;
        let content =
            if bytes.len() as u64 > self.largest { Content::TooLarge(size) } else { Content::Bytes(bytes) };
        each(Item { origin: origin.to_owned(), content })
    }
}

/// The entries of a folder by name, and whether each is a folder; links are followed.
fn entries(folder: &Path) -> io::Result<Vec<(OsString, bool)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        entries.push((entry.file_name(), is_folder));
    }
    entries.sort_unstable();
    Ok(entries)
}
