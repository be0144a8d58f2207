use super::*;

fn dkim<'a>(domain: &'a str, selector: &'a str, pass: bool) -> Signature<'a> {
    Signature { domain: Some(domain), selector: Some(selector), pass }
}

fn spf(domain: &str, pass: bool) -> Check<'_> {
    Check { domain: Some(domain), pass }
}

fn recognise<'s>(
    services: &'s Services,
    signatures: &[Signature<'_>],
    checks: &[Check<'_>],
    address: Option<&str>,
    asn: Option<u32>,
) -> Option<Recognition<'s>> {
    let origin = services.origin(address.map(|a| a.parse().unwrap()), asn);
    services.recognise(signatures.iter().copied(), checks.iter().copied(), origin, &mut Candidates::default())
}

/// Name, evidence and confidence in percent.
fn brief<'s>(found: Option<Recognition<'s>>) -> Option<(&'s str, &'s str, f64)> {
    found.map(|r| (r.name, r.evidence, (r.confidence * 1000.0).round() / 10.0))
}

fn built_in() -> Services {
    Services::load(None).unwrap()
}

#[test]
fn every_service_is_recognised_by_each_of_its_signs() {
    let services = built_in();
    let table = Table::built_in().unwrap();
    assert!(table.services.len() >= 150);
    for entry in &table.services {
        let name = entry.name.as_deref();
        let is =
            |found: Option<Recognition<'_>>, what: &str| assert_eq!(found.map(|f| f.name), name, "{what}");
        for domain in entry.domains.iter().chain(&entry.dkim) {
            is(recognise(&services, &[dkim(domain, "x", true)], &[], None, None), domain);
            let under = format!("a1.{domain}");
            // A longer domain of another service may begin there; none has this label.
            is(recognise(&services, &[dkim(&under, "x", true)], &[], None, None), &under);
        }
        for domain in entry.domains.iter().chain(&entry.spf) {
            is(recognise(&services, &[], &[spf(domain, true)], None, None), domain);
        }
        for selector in &entry.selectors {
            let selector = selector.replace('*', "7x");
            is(
                recognise(&services, &[dkim("customer.example", &selector, true)], &[], None, None),
                &selector,
            );
        }
        for network in &entry.networks {
            for address in [network.first, network.last] {
                is(recognise(&services, &[], &[], Some(&address.to_string()), None), &network.to_string());
            }
        }
        for asn in &entry.asn {
            is(recognise(&services, &[], &[], None, Some(*asn)), &asn.to_string());
        }
        let signs = entry.domains.len() + entry.dkim.len() + entry.spf.len();
        assert!(signs > 0, "{} has no domain", entry.id);
    }
}

#[test]
fn domains_match_at_labels_only_and_the_longest_wins() {
    let services = built_in();
    let name = |domain| recognise(&services, &[dkim(domain, "", true)], &[], None, None).map(|r| r.name);
    assert_eq!(name("amazonses.com"), Some("Amazon SES"));
    assert_eq!(name("eu-west-1.amazonses.com"), Some("Amazon SES"));
    assert_eq!(name("notamazonses.com"), None);
    assert_eq!(name("amazonses.com.example.net"), None);
    assert_eq!(name("example-com.20230601.gappssmtp.com"), Some("Google Workspace"));
    assert_eq!(name("outlook.com"), Some("Outlook.com"));
    assert_eq!(name("nam11-co1-obe.outbound.protection.outlook.com"), Some("Microsoft 365"));
    assert_eq!(name("email.cloudflare.net"), Some("Cloudflare Email Routing"));
    for domain in ["", ".", "..", "com", ".amazonses.com.", "a..b", &".".repeat(300), &"a.".repeat(5000)] {
        recognise(&services, &[dkim(domain, domain, true)], &[spf(domain, true)], None, None);
    }
    assert_eq!(name(""), None);
}

#[test]
fn shared_networks_name_nothing() {
    let services = built_in();
    for asn in [8075, 15_169, 16_509, 14_618, 396_982, 16_276, 24_940, 8560, 14_340, 64_500, 0] {
        assert_eq!(recognise(&services, &[], &[], None, Some(asn)), None, "AS{asn}");
    }
}

