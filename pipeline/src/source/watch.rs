//! Watched folders: what is put there is taken in and then moved to `done/`.
//!
//! A file is taken when its size and time were the same at two looks, so that one that is still being
//! written is left alone. It is moved only after it is durable in `reports.raw`; a crash between the two
//! is mended by the feeder's ledger, which knows the file again. Hidden files are not looked at: who writes
//! `.name` and renames it hands over at once and whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::SourceError;
use super::feed::Feeder;
use super::files::Walk;
use dmarcflow_log::LogError;

/// Name of the folder for files that were taken in.
const DONE: &str = "done";
/// Files that one look takes at most, so that a full folder does not keep others waiting.
const LOOK: usize = 4_096;

/// A watched folder.
pub struct Watch {
    folder: PathBuf,
    walk: Walk,
    seen: HashMap<PathBuf, (u64, SystemTime)>,
}

impl Watch {
    pub fn new(folder: PathBuf, walk: Walk) -> Self {
        Self { folder, walk, seen: HashMap::new() }
    }

    /// Looks once: takes in the files that rest. Returns how many, and what could not be read.
    pub fn look(&mut self, feeder: &mut Feeder) -> Result<(usize, Vec<SourceError>), LogError> {
        let mut problems = Vec::new();
        let resting = match self.resting() {
            Ok(resting) => resting,
            Err(error) => {
                return Ok((0, vec![SourceError::Read { path: self.folder.clone(), error }]));
            }
        };
        let mut taken = Vec::new();
        for path in resting {
            let mut failed = None;
            let outcome = self.walk.items(&path, &mut |item| {
                // Offered at once: an mbox of any size passes in bounded memory.
                if failed.is_none() {
                    let outcome = match feeder.knows(&item) {
                        Ok(true) => {
                            feeder.pass_over();
                            Ok(())
                        }
                        Ok(false) => feeder.take(item),
                        Err(e) => Err(e),
                    };
                    failed = outcome.err();
                }
                Ok(())
            });
            if let Some(e) = failed {
                return Err(e);
            }
            match outcome {
                Ok(()) => taken.push(path),
                Err(problem) => problems.push(problem),
            }
        }
        feeder.flush()?;
        for path in &taken {
            if let Err(error) = self.put_away(path) {
                problems.push(SourceError::Read { path: path.clone(), error });
            }
            self.seen.remove(path);
        }
        Ok((taken.len(), problems))
    }

    /// The files that did not change since the last look.
    fn resting(&mut self) -> std::io::Result<Vec<PathBuf>> {
        let mut now = HashMap::new();
        let mut resting = Vec::new();
        for entry in fs::read_dir(&self.folder)?.take(LOOK) {
            let entry = entry?;
            let meta = entry.metadata()?;
            if !meta.is_file() || entry.file_name().as_encoded_bytes().first() == Some(&b'.') {
                continue;
            }
            let state = (meta.len(), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            if self.seen.get(&entry.path()) == Some(&state) {
                resting.push(entry.path());
            }
            now.insert(entry.path(), state);
        }
        self.seen = now;
        resting.sort_unstable();
        Ok(resting)
    }

    /// Moves a file to `done/`, under a name that is free there.
    fn put_away(&self, path: &Path) -> std::io::Result<()> {
        let done = self.folder.join(DONE);
        fs::create_dir_all(&done)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut target = done.join(&name);
        let mut n = 1;
        while target.exists() {
            n += 1;
            target = done.join(format!("{n}-{name}"));
        }
        fs::rename(path, target)
    }
}
