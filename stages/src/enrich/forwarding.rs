//! Reads from a record whether its messages were passed on by someone, and by what kind of host.
//!
//! Forwarded mail fails SPF and is not an attack: telling the two apart is what this column is for.
//! A sign is given only where something that cannot be forged, or the receiver itself, says so. The
//! first rule that holds decides:
//!
//! 1. The receiver gives the reason `mailing_list`: **mailing_list**.
//! 2. The receiver gives the reason `forwarded` or `trusted_forwarder`: **forwarder**.
//! 3. SPF or DKIM passes for a mailing-list host of the table, or SPF passes for a return path whose
//!    first label is a list server's (`lists.`, `mailman.`, …): **mailing_list**.
//! 4. SPF or DKIM passes for a forwarding service of the table: **forwarder**.
//! 5. SPF passes for a return path whose first label says that it was rewritten (`srs.`, `srs0.`,
//!    `fwd-2.`, `forward.`): **srs**.
//! 6. The aligned signature of a mailbox provider passes, and SPF passes for a return path that is
//!    neither the author's nor any known service's, from an autonomous system that is known and not
//!    the provider's: **forwarder**. Who writes from a mailbox has his own domain, or the provider's,
//!    in the return path; a foreign one that SPF accepts was put there on the way. This holds for
//!    mailboxes only, since newsletters have foreign return paths from the start.
//!
//! Rules 3 to 6 ask that the domain be *foreign* to the From header: a list host's own newsletter is
//! not a list's mail. Domains are foreign when their last two labels differ and neither ends
//! with the other; names under one public suffix such as `co.uk` count as related, which loses a sign
//! and never makes one up.

use super::services::{Check, Kind, Recognition, Services, Signature};

/// A sign that messages were passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    MailingList,
    Forwarder,
    Srs,
}

impl Forwarding {
    /// The text in column `forwarding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MailingList => "mailing_list",
            Self::Forwarder => "forwarder",
            Self::Srs => "srs",
        }
    }
}

/// First labels of list servers' return paths.
const LIST_LABELS: &[&str] = &["lists", "list", "mailman", "listserv", "sympa", "mlist", "mailinglists"];
/// What first labels of rewritten return paths begin with; a digit, a hyphen or nothing follows.
const REWRITTEN_LABELS: &[&str] = &["srs", "fwd", "forward", "forwarder", "forwarding", "mailforward"];

/// What the rules look at, beside the results.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub header_from: Option<&'a str>,
    pub dkim_aligned: bool,
    pub spf_aligned: bool,
    /// As what the record was recognised.
    pub service: Option<&'a Recognition<'a>>,
    /// Autonomous system of the source address.
    pub asn: Option<u32>,
}

/// The sign of a record, if there is one.
pub fn sign<'r>(
    facts: &Facts<'r>,
    reasons: impl Iterator<Item = &'r str>,
    dkim: impl Iterator<Item = Signature<'r>>,
    spf: impl Iterator<Item = Check<'r>>,
    services: &Services,
) -> Option<Forwarding> {
    if let Some(said) = by_reason(reasons) {
        return Some(said);
    }
    let header_from = facts.header_from.filter(|d| !d.is_empty())?;
    let signer = |s: Signature<'r>| {
        s.domain.filter(|d| s.pass && is_foreign(d, header_from)).and_then(|d| services.signer(d))
    };
    let host = |c: Check<'r>| c.domain.filter(|d| c.pass && is_foreign(d, header_from));
    let mut kinds = Kinds::default();
    dkim.filter_map(signer).for_each(|k| kinds.note(k));
    let mut label = None;
    let mut unknown = false;
    for domain in spf.filter_map(host) {
        label = label.or_else(|| by_label(domain));
        match services.return_path(domain) {
            Some(kind) => kinds.note(kind),
            None => unknown = true,
        }
    }
    if kinds.list || label == Some(Forwarding::MailingList) {
        return Some(Forwarding::MailingList);
    }
    if kinds.forwarder {
        return Some(Forwarding::Forwarder);
    }
    if label.is_some() {
        return label;
    }
    let foreign_path = unknown && facts.dkim_aligned && !facts.spf_aligned;
    let written_in_mailbox = facts.service.is_some_and(|s| s.kind == Kind::Mailbox && s.signed);
    let from_elsewhere = facts.asn.is_some() && facts.service.is_some_and(|s| !s.at_home);
    (foreign_path && written_in_mailbox && from_elsewhere).then_some(Forwarding::Forwarder)
}

#[derive(Default)]
struct Kinds {
    list: bool,
    forwarder: bool,
}

impl Kinds {
    fn note(&mut self, kind: Kind) {
        self.list |= kind == Kind::MailingList;
        self.forwarder |= kind == Kind::Forwarder;
    }
}

fn by_reason<'r>(reasons: impl Iterator<Item = &'r str>) -> Option<Forwarding> {
    let mut said = None;
    for reason in reasons {
        match reason {
            "mailing_list" => return Some(Forwarding::MailingList),
            "forwarded" | "trusted_forwarder" => said = Some(Forwarding::Forwarder),
            _ => {}
        }
    }
    said
}

/// What the first label of a return path says. A domain of two labels has none to spare.
fn by_label(domain: &str) -> Option<Forwarding> {
    let (first, rest) = domain.split_once('.')?;
    if !rest.contains('.') {
        return None;
    }
    if LIST_LABELS.contains(&first) {
        return Some(Forwarding::MailingList);
    }
    let rewritten = |word: &str| {
        first
            .strip_prefix(word)
            .is_some_and(|end| end.bytes().next().is_none_or(|b| b == b'-' || b.is_ascii_digit()))
    };
    REWRITTEN_LABELS.iter().any(|word| rewritten(word)).then_some(Forwarding::Srs)
}

