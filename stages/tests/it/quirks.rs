//! What real reports do, one test a quirk: each is read, and the repair is on the report.

use std::io::Write;

use dmarcflow_stages::parse::{Limits, documents};
use flate2::{Compression, write::GzEncoder};

use crate::support::{self, RECEIVED, Report, parse, parse_with};

pub(crate) const METADATA: &str = "<report_metadata><org_name>Reporter</org_name><email>r@reporter.example</email>\
    <report_id>id-1</report_id><date_range><begin>1738108800</begin><end>1738195200</end></date_range></report_metadata>";
pub(crate) const POLICY: &str =
    "<policy_published><domain>example.com</domain><p>none</p></policy_published>";
pub(crate) const RECORD: &str = "<record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated>\
    <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
    <identifiers><header_from>example.com</header_from></identifiers><auth_results>\
    <dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>\
    <spf><domain>example.com</domain><scope>mfrom</scope><result>fail</result></spf></auth_results></record>";

/// A good report of one record.
pub(crate) fn good() -> String {
    report(&format!("{METADATA}{POLICY}{RECORD}"))
}

fn report(inside: &str) -> String {
    format!("<?xml version=\"1.0\"?><feedback>{inside}</feedback>")
}

/// The good report with one text in the place of another.
#[track_caller]
fn with(from: &str, to: &str) -> Report {
    let good = good();
    assert!(good.contains(from), "{from}");
    parse(good.replacen(from, to, 1).as_bytes()).only()
}

#[track_caller]
fn assert_repair(report: &Report, kind: &str, place: &str, original: Option<&str>) {
    let found = report.repairs.iter().any(|r| (&*r.0, &*r.1, r.2.as_deref()) == (kind, place, original));
    assert!(found, "{kind} at {place} of {original:?} in {:?}", report.repairs);
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default();
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (n, chunk) in bytes.chunks(3).enumerate() {
        let group = chunk.iter().fold(0u32, |sum, b| sum << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            let value = (group >> (18 - 6 * digit)) & 63;
            out.push(if known { DIGITS[value as usize] as char } else { '=' });
        }
        if n % 19 == 18 {
            out.push_str("\r\n");
        }
    }
    out
}

pub(crate) fn mail(parts: &[(&str, &str)]) -> String {
    // A mail inside of a mail needs another boundary.
    let boundary = format!("=_{}", parts.iter().map(|(_, body)| body.len()).sum::<usize>());
    let mut mail = format!(
        "From: r@reporter.example\r\nTo: d@example.com\r\nSubject: Report\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\nThis is a mail.\r\n"
    );
    for (header, body) in parts {
        mail.push_str(&format!("--{boundary}\r\n{header}\r\n\r\n{body}\r\n"));
    }
    mail + &format!("--{boundary}--\r\n")
}

fn second() -> String {
    good().replace("id-1", "id-2")
}

fn ids(parsed: &support::Parsed) -> Vec<&str> {
    parsed.reports.iter().map(|r| r.report_id.as_str()).collect()
}

#[test]
fn a_good_report_is_read_whole_and_unrepaired() {
    let parsed = parse(good().as_bytes());
    assert_eq!(
        (parsed.tally.get("reports"), parsed.tally.get("records"), parsed.tally.get("messages")),
        (1, 1, 3)
    );
    let report = parsed.only();
    assert_eq!(report.repairs, []);
    assert_eq!((report.begin, report.end), (1_738_108_800_000_000, 1_738_195_200_000_000));
    assert_eq!((report.message_count, report.passed_count, report.slices), (3, 3, 1));
    for (name, value) in [
        ("email", "r@reporter.example"),
        ("p", "none"),
        ("sp", "∅"),
        ("pct", "∅"),
        ("errors", "∅"),
        ("origin", "test"),
        ("entry", ""),
        ("received_at", "1738195200000000"),
        ("geo_version", "∅"),
    ] {
        assert_eq!(report.column(name), value, "{name}");
    }
    assert_eq!(report.column("xml_bytes"), (good().len() - 21).to_string());
    assert_eq!(
        report.records[0].all,
        "record_index=0 source_ip=192.0.2.1 messages=3 disposition=none dkim_aligned=true spf_aligned=false \
         dmarc_pass=true reasons=[] header_from=example.com envelope_from=∅ envelope_to=∅ \
         dkim=[(example.com s1 pass ∅)] spf=[(example.com mfrom fail ∅)] record_extension=∅ country=∅ asn=∅ as_name=∅ \
         network=∅ service=∅ service_evidence=∅ service_confidence=∅ forwarding=∅ "
    );
}