#[test]
fn evidence_is_weighed_as_the_rule_says() {
    let s = built_in();
    let of = |d: &[Signature<'_>], c: &[Check<'_>], asn| brief(recognise(&s, d, c, None, asn));
    let ses = "Amazon SES";
    assert_eq!(of(&[dkim("amazonses.com", "x", true)], &[], None), Some((ses, "dkim:amazonses.com", 99.0)));
    assert_eq!(of(&[], &[spf("eu.amazonses.com", true)], None), Some((ses, "spf:amazonses.com", 95.0)));
    assert_eq!(of(&[dkim("amazonses.com", "x", false)], &[], None), Some((ses, "dkim:amazonses.com", 30.0)));
    assert_eq!(of(&[], &[spf("amazonses.com", false)], None), Some((ses, "spf:amazonses.com", 25.0)));
    let both = of(&[dkim("amazonses.com", "x", true)], &[spf("amazonses.com", true)], None).unwrap();
    assert_eq!((both.0, both.1), (ses, "dkim:amazonses.com"));
    assert!(both.2 >= 99.9);
    // Claims do not add up, whatever their number.
    let claims = [dkim("amazonses.com", "x", false); 9];
    assert_eq!(of(&claims, &[spf("amazonses.com", false)], None), Some((ses, "dkim:amazonses.com", 30.0)));
    // A network of its own bears a claim out.
    assert_eq!(of(&[], &[], Some(11_377)), Some(("Twilio SendGrid", "asn:11377", 60.0)));
    assert_eq!(
        of(&[dkim("sendgrid.net", "x", false)], &[], Some(11_377)),
        Some(("Twilio SendGrid", "asn:11377", 72.0))
    );
    // And outweighs a claim to be another.
    assert_eq!(of(&[dkim("mcsv.net", "x", false)], &[], Some(11_377)).unwrap().0, "Twilio SendGrid");
    // A shared network bears no claim out.
    assert_eq!(of(&[dkim("t.onmicrosoft.com", "x", false)], &[], Some(8075)).unwrap().2, 30.0);
}

#[test]
fn selectors_count_on_passing_signatures_of_customers_and_more_from_the_right_network() {
    let s = built_in();
    let of = |selector, pass, asn| recognise(&s, &[dkim("customer.example", selector, pass)], &[], None, asn);
    assert_eq!(brief(of("selector1", true, None)), Some(("Microsoft 365", "selector:selector1", 50.0)));
    let home = of("selector1", true, Some(8075));
    assert_eq!(brief(home), Some(("Microsoft 365", "selector:selector1", 80.0)));
    assert_eq!(home.unwrap().with, Some("asn:8075"));
    assert_eq!(of("selector1", false, Some(8075)), None);
    assert_eq!(of("GOOGLE", true, None).unwrap().name, "Google Workspace");
    assert_eq!(of("selector2-Example-onmicrosoft-com", true, None).unwrap().name, "Microsoft 365");
    assert_eq!(of("scph0621", true, None).unwrap().name, "SparkPost (Bird)");
    assert_eq!(of("scph", true, None), None, "the free part is not empty");
    for common in ["k1", "s1", "default", "mail", "dkim", &"x".repeat(64), "\u{130}"] {
        assert_eq!(of(common, true, None), None, "{common}");
    }
    let by_address =
        recognise(&s, &[dkim("customer.example", "selector1", true)], &[], Some("40.107.1.2"), None);
    assert_eq!(by_address.unwrap().with, Some("network:40.107.0.0/16"));
}

#[test]
fn who_wrote_goes_before_who_delivered_and_who_passed_on() {
    let s = built_in();
    let name = |d: &[Signature<'_>], c: &[Check<'_>], asn| recognise(&s, d, c, None, asn).unwrap().name;
    let ses = dkim("amazonses.com", "x", true);
    // Through a gateway, which may also sign, and from the gateway's network.
    assert_eq!(name(&[ses], &[spf("us.mimecast.com", true)], Some(30_031)), "Amazon SES");
    assert_eq!(name(&[dkim("dkim.mimecast.org", "x", true), ses], &[], Some(30_031)), "Amazon SES");
    assert_eq!(name(&[ses], &[spf("googlegroups.com", true)], Some(15_169)), "Amazon SES");
    // A service that has Amazon SES deliver.
    assert_eq!(
        name(&[ses, dkim("atlassian.net", "x", true)], &[spf("amazonses.com", true)], None),
        "Atlassian"
    );
    // A claim to be the author does not take a verified gateway's place.
    assert_eq!(name(&[dkim("amazonses.com", "x", false)], &[spf("us.mimecast.com", true)], None), "Mimecast");
}

#[test]
fn equal_signs_are_decided_by_the_order_of_the_table() {
    let table = |first: &str, second: &str| {
        let entry =
            |id: &str| format!("[[service]]\nid='{id}'\nname='{id}'\nkind='crm'\ndomains=['{id}.example']\n");
        let text = format!("version='1'\n{}{}", entry(first), entry(second));
        Services::index(&[Table::parse(&text, "t", &[]).unwrap().services], String::new())
    };
    let both = [dkim("a.example", "x", true), dkim("b.example", "x", true)];
    for (first, second) in [("a", "b"), ("b", "a")] {
        assert_eq!(recognise(&table(first, second), &both, &[], None, None).unwrap().name, first);
    }
}

