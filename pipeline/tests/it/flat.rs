//! Memory stays flat on a backlog of any size, and bounded on one report of any size.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Deployment, long, world};

/// What an ingest may take at its peak, in MiB.
const PEAK: u64 = 400;
/// What it may take for a report of [`LARGE`] bytes, in MiB.
const PEAK_LARGE: u64 = 1024;
/// Size of the large report: in its long form as much as the issue of memory is about.
const LARGE: usize = 200 << 20;

#[test]
fn memory_does_not_grow_with_the_backlog() {
    let (few, many) = if long() { (10_000, 200_000) } else { (1_000, 8_000) };
    let peaks = [few, many].map(|reports| {
        let world = world(reports, 23);
        peak_of_ingest(world.path())
    });
    println!("peak of {few} reports: {} MiB, of {many}: {} MiB", peaks[0], peaks[1]);
    assert!(peaks.iter().all(|peak| (1..PEAK).contains(peak)), "{peaks:?} MiB");
    // Buffers that are bounded, but not full with few reports, are.
    if long() {
        assert!(peaks[1] < peaks[0] * 5 / 4, "{peaks:?} MiB");
    }
}

#[test]
fn a_large_report_passes_in_bounded_memory() {
    let bytes = if long() { LARGE } else { LARGE / 10 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.xml.gz");
    let rows = write_large(&path, bytes);
    let d = Deployment::new();
    let peak = watch(d.command(&["ingest", "--quiet", path.to_str().unwrap()]));
    println!("peak of a report of {} MiB and {rows} records: {peak} MiB", bytes >> 20);
    assert!((1..PEAK_LARGE).contains(&peak), "{peak} MiB");
    assert_eq!(d.number("SELECT count(*) FROM records"), rows);
}

fn peak_of_ingest(folder: &Path) -> u64 {
    let d = Deployment::new();
    watch(d.command(&["ingest", "--quiet", folder.to_str().unwrap()]))
}

/// Runs a command, which must succeed; its largest resident size in MiB, as the kernel counts it.
fn watch(mut command: std::process::Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        peak = high_water(&child).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak / 1024;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `VmHWM` of a running process in KiB.
fn high_water(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A gzipped report of about that many bytes; how many records it has.
fn write_large(path: &Path, bytes: usize) -> i64 {
    let mut out = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    out.write_all(
        b"<feedback><report_metadata><org_name>large</org_name><report_id>1</report_id><date_range>\
          <begin>1780272000</begin><end>1780358399</end></date_range></report_metadata>\
          <policy_published><domain>large.example</domain><p>none</p></policy_published>",
    )
    .unwrap();
    let (mut written, mut rows) = (0, 0_i64);
    while written < bytes {
        let record = format!(
            "<record><row><source_ip>198.51.{}.{}</source_ip><count>{}</count><policy_evaluated><disposition>none</disposition>\
             <dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>large.example</header_from>\
             </identifiers><auth_results><dkim><domain>large.example</domain><selector>s{rows}</selector><result>pass</result>\
             </dkim><spf><domain>large.example</domain><result>fail</result></spf></auth_results></record>",
            rows / 256 % 256,
            rows % 256,
            rows % 9 + 1,
        );
        out.write_all(record.as_bytes()).unwrap();
        written += record.len();
        rows += 1;
    }
    out.write_all(b"</feedback>").unwrap();
    out.finish().unwrap();
    rows
}