#[test]
fn every_wrapping_gives_the_same_report() {
    let xml = good();
    let xml = xml.as_bytes();
    let plain = parse(xml).only();
    let packed = base64(&gzip(xml));
    let rfc822 = mail(&[("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64", &packed)]);
    let octets = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64";
    let name = "Content-Disposition: attachment; filename*0*=utf-8''a%20; filename*1=b.xml.gz";
    let single = format!(
        "From: a@b\r\nContent-Type: text/xml\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
        good().replace('=', "=3D")
    );
    let unused = ("Content-Type: text/plain; charset=\"us-ascii\"", "unused");
    let wrapped: Vec<(&str, Vec<u8>, &str)> = vec![
        ("gzip", gzip(xml), ""),
        ("gzip in gzip", gzip(&gzip(xml)), ""),
        ("gzip of two members", [gzip(&xml[..100]), gzip(&xml[100..])].concat(), ""),
        ("zip", zip(&[("a.xml", xml)]), "a.xml"),
        (
            "zip with noise",
            zip(&[
                ("d/", b""),
                ("__MACOSX/d/._a.xml", b"\x00\x05\x16"),
                ("d/read.me", b"hello"),
                ("d/a.xml", xml),
            ]),
            "d/a.xml",
        ),
        ("zip in zip in gzip", gzip(&zip(&[("b.zip", &zip(&[("a.xml", xml)]))])), "b.zip/a.xml"),
        ("mail", rfc822.clone().into(), "part 1"),
        ("mail, report first", mail(&[(octets, &packed), unused]).into(), "part 1"),
        (
            "mail, named",
            mail(&[unused, (&format!("{octets}\r\n{name}"), &packed)]).into(),
            "part 2/a b.xml.gz",
        ),
        ("single part", single.into(), ""),
        ("raw xml in a mail", format!("From: a@b\r\nSubject: x\r\n\r\n{}", good()).into(), ""),
        ("forwarded", mail(&[("Content-Type: message/rfc822", &rfc822)]).into(), "part 1/part 1"),
        (
            "forwarded in base64",
            mail(&[(
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
                &base64(rfc822.as_bytes()),
            )])
            .into(),
            "part 1/part 1",
        ),
        ("mbox", format!("From a@b Thu Jan 30 00:00:00 2025\r\n{rfc822}").into(), "message 1/part 1"),
        ("no header says base64", mail(&[("Content-Type: application/gzip", &packed)]).into(), "part 1"),
        (
            "base64 that is none",
            mail(&[("Content-Type: text/xml\r\nContent-Transfer-Encoding: base64", &good())]).into(),
            "part 1",
        ),
    ];
    for (name, bytes, entry) in wrapped {
        let parsed = parse(&bytes);
        assert_eq!(parsed.letters, [], "{name}");
        assert_eq!(ids(&parsed), ["id-1"], "{name}");
        let report = parsed.only();
        assert_eq!(
            (&report.identity, &report.content, &report.records),
            (&plain.identity, &plain.content, &plain.records),
            "{name}"
        );
        assert_eq!(report.entry, entry, "{name}");
    }
}

#[test]
fn mended_wrappings_are_told() {
    let junk = [gzip(good().as_bytes()), b"\r\n--junk".to_vec()].concat();
    assert_repair(&parse(&junk).only(), "junk-after-gzip", "gzip", Some("8 bytes"));
    let inner = mail(&[("Content-Type: text/xml", &good())]);
    let forwarded = mail(&[(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
        &base64(inner.as_bytes()),
    )]);
    assert_repair(&parse(forwarded.as_bytes()).only(), "transfer-encoding", "mail", Some("base64"));
}

