//! The receivers that report: how much of the mail they see, over which intervals, under which names.

use crate::calendar::{Day, SECONDS};
use crate::dialect::{self, Dialect};
use crate::prng::Rng;

/// Why a receiver did not do what the policy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    pub kind: &'static str,
    pub comment: &'static str,
}

/// A receiver that sends reports.
#[derive(Debug)]
pub struct Reporter {
    pub org: &'static str,
    pub email: &'static str,
    pub contact: &'static str,
    /// The receiver in file names and mails.
    pub receiver: &'static str,
    pub dialect: &'static Dialect,
    /// Its share of a domain's mail, relative to the others.
    pub share: f64,
    pub interval: Interval,
    pub id: IdStyle,
    /// Whether file names end in the report's id.
    pub id_in_name: bool,
    /// The recipients' domains that it names; none where it names none.
    pub recipients: &'static [&'static str],
    /// Why it lets forwarded mail pass that fails, where it does.
    pub overrides: Option<Reason>,
}

/// What a report of a day covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// 00:00:00 to 23:59:59 UTC.
    Day,
    /// 00:00:00 to 00:00:00 of the next day, UTC.
    DayExclusive,
    /// A day of a time zone that many hours east of UTC.
    Zone(i64),
    /// Some 24 hours from about that second of the day on, 0 to 32 seconds longer.
    Rolling(i64),
    /// Some hours of the day.
    Hours,
    /// So many days that end with this one; a report comes only every so many days.
    Days(i32),
}

impl Interval {
    /// How many days a report stands for.
    pub fn days(self) -> i32 {
        if let Self::Days(n) = self { n } else { 1 }
    }

    /// Whether a report of the interval comes on that day.
    pub(crate) fn is_due(self, day: Day) -> bool {
        day.0.rem_euclid(self.days()) == 0
    }

    /// Begin and end, in seconds since 1970, of the report of that day.
    pub(crate) fn of(self, day: Day, rng: &mut Rng) -> (i64, i64) {
        let start = day.start();
        match self {
            Self::Day => (start, start + SECONDS - 1),
            Self::DayExclusive => (start, start + SECONDS),
            Self::Zone(hours) => (start - hours * 3600, start - hours * 3600 + SECONDS - 1),
            Self::Rolling(second) => {
                let begin = start + second + rng.below(20).cast_signed();
                (begin, begin + SECONDS + rng.below(33).cast_signed())
            }
            Self::Hours => {
                let begin = start + rng.below(60_000).cast_signed();
                (begin, begin + rng.between(1800, 26_000).cast_signed())
            }
            Self::Days(n) => (day.plus(1 - n).start(), start + SECONDS - 1),
        }
    }
}

/// How a reporter names its reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdStyle {
    /// Some 19 decimal digits.
    Digits(usize),
    /// Time and a number: `1737684249.660988`.
    TimeDotNumber,
    Hex(usize),
    Uuid,
    /// Digits with the begin after them.
    DigitsBegin,
    /// `v2-` time `-` domain.
    TimeDomain,
    /// Cisco's: `1a6ffb$9f77bea=6b2f4786a9824806@host`.
    Cisco,
    /// Domain and begin. Says the same for every report of the domain and the day: not unique.
    DomainBegin,
}

impl IdStyle {
    /// An id of that style.
    pub(crate) fn id(
        self,
        rng: &mut Rng,
        reporter: &Reporter,
        domain: &str,
        begin: i64,
        sent: i64,
    ) -> String {
        match self {
            Self::Digits(n) => format!("{}{}", rng.between(1, 9), rng.text(b"0123456789", n - 1)),
            Self::TimeDotNumber => format!("{sent}.{:06}", rng.below(1_000_000)),
            Self::Hex(n) => rng.hex(n),
            Self::Uuid => rng.uuid(),
            Self::DigitsBegin => format!("{}{begin}", rng.text(b"123456789", 19)),
            Self::TimeDomain => format!("v2-{sent}-{domain}"),
            Self::Cisco => format!("{}${}={}@{}", rng.hex(6), rng.hex(7), rng.hex(16), reporter.org),
            Self::DomainBegin => format!("{domain}-{begin}"),
        }
    }
}

const fn reason(kind: &'static str, comment: &'static str) -> Option<Reason> {
    Some(Reason { kind, comment })
}

