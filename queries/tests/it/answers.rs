//! Every SQL file against the truth of the small lake, worked out by hand.

use dmarcflow_queries::{Format, Library, Params, Session};

use crate::world::{ask, open, shared};

/// The answer as lines of CSV, without its header.
async fn lines(name: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let text = ask(&shared().await, name, pairs, Format::Csv).await;
    text.split_terminator("\r\n").skip(1).map(str::to_owned).collect()
}

macro_rules! golden {
    ($($test:ident: $name:literal $pairs:tt gives [$($line:literal),* $(,)?];)*) => {
        $(#[tokio::test]
        async fn $test() {
            let pairs: &[(&str, &str)] = &$pairs;
            let expected: &[&str] = &[$($line),*];
            assert_eq!(lines($name, pairs).await, expected);
        })*
    };
}

golden! {
    overview: "overview" [] gives [
        "2026-03-29,2026-03-31,425,359,84.47,66,20,30,12,50,100.0,2,4,3,8,2,2,1",
    ];
    overview_of_a_domain: "overview" [("domain", "B.example")] gives [
        "2026-03-30,2026-03-30,7,7,100.0,0,0,0,0,0,,1,1,1,1,0,0,1",
    ];
    pass_rate_by_day: "pass_rate_by_day" [] gives [
        "2026-03-29,150,140,93.33,10,0,2,0,0,true",
        "2026-03-30,162,136,83.95,26,9,3,2,0,true",
        "2026-03-31,113,83,73.45,30,3,2,3,2,false",
    ];
    a_day_without_messages_is_a_row: "pass_rate_by_day" [("days", "50"), ("until", "2026-02-17")] gives [
        "2026-02-15,50,50,100.0,0,0,1,0,0,true",
        "2026-02-16,0,0,,0,0,0,1,1,false",
        "2026-02-17,0,0,,0,0,0,1,1,false",
    ];
    incomplete_days: "incomplete_days" [] gives [
        "2026-03-31,113,2,3,2,30,\"yahoo.example, cisco.example\",false",
    ];
    all_days: "incomplete_days" [("all", "true")] gives [
        "2026-03-31,113,2,3,2,30,\"yahoo.example, cisco.example\",false",
        "2026-03-30,162,3,2,0,0,,true",
        "2026-03-29,150,2,0,0,0,,true",
    ];
    domains: "domains" [] gives [
        "a.example,quarantine,418,352,84.21,312,232,66,3,2026-03-31",
        "b.example,reject,7,7,100.0,7,7,0,1,2026-03-30",
    ];
    sources: "sources" [] gives [
        "192.0.2.1,Google Workspace,US,15169,319,319,100.0,0,319,199,0,2,2026-03-29,2026-03-31",
        "192.0.2.50,Mailchimp,US,14782,46,40,86.96,6,0,40,0,1,2026-03-29,2026-03-30",
        "198.51.100.7,,RU,64500,40,0,0.0,40,0,0,0,1,2026-03-29,2026-03-31",
        "203.0.113.5,,DE,64501,20,0,0.0,20,0,0,20,1,2026-03-30,2026-03-30",
    ];
    sources_of_a_day: "sources" [("domain", "a.example"), ("days", "1"), ("limit", "1")] gives [
        "192.0.2.1,Google Workspace,US,15169,83,83,100.0,0,83,83,0,1,2026-03-31,2026-03-31",
    ];
    failing_sources: "failing_sources" [] gives [
        "198.51.100.7,,RU,64500,40,0,0.0,40,0,0,0,1,2026-03-29,2026-03-31",
        "203.0.113.5,,DE,64501,20,0,0.0,20,0,0,20,1,2026-03-30,2026-03-30",
        "192.0.2.50,Mailchimp,US,14782,46,40,86.96,6,0,40,0,1,2026-03-29,2026-03-30",
    ];
    services: "services" [] gives [
        "Google Workspace,319,75.06,319,100.0,0,319,199,2,2026-03-29,2026-03-31",
        ",60,14.12,0,0.0,60,0,0,1,2026-03-29,2026-03-31",
        "Mailchimp,46,10.82,40,86.96,6,0,40,1,2026-03-29,2026-03-30",
    ];
    safe_to_enforce: "safe_to_enforce" [] gives [
        "a.example,quarantine,418,84.21,66,20,6,0,40,Mailchimp 6,fix own senders",
        "b.example,reject,7,100.0,0,0,0,0,0,,enforced",
    ];
    reporters: "reporters" [] gives [
        "google.com,360,300,83.33,1,2026-03-31,3,2026-03-31T23:59:59Z,0,0,0",
        "yahoo.example,53,47,88.68,2,2026-03-30,3,2026-03-30T23:59:59Z,1,0,2",
        "cisco.example,12,12,100.0,1,2026-03-31,2,2026-03-31T06:00:00Z,0,2,0",
    ];
    dispositions: "dispositions" [] gives [
        "none,true,359,84.47",
        "reject,false,30,7.06",
        "quarantine,false,20,4.71",
        "none,false,16,3.76",
    ];
    countries: "countries" [] gives [
        "US,365,85.88,359,98.36,6",
        "RU,40,9.41,0,0.0,40",
        "DE,20,4.71,0,0.0,20",
    ];
    overrides: "overrides" [] gives [
        "mailing_list,quarantine,false,20,1,1,1,\"list, \"\"announce\"\"\"",
    ];
    policy_history: "policy_history" [] gives [
        "a.example,2026-02-15,2026-03-30,none,none,r,r,100,,7,3",
        "a.example,2026-03-31,2026-03-31,quarantine,quarantine,r,r,100,,1,1",
        "b.example,2026-03-30,2026-03-30,reject,reject,r,r,100,,1,1",
    ];
    address: "address" [("ip", "192.0.2.1")] gives [
        "192.0.2.1,a.example,a.example,Google Workspace,US,15169,362,362,100.0,0,362,242,0,0,2026-02-15,2026-03-31",
        "192.0.2.1,b.example,b.example,Google Workspace,US,15169,7,7,100.0,0,7,7,0,0,2026-03-30,2026-03-30",
    ];
    the_address_with_most_failing_messages: "address" [] gives [
        "198.51.100.7,a.example,a.example,,RU,64500,40,0,0.0,40,0,0,0,30,2026-03-29,2026-03-31",
    ];
    reports_of_a_reporter: "reports" [("org", "YAHOO"), ("domain", "a.example")] gives [
        "2026-03-30,a.example,yahoo.example,y30,2026-03-30T00:00:00Z,2026-03-30T23:59:59Z,1,6,0,0.0,1,false,1,\
         reports/y30.xml.gz,\"\",00000000000000000000000000000006",
        "2026-03-29,a.example,yahoo.example,y29,2026-03-29T00:00:00Z,2026-03-29T23:59:59Z,1,40,40,100.0,3,false,0,\
         reports/y29.xml.gz,\"\",00000000000000000000000000000005",
    ];
    conflicts: "conflicts" [] gives [
        "cisco.example,a.example,c30,2026-03-30T06:00:00Z,2026-03-31T06:00:00Z,1,8,8,1,reports/c30.xml.gz,\"\",\
         00000000000000000000000000000008",
        "cisco.example,a.example,c30,2026-03-30T06:00:00Z,2026-03-31T06:00:00Z,1,4,4,1,reports/c30.xml.gz,\"\",\
         00000000000000000000000000000009",
    ];
    duplicates: "duplicates" [] gives ["yahoo.example,3,1,2,3"];
    repairs_by_reporter: "repairs_by_reporter" [] gives [
        "yahoo.example,value-mapped,record/row/disposition,1,2,hardfail",
    ];
    dead_letters: "dead_letters" [] gives [
        "2026-04-01T08:00:00Z,parse,truncated,the text ends in the middle of the report,mail.mbox#7,report.xml.gz,1,812,open,0/0",
    ];
    report: "report" [("key", "00000000000000000000000000000003")] gives [
        "0,192.0.2.1,120,none,true,false,true,a.example,\"\",Google Workspace,US,,[],\
         \"[{\"\"domain\"\":\"\"a.example\"\",\"\"selector\"\":\"\"s1\"\",\"\"result\"\":\"\"pass\"\",\"\"human_result\"\":null},\
         {\"\"domain\"\":\"\"other.example\"\",\"\"selector\"\":null,\"\"result\"\":\"\"pass\"\",\"\"human_result\"\":null}]\",\
         \"[{\"\"domain\"\":\"\"a.example\"\",\"\"scope\"\":\"\"mfrom\"\",\"\"result\"\":\"\"fail\"\",\"\"human_result\"\":null}]\",\
         a.example,google.com,g30,00000000000000000000000000000003",
        "1,203.0.113.5,20,quarantine,false,false,false,a.example,\"\",,DE,mailing_list,\
         \"[{\"\"type\"\":\"\"mailing_list\"\",\"\"comment\"\":\"\"list, \\\"\"announce\\\"\"\"\"}]\",\
         \"[{\"\"domain\"\":\"\"a.example\"\",\"\"selector\"\":\"\"s1\"\",\"\"result\"\":\"\"fail\"\",\"\"human_result\"\":null},\
         {\"\"domain\"\":\"\"other.example\"\",\"\"selector\"\":null,\"\"result\"\":\"\"pass\"\",\"\"human_result\"\":null}]\",\
         \"[{\"\"domain\"\":\"\"a.example\"\",\"\"scope\"\":\"\"mfrom\"\",\"\"result\"\":\"\"fail\"\",\"\"human_result\"\":null}]\",\
         a.example,google.com,g30,00000000000000000000000000000003",
    ];
}

