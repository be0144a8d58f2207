//! However reports arrive, they count once and the tables are the same, row for row.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{Deployment, assert_same, files, random, world};

const REPORTS: u64 = 300;

#[test]
fn twice_shuffled_zipped_and_in_small_batches_gives_the_same_tables() {
    let world = world(REPORTS, 7);
    let folder = world.path().join("world");
    let once = Deployment::new();
    let summary = once.ingest(&[&folder]);
    let expected = once.tables();
    assert!(once.number("SELECT count(*) FROM reports") >= 200, "{summary}");

    let copies = once.number("SELECT sum(copies) FROM reports");
    once.ingest(&[&folder]);
    assert_same(&once.tables(), &expected, "the same folder again");
    assert_eq!(once.number("SELECT sum(copies) FROM reports"), copies, "the same place is no further copy");

    let elsewhere = tempfile::tempdir().unwrap();
    for (i, file) in files(&folder).iter().enumerate() {
        let name =
            format!("{:04}-{}", random(3, i as u64, 10_000), file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, elsewhere.path().join(name)).unwrap();
    }
    once.ingest(&[elsewhere.path()]);
    assert_same(&once.tables(), &expected, "copies from another place");
    assert!(once.number("SELECT sum(copies) FROM reports") > copies);

    let shuffled = Deployment::new();
    shuffled.ingest(&[elsewhere.path()]);
    assert_same(&shuffled.tables(), &expected, "in another order");

    let zipped = tempfile::tempdir().unwrap();
    zip_all(&files(&folder), &zipped.path().join("all.zip"));
    let from_zip = Deployment::new();
    from_zip.ingest(&[zipped.path()]);
    assert_same(&from_zip.tables(), &expected, "as one zip");

    let trickle = Deployment::new();
    for file in files(&folder).chunks(40) {
        let paths: Vec<&Path> = file.iter().map(PathBuf::as_path).collect();
        trickle.ingest(&paths);
    }
    assert_same(&trickle.tables(), &expected, "in small batches");
}

fn zip_all(files: &[PathBuf], to: &Path) {
    let mut zip = zip::ZipWriter::new(fs::File::create(to).unwrap());
    for (i, file) in files.iter().enumerate() {
        zip.start_file(format!("{i}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(file).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}
