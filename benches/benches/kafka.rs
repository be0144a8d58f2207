//! Kafka mode beside the embedded one: reports a second by workers and partitions, CPU time a report, and how long a
//! report takes from its arrival to a row that SQL sees.
//!
//! `cargo bench -p dmarcflow-benches --bench kafka [-- REPORTS] [latency]`. The program is the one in the same target folder, or
//! `DMARCFLOW_BIN`; Apache Kafka's jars are where the tests look for them. Brokers, workers and bench share the machine.
#![allow(clippy::unwrap_used)]

#[path = "../../pipeline/log/tests/it/broker.rs"]
mod broker;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmarcflow_benches::{files, program};
use dmarcflow_demo::{Day, Form, World, WorldConfig, Wrapping, write};

use broker::Cluster;

/// Reports that trickle in, one after the other.
const TRICKLE: usize = 40;
const LOOK: Duration = Duration::from_millis(10);

fn main() {
    let program = program().unwrap();
    let reports = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000);
    println!("program: {}, {reports} reports", program.display());
    let world = world(reports, 1);
    let Some(cluster) = Cluster::start(1) else { return };

    if !std::env::args().any(|a| a == "latency") {
        throughput(&program, &cluster, world.path(), reports);
    }
    latency(&program, &cluster, world.path(), reports);
}

fn throughput(program: &Path, cluster: &Cluster, world: &Path, reports: u64) {
    println!(
        "\nthroughput: a backlog of {reports} reports, from the start of the workers until every row is in the tables"
    );
    let embedded = Place::new(program, "");
    let base = embedded.drain(world, 1);
    print_drain("embedded", 1, 4, reports, &base, &base);
    for (workers, partitions) in [(1, 4), (1, 12), (2, 12), (4, 12)] {
        let place = Place::new(program, &kafka(cluster, &format!("t{workers}-{partitions}"), partitions));
        let cost = place.drain(world, workers);
        print_drain("kafka", workers, partitions, reports, &cost, &base);
    }
}

fn latency(program: &Path, cluster: &Cluster, world: &Path, reports: u64) {
    println!("\nlatency: from a file in a watched folder to its row");
    for (name, config) in [("embedded", String::new()), ("kafka", kafka(cluster, "latency", 12))] {
        let place = Place::new(program, &config);
        print_latency(&format!("{name}, a trickle"), place.trickle(None));
        let place = Place::new(program, &config.replace("latency", "loaded"));
        print_latency(&format!("{name}, beside a backlog of {reports}"), place.trickle(Some(world)));
    }
}

fn world(reports: u64, seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(WorldConfig::sized(seed, Day::new(2026, 6, 30).unwrap(), reports));
    write(&world, dir.path(), Form::Files(Wrapping::Xml), |_| {}).unwrap();
    dir
}

fn kafka(cluster: &Cluster, name: &str, partitions: u32) -> String {
    let brokers = cluster.brokers();
    format!(
        "log = 'kafka'\npartitions = {partitions}\n[kafka]\nbrokers = '{brokers}'\nprefix = '{name}.'\nreplication = 1\n"
    )
}

/// A deployment in a folder of its own.
struct Place {
    program: PathBuf,
    dir: tempfile::TempDir,
    kafka: bool,
}

/// What a backlog cost.
struct Drained {
    wall: Duration,
    cpu: Duration,
    peak_mib: u64,
}

