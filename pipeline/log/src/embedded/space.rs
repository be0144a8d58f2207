//! Space that is left free on the disk, so that a write never fails half way for want of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::LogError;

/// Largest write that may use half of the reserve, in bytes: the log's own bookkeeping, without which it
/// could not even be opened to make room.
const SMALL: u64 = 4 << 10;
/// Bytes that may be written between two looks at the disk.
const LOOK_EVERY: u64 = 4 << 20;

/// A reserve of free space.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    /// Bytes that may still be written before the next look.
    allowance: AtomicU64,
}

impl Reserve {
    pub(super) fn new(path: &Path, bytes: u64) -> Self {
        Self { path: path.to_owned(), bytes, allowance: AtomicU64::new(0) }
    }

    /// Allows a write of that many bytes, or refuses it because the reserve would be touched.
    pub(super) fn check(&self, bytes: u64) -> Result<(), LogError> {
        let taken =
            self.allowance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_ok() {
            return Ok(());
        }
        let Ok(stat) = rustix::fs::statvfs(&self.path) else {
            // A file system that does not say is not a full one.
            return Ok(());
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let kept = if bytes <= SMALL { self.bytes / 2 } else { self.bytes };
        if free < kept.saturating_add(bytes) {
            return Err(LogError::Full { path: self.path.display().to_string() });
        }
        let allowance = free.saturating_sub(self.bytes).saturating_sub(bytes);
        self.allowance.store(LOOK_EVERY.min(allowance), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_would_touch_the_reserve_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Reserve::new(dir.path(), 0).check(1).is_ok());
        let refused = Reserve::new(dir.path(), u64::MAX / 2).check(1 << 20).unwrap_err();
        assert!(refused.is_transient() && refused.to_string().contains("make room"), "{refused}");
    }
}
