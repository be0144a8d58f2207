//! A thousand hostile inputs between good ones: none crashes, hangs, or blocks its neighbours.

use std::time::{Duration, Instant};

use dmarcflow_stages::parse::Limits;

use crate::quirks::{base64, good, gzip, mail, zip};
use crate::support::{parse, parse_batches, raw};

/// Numbers that look random and are the same in each run.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

fn hostile(n: usize, random: &mut Lcg) -> Vec<u8> {
    let good = good();
    let size = 1 + random.next(20_000);
    let inside = |text: String| good.replace("<record>", &format!("{text}<record>")).into_bytes();
    match n % 25 {
        0 => gzip(&vec![0; 100_000]),
        1 => gzip(&gzip(&vec![b'<'; 100_000])),
        2 => zip(&[("a.xml", &vec![b' '; 100_000]), ("b.xml", &good.as_bytes()[..300])]),
        3 => (0..30).fold(good.into_bytes(), |bytes, _| gzip(&bytes)),
        4 => (0..20).fold(good.into_bytes(), |bytes, _| zip(&[("z", &bytes)])),
        5 => inside("<a>".repeat(size)),
        6 => inside("<feedback>".repeat(size)),
        7 => good.replace("Reporter", &"A".repeat(20_000 + size)).into_bytes(),
        8 => inside(format!("<a b=\"{}", "c ".repeat(size))),
        9 => inside("<!-- <feedback>".repeat(size)),
        10 => good
            .replace(
                "<feedback>",
                "<!DOCTYPE f [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><feedback>&b;",
            )
            .into_bytes(),
        11 => good.replace("Reporter", &"&#0;&#xD800;&#99999999;&x;&".repeat(size)).into_bytes(),
        12 => gzip(good.as_bytes())[..20 + random.next(100)].to_vec(),
        13 => zip(&[("a.xml", good.as_bytes())])[..20 + random.next(300)].to_vec(),
        14 => {
            let mut archive = zip(&[("a.xml", good.as_bytes()), ("b.xml", good.as_bytes())]);
            let end = archive.len();
            archive[end - 22..].fill_with(|| random.next(256) as u8);
            archive.splice(end - 22..end - 18, *b"PK\x05\x06");
            archive
        }
        15 => vec![0; size],
        16 => (0..size).map(|_| random.next(256) as u8).collect(),
        17 => "Content-Type: message/rfc822\r\n\r\n".repeat(size).into_bytes(),
        18 => "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(size / 4).into_bytes(),
        19 => (0..14)
            .fold(good, |inner, _| {
                mail(&[(
                    "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
                    &base64(inner.as_bytes()),
                )])
            })
            .into_bytes(),
        20 => inside("</ ".repeat(size)),
        21 => inside("<![CDATA[".repeat(size)),
        22 => "<feedback></feedback>".repeat(size).into_bytes(),
        23 => good.as_bytes().iter().flat_map(|b| [*b, 0]).take(size * 2 % 1000).collect(),
        _ => good
            .as_bytes()
            .iter()
            .map(|b| if random.next(50) == 0 { random.next(256) as u8 } else { *b })
            .collect(),
    }
}

#[test]
fn good_reports_between_hostile_inputs_are_all_read() {
    let mut random = Lcg(7);
    let limits = Limits { unpacked_bytes: 64 << 10, entries: 200, failures: 100, ..Limits::default() };
    let mut good_ids = Vec::new();
    let begun = Instant::now();
    for n in 0..1000 {
        let bad = raw(2 * n as u64, "hostile", &hostile(n, &mut random));
        let id = format!("good-{n}");
        let good = raw(2 * n as u64 + 1, "good", good().replace("id-1", &id).as_bytes());
        let parsed = parse_batches(limits.clone(), &[&[bad, good]]);
        let fates = parsed.reports.iter().filter(|r| r.offset == 2 * n as i64).count() + parsed.letters.len();
        assert!(fates > 0, "hostile input {n} ({}) has no fate", n % 25);
        assert!(parsed.letters.len() <= limits.failures);
        let found = parsed.reports.iter().filter(|r| r.report_id == id);
        good_ids.extend(found.map(|r| r.report_id.clone()));
        for letter in &parsed.letters {
            assert!(!letter.reason.is_empty() && letter.detail.len() > 20, "{letter:?}");
        }
    }
    assert_eq!(good_ids.len(), 1000);
    // Many times what it takes, and far less than anything that is not linear would.
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}

/// Time per byte must not grow with the input: four times as much may take some eight times as long, not sixteen.
#[test]
fn time_is_linear_in_hostile_text() {
    for piece in [
        "<",
        "</",
        "</ ",
        "<a ",
        "<a b='",
        "<!--",
        "<?",
        "<![CDATA[",
        "&",
        "&#",
        "<feedback>",
        "<feedback/>",
        "<feedback><!--",
        "<feedback></x>",
        "<record>",
        "<record></record>",
        "<a></a>",
        "<xs:schema>",
        "x<y ",
        "<email><a@b></email>",
        "<report_metadata><org_name><a>",
        "<!x>",
        "\u{0}",
    ] {
        let time = |n: usize| {
            let text = format!("<feedback>{}", piece.repeat(n / piece.len()));
            (0..3)
                .map(|_| {
                    let begun = Instant::now();
                    let parsed = parse(text.as_bytes());
                    assert!(!parsed.letters.is_empty());
                    begun.elapsed()
                })
                .min()
                .unwrap_or_default()
        };
        let (small, large) = (time(30_000), time(240_000));
        assert!(large < small * 30 + Duration::from_millis(40), "{piece:?}: {small:?}, then {large:?}");
    }
}
