//! Where a lake is: a folder or an object store, named by path or URL.

use std::io;
use std::path::{Path as FsPath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::durable::{self, DurableDisk};
use crate::error::{Cause, LakeError};
use crate::options::Options;

/// Requests to an object store under way at a time.
const REQUESTS_AT_A_TIME: usize = 8;

/// A lake's location, opened.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The whole file system, bucket or memory.
    root: Arc<dyn ObjectStore>,
    /// The lake in it, as a URL that ends in a slash.
    url: Url,
    /// The lake in `root`.
    prefix: Path,
    /// The lake's folder where it is on a local disk.
    folder: Option<PathBuf>,
}

/// The place of one table.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) log: LogStoreRef,
    /// Rooted at the table.
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) folder: Option<PathBuf>,
}

impl Location {
    /// Opens a path, `file://`, `s3://` or `memory://` URL. A local folder is made where it is missing.
    pub(crate) fn open(location: &str, options: &Options) -> Result<Self, LakeError> {
        let refused = |reason: String| LakeError::Location { location: location.to_owned(), reason };
        match Url::parse(location) {
            Ok(url) if location.contains("://") => match url.scheme() {
                "file" => {
                    let path =
                        url.to_file_path().map_err(|()| refused("the URL is no absolute path".to_owned()))?;
                    Self::folder(&path).map_err(refused)
                }
                "s3" | "s3a" => Self::s3(url, options).map_err(refused),
                "memory" => Self::memory(url).map_err(refused),
                other => Err(refused(format!(
                    "`{other}` is not supported; give a path, s3://BUCKET/PREFIX or file:///PATH"
                ))),
            },
            _ => Self::folder(FsPath::new(location)).map_err(refused),
        }
    }

    fn folder(path: &FsPath) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|e| format!("the folder cannot be made: {e}"))?;
        let path = path.canonicalize().map_err(|e| format!("the folder cannot be opened: {e}"))?;
        let url = Url::from_directory_path(&path).map_err(|()| "the path is not absolute".to_owned())?;
        let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        Ok(Self { root: Arc::new(DurableDisk::new()), url, prefix, folder: Some(path) })
    }

    fn s3(mut url: Url, options: &Options) -> Result<Self, String> {
        let retry =
            RetryConfig { max_retries: 5, retry_timeout: options.store_timeout, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
        for (name, value) in &options.storage {
            let key = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase())
                .map_err(|_| format!("`{name}` is no setting of the S3 store"))?;
            builder = builder.with_config(key, value);
        }
        let root = builder.build().map_err(|e| e.to_string())?;
        end_in_slash(&mut url);
        let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        Ok(Self { root: Arc::new(root), url, prefix, folder: None })
    }

    fn memory(mut url: Url) -> Result<Self, String> {
        end_in_slash(&mut url);
        let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        Ok(Self { root: Arc::new(InMemory::new()), url, prefix, folder: None })
    }

    /// The lake's URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Removes everything there.
    pub(crate) async fn remove(&self) -> Result<(), LakeError> {
        let failed = |reason: String| LakeError::Location { location: self.url.to_string(), reason };
        if let Some(folder) = self.folder.clone() {
            let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
            return removed
                .map_err(|e| failed(e.to_string()))?
                .map_err(|e| failed(format!("it cannot be removed: {e}")));
        }
        let found = self.root.list(Some(&self.prefix)).map_ok(|object| object.location).boxed();
        let removed: Result<Vec<_>, _> = self.root.delete_stream(found).try_collect().await;
        removed.map(drop).map_err(|e| failed(format!("it cannot be removed: {e}")))
    }

    /// The place of a table: the folder of that name.
    pub(crate) fn table(&self, name: &str) -> Result<Place, LakeError> {
        let refused = |reason: String| LakeError::Location { location: self.url.to_string(), reason };
        let url = self.url.join(&format!("{name}/")).map_err(|e| refused(e.to_string()))?;
        let prefix = self.prefix.clone().join(name);
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&self.root), prefix));
        let log =
            default_logstore(Arc::clone(&store), Arc::clone(&self.root), &url, &StorageConfig::default());
        Ok(Place { log, store, folder: self.folder.as_ref().map(|folder| folder.join(name)) })
    }
}

impl Place {
    /// Writes files that are new, by path and content; `written` is called after each. In a folder they are
    /// written in place: nobody looks for them until the log names them.
    pub(crate) async fn write(
        &self,
        files: Vec<(Path, Bytes)>,
        written: impl Fn() + Send + Sync + Clone + 'static,
    ) -> Result<(), Cause> {
        if let Some(folder) = self.folder.clone() {
            let write = move || {
                for (path, bytes) in files {
                    durable::write_new(&folder.join(path.as_ref()), &bytes)?;
                    written();
                }
                Ok::<_, io::Error>(())
            };
            return Ok(tokio::task::spawn_blocking(write).await??);
        }
        let puts = stream::iter(files).map(|(path, bytes)| {
            let (store, written) = (Arc::clone(&self.store), written.clone());
            async move {
                store.put(&path, bytes.into()).await?;
                written();
                Ok::<_, Cause>(())
            }
        });
        puts.buffer_unordered(REQUESTS_AT_A_TIME).try_collect().await
    }

    /// The contents of files, in their order.
    pub(crate) async fn read(&self, paths: Vec<Path>) -> Result<Vec<Bytes>, Cause> {
        if let Some(folder) = self.folder.clone() {
            let read = move || {
                paths
                    .into_iter()
                    .map(|path| std::fs::read(folder.join(path.as_ref())).map(Bytes::from))
                    .collect()
            };
            let contents: io::Result<Vec<Bytes>> = tokio::task::spawn_blocking(read).await?;
            return Ok(contents?);
        }
        let gets = stream::iter(paths).map(|path| {
            let store = Arc::clone(&self.store);
            async move { Ok::<_, Cause>(store.get(&path).await?.bytes().await?) }
        });
        gets.buffered(REQUESTS_AT_A_TIME).try_collect().await
    }
}

fn end_in_slash(url: &mut Url) {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_schemes_and_settings_are_refused_by_name() {
        let gcs = Location::open("gs://bucket/lake", &Options::default()).unwrap_err();
        assert!(gcs.to_string().contains("`gs` is not supported"), "{gcs}");
        let mut options = Options::default();
        options.storage.insert("regoin".to_owned(), "x".to_owned());
        let setting = Location::open("s3://bucket/lake", &options).unwrap_err();
        assert!(setting.to_string().contains("`regoin`"), "{setting}");
        assert!(!setting.is_transient());
    }

    #[test]
    fn a_folder_with_blanks_and_percent_signs_is_a_location() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my lake 100%");
        let location = Location::open(path.to_str().unwrap(), &Options::default()).unwrap();
        let place = location.table("daily").unwrap();
        assert_eq!(place.folder.unwrap(), path.canonicalize().unwrap().join("daily"));
    }
}
