//! Export: a plain copy of tables as `TABLE/date=YYYY-MM-DD/part-N.parquet`, for tools that read globs.
//!
//! The copy is one version of each table. It is made beside its place and takes its name when it is
//! complete: a reader sees the whole of it or the one before.

use std::fs;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use dmarcflow_schemas::tables::PARTITION;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::error::LakeError;
use crate::index::Index;
use crate::read;
use crate::rows::date_text;
use crate::table::Handle;

/// What an export wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    pub tables: usize,
    pub files: usize,
    /// Bytes of Parquet.
    pub bytes: u64,
    pub rows: u64,
}

/// A folder beside the place of the export, removed again unless it becomes the export.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing is left of it after a success; after a failure there is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies tables to the folder `to`. A folder that is there already is replaced only with `replace`.
pub(crate) async fn export(
    tables: &[Arc<Handle>],
    to: &FsPath,
    replace: bool,
) -> Result<Exported, LakeError> {
    let failed = |reason: String| LakeError::Export { path: to.display().to_string(), reason };
    let occupied = fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !replace {
        return Err(failed(
            "the folder is not empty; give another one, or ask for its replacement".to_owned(),
        ));
    }
    let beside = |name: &str| {
        let own = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        to.with_file_name(format!(".{own}.{name}-{}", Uuid::new_v4().simple()))
    };
    let staged = Staged(beside("new"));
    fs::create_dir_all(&staged.0).map_err(|e| failed(e.to_string()))?;
    let mut exported = Exported::default();
    for table in tables {
        let index = table.newest().await?.index.clone();
        copy_table(table, &index, &staged.0.join(table.spec.name), &mut exported).await?;
        exported.tables += 1;
    }
    let old = to.exists().then(|| Staged(beside("old")));
    if let Some(old) = &old {
        fs::rename(to, &old.0).map_err(|e| failed(e.to_string()))?;
    }
    if let Err(error) = fs::rename(&staged.0, to) {
        if let Some(old) = &old {
            fs::rename(&old.0, to)
                .map_err(|e| failed(format!("{error}; the copy before it could not be put back: {e}")))?;
        }
        return Err(failed(error.to_string()));
    }
    Ok(exported)
}

async fn copy_table(
    table: &Handle,
    index: &Index,
    folder: &FsPath,
    exported: &mut Exported,
) -> Result<(), LakeError> {
    let io = |e: std::io::Error| table.during("writing its export").error(e);
    fs::create_dir_all(folder).map_err(io)?;
    for (date, files) in &index.files {
        let folder = folder.join(format!("{PARTITION}={}", date_text(*date)));
        fs::create_dir(&folder).map_err(io)?;
        for (n, file) in files.values().enumerate() {
            let from = table.place.store.get(&read::path(file)).await;
            let mut from = from.map_err(|e| table.during("reading files to export").error(e))?.into_stream();
            let mut to =
                tokio::fs::File::create(folder.join(format!("part-{n}.parquet"))).await.map_err(io)?;
            while let Some(bytes) = from.next().await {
                let bytes = bytes.map_err(|e| table.during("reading files to export").error(e))?;
                to.write_all(&bytes).await.map_err(io)?;
            }
            to.flush().await.map_err(io)?;
            exported.files += 1;
            exported.bytes += file.bytes;
            exported.rows += file.rows;
        }
    }
    Ok(())
}
