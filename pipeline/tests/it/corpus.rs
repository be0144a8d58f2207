//! Real reports through the whole program: the tables hold what an independent reader found.

use crate::support::{Deployment, shared_corpus};

#[test]
fn the_corpus_becomes_the_tables_that_an_independent_reader_expects() {
    let Some(corpus) = shared_corpus() else { return };
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(corpus.join("expected.json")).unwrap()).unwrap();
    let (totals, unique) = (&expected["totals"], &expected["totals"]["unique"]);
    let d = Deployment::new();
    let summary = d.ingest(&[&corpus.join("rua")]);
    println!("{summary}");
    let number = |value: &serde_json::Value| value.as_i64().unwrap();
    assert_eq!(d.number("SELECT count(*) FROM reports"), number(&unique["reports"]));
    assert_eq!(d.number("SELECT count(*) FROM records"), number(&unique["rows"]));
    assert_eq!(d.number("SELECT sum(messages) FROM records"), number(&unique["messages"]));
    assert_eq!(d.number("SELECT sum(messages) FROM records WHERE dmarc_pass"), number(&unique["passed"]));
    assert_eq!(d.number("SELECT sum(copies) - count(*) FROM reports"), number(&totals["duplicate"]));
    assert_eq!(d.number("SELECT count(DISTINCT org_name) FROM reports"), number(&unique["unique_orgs"]));
    assert_eq!(
        d.number("SELECT count(DISTINCT policy_domain) FROM reports"),
        number(&unique["unique_domains"])
    );
    assert_eq!(d.number("SELECT count(DISTINCT source_ip) FROM records"), number(&unique["unique_ips"]));
    assert_eq!(d.number("SELECT count(*) FROM dead_letters"), number(&totals["rejected"]));
    for (disposition, messages) in unique["disposition"].as_object().unwrap() {
        let query = format!("SELECT sum(messages) FROM records WHERE disposition = '{disposition}'");
        assert_eq!(d.number(&query), number(messages), "{disposition}");
    }
    for table in ["daily", "daily_senders", "daily_reporters", "daily_sources"] {
        assert_eq!(
            d.number(&format!("SELECT sum(messages) FROM {table}")),
            number(&unique["messages"]),
            "{table}"
        );
        let passed = format!("SELECT sum(messages) FROM {table} WHERE dmarc_pass");
        assert_eq!(d.number(&passed), number(&unique["passed"]), "{table}");
    }
}