impl Place {
    fn new(program: &Path, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dmarcflow.toml"), config).unwrap();
        Self { program: program.to_owned(), dir, kafka: config.contains("kafka") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--data").arg(self.dir.path().join("data"));
        command.arg("--config").arg(self.dir.path().join("dmarcflow.toml"));
        command.env("DMARCFLOW_LISTEN", "127.0.0.1:0").env_remove("DMARCFLOW_BIN");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Works a backlog off with so many processes.
    fn drain(&self, world: &Path, workers: usize) -> Drained {
        let started = Instant::now();
        let others: Vec<_> = (1..workers).map(|_| self.command(&["worker"]).spawn().unwrap()).collect();
        let mut intake = self.command(&["ingest", "--quiet"]).arg(world).spawn().unwrap();
        let (mut cpu, mut peak) = (Duration::ZERO, 0);
        while intake.try_wait().unwrap().is_none() {
            let used: Vec<_> = others.iter().chain([&intake]).filter_map(|c| usage(c.id())).collect();
            if used.len() == workers {
                cpu = used.iter().map(|(cpu, _)| *cpu).sum();
                peak = used.iter().map(|(_, peak)| *peak).max().unwrap_or_default().max(peak);
            }
            std::thread::sleep(LOOK);
        }
        let wall = started.elapsed();
        others.into_iter().for_each(end);
        Drained { wall, cpu, peak_mib: peak }
    }

    /// Puts reports into a watched folder one by one, beside a backlog where there is one. How long each took.
    fn trickle(&self, backlog: Option<&Path>) -> Vec<Duration> {
        let inbox = self.dir.path().join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        let running = self.command(&["run", "--watch", inbox.to_str().unwrap()]).spawn().unwrap();
        let log = self.dir.path().join("data/lake/reports/_delta_log");
        until(|| log.is_dir());
        // What a first look and a first commit cost is not what the next ones do.
        std::thread::sleep(Duration::from_secs(5));
        let busy = backlog.map(|backlog| {
            if self.kafka {
                return self.command(&["ingest", "--quiet"]).arg(backlog).spawn().unwrap();
            }
            // The embedded log is for one process: the backlog goes through the same folder.
            for file in files(backlog).unwrap() {
                std::fs::copy(&file, inbox.join(file.file_name().unwrap())).unwrap();
            }
            Command::new("true").spawn().unwrap()
        });
        let mut took = Vec::new();
        for n in 0..TRICKLE {
            let id = format!("~~trickle-{n}-{}", std::process::id());
            let part = inbox.join(format!(".{id}"));
            std::fs::write(&part, report(&id)).unwrap();
            let arrived = Instant::now();
            std::fs::rename(&part, inbox.join(format!("{id}.xml"))).unwrap();
            until(|| is_in(&log, &id));
            took.push(arrived.elapsed());
        }
        end(running);
        busy.into_iter().for_each(end);
        took
    }
}

/// A report of one record by this reporter.
fn report(reporter: &str) -> String {
    format!(
        "<feedback><report_metadata><org_name>{reporter}</org_name><email>dmarc@reporter.example</email>\
         <report_id>{reporter}</report_id><date_range><begin>1782777600</begin><end>1782863999</end></date_range>\
         </report_metadata><policy_published><domain>shop.example</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>shop.example</header_from></identifiers>\
         <auth_results><dkim><domain>shop.example</domain><result>pass</result></dkim></auth_results></record></feedback>"
    )
}

/// Whether the table's log names a file with this reporter: its name is the last of all, which the log tells of every
/// file.
fn is_in(log: &Path, reporter: &str) -> bool {
    let mut entries = files(log).unwrap();
    entries.retain(|entry| entry.extension().is_some_and(|e| e == "json"));
    entries.iter().rev().take(5).any(|e| std::fs::read_to_string(e).unwrap_or_default().contains(reporter))
}

fn until(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !so() {
        assert!(Instant::now() < deadline, "it took too long");
        std::thread::sleep(LOOK);
    }
}

fn end(mut child: Child) {
    // It may have ended by itself.
    drop(child.kill());
    drop(child.wait());
}

/// CPU time and peak memory of a running process.
fn usage(pid: u32) -> Option<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks: u64 =
        stat.rsplit_once(')')?.1.split(' ').skip(12).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some((Duration::from_millis(ticks * 10), peak.trim().split(' ').next()?.parse::<u64>().ok()? / 1024))
}

fn print_drain(log: &str, workers: usize, partitions: u32, reports: u64, cost: &Drained, base: &Drained) {
    println!(
        "{log:<9} {workers} process(es), {partitions:>2} partitions: {:>6.0} reports a second, {:>5.2} times the CPU time of embedded, peak {} MiB a process",
        reports as f64 / cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64() / base.cpu.as_secs_f64(),
        cost.peak_mib
    );
}

fn print_latency(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64();
    println!("{what:<40} p50 {:.2} s, p99 {:.2} s", at(0.5), at(0.99));
}
