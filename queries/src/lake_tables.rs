//! Where a lake's tables are: a folder or an object store, opened for reading only.
//!
//! A table is the folder of its name in the lake. Nothing is ever made here.

use std::collections::BTreeMap;
use std::path::Path as FsPath;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use crate::error::QueryError;

/// How long requests to an object store are retried before a query fails.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);
const STORE_RETRIES: usize = 5;

/// A lake's location, opened.
#[derive(Debug, Clone)]
pub(crate) struct TablesAt {
    /// The whole file system or bucket.
    root: Arc<dyn ObjectStore>,
    /// The lake in it, as a URL that ends in a slash.
    url: Url,
    /// The lake in `root`.
    prefix: Path,
}

impl TablesAt {
    /// Opens a path, `file://` or `s3://` URL. `storage` are settings of the object store such as `endpoint`,
    /// `region` or `access_key_id`; environment variables (`AWS_*`) hold where it says nothing.
    pub(crate) fn open(location: &str, storage: &BTreeMap<String, String>) -> Result<Self, QueryError> {
        let refused = |reason: String| QueryError::Location { location: location.to_owned(), reason };
        match Url::parse(location) {
            Ok(url) if location.contains("://") => match url.scheme() {
                "file" => {
                    let path =
                        url.to_file_path().map_err(|()| refused("the URL is no absolute path".to_owned()))?;
                    Self::folder(&path).map_err(refused)
                }
                "s3" | "s3a" => Self::s3(url, storage).map_err(refused),
                other => Err(refused(format!(
                    "`{other}` is not supported; give a path, s3://BUCKET/PREFIX or file:///PATH"
                ))),
            },
            _ => Self::folder(FsPath::new(location)).map_err(refused),
        }
    }

    fn folder(path: &FsPath) -> Result<Self, String> {
        let path = path
            .canonicalize()
            .map_err(|e| format!("{e}; ingest reports into it first, or name another one"))?;
        if !path.is_dir() {
            return Err("it is not a folder".to_owned());
        }
        let url = Url::from_directory_path(&path).map_err(|()| "the path is not absolute".to_owned())?;
        let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        Ok(Self { root: Arc::new(LocalFileSystem::new()), url, prefix })
    }

    fn s3(mut url: Url, storage: &BTreeMap<String, String>) -> Result<Self, String> {
        let retry = RetryConfig {
            max_retries: STORE_RETRIES,
            retry_timeout: STORE_TIMEOUT,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
        for (name, value) in storage {
            let key = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase())
                .map_err(|_| format!("`{name}` is no setting of the S3 store"))?;
            builder = builder.with_config(key, value);
        }
        let root = builder.build().map_err(|e| e.to_string())?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        Ok(Self { root: Arc::new(root), url, prefix })
    }

    /// The lake's URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The store that the lake's files are in, and which the engine reads them through.
    pub(crate) fn root(&self) -> &Arc<dyn ObjectStore> {
        &self.root
    }

    /// The log of the table of that name.
    pub(crate) fn log(&self, table: &str) -> Result<LogStoreRef, QueryError> {
        let url = self.url.join(&format!("{table}/"));
        let url =
            url.map_err(|e| QueryError::Location { location: self.url.to_string(), reason: e.to_string() })?;
        let store: Arc<dyn ObjectStore> =
            Arc::new(PrefixStore::new(Arc::clone(&self.root), self.prefix.clone().join(table)));
        Ok(default_logstore(store, Arc::clone(&self.root), &url, &StorageConfig::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lake_is_refused_with_the_reason() {
        let refused = |location: &str| TablesAt::open(location, &BTreeMap::new()).unwrap_err().to_string();
        assert!(refused("/no/such/folder").contains("ingest reports into it first"));
        assert!(refused("gs://bucket/lake").contains("`gs` is not supported"));
        assert!(refused(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).contains("not a folder"));
        let setting = BTreeMap::from([("regoin".to_owned(), "x".to_owned())]);
        assert!(TablesAt::open("s3://bucket/lake", &setting).unwrap_err().to_string().contains("`regoin`"));
    }
}
