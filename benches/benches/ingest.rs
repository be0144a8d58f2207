//! End to end: files to committed Parquet, in reports per CPU second, beside parsedmarc on the same files.
//!
//! `cargo bench -p dmarcflow-benches --bench ingest [-- REPORTS...]`. The program is the one in the same
//! target folder, or `DMARCFLOW_BIN`. `PARSEDMARC` names parsedmarc's program; without it only our own
//! figures are printed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dmarcflow_benches::{corpus, cpu_time, files, program};
use dmarcflow_demo::{Day, Form, World, WorldConfig, Wrapping, write};
use nix::sys::resource::{UsageWho, getrusage};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What a finished process cost.
struct Cost {
    cpu: Duration,
    wall: Duration,
    /// None where an earlier one's was larger, which hides it.
    peak_mib: Option<u64>,
    output: String,
}

fn main() -> Outcome<()> {
    let program = program()?;
    println!("program: {}", program.display());
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    // Every folder stays until the end: ext4 searches long for inodes while many were deleted a moment ago.
    let mut kept = Vec::new();
    for reports in if sizes.is_empty() { vec![10_000] } else { sizes } {
        let dir = tempfile::tempdir()?;
        let end = Day::new(2026, 6, 30).ok_or("no day")?;
        write(
            &World::new(WorldConfig::sized(1, end, reports)),
            dir.path(),
            Form::Files(Wrapping::Xml),
            |_| {},
        )?;
        kept.push(measure(
            &program,
            &format!("a world of {reports} reports"),
            dir.path(),
            reports <= PEER_REPORTS,
        )?);
        kept.push(dir);
    }
    let Some(corpus) = corpus() else {
        println!("the corpus of real reports is not here: not measured");
        return Ok(());
    };
    kept.push(measure(&program, "the corpus of real reports", &corpus, true)?);
    let dir = tempfile::tempdir()?;
    multiply(&corpus, dir.path())?;
    measure(&program, &format!("{COPIES} times the corpus, in one month"), dir.path(), true)?;
    Ok(())
}

/// Runs of ours, of which the median counts: ours take seconds, in which a machine has moods that the peer's minutes
/// even out.
const RUNS: usize = 5;

/// Generated reports that the peer is given at most: it takes about 10 ms for each.
const PEER_REPORTS: u64 = 10_000;

/// A corpus is small beside what starting costs, and its years are spread over hundreds of days: so many
/// copies of its plain reports, each with an id of its own, on days of one month.
const COPIES: u64 = 10;
const MONTH: u64 = 1_780_272_000;

fn multiply(corpus: &Path, into: &Path) -> Outcome<()> {
    for (n, path) in files(corpus)?.iter().enumerate() {
        let Ok(text) = String::from_utf8(std::fs::read(path)?) else { continue };
        let number =
            |name| field(&text, name).and_then(|(at, len)| text[at..at + len].trim().parse::<u64>().ok());
        let (Some(begin), Some(end)) = (number("begin"), number("end")) else { continue };
        for copy in 0..COPIES {
            let mut text = text.clone();
            let first = MONTH + (n as u64 + copy * 7) % 30 * 86_400 + begin % 86_400;
            let last = first + end.saturating_sub(begin).min(90_000);
            for (name, value) in [("begin", first), ("end", last)] {
                if let Some((at, len)) = field(&text, name) {
                    text.replace_range(at..at + len, &value.to_string());
                }
            }
            if let Some((at, _)) = field(&text, "report_id") {
                text.insert_str(at, &format!("{copy}-"));
            }
            std::fs::write(into.join(format!("{n}-{copy}.xml")), text)?;
        }
    }
    Ok(())
}

/// Where the text of the first element of that name stands, and its length.
fn field(text: &str, name: &str) -> Option<(usize, usize)> {
    let at = text.find(&format!("<{name}>"))? + name.len() + 2;
    Some((at, text[at..].find('<')?))
}

/// Measures us, and parsedmarc where it is and is wanted. Returns the folder with our tables.
fn measure(program: &Path, what: &str, folder: &Path, peer: bool) -> Outcome<tempfile::TempDir> {
    let paths = files(folder)?;
    let bytes: u64 = paths.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    println!("\n{what}: {} files, {:.1} MB", paths.len(), bytes as f64 / 1e6);
    let data = tempfile::tempdir()?;
    let mut runs = Vec::with_capacity(RUNS);
    for n in 0..RUNS {
        let mut command = Command::new(program);
        command.args(["ingest", "--quiet"]).arg(folder).arg("--data").arg(data.path().join(n.to_string()));
        runs.push(run(&mut command)?);
    }
    runs.sort_by_key(|cost| cost.cpu);
    let ours = &runs[RUNS / 2];
    let rate = paths.len() as f64 / ours.cpu.as_secs_f64();
    print_cost("dmarcflow", rate, ours);
    let (least, most) = (runs[0].cpu.as_secs_f64(), runs[RUNS - 1].cpu.as_secs_f64());
    println!("{:<12}the median of {RUNS} runs of {least:.2} to {most:.2} s", "");
    println!("{}", ours.output.trim_end());
    let Some(parsedmarc) = std::env::var_os("PARSEDMARC").filter(|_| peer) else { return Ok(data) };
    let out = tempfile::tempdir()?;
    let mut command = Command::new(parsedmarc);
    command.arg("--offline").arg("--silent").arg("-o").arg(out.path()).args(&paths);
    let theirs = run(&mut command)?;
    let their_rate = paths.len() as f64 / theirs.cpu.as_secs_f64();
    print_cost("parsedmarc", their_rate, &theirs);
    println!("reports per CPU second, dmarcflow / parsedmarc: {:.1}", rate / their_rate);
    Ok(data)
}

fn print_cost(name: &str, rate: f64, cost: &Cost) {
    println!(
        "{name:<12}{rate:>10.0} reports per CPU second   cpu {:.2}s   wall {:.2}s{}",
        cost.cpu.as_secs_f64(),
        cost.wall.as_secs_f64(),
        cost.peak_mib.map_or_else(String::new, |peak| format!("   peak {peak} MiB"))
    );
}

/// Runs a program to its end and says what it cost, as the kernel accounts for it.
fn run(command: &mut Command) -> Outcome<Cost> {
    let (started, before) = (Instant::now(), getrusage(UsageWho::RUSAGE_CHILDREN)?);
    let output = command.env_remove("DMARCFLOW_BIN").output()?;
    let (wall, after) = (started.elapsed(), getrusage(UsageWho::RUSAGE_CHILDREN)?);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    // The kernel tells the peak of the largest child so far.
    let is_larger = after.max_rss() > before.max_rss();
    let peak_mib = is_larger.then_some(after.max_rss().unsigned_abs() / 1024);
    Ok(Cost { cpu: cpu_time(&after) - cpu_time(&before), wall, peak_mib, output: text })
}
