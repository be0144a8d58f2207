//! A disk that is full: said clearly, nothing lost, and it goes on when there is room.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Deployment, assert_same, skip, text, world};

/// Size of the disk, in MiB.
const DISK: u64 = 160;
/// What the log leaves free, in MiB.
const RESERVE: u64 = 40;
/// What the filler leaves free, in MiB: less than the reserve, more than half of it.
const LEFT: u64 = 30;

/// A small disk, if we may mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={DISK}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|o| o.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let d = Deployment::new();
    let Some(_disk) = Disk::mount(&d.data()) else {
        return skip("mounting a small disk takes root");
    };
    let world = world(400, 17);
    let filler = d.data().join("filler");
    File::create(&filler).unwrap();
    fs::write(&filler, vec![0; ((DISK - LEFT) << 20) as usize]).unwrap();
    let mut child = d
        .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
        .env("DMARCFLOW_EMBEDDED__RESERVE", format!("{RESERVE} MiB"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("no space is left") {
        let read = errors.read_line(&mut said).unwrap();
        assert!(read > 0, "it ended instead of waiting: {said}");
    }
    assert!(said.contains("make room"), "{said}");
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    fs::remove_file(&filler).unwrap();
    // Whatever else it says must not fill the pipe.
    let rest = std::thread::spawn(move || errors.lines().map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    let undisturbed = Deployment::new();
    undisturbed.ingest(&[world.path()]);
    assert_same(&d.tables(), &undisturbed.tables(), "after a full disk");
}
