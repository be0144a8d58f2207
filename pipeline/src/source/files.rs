//! Files, folders, Maildirs, mboxes and standard input, one item at a time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use dmarcflow_stages::parse::{is_mbox, split_mbox};

use super::{Content, Item, SourceError};

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
                self.below(path, each)?;
            }
        }
        Ok(())
    }

    fn below(
        &self,
        path: &Path,
        each: &mut dyn FnMut(Result<PathBuf, SourceError>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !path.is_dir() {
            return each(Ok(path.to_owned()));
        }
        if self.except.as_deref().is_some_and(|own| path.canonicalize().is_ok_and(|p| p == own)) {
            return Ok(());
        }
        let names = fs::read_dir(path).and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect());
        let mut names: Vec<std::ffi::OsString> = match names {
            Ok(names) => names,
            Err(error) => return each(Err(SourceError::Read { path: path.to_owned(), error })),
        };
        names.sort_unstable();
        let maildir = ["cur", "new", "tmp"].iter().all(|part| names.iter().any(|n| n == part));
        for name in names {
            let hidden =
                name.as_encoded_bytes().first() == Some(&b'.') && !path.join(&name).join("cur").is_dir();
            let unfinished = maildir && name == "tmp";
            if !hidden && !unfinished {
                self.below(&path.join(name), each)?;
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
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let origin = path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
        self.read(&origin, BufReader::with_capacity(64 << 10, file), Some(size), each).map_err(failed)
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
