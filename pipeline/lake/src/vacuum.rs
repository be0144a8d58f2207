//! Vacuum: removes data files that no version within the window refers to, a crash's orphans among them.

use std::time::Duration;

use chrono::TimeDelta;
use deltalake::operations::vacuum::VacuumMode;

use crate::error::LakeError;
use crate::table::Handle;

impl Handle {
    /// Removes unused data files that are older than `window`, and says how many. A commit that takes
    /// longer than that from its first file to its entry would lose files: hours are a good window.
    pub(crate) async fn vacuum(&self, window: Duration) -> Result<usize, LakeError> {
        let failed = self.during("removing unused files");
        let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
        let (_, metrics) = self
            .delta()
            .await?
            .vacuum()
            .with_mode(VacuumMode::Full)
            .with_retention_period(window)
            .with_enforce_retention_duration(false)
            .await
            .map_err(|e| failed.error(e))?;
        drop(self.newest().await?);
        Ok(metrics.files_deleted.len())
    }
}