#[test]
fn good_parts_count_and_each_bad_one_is_a_dead_letter_of_its_own() {
    let (good, second) = (good(), second());
    let cut = &good.as_bytes()[..good.len() - 30];
    let cut_gzip = &gzip(&vec![b'x'; 5000])[..20];
    let archive = zip(&[
        ("a.xml", good.as_bytes()),
        ("b.xml", cut),
        ("c.gz", cut_gzip),
        ("c.txt", b"hi"),
        ("d.xml", second.as_bytes()),
    ]);
    let parsed = parse(&archive);
    assert_eq!(ids(&parsed), ["id-1", "id-2"]);
    assert_eq!(parsed.reports.iter().map(|r| r.part).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(parsed.reasons(), ["truncated", "truncated"]);
    assert_eq!((parsed.letters[0].entry.as_str(), parsed.letters[0].value.as_slice()), ("b.xml", cut));
    assert_eq!((parsed.letters[1].entry.as_str(), parsed.letters[1].value.as_slice()), ("c.gz", cut_gzip));
    assert_eq!(parsed.letters[0].position, "reports.raw/0/0");
    assert_eq!((parsed.tally.get("dead/truncated"), parsed.tally.get("reports")), (2, 2));
}

#[test]
fn zip_entries_of_one_name_all_count() {
    let archive = zip(&[("a.xml", good().as_bytes()), ("b.xml", second().as_bytes())]);
    let mut same = archive.clone();
    for at in memchr::memmem::find_iter(&archive, b"b.xml") {
        same[at] = b'a';
    }
    assert_eq!(ids(&parse(&same)), ["id-1", "id-2"]);
}

#[test]
fn two_reports_in_one_text_are_two() {
    let parsed = parse(format!("{}\n{}", good(), second()).as_bytes());
    assert_eq!(ids(&parsed), ["id-1", "id-2"]);
    assert!(parsed.reports[1].has_repair("several-reports"));
    assert!(!parsed.reports[0].has_repair("junk-after-root"));
    // The first is cut off, and the second begins inside of it.
    let cut = good().replace("</feedback>", "");
    let parsed = parse(format!("{cut}{}", second()).as_bytes());
    assert_eq!((ids(&parsed), parsed.reasons()), (vec!["id-2"], vec!["truncated"]));
    assert!(cut.ends_with(
        std::str::from_utf8(&parsed.letters[0].value).unwrap().trim_end_matches("<?xml version=\"1.0\"?>")
    ));
}

#[test]
fn text_in_other_encodings_is_read() {
    let xml = good().replace("Reporter", "Répörter");
    let utf16 = |bytes: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{xml}").encode_utf16().flat_map(bytes).collect()
    };
    for bytes in [
        xml.clone().into_bytes(),
        format!("\u{feff}{xml}").into_bytes(),
        utf16(u16::to_le_bytes, "\u{feff}"),
        utf16(u16::to_be_bytes, "\u{feff}"),
        utf16(u16::to_le_bytes, ""),
        xml.replace("?>", " encoding='windows-1252'?>").chars().map(|c| c as u8).collect(),
    ] {
        assert_eq!(parse(&bytes).only().org_name, "Répörter");
    }
    assert!(parse(format!("\u{feff}{xml}").as_bytes()).only().has_repair("bom"));
    let broken = [&b"<feedback><!-- \xe4 -->"[..], &good().as_bytes()[31..]].concat();
    assert_repair(&parse(&broken).only(), "invalid-utf8", "text", Some("\\xe4"));
    assert!(with("Reporter", "Re\0porter").has_repair("nul"));
}

#[test]
fn what_surrounds_the_report_is_passed_over_and_told() {
    let bare = good().replace("<?xml version=\"1.0\"?>", "");
    for (before, after, kind) in [
        ("", "", ""),
        ("\r\n\n<?xml version='1.0'?>", "\n", "leading-blanks"),
        ("<?xml version=\"1.0\">", "", "broken-declaration"),
        ("<?xml version=\"1.0\"", "", "broken-declaration"),
        ("<?xml version='1.0'?><xs:schema xmlns:xs='x' t='a>b'>\n", "", "junk-before-root"),
        ("some words ", "", "junk-before-root"),
        ("", "trailing words", "junk-after-root"),
        ("<!-- <feedback> --><?pi <feedback> ?>", "<!-- <feedback> -->", ""),
    ] {
        let report = parse(format!("{before}{bare}{after}").as_bytes()).only();
        let kinds: Vec<_> = report
            .repairs
            .iter()
            .map(|r| r.0.as_str())
            .filter(|k| !kind.is_empty() || *k != "broken-declaration")
            .collect();
        assert_eq!(kinds, if kind.is_empty() { vec![] } else { vec![kind] }, "{before} … {after}");
    }
}

