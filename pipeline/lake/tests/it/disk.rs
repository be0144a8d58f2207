//! A full disk stops commits with an error that says so, and they go on after room is made.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use dmarcflow_lake::LakeError;

use crate::data::{at, committed, fast, open, parquet_files, read, rows, skip, table};

/// A small file system in memory.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|out| out.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_passes_and_the_same_lake_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path(), "size=2m") else {
        return skip("a small file system cannot be mounted here");
    };
    let lake = open(folder.path(), &fast()).await;
    let daily = table("daily");
    committed(lake.commit(daily, vec![rows(daily, [(0, 1)])], vec![], &at("write/t/0", 1)).await);
    // From no room at all, page by page, so that data files, folders and log entries each meet the end.
    let ballast = folder.path().join("ballast");
    let mut failures = 0;
    let mut next = 2;
    for room in 0..20_u64 {
        let mut fill = std::fs::File::create(&ballast).unwrap();
        while fill.write_all(&[0; 4096]).is_ok() {}
        let full = fill.metadata().unwrap().len();
        fill.set_len(full.saturating_sub(room * 4096)).unwrap();
        let files = parquet_files(folder.path()).len();
        let batch = vec![rows(daily, (0..8).map(|day| (day, 1)))];
        match lake.commit(daily, batch, vec![], &at("write/t/0", next)).await {
            Ok(_) => next += 1,
            Err(error) => {
                failures += 1;
                assert!(error.is_transient(), "{error}");
                assert!(matches!(error, LakeError::Full { .. }), "{error}");
                assert_eq!(lake.position(daily, "write/t/0").await.unwrap(), Some(next as i64 - 1));
                assert_eq!(parquet_files(folder.path()).len(), files, "failed attempts do not fill the disk");
            }
        }
        std::fs::remove_file(&ballast).unwrap();
    }
    assert!(failures > 0);
    committed(lake.commit(daily, vec![rows(daily, [(0, 1)])], vec![], &at("write/t/0", next)).await);
    lake.compact(daily, true).await.unwrap();
    assert_eq!(crate::data::sum(&read(&lake, daily).await, "messages") as u64, 2 + 8 * (next - 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_or_no_folder_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let refused = dmarcflow_lake::Lake::open(file.to_str().unwrap(), &fast()).await.err().unwrap();
    assert!(
        matches!(&refused, LakeError::Location { location, .. } if location.ends_with("file")),
        "{refused}"
    );
}
