//! Laws that hold for any input: batching, slicing, and that nothing makes the stage panic.

use std::ops::Range;

use dmarcflow_stages::parse::Limits;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::quirks::{METADATA, POLICY, RECORD, gzip, mail, zip};
use crate::support::{parse, parse_batches, raw};

/// A report of some records over some domains, with text that needs care.
fn reports(records: Range<usize>) -> impl Strategy<Value = String> {
    let row = ("[0-9]{1,3}", 0u32..5, "[a-zé<&]{0,12}", any::<bool>());
    (0u32..6, 0u32..4, vec(row, records)).prop_map(|(domain, id, rows)| {
        let metadata = METADATA.replace("id-1", &format!("id-{id}"));
        let policy = POLICY.replace("example.com", &format!("d{domain}.example"));
        let rows: String = rows
            .iter()
            .map(|(octet, count, text, pass)| {
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                RECORD
                    .replace("192.0.2.1", &format!("10.0.{count}.{octet}"))
                    .replace(">3<", &format!(">{count}<"))
                    .replace(">s1<", &format!(">{text}<"))
                    .replace("<dkim>pass", if *pass { "<dkim>pass" } else { "<dkim>fail" })
            })
            .collect();
        format!("<feedback>{metadata}{policy}{rows}</feedback>")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_gives_the_same_rows(texts in vec(reports(0..6), 1..12), cuts in vec(any::<prop::sample::Index>(), 0..4)) {
        let records: Vec<_> = texts.iter().enumerate().map(|(n, t)| raw(n as u64, "o", t.as_bytes())).collect();
        let whole = parse_batches(Limits::default(), &[&records]);
        let mut cuts: Vec<_> = cuts.iter().map(|c| c.index(records.len())).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        let batches: Vec<_> = cuts.windows(2).map(|w| &records[w[0]..w[1]]).collect();
        let cut = parse_batches(Limits::default(), &batches);
        prop_assert_eq!(whole.reports, cut.reports);
        prop_assert_eq!(whole.letters, cut.letters);
        prop_assert_eq!(whole.tally, cut.tally);
    }

    #[test]
    fn any_bytes_have_a_fate(bytes in vec(any::<u8>(), 0..600)) {
        let parsed = parse(&bytes);
        prop_assert!(!parsed.reports.is_empty() || !parsed.letters.is_empty());
    }

    #[test]
    fn markup_like_text_has_a_fate(text in r#"(<feedback>|</feedback>|<record>|</record>|<row|<count>|</count>|</|<!--|-->|<!\[CDATA\[|\]\]>|<\?xml|\?>|<!DOCTYPE|&|;|&#x|"|=| |/>|>|[a-z0-9:é]){0,60}"#) {
        let parsed = parse(format!("<feedback>{text}").as_bytes());
        prop_assert!(!parsed.reports.is_empty() || !parsed.letters.is_empty());
    }

    #[test]
    fn damaged_reports_have_a_fate(
        text in reports(1..4),
        wrap in 0..4,
        edits in vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..8),
    ) {
        let mut bytes = match wrap {
            0 => text.into_bytes(),
            1 => gzip(text.as_bytes()),
            2 => zip(&[("a.xml", text.as_bytes()), ("b.xml", text.as_bytes())]),
            _ => mail(&[("Content-Type: text/xml", &text), ("Content-Type: message/rfc822", "From: x\r\n\r\ny")]).into_bytes(),
        };
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        let parsed = parse(&bytes);
        prop_assert!(!parsed.reports.is_empty() || !parsed.letters.is_empty());
    }
}

#[test]
fn a_large_report_is_sliced_and_loses_nothing() {
    let records: String = (0..12_000)
        .map(|n| {
            RECORD
                .replace("192.0.2.1", &format!("10.{}.{}.1", n / 250, n % 250))
                .replace(">s1<", &format!(">selector-{n}<"))
        })
        .collect();
    let xml = format!("<feedback>{METADATA}{POLICY}{records}</feedback>");
    let parsed = parse(xml.as_bytes());
    assert!(parsed.sizes.len() > 3, "{:?}", parsed.sizes);
    assert!(parsed.sizes.iter().all(|s| *s < 1_000_000), "{:?}", parsed.sizes);
    let report = parsed.only();
    assert_eq!((report.record_count, report.message_count), (12_000, 36_000));
    assert_eq!(report.records.len(), 12_000);
    for (n, row) in report.records.iter().enumerate() {
        assert!(row.all.starts_with(&format!("record_index={n} source_ip=10.{}.{}.1 ", n / 250, n % 250)));
    }
}

#[test]
fn messages_stay_small_and_hold_one_partition_each() {
    let texts: Vec<_> = (0..3000)
        .map(|n| {
            format!(
                "<feedback>{METADATA}{}{}</feedback>",
                POLICY.replace("example.com", &format!("d{}.example", n % 40)),
                RECORD.repeat(3)
            )
        })
        .collect();
    let records: Vec<_> = texts.iter().enumerate().map(|(n, t)| raw(n as u64, "o", t.as_bytes())).collect();
    let parsed = parse_batches(Limits::default(), &[&records]);
    assert_eq!(parsed.reports.len(), 3000);
    assert!(parsed.sizes.len() < 20 && parsed.sizes.iter().all(|s| *s < 1_000_000), "{:?}", parsed.sizes);
}

#[test]
fn the_largest_allowed_fields_stay_below_the_message_bound() {
    let limits = Limits::default();
    let long = "x".repeat(limits.field_bytes);
    let fields = ["email", "extra_contact_info", "generator"].map(|f| format!("<{f}>{long}</{f}>")).concat();
    let metadata = METADATA
        .replace("Reporter", &long)
        .replace("id-1", &long)
        .replace("<email>r@reporter.example</email>", &fields);
    let errors = format!("<error>{long}</error>").repeat(9);
    let metadata = metadata.replace("</report_metadata>", &format!("{errors}</report_metadata>"));
    let comment = format!("<reason><type>other</type><comment>{long}</comment></reason>").repeat(14);
    let record = RECORD.replace("</policy_evaluated>", &format!("{comment}</policy_evaluated>"));
    let extension = format!("<extension>{}</extension>", "y".repeat(200_000));
    let xml = format!(
        "<feedback><version>{long}</version>{metadata}{POLICY}{}{extension}</feedback>",
        record.repeat(4)
    );
    let parsed = parse(xml.as_bytes());
    assert!(parsed.sizes.iter().all(|s| *s < 1_000_000), "{:?}", parsed.sizes);
    let report = parsed.only();
    assert_eq!((report.record_count, report.slices), (4, 4));
    assert!(report.has_repair("extension-cut"));
}