#[test]
fn unescaped_markup_is_text() {
    let org = "feedback/report_metadata/org_name";
    let email = "feedback/report_metadata/email";
    let report = with(">Reporter<", ">A & B<");
    assert_eq!(report.org_name, "A & B");
    assert_repair(&report, "bare-ampersand", org, Some("&"));
    let report = with("r@reporter.example", "<r@reporter.example>");
    assert_eq!(report.column("email"), "r@reporter.example");
    assert!(report.has_repair("unescaped-lt") && report.has_repair("angle-brackets"));
    for text in ["a < b", "a <1 b", "<example.org>", "a </ b", "x <!y"] {
        let report = with(">Reporter<", &format!(">{text}<"));
        assert_eq!(report.org_name, text);
        assert!(report.has_repair("unescaped-lt"), "{text}");
    }
    let report = with(">Reporter<", ">A&nbsp;B &lt;&#67;&#x44;&amp;lt; &bad entity;<");
    assert_eq!(report.org_name, "A&nbsp;B <CD&lt; &bad entity;");
    assert_repair(&report, "undefined-entity", org, Some("nbsp"));
    let report = with("r@reporter.example", "&lt;r@reporter.example&gt;");
    assert_repair(&report, "angle-brackets", email, Some("<r@reporter.example>"));
    let report = with("<policy_published>", "<xs:schema a='b'><policy_published>");
    assert!(report.has_repair("stray-schema"));
}

#[test]
fn comments_and_cdata_hold_no_tags() {
    let report = with(">Reporter<", "><!-- <org_name>x</org_name> -->Re<![CDATA[<porter> & ]]>x<");
    assert_eq!((report.org_name.as_str(), report.repairs.len()), ("Re<porter> & x", 0));
    let report = with("<record>", "<!-- <record> </feedback> --><record><?pi </record>?>");
    assert_eq!((report.record_count, report.repairs.len()), (1, 0));
}