#[tokio::test]
async fn the_newest_report_is_the_default() {
    let lines = lines("report", &[]).await;
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().all(|line| line.ends_with("google.com,g31,00000000000000000000000000000004")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn reports_are_found_by_id_and_limited() {
    assert_eq!(lines("reports", &[]).await.len(), 8);
    assert_eq!(lines("reports", &[("limit", "3")]).await.len(), 3);
    assert_eq!(lines("reports", &[("id", "30")]).await.len(), 5);
    assert_eq!(lines("reports", &[("id", "%")]).await.len(), 0);
}

async fn columns(session: &Session, name: &str) -> Vec<String> {
    let library = Library::new().unwrap();
    let answer = session
        .ask(library.get(name).unwrap(), &Params::new())
        .await
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    answer.schema().fields().iter().map(|field| field.name().clone()).collect()
}

#[tokio::test]
async fn every_file_gives_the_columns_that_its_header_says() {
    let session = shared().await;
    for query in Library::new().unwrap().list() {
        let documented: Vec<_> = query.header.columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(columns(&session, &query.name).await, documented, "{}", query.name);
    }
}

#[tokio::test]
async fn every_file_answers_over_an_empty_lake() {
    let lake = tempfile::tempdir().unwrap();
    let session = open(lake.path());
    for query in Library::new().unwrap().list() {
        let text = ask(&session, &query.name, &[], Format::Csv).await;
        let rows = text.split_terminator("\r\n").count() - 1;
        assert_eq!(rows, usize::from(query.name == "overview"), "{}: {text}", query.name);
    }
}

/// A value that breaks out of a quoted text, given to every parameter that takes text.
#[tokio::test]
async fn values_are_bound() {
    let session = shared().await;
    for query in Library::new().unwrap().list() {
        for parameter in query.header.parameters.iter().filter(|parameter| parameter.r#type.name() == "text")
        {
            let text =
                ask(&session, &query.name, &[(&parameter.name, "x' OR '1'='1' --")], Format::Csv).await;
            let rows = text.split_terminator("\r\n").count() - 1;
            assert_eq!(rows, usize::from(query.name == "overview"), "{} {}", query.name, parameter.name);
        }
    }
}
