//! A deployment in a folder of its own, driven through the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tables, with the columns that must be equal however reports arrived: all but where a report came from
/// and how many copies came.
const TABLES: &[(&str, &str)] = &[
    (
        "reports",
        "date, report_key, policy_domain, org_name, report_id, range_begin, range_end, email, p, sp, np, adkim, aspf, pct, fo, \
         record_count, messages, passed_messages, conflict, geo_version, services_version",
    ),
    ("records", "*"),
    ("daily", "*"),
    ("daily_senders", "*"),
    ("daily_reporters", "*"),
    ("daily_sources", "*"),
];

/// A data folder that goes away with the test.
pub(crate) struct Deployment {
    pub(crate) dir: tempfile::TempDir,
    /// The configuration, where there is one.
    config: Option<PathBuf>,
}

impl Deployment {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), config: None }
    }

    /// One with this configuration.
    pub(crate) fn configured(toml: &str) -> Self {
        let mut deployment = Self::new();
        let path = deployment.dir.path().join("dmarcflow.toml");
        std::fs::write(&path, toml).unwrap();
        deployment.config = Some(path);
        deployment
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The program with this data folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmarcflow"));
        command.args(args).arg("--data").arg(self.data()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DMARCFLOW_")) {
            command.env_remove(name);
        }
        // A free port, so that deployments stand beside each other.
        command.env("DMARCFLOW_LISTEN", "127.0.0.1:0");
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the program, which must succeed; what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn ingest(&self, paths: &[&Path]) -> String {
        let mut args = vec!["ingest", "--quiet"];
        args.extend(paths.iter().map(|p| p.to_str().unwrap()));
        self.ok(&args)
    }

    /// The rows of a query.
    pub(crate) fn rows(&self, query: &str) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ok(&["sql", "--format", "json", query])).unwrap()
    }

    /// The one number that a query gives.
    pub(crate) fn number(&self, query: &str) -> i64 {
        let rows = self.rows(query);
        let row = rows[0].as_object().unwrap();
        row.values().next().unwrap().as_i64().unwrap_or_default()
    }

    /// Every table's rows as sorted lines.
    pub(crate) fn tables(&self) -> BTreeMap<&'static str, Vec<String>> {
        TABLES
            .iter()
            .map(|(table, columns)| {
                let dump = self.ok(&["sql", "--format", "ndjson", &format!("SELECT {columns} FROM {table}")]);
                let mut lines: Vec<_> = dump.lines().map(str::to_owned).collect();
                lines.sort_unstable();
                (*table, lines)
            })
            .collect()
    }
}

/// Says which table differs and shows a line of it.
pub(crate) fn assert_same(a: &BTreeMap<&str, Vec<String>>, b: &BTreeMap<&str, Vec<String>>, what: &str) {
    for (table, lines) in a {
        let other = &b[table];
        let first = lines.iter().zip(other).find(|(x, y)| x != y);
        assert!(
            lines == other,
            "{what}: {table} has {} and {} rows; first difference {first:#?}",
            lines.len(),
            other.len()
        );
        assert!(!lines.is_empty(), "{what}: {table} is empty, which proves nothing");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A seeded world of reports in a folder: plain files, compressed ones, mails.
pub(crate) fn world(reports: u64, seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let deployment = Deployment::new();
    let folder = dir.path().join("world");
    deployment.ok(&[
        "demo",
        folder.to_str().unwrap(),
        "--reports",
        &reports.to_string(),
        "--seed",
        &seed.to_string(),
    ]);
    dir
}

/// Every file below a folder, in order.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// Says that a test needs something that is not here; where everything must be, it fails.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("skipped: {why}");
}

/// The reports that other people collected, where they are.
pub(crate) fn shared_corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: there is no corpus at {}", path.display());
    None
}

/// Whether long forms were asked for with `DMARCFLOW_LONG=1`.
pub(crate) fn long() -> bool {
    std::env::var("DMARCFLOW_LONG").is_ok_and(|v| v == "1")
}

/// A repeatable number below `n`: the `i`-th of a seed.
pub(crate) fn random(seed: u64, i: u64, n: u64) -> u64 {
    let mut x = seed.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % n
}