#[test]
fn namespaces_prefixes_attributes_and_letter_case_do_not_matter() {
    let plain = parse(good().as_bytes()).only();
    for from_to in [
        ("<feedback>", "<feedback xmlns=\"http://dmarc.org/dmarc-xml/0.1\" a='x>y' b='/'>"),
        ("<feedback>", "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">"),
        ("<p>none</p>", "<p lang=\"en\" >none</p\n>"),
    ] {
        let report = with(from_to.0, from_to.1);
        assert_eq!((report.content, report.repairs), (plain.content.clone(), vec![]));
    }
    let prefixed = good()
        .replace("</", "</ns0:")
        .replace('<', "<ns0:")
        .replace("<ns0:/ns0:", "</ns0:")
        .replace("<ns0:?", "<?");
    assert_eq!(parse(prefixed.as_bytes()).only().content, plain.content);
    let upper = good().replace("org_name>", "Org_Name>").replace("row>", "ROW>");
    let report = parse(upper.as_bytes()).only();
    assert_eq!((&report.content, &report.org_name), (&plain.content, &plain.org_name));
    assert_repair(&report, "name-case", "feedback/record/row", Some("ROW"));
}

#[test]
fn other_and_missing_elements_do_not_end_the_report() {
    let renamed = good().replace("identifiers>", "identities>");
    let report = parse(renamed.as_bytes()).only();
    assert_repair(&report, "renamed-element", "feedback/record/identifiers", Some("identities"));
    assert!(report.records[0].all.contains("header_from=example.com"));
    let report = with("<source_ip>", "<deep><er><row/></er>x</deep><empty/><source_ip>");
    assert_repair(&report, "unknown-element", "feedback/record/row", Some("deep"));
    assert_eq!(report.record_count, 1);
    let report = with(
        "</policy_published>",
        "</policy_published><policy_published><domain>b.example</domain><sp>none</sp></policy_published>",
    );
    assert_eq!((report.policy_domain.as_str(), report.column("sp")), ("example.com", "∅"));
    assert_repair(&report, "repeated-element", "feedback/policy_published", None);
    let report = with("</record>", "<x:tag xmlns:x='y'>a &amp; b</x:tag></record>");
    assert!(report.records[0].all.contains("record_extension=<x:tag xmlns:x='y'>a &amp; b</x:tag>"));
    let report = with("</feedback>", "<extension><a>1</a></extension></feedback>");
    assert_eq!(report.column("extension"), "<extension><a>1</a></extension>");
    let report = with(RECORD, "");
    assert_eq!((report.record_count, report.message_count, report.records.len()), (0, 0, 0));
    let bare = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record><record><row><source_ip>192.0.2.1</source_ip>\
                <count>1</count><policy_evaluated/></row><identifiers/><auth_results/></record>";
    let report = with(RECORD, bare);
    assert_eq!(report.passed_count, 0);
    for place in ["row/policy_evaluated", "identifiers", "auth_results"] {
        assert_repair(&report, "missing-element", &format!("feedback/record/{place}"), None);
    }
    let report = with("<header_from>", "<header_from>first.example</header_from><header_from>");
    assert!(
        report.records[0].all.contains("header_from=first.example") && report.has_repair("repeated-element")
    );
}

#[test]
fn a_record_without_address_or_number_is_left_out() {
    for (from, to, kind) in [
        ("192.0.2.1", "", "record-without-source-ip"),
        ("<source_ip>192.0.2.1</source_ip>", "", "record-without-source-ip"),
        ("192.0.2.1", "somewhere", "record-bad-source-ip"),
        (">3<", ">three<", "record-bad-count"),
        (">3<", ">-3<", "record-bad-count"),
        (">3<", "><", "record-bad-count"),
    ] {
        let two = good().replacen(from, to, 1).replace("</feedback>", &format!("{RECORD}</feedback>"));
        let report = parse(two.as_bytes()).only();
        assert_eq!((report.record_count, report.message_count), (1, 3), "{to}");
        assert!(report.records[0].all.starts_with("record_index=1 "));
        assert!(report.has_repair(kind), "{kind}");
    }
    for (text, address) in [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[192.0.2.1]", "192.0.2.1"),
        (" 192.0.2.1\n", "192.0.2.1"),
    ] {
        assert_eq!(with("192.0.2.1", text).records[0].source_ip, address);
    }
    assert_eq!(with(">3<", "> +3 <").message_count, 3);
}

#[test]
fn words_are_mapped_by_one_table_and_never_to_pass() {
    let evaluated = "feedback/record/row/policy_evaluated";
    let report = with("<dkim>pass</dkim>", "<dkim> Pass </dkim>");
    assert!(report.records[0].dkim_aligned);
    assert_repair(&report, "value-mapped", &format!("{evaluated}/dkim"), Some("Pass"));
    for unusable in ["passed", "softfail", "1", "ok", ""] {
        let report = with("<dkim>pass</dkim>", &format!("<dkim>{unusable}</dkim>"));
        assert!(!report.records[0].dmarc_pass, "{unusable}");
    }
    let report = with("<disposition>none</disposition>", "<disposition>2</disposition>");
    assert_eq!(report.records[0].disposition, None);
    assert_repair(&report, "value-dropped", &format!("{evaluated}/disposition"), Some("2"));
    assert_eq!(
        with("<disposition>none<", "<disposition>pass<").records[0].disposition.as_deref(),
        Some("pass")
    );
    let report = with("<result>fail</result>", "<result>hardfail</result>");
    assert!(report.records[0].all.contains("spf=[(example.com mfrom fail ∅)]"));
    assert_repair(&report, "value-mapped", "feedback/record/auth_results/spf/result", Some("hardfail"));
    for (reason, shown) in [
        ("<reason>sampled_out</reason>", "[(sampled_out ∅)]"),
        ("<reason><type>because</type><comment>c</comment></reason>", "[(other c)]"),
        ("<reason><type/><comment/></reason>", "[]"),
        (
            "<reason><type>policy_test_mode</type></reason><reason><type>forwarded</type></reason>",
            "[(policy_test_mode ∅), (forwarded ∅)]",
        ),
        ("<reason>no idea</reason>", "[(other no idea)]"),
    ] {
        let report = with("</policy_evaluated>", &format!("{reason}</policy_evaluated>"));
        assert!(
            report.records[0].all.contains(&format!("reasons={shown}")),
            "{reason}: {}",
            report.records[0].all
        );
    }
    let report = with(
        "<p>none</p>",
        "<p>none</p><sp></sp><np>reject</np><t>y</t><psd>n</psd><pct>50</pct><adkim>strict</adkim><fo>1:d:s</fo>",
    );
    for (name, value) in [
        ("sp", "∅"),
        ("np", "reject"),
        ("testing", "y"),
        ("psd", "n"),
        ("pct", "50"),
        ("adkim", "s"),
        ("fo", "1:d:s"),
    ] {
        assert_eq!(report.column(name), value, "{name}");
    }
}

#[test]
fn every_result_is_kept_and_empty_ones_say_nothing() {
    let many = "<dkim><domain>A.Example.</domain><result>neutral</result></dkim><dkim/><dkim><domain></domain></dkim>\
                <spf><result>none</result><human_result>h</human_result></spf></auth_results>";
    let report = with("</auth_results>", many);
    let all = &report.records[0].all;
    assert!(all.contains("dkim=[(example.com s1 pass ∅), (a.example ∅ neutral ∅)]"), "{all}");
    assert!(all.contains("spf=[(example.com mfrom fail ∅), (∅ ∅ none h)]"), "{all}");
    let report = with(
        "<header_from>example.com",
        "<envelope_from/><envelope_to>EXAMPLE.net.</envelope_to><header_from>Example.COM.",
    );
    assert!(report.records[0].all.contains("header_from=example.com envelope_from= envelope_to=example.net"));
    assert_eq!(
        with("<domain>example.com</domain><p>", "<domain>Example.COM.</domain><p>").policy_domain,
        "example.com"
    );
}

#[test]
fn metadata_is_mended() {
    let report = with("<org_name>Reporter</org_name>", "<org_name/>");
    assert_eq!(report.org_name, "reporter.example");
    assert_repair(&report, "empty-org-name", "feedback/report_metadata/org_name", None);
    for id in ["<id@host>", "&lt;id@host&gt;"] {
        assert_eq!(with("id-1", id).report_id, "id@host");
    }
    for begin in ["2025-01-29T00:00:00Z", "1738108800000", " 1738108800.0 "] {
        let report = with("1738108800", begin);
        assert_eq!(report.begin, 1_738_108_800_000_000, "{begin}");
        assert!(report.has_repair("timestamp-mapped"));
    }
    let report = with("<begin>1738108800</begin><end>1738195200</end>", "");
    assert_eq!((report.begin, report.end), (RECEIVED * 1000, RECEIVED * 1000));
    assert!(report.has_repair("no-date-range"));
    let report = with("1738108800", "soon");
    assert_eq!((report.begin, report.end), (1_738_195_200_000_000, 1_738_195_200_000_000));
    assert!(report.has_repair("bad-timestamp"));
    let report = with(
        "</report_metadata>",
        "<error>one</error><error>two</error><generator>g</generator></report_metadata>",
    );
    assert_eq!((report.column("errors"), report.column("generator")), ("[one, two]", "g"));
}

#[test]
fn copies_have_one_content_and_different_reports_have_two() {
    let second_record = RECORD.replace("192.0.2.1", "192.0.2.2");
    let two = |a: &str, b: &str| report(&format!("{METADATA}{POLICY}{a}{b}"));
    let hashes = |xml: &str| {
        let report = parse(xml.as_bytes()).only();
        (report.identity, report.content)
    };
    let base = hashes(&two(RECORD, &second_record));
    for copy in [
        two(&second_record, RECORD),
        two(RECORD, &second_record).replace("><", ">\n  <"),
        two(RECORD, &second_record).replace("r@reporter.example", "other@reporter.example"),
        two(RECORD, &second_record).replace("</feedback>", "<extension>x</extension></feedback>"),
        two(RECORD, &second_record).replace("</record>", "<foreign/></record>"),
    ] {
        assert_eq!(hashes(&copy), base, "{copy}");
    }
    for other in [
        two(RECORD, RECORD),
        two(RECORD, ""),
        two(RECORD, &second_record).replacen(">3<", ">4<", 1),
        two(RECORD, &second_record).replace("<p>none</p>", "<p>reject</p>"),
        two(RECORD, &second_record).replace("<p>none</p>", "<p>none</p><sp>none</sp>"),
        two(RECORD, &second_record).replacen("s1", "s2", 1),
    ] {
        let (identity, content) = hashes(&other);
        assert_eq!(identity, base.0);
        assert_ne!(content, base.1, "{other}");
    }
    for other in ["id-1", "Reporter", "example.com</domain><p>", "1738108800", "1738195200"] {
        let changed = two(RECORD, &second_record).replacen(other, &other.replace(['1', 'R', 'x'], "2"), 1);
        assert_ne!(hashes(&changed).0, base.0, "{other}");
    }
}

#[test]
fn what_cannot_be_read_dies_for_its_reason() {
    let good = good();
    let cut = &good[..good.len() - 20];
    for (bytes, reason) in [
        (cut.as_bytes().to_vec(), "truncated"),
        (good.replace("</row>", "").into_bytes(), "elements-do-not-nest"),
        (good.replace("<count>", "<count><row>").into_bytes(), "elements-do-not-nest"),
        (
            good.replace("<feedback>", "<!DOCTYPE feedback [<!ENTITY a 'b'>]><feedback>").into_bytes(),
            "doctype",
        ),
        (good.replace("<domain>example.com</domain><p>", "<p>").into_bytes(), "no-policy-domain"),
        (gzip(good.as_bytes())[..60].to_vec(), "truncated"),
        (zip(&[("a.xml", good.as_bytes())])[..60].to_vec(), "truncated"),
        (b"just text".to_vec(), "not-a-report"),
        (vec![], "not-a-report"),
        (zip(&[("notempty.txt", b"x")]), "not-a-report"),
        (gzip(b"{\"organization-name\":\"x\",\"policies\":[]}"), "tls-report-unsupported"),
        (
            mail(&[("Content-Type: message/feedback-report", "Feedback-Type: auth-failure")]).into_bytes(),
            "failure-report-unsupported",
        ),
    ] {
        let parsed = parse(&bytes);
        assert_eq!((parsed.reports.len(), parsed.reasons()), (0, vec![reason]));
        assert!(parsed.letters[0].detail.len() > 30, "{}", parsed.letters[0].detail);
        if !bytes.starts_with(&gzip(b"")[..3]) || reason == "truncated" {
            assert_eq!(parsed.letters[0].value, bytes, "{reason}");
        }
    }
    let detail = &parse(good.replace("</row>", "\n</rov>").as_bytes()).letters[0].detail.clone();
    assert!(detail.contains("</rov> stands where <row> is open (line 2, byte "), "{detail}");
}

#[test]
fn bounds_are_kept_and_named() {
    let good = good();
    let limits = Limits::default;
    let deep = good.replace("</feedback>", &format!("{}</feedback>", "<a>".repeat(100)));
    let nested = (0..20).fold(good.as_bytes().to_vec(), |bytes, _| gzip(&bytes));
    let mut many = zip(&[("a.xml", good.as_bytes()), ("b.xml", good.as_bytes()), ("c.xml", good.as_bytes())]);
    for (bytes, limits, reason, reports) in [
        (deep.into_bytes(), limits(), "limit-xml-depth", 0),
        (good.replace("Reporter", &"x".repeat(20_000)).into_bytes(), limits(), "limit-field", 0),
        (
            good.replace("<dkim><d", &format!("{}<dkim><d", "<dkim><domain>a</domain></dkim>".repeat(5000)))
                .into_bytes(),
            limits(),
            "limit-record",
            0,
        ),
        (
            good.replace(RECORD, &RECORD.repeat(5)).into_bytes(),
            Limits { records: 4, ..limits() },
            "limit-records",
            0,
        ),
        (nested, limits(), "limit-nesting", 0),
        (std::mem::take(&mut many), Limits { entries: 2, ..limits() }, "limit-entries", 0),
        (gzip(good.as_bytes()), Limits { attachment_bytes: 100, ..limits() }, "limit-attachment", 0),
        (gzip(good.as_bytes()), Limits { unpacked_bytes: 100, ..limits() }, "limit-unpacked", 0),
        (good.repeat(3).into_bytes(), Limits { reports: 2, ..limits() }, "limit-reports", 2),
    ] {
        let parsed = parse_with(limits, &bytes);
        assert_eq!((parsed.reports.len(), parsed.reasons()), (reports, vec![reason]));
    }
}

#[test]
fn the_parts_of_a_record_can_be_listed() {
    let archive = zip(&[
        ("a.xml", good().as_bytes()),
        ("b.gz", &gzip(b"{\"organization-name\":\"x\",\"policies\":[]}")),
        ("c.txt", b"x"),
    ]);
    let mut seen = Vec::new();
    documents(&archive, &Limits::default(), &mut |d| {
        seen.push((d.entry.to_owned(), d.text.map(str::len).map_err(|f| f.reason)))
    });
    assert_eq!(
        seen,
        [("a.xml".to_owned(), Ok(good().len())), ("b.gz".to_owned(), Err("tls-report-unsupported"))]
    );
}
