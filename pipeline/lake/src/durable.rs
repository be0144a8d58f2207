//! The local file system as an object store whose log entries survive a power cut.
//!
//! A file under `_delta_log` is written beside its place, flushed to the disk, and only then linked
//! to its name: a reader never sees a torn entry, not even after a power cut. Data files are
//! written as they come and flushed by [`flush`] before the entry that names them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use uuid::Uuid;

const LOG_FOLDER: &str = "_delta_log";
const STORE: &str = "local disk";

/// Up to this many files are flushed one by one; more at once, with the file system they are on.
const FLUSH_ONE_BY_ONE: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct DurableDisk(LocalFileSystem);

impl DurableDisk {
    pub(crate) fn new() -> Self {
        Self(LocalFileSystem::new())
    }
}

impl fmt::Display for DurableDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for DurableDisk {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if !location.parts().any(|part| part.as_ref() == LOG_FOLDER)
            || matches!(options.mode, PutMode::Update(_))
        {
            return self.0.put_opts(location, payload, options).await;
        }
        let path = self.0.path_to_filesystem(location)?;
        let create = matches!(options.mode, PutMode::Create);
        tokio::task::spawn_blocking(move || put_durably(&path, &payload, create)).await??;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}

fn put_durably(path: &FsPath, payload: &PutPayload, create: bool) -> Result<()> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::AlreadyExists { path: path.display().to_string(), source: Box::new(source) }
        }
        _ => Error::Generic { store: STORE, source: Box::new(source) },
    };
    let folder = path.parent().unwrap_or(path);
    let staged = folder.join(format!(".{}.tmp", Uuid::new_v4().simple()));
    let linked = write_durably(&staged, payload)
        .and_then(|()| if create { fs::hard_link(&staged, path) } else { fs::rename(&staged, path) });
    if create || linked.is_err() {
        // Left behind it costs some bytes and is no entry: its name is none.
        let _ = fs::remove_file(&staged);
    }
    linked.and_then(|()| flush_folder(folder)).map_err(failed)
}

fn write_durably(staged: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = match File::create_new(staged) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = staged.parent() {
                fs::create_dir_all(folder)?;
                for made in folder.ancestors().skip(1).take(3) {
                    flush_folder(made)?;
                }
            }
            File::create_new(staged)?
        }
        other => other?,
    };
    for bytes in payload {
        file.write_all(bytes)?;
    }
    file.sync_all()
}

/// Writes a file that is new, and the folder that it is in where that is missing. Not durable yet.
pub(crate) fn write_new(path: &FsPath, bytes: &[u8]) -> io::Result<()> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            File::create_new(path)?
        }
        other => other?,
    };
    file.write_all(bytes)
}

fn flush_folder(folder: &FsPath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes files and their names durable. Few are flushed one by one; many by one call for the whole
/// file system, which costs about as much as the data that waits to be written.
pub(crate) fn flush(root: &FsPath, files: &[PathBuf]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if files.len() > FLUSH_ONE_BY_ONE {
        return Ok(rustix::fs::syncfs(File::open(root)?)?);
    }
    for file in files {
        File::open(file)?.sync_all()?;
        if let Some(folder) = file.parent() {
            flush_folder(folder)?;
        }
    }
    flush_folder(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt as _;

    #[tokio::test]
    async fn an_entry_is_created_once_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DurableDisk::new();
        let entry = Path::from_absolute_path(folder.path().join("t/_delta_log/0.json")).unwrap();
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        disk.put_opts(&entry, "first".into(), create()).await.unwrap();
        let again = disk.put_opts(&entry, "second".into(), create()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })));
        assert_eq!(disk.get(&entry).await.unwrap().bytes().await.unwrap().as_ref(), b"first");
        disk.put(&entry, "third".into()).await.unwrap();
        assert_eq!(disk.get(&entry).await.unwrap().bytes().await.unwrap().as_ref(), b"third");
        assert_eq!(fs::read_dir(folder.path().join("t/_delta_log")).unwrap().count(), 1);
    }

    #[test]
    fn few_and_many_files_are_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..2 * FLUSH_ONE_BY_ONE).map(|n| folder.path().join(n.to_string())).collect();
        for file in &files {
            fs::write(file, "x").unwrap();
        }
        flush(folder.path(), &files).unwrap();
        flush(folder.path(), &files[..2]).unwrap();
        assert!(flush(folder.path(), &[folder.path().join("missing")]).is_err());
    }
}