#[test]
fn a_table_of_ones_own_goes_first_and_changes_the_version() {
    let path = std::env::temp_dir().join(format!("dmarcflow-services-{}.toml", std::process::id()));
    let own = "[[service]]\nid='ours'\nname='Our relay'\nkind='application'\ndomains=['relay.example']\n\
               dkim=['eu.amazonses.com', 'sendgrid.net']\nnetworks=['192.0.2.0/24', '167.89.0.0/17']\nasn=[11377]\n\
               [[service]]\nid='brevo'\nname='Newsletter team'\nselectors=['news']\n";
    std::fs::write(&path, own).unwrap();
    let s = Services::load(Some(&path)).unwrap();
    let name = |d, a: Option<&str>, asn| recognise(&s, &[dkim(d, "x", true)], &[], a, asn).map(|r| r.name);
    assert_eq!(name("relay.example", None, None), Some("Our relay"));
    assert_eq!(name("sendgrid.net", None, None), Some("Our relay"));
    assert_eq!(name("eu.amazonses.com", None, None), Some("Our relay"));
    assert_eq!(name("us.amazonses.com", None, None), Some("Amazon SES"));
    assert_eq!(name("none.example", Some("192.0.2.9"), None), Some("Our relay"));
    assert_eq!(name("none.example", Some("167.89.1.1"), None), Some("Our relay"));
    assert_eq!(name("none.example", None, Some(11_377)), Some("Our relay"));
    assert_eq!(name("sendinblue.com", None, None), Some("Newsletter team"));
    assert_eq!(
        recognise(&s, &[dkim("c.example", "news", true)], &[], None, None).unwrap().name,
        "Newsletter team"
    );
    let first = s.version().to_owned();
    assert!(first.starts_with(built_in().version()) && first.contains(", own "), "{first}");
    std::fs::write(&path, own.replace("Our", "Her")).unwrap();
    assert_ne!(Services::load(Some(&path)).unwrap().version(), first);
    std::fs::remove_file(&path).unwrap();
    let missing = Services::load(Some(&path)).unwrap_err().to_string();
    assert!(missing.contains(path.to_str().unwrap()) && missing.contains("`services`"), "{missing}");
}

#[test]
fn versions_follow_the_content() {
    let version = built_in().version().to_owned();
    assert_eq!(version, built_in().version());
    assert!(version.starts_with(&Table::built_in().unwrap().version));
    assert_ne!(digest("a"), digest("b"));
    assert_eq!(digest("a").len(), 8);
}

#[test]
fn mistakes_in_a_table_are_named() {
    let entry = |id: &str, rest: &str| format!("[[service]]\nid='{id}'\nname='N'\nkind='crm'\n{rest}\n");
    for (text, problem) in [
        (entry("a", "domains=['x.example']") + &entry("b", "dkim=['x.example']"), "already a sign of `a`"),
        (entry("a", "domains=['x.example']\nspf=['x.example']"), "already a sign of `a`"),
        (entry("a", "asn=[1]") + &entry("b", "asn=[1]"), "already a sign of `a`"),
        (entry("a", "") + &entry("a", ""), "twice"),
        (entry("a", "domains=['example']"), "no domain"),
        (entry("a", "domains=['X.example']"), "no domain"),
        (entry("a", "domains=['*.example.com']"), "no domain"),
        (entry("a", "selectors=['a*b']"), "no selector"),
        (entry("a", "selectors=['*']"), "no selector"),
        (entry("A b", ""), "an id is made of"),
        ("[[service]]\nid='a'\nname='N'".into(), "`name` and a `kind`"),
        (entry("a", "networks=['192.0.2.1/24']"), "no network"),
        (entry("a", "networks=['192.0.2.0/33']"), "no network"),
        (entry("a", "networks=['2001:db8::/129']"), "no network"),
        (entry("a", "colour='red'"), "colour"),
        (entry("a", "").replace("crm", "crmm"), "crmm"),
        ("nonsense".into(), "no table of services"),
    ] {
        let error = Table::parse(&text, "own.toml", &[]).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("own.toml"), "{text}\n{error}");
    }
}

#[test]
fn the_smallest_network_counts_and_edges_are_exact() {
    let entry =
        |id: &str, net: &str| format!("[[service]]\nid='{id}'\nname='{id}'\nkind='crm'\nnetworks=[{net}]\n");
    let text = [
        entry("all", "'10.0.0.0/8', '2001:db8::/32'"),
        entry("some", "'10.1.0.0/16', '10.1.2.0/24', '2001:db8:1::/48'"),
        entry("one", "'10.1.1.1/32', '0.0.0.0/32', '255.255.255.255/32'"),
    ];
    let s = Services::index(&[Table::parse(&text.concat(), "t", &[]).unwrap().services], String::new());
    for (address, want) in [
        ("10.0.0.0", Some("all")),
        ("10.255.255.255", Some("all")),
        ("9.255.255.255", None),
        ("11.0.0.0", None),
        ("10.1.0.0", Some("some")),
        ("10.1.1.1", Some("one")),
        ("10.1.1.2", Some("some")),
        ("10.1.2.255", Some("some")),
        ("10.2.0.0", Some("all")),
        ("0.0.0.0", Some("one")),
        ("255.255.255.255", Some("one")),
        ("2001:db8::1", Some("all")),
        ("2001:db8:1:ffff::", Some("some")),
        ("2001:db8:2::", Some("all")),
        ("::ffff:10.1.1.1", Some("one")),
        ("2001:db9::", None),
    ] {
        assert_eq!(recognise(&s, &[], &[], Some(address), None).map(|r| r.name), want, "{address}");
    }
}
