//! What the benches share: CPU time, medians, and the reports that they measure on.
//!
//! Figures are ratios of CPU times taken in one run, the candidates in turn, so that they hold while the
//! machine's speed drifts. Absolute figures are printed beside them for orientation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// CPU time that a process has used, user and system.
pub fn cpu_time(usage: &Usage) -> Duration {
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

/// The CPU time of a call.
pub fn timed<T>(f: impl FnOnce() -> T) -> nix::Result<(T, Duration)> {
    let before = cpu_time(&getrusage(UsageWho::RUSAGE_SELF)?);
    let out = f();
    Ok((out, cpu_time(&getrusage(UsageWho::RUSAGE_SELF)?) - before))
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The shared corpus of real reports, where it is.
pub fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rua");
    path.is_dir().then_some(path)
}

/// Every file below a folder, in order of their names.
pub fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(files(&path)?);
        } else {
            out.push(path);
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// The program that is measured: `DMARCFLOW_BIN`, or the one in the target folder that this bench is in.
pub fn program() -> Result<PathBuf, Box<dyn std::error::Error>> {
    if let Ok(path) = std::env::var("DMARCFLOW_BIN") {
        return Ok(path.into());
    }
    // target/PROFILE/deps/BENCH-HASH -> target/PROFILE/dmarcflow
    let own = std::env::current_exe()?;
    let path = own.ancestors().nth(2).ok_or("no target folder")?.join("dmarcflow");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("build it first: cargo build --release ({})", path.display()).into())
    }
}