/// A reporter like most, to be described by what differs.
const fn plain(org: &'static str, email: &'static str, dialect: &'static Dialect, share: f64) -> Reporter {
    Reporter {
        org,
        email,
        contact: "",
        receiver: org,
        dialect,
        share,
        interval: Interval::Day,
        id: IdStyle::Uuid,
        id_in_name: false,
        recipients: &[],
        overrides: None,
    }
}

/// Every reporter. Those of equal names and ids stand side by side.
pub static REPORTERS: [Reporter; 24] = [
    Reporter {
        contact: "https://support.google.com/a/answer/2466580",
        id: IdStyle::Digits(19),
        overrides: reason("local_policy", "arc=pass"),
        ..plain("google.com", "noreply-dmarc-support@google.com", &dialect::GOOGLE, 38.0)
    },
    Reporter {
        receiver: "protection.outlook.com",
        interval: Interval::DayExclusive,
        id: IdStyle::Hex(32),
        recipients: &["tannenhof-klinik.example", "baltic-freight.example", "riverside-college.example"],
        overrides: reason("other", "Arc Validated"),
        ..plain("Enterprise Outlook", "dmarcreport@microsoft.com", &dialect::MICROSOFT, 14.0)
    },
    Reporter {
        receiver: "protection.outlook.com",
        interval: Interval::DayExclusive,
        id: IdStyle::Hex(32),
        id_in_name: true,
        recipients: &["outlook.com", "hotmail.com", "live.com"],
        ..plain("Outlook.com", "dmarcreport@microsoft.com", &dialect::MICROSOFT, 9.0)
    },
    Reporter {
        receiver: "yahoo.com",
        id: IdStyle::TimeDotNumber,
        ..plain("Yahoo", "dmarchelp@yahooinc.com", &dialect::YAHOO, 8.0)
    },
    Reporter {
        receiver: "aol.com",
        id: IdStyle::TimeDotNumber,
        ..plain("AOL", "abuse_dmarc@abuse.aol.com", &dialect::YAHOO, 1.5)
    },
    Reporter {
        receiver: "gmx.net",
        contact: "https://postmaster.gmx.net",
        id: IdStyle::Hex(32),
        overrides: reason("forwarded", ""),
        ..plain("GMX", "noreply-dmarc@gmx.net", &dialect::KUNDENSERVER, 5.0)
    },
    Reporter {
        receiver: "web.de",
        contact: "https://postmaster.web.de",
        id: IdStyle::Hex(32),
        overrides: reason("forwarded", ""),
        ..plain("WEB.DE", "noreply-dmarc@web.de", &dialect::KUNDENSERVER, 4.0)
    },
    Reporter {
        contact: "https://www.kundenserver.de",
        id: IdStyle::Hex(24),
        ..plain("kundenserver.de", "noreply-dmarc@kundenserver.de", &dialect::KUNDENSERVER, 1.5)
    },
    Reporter {
        id: IdStyle::TimeDomain,
        interval: Interval::DayExclusive,
        ..plain("comcast.net", "dmarc-admin@alerts.comcast.net", &dialect::COMCAST, 3.0)
    },
    Reporter {
        receiver: "amazonses.com",
        interval: Interval::DayExclusive,
        ..plain("AMAZON-SES", "postmaster@amazonses.com", &dialect::AMAZON, 2.0)
    },
    Reporter {
        receiver: "mail.ru",
        contact: "http://help.mail.ru/mail-help",
        interval: Interval::DayExclusive,
        id: IdStyle::DigitsBegin,
        ..plain("Mail.Ru", "dmarc_support@corp.mail.ru", &dialect::MAIL_RU, 1.5)
    },
    Reporter {
        receiver: "fastmail.com",
        contact: "https://fastmail.com/",
        id: IdStyle::Digits(10),
        overrides: reason("mailing_list", "list headers and a verified ARC chain"),
        ..plain("Fastmail Pty Ltd", "reports@fastmaildmarc.com", &dialect::FASTMAIL, 1.5)
    },
    Reporter {
        contact: "https://napoveda.seznam.cz",
        interval: Interval::Zone(1),
        ..plain("seznam.cz", "dmarc@seznam.cz", &dialect::OPENDMARC, 1.0)
    },
    Reporter {
        interval: Interval::DayExclusive,
        contact: "https://www.zoho.com/mail/help/adminconsole/dmarc-policy.html",
        ..plain("zoho.com", "noreply-dmarc@zoho.com", &dialect::ZOHO, 1.2)
    },
    Reporter {
        receiver: "mimecast.org",
        contact: "https://community.mimecast.com/s/knowledge",
        id: IdStyle::Hex(64),
        id_in_name: true,
        ..plain("Mimecast", "no-reply@eu-1.mimecastreport.com", &dialect::MIMECAST, 2.5)
    },
    Reporter {
        interval: Interval::Rolling(3600),
        id: IdStyle::Cisco,
        overrides: reason("trusted_forwarder", ""),
        ..plain("esa1.hc4711-23.iphmx.com", "MAILER-DAEMON@esa1.hc4711-23.iphmx.com", &dialect::CISCO, 1.2)
    },
    Reporter {
        interval: Interval::Rolling(0),
        id: IdStyle::Cisco,
        ..plain("esa2.hc4711-23.iphmx.com", "MAILER-DAEMON@esa2.hc4711-23.iphmx.com", &dialect::CISCO, 0.8)
    },
    Reporter {
        interval: Interval::Hours,
        id: IdStyle::TimeDomain,
        id_in_name: true,
        ..plain("GoDaddy.com", "dmarcreports@secureserver.net", &dialect::OPENDMARC, 1.0)
    },
    Reporter {
        contact: "dmarc-reports@wp.pl",
        interval: Interval::Zone(1),
        id: IdStyle::TimeDotNumber,
        ..plain("wp.pl", "dmarc-support@wp.pl", &dialect::WP, 0.8)
    },
    Reporter {
        contact: "https://support.kddi.com/dmarc",
        interval: Interval::Zone(9),
        id: IdStyle::Digits(20),
        recipients: &["ezweb.ne.jp", "au.com"],
        ..plain("kddi.com", "noreply-dmarc-support@kddi.com", &dialect::KDDI, 0.6)
    },
    // One organisation, several platforms, one id for all of them.
    Reporter {
        receiver: "pepabo.com",
        interval: Interval::Zone(9),
        id: IdStyle::DomainBegin,
        recipients: &["lolipop.jp"],
        ..plain("GMO Pepabo, Inc.", "dmarc-report@pepabo.com", &dialect::KDDI, 0.5)
    },
    Reporter {
        receiver: "pepabo.com",
        interval: Interval::Zone(9),
        id: IdStyle::DomainBegin,
        recipients: &["heteml.jp"],
        ..plain("GMO Pepabo, Inc.", "dmarc-report@pepabo.com", &dialect::KDDI, 0.5)
    },
    Reporter {
        contact: "postmaster@riverside-college.example",
        interval: Interval::Days(7),
        ..plain("riverside-college.example", "postmaster@riverside-college.example", &dialect::OPENDMARC, 0.6)
    },
    Reporter {
        contact: "https://tallyho-mail.example/dmarc",
        interval: Interval::DayExclusive,
        id_in_name: true,
        overrides: reason("mailing_list", "known list"),
        ..plain("tallyho-mail.example", "dmarc-noreply@tallyho-mail.example", &dialect::RFC9990, 1.5)
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_cover_what_they_promise() {
        let (day, mut rng) = (Day(20_000), Rng::of(1, &[]));
        for reporter in &REPORTERS {
            for _ in 0..50 {
                let (begin, end) = reporter.interval.of(day, &mut rng);
                assert!(begin < end && end - begin < 8 * SECONDS, "{}", reporter.org);
                assert!(begin < day.start() + SECONDS && end > day.start(), "{}", reporter.org);
                if let Interval::Rolling(_) = reporter.interval {
                    assert!((86_400..=86_432).contains(&(end - begin)));
                }
            }
        }
        assert_eq!((0..70).filter(|d| Interval::Days(7).is_due(Day(*d))).count(), 10);
    }

    #[test]
    fn only_one_organisation_uses_an_id_twice() {
        for pair in REPORTERS.windows(2) {
            let same = pair[0].org == pair[1].org;
            assert_eq!(same, pair[0].org == "GMO Pepabo, Inc." && pair[1].org == pair[0].org);
            assert_eq!(same && pair[0].id == IdStyle::DomainBegin, same);
            assert!(!same || pair[0].recipients != pair[1].recipients, "their contents must differ");
        }
    }
}
