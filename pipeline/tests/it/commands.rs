//! The commands, as a person meets them.

use std::fs;

use crate::support::{Deployment, text};

const REPORT: &str = r#"<?xml version="1.0"?><feedback><report_metadata><org_name>receiver.example</org_name>
<email>dmarc@receiver.example</email><report_id>ID</report_id><date_range><begin>1700006400</begin><end>1700092799</end></date_range>
</report_metadata><policy_published><domain>shop.example</domain><p>none</p></policy_published><record><row>
<source_ip>192.0.2.1</source_ip><count>12</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
</policy_evaluated></row><identifiers><header_from>shop.example</header_from></identifiers><auth_results><dkim><domain>shop.example</domain>
<result>pass</result></dkim></auth_results></record></feedback>"#;

#[test]
fn a_dead_letter_is_listed_shown_retried_and_discarded() {
    let d = Deployment::new();
    let reports = tempfile::tempdir().unwrap();
    fs::write(reports.path().join("cut.xml"), &REPORT.as_bytes()[..REPORT.len() / 2]).unwrap();
    fs::write(reports.path().join("good.xml"), REPORT).unwrap();
    fs::write(reports.path().join("readme.txt"), "nothing to see").unwrap();
    d.ingest(&[reports.path()]);
    assert_eq!(d.number("SELECT sum(messages) FROM daily"), 12);
    assert!(!d.run(&["ingest", "--strict", "--quiet", "/nonexistent"]).status.success());

    let list = d.ok(&["dead-letters", "list"]);
    assert!(list.contains("cut.xml") && list.contains("readme.txt"), "{list}");
    let letter = list.lines().find(|l| l.contains("readme.txt")).unwrap().split_whitespace().next().unwrap();
    assert!(d.ok(&["dead-letters", "show", letter]).contains("nothing to see"));
    assert_eq!(d.ok(&["dead-letters", "show", letter, "--raw"]), "nothing to see");
    d.ok(&["dead-letters", "discard", letter]);
    let again = d.run(&["dead-letters", "discard", letter]);
    assert!(text(&again.stderr).contains("dealt with before"), "{}", text(&again.stderr));
    assert!(!d.ok(&["dead-letters", "list"]).contains("readme.txt"));

    let retried = d.ok(&["dead-letters", "retry", "--all"]);
    assert!(retried.starts_with("1 retried"), "{retried}");
    assert_eq!(d.number("SELECT count(*) FROM dead_letters WHERE state = 'retried'"), 1);
    assert_eq!(d.number("SELECT count(*) FROM dead_letters WHERE state = 'discarded'"), 1);
    assert_eq!(d.number("SELECT count(*) FROM dead_letters WHERE state = 'open'"), 1, "it died again");
}

#[test]
fn standard_input_and_strict_and_errors_that_say_what_to_do() {
    let d = Deployment::new();
    let input = d.dir.path().join("input.xml");
    fs::write(&input, REPORT).unwrap();
    let output =
        d.command(&["ingest", "--quiet", "-"]).stdin(fs::File::open(&input).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(d.number("SELECT count(*) FROM reports WHERE origin = '-'"), 1);
    fs::write(&input, "rubbish").unwrap();
    let strict = d.run(&["ingest", "--strict", "--quiet", input.to_str().unwrap()]);
    assert_eq!(strict.status.code(), Some(1));

    let config = d.dir.path().join("dmarcflow.toml");
    fs::write(&config, "[lake]\nurll = 's3://x'\n").unwrap();
    let output = d.run(&["check-config", "--config", config.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("did you mean `lake.url`?"), "{}", text(&output.stderr));
    let output = d.run(&["schema", "recrods"]);
    assert!(text(&output.stderr).contains("there is no table `recrods`"), "{}", text(&output.stderr));
    assert!(d.ok(&["schema", "records"]).contains("RFC 9990"));
    assert!(d.ok(&["topics", "--partitions"]).contains("reports.raw"));
    assert!(d.ok(&["completions", "bash"]).contains("dead-letters"));
    let write = d.run(&["sql", "DELETE FROM reports"]);
    assert!(!write.status.success() && text(&write.stderr).contains("read-only"), "{}", text(&write.stderr));
}

#[test]
fn a_reader_that_goes_away_is_nothing_to_complain_about() {
    let d = Deployment::new();
    for args in [&["check-config", "--reference"][..], &["topics"], &["schema"], &["completions", "bash"]] {
        let mut child = d
            .command(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", output.status);
        assert!(!text(&output.stderr).contains("panicked"), "{args:?}: {}", text(&output.stderr));
    }
}
