//! Real reports, file by file, against what an independent reader found in them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use dmarcflow_stages::parse::Limits;
use serde_json::{Value, json};

use crate::support::{self, Parsed, Report};

fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    if path.join("expected.json").is_file() {
        return Some(path);
    }
    println!("skipped: there is no corpus at {}", path.display());
    None
}

fn files(under: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![under.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Reads files one at a time; gives what came of each, by its path under the folder.
fn read(folder: &Path) -> BTreeMap<String, Parsed> {
    files(folder)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let record = support::raw(0, &name, &std::fs::read(&path).unwrap());
            (name, support::parse_batches(Limits::default(), &[&[record]]))
        })
        .collect()
}

/// A report in the words of `expected.json`.
fn describe(report: &Report, fate: &str) -> Value {
    let mut dispositions = BTreeMap::new();
    for row in &report.records {
        *dispositions.entry(row.disposition.clone().unwrap_or_default()).or_insert(0) += row.messages;
    }
    let passed: i64 = report.records.iter().filter(|r| r.dmarc_pass).map(|r| r.messages).sum();
    let messages: i64 = report.records.iter().map(|r| r.messages).sum();
    assert_eq!((report.message_count, report.passed_count), (messages, passed));
    assert_eq!(report.record_count, report.records.len() as i64);
    json!({
        "org": report.org_name, "domain": report.policy_domain, "id": report.report_id,
        "begin": report.begin / 1_000_000, "end": report.end / 1_000_000,
        "rows": report.records.len(), "messages": messages, "passed": passed,
        "disposition": dispositions, "fate": fate,
    })
}

fn rejection(reason: &str) -> &str {
    match reason {
        "elements-do-not-nest" => "elements do not nest",
        "not-a-report" => "not a report",
        other => other,
    }
}

/// What the expected repairs are called here.
fn repair(name: &str) -> &str {
    match name {
        "bom" => "bom",
        "empty org_name" => "empty-org-name",
        "invalid utf-8" => "invalid-utf8",
        "junk after gzip" => "junk-after-gzip",
        "junk before root" => "junk-before-root",
        "record without source_ip" => "record-without-source-ip",
        other => other,
    }
}

#[test]
fn every_file_of_the_corpus_is_read_as_expected() {
    let Some(corpus) = corpus() else { return };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(corpus.join("expected.json")).unwrap()).unwrap();
    let files = read(&corpus.join("rua"));
    let mut wrong = Vec::new();
    let mut seen: HashMap<Vec<u8>, HashSet<Vec<u8>>> = HashMap::new();
    let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, parsed) in &files {
        let reports: Vec<Value> = parsed
            .reports
            .iter()
            .map(|report| {
                let contents = seen.entry(report.identity.clone()).or_default();
                let known = !contents.is_empty();
                let fate = match (contents.insert(report.content.clone()), known) {
                    (false, _) => "duplicate",
                    (true, true) => "conflict",
                    (true, false) => "new",
                };
                *totals.entry(fate).or_default() += 1;
                if fate != "duplicate" {
                    *totals.entry("rows").or_default() += report.record_count;
                    *totals.entry("messages").or_default() += report.message_count;
                    *totals.entry("passed").or_default() += report.passed_count;
                }
                describe(report, fate)
            })
            .collect();
        let want = &expected["files"][name];
        let found = match parsed.letters.as_slice() {
            [] => json!({ "reports": reports }),
            [letter] => json!({ "rejected": rejection(&letter.reason) }),
            more => json!({ "letters": more.len() }),
        };
        *totals.entry(if parsed.letters.is_empty() { "accepted" } else { "rejected" }).or_default() += 1;
        if want["reports"] != found["reports"] || want["rejected"] != found["rejected"] {
            wrong.push(format!("{name}\n  expected {want}\n  found    {found}"));
        }
        for kind in want["repairs"].as_object().into_iter().flatten().map(|(kind, _)| repair(kind)) {
            if !parsed.reports.iter().any(|r| r.has_repair(kind)) {
                wrong.push(format!("{name}: no repair {kind}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), files.len(), wrong.join("\n"));
    assert_eq!(files.len(), expected["files"].as_object().unwrap().len());
    let want = &expected["totals"];
    for (name, want) in [
        ("accepted", &want["accepted"]),
        ("rejected", &want["rejected"]),
        ("new", &want["new"]),
        ("duplicate", &want["duplicate"]),
        ("conflict", &want["conflict"]),
        ("rows", &want["unique"]["rows"]),
        ("messages", &want["unique"]["messages"]),
        ("passed", &want["unique"]["passed"]),
    ] {
        assert_eq!(Some(totals[name]), want.as_i64(), "{name}");
    }
}

#[test]
fn reports_of_other_kinds_are_kept_for_what_will_read_them() {
    let Some(corpus) = corpus() else { return };
    for (name, parsed) in read(&corpus.join("tls")) {
        assert_eq!(parsed.reasons(), ["tls-report-unsupported"], "{name}");
    }
    for (name, parsed) in read(&corpus.join("ruf")) {
        // Exim's are plain text: nothing in their bytes says what they are.
        let expected = if name.contains("exim") { "not-a-report" } else { "failure-report-unsupported" };
        assert_eq!(parsed.reasons(), [expected], "{name}");
        assert_eq!(parsed.letters[0].value, std::fs::read(corpus.join("ruf").join(&name)).unwrap(), "{name}");
    }
}