/// Whether two domains surely do not belong together.
fn is_foreign(a: &str, b: &str) -> bool {
    !(tail(a) == tail(b) || is_under(a, b) || is_under(b, a))
}

/// The last two labels.
fn tail(domain: &str) -> &str {
    let last = domain.rfind('.');
    last.and_then(|at| domain[..at].rfind('.')).map_or(domain, |at| &domain[at + 1..])
}

fn is_under(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a record of `example.com` with these results is a sign of.
    fn of(reasons: &[&str], dkim: &[(&str, bool)], spf: &[(&str, bool)]) -> Option<Forwarding> {
        let services = Services::load(None).unwrap();
        let facts = Facts {
            header_from: Some("news.example.com"),
            dkim_aligned: true,
            spf_aligned: false,
            asn: None,
            service: None,
        };
        let dkim = dkim.iter().map(|(d, pass)| Signature { domain: Some(d), selector: None, pass: *pass });
        let spf = spf.iter().map(|(d, pass)| Check { domain: Some(d), pass: *pass });
        sign(&facts, reasons.iter().copied(), dkim, spf, &services)
    }

    #[test]
    fn the_receiver_is_believed_first() {
        assert_eq!(of(&["forwarded"], &[], &[]), Some(Forwarding::Forwarder));
        assert_eq!(
            of(&["trusted_forwarder"], &[], &[("srs.example.net", true)]),
            Some(Forwarding::Forwarder)
        );
        assert_eq!(of(&["forwarded", "mailing_list"], &[], &[]), Some(Forwarding::MailingList));
        assert_eq!(of(&["local_policy", "other", "sampled_out"], &[], &[]), None);
    }

    #[test]
    fn hosts_of_lists_and_forwarders_count_when_verified() {
        assert_eq!(of(&[], &[], &[("googlegroups.com", true)]), Some(Forwarding::MailingList));
        assert_eq!(of(&[], &[("googlegroups.com", true)], &[]), Some(Forwarding::MailingList));
        assert_eq!(of(&[], &[], &[("googlegroups.com", false)]), None);
        assert_eq!(of(&[], &[("simplelogin.co", true)], &[]), Some(Forwarding::Forwarder));
        assert_eq!(of(&[], &[("simplelogin.co", false)], &[]), None);
        assert_eq!(of(&[], &[], &[("amazonses.com", true)]), None);
    }

    #[test]
    fn first_labels_tell_lists_and_rewritten_paths() {
        for (domain, want) in [
            ("lists.example.net", Some(Forwarding::MailingList)),
            ("mailman.example.net", Some(Forwarding::MailingList)),
            ("srs.example.net", Some(Forwarding::Srs)),
            ("srs0.example.net", Some(Forwarding::Srs)),
            ("srs.pair.com", Some(Forwarding::Srs)),
            ("fwd-02-2.privateemail.com", Some(Forwarding::Srs)),
            ("forward.example.net", Some(Forwarding::Srs)),
            ("forwardthinking.example.net", None),
            ("lists.net", None),
            ("mail.lists.example.net", None),
            // Not foreign to the author.
            ("lists.example.com", None),
            ("srs.example.com", None),
        ] {
            assert_eq!(of(&[], &[], &[(domain, true)]), want, "{domain}");
            assert_eq!(of(&[], &[], &[(domain, false)]), None, "{domain} does not pass");
        }
    }

    #[test]
    fn a_foreign_path_behind_a_mailbox_is_a_forwarder_where_the_network_says_so() {
        let services = Services::load(None).unwrap();
        let case = |selector, asn, path| {
            let dkim = [Signature { domain: Some("example.com"), selector: Some(selector), pass: true }];
            let spf = [Check { domain: Some(path), pass: true }];
            let mut room = super::super::services::Candidates::default();
            let origin = services.origin(None, asn);
            let service = services.recognise(dkim.into_iter(), spf.into_iter(), origin, &mut room);
            let facts = Facts {
                header_from: Some("example.com"),
                dkim_aligned: true,
                spf_aligned: false,
                asn,
                service: service.as_ref(),
            };
            sign(&facts, std::iter::empty(), dkim.into_iter(), spf.into_iter(), &services)
        };
        assert_eq!(case("google", Some(64_500), "university.example"), Some(Forwarding::Forwarder));
        assert_eq!(case("google", Some(15_169), "university.example"), None, "from Google itself");
        assert_eq!(case("google", None, "university.example"), None, "the network is not known");
        assert_eq!(case("own", Some(64_500), "university.example"), None, "a sender of its own");
        assert_eq!(case("google", Some(64_500), "bounce.example.com"), None, "its own return path");
        assert_eq!(case("litesrv", Some(64_500), "bounces.example.net"), None, "a newsletter");
    }

    #[test]
    fn foreign_is_said_of_unrelated_domains_only() {
        assert!(is_foreign("example.net", "example.com"));
        assert!(is_foreign("a.example.net", "a.example.com"));
        assert!(!is_foreign("example.com", "example.com"));
        assert!(!is_foreign("bounce.example.com", "mail.example.com"));
        assert!(!is_foreign("one.co.uk", "two.co.uk"));
        assert!(!is_foreign("com", "example.com"));
        assert!(is_foreign("notexample.com", "example.com"));
    }
}
