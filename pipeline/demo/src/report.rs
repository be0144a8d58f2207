//! What a report says, before it is written in anybody's dialect.

use std::net::IpAddr;
use std::sync::Arc;

use crate::prng::Rng;
use crate::quirk::Quirk;
use crate::reporter::{IdStyle, Reason, Reporter};

/// A domain or another short text that many records share.
pub type Name = Arc<str>;

/// What is asked of receivers, and what they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    None,
    /// What RFC 9990 calls a message that passed. Never part of a policy.
    Pass,
    Quarantine,
    Reject,
}

impl Disposition {
    /// The word of the standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// What happens to a message that `pct` spared: the next milder disposition.
    #[must_use]
    pub fn milder(self) -> Self {
        if self == Self::Reject { Self::Quarantine } else { Self::None }
    }
}

/// A published DMARC policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub p: Disposition,
    /// Of subdomains; absent inherits `p`.
    pub sp: Option<Disposition>,
    /// Strict alignment of DKIM and of SPF.
    pub strict: (bool, bool),
    /// Absent is 100. Percent.
    pub pct: Option<u8>,
}

impl Policy {
    /// A policy that says no more than `p`.
    pub const fn new(p: Disposition) -> Self {
        Self { p, sp: None, strict: (false, false), pct: None }
    }

    /// What it asks for mail of the domain, or of a subdomain.
    pub fn asks(&self, subdomain: bool) -> Disposition {
        self.sp.filter(|_| subdomain).unwrap_or(self.p)
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    None,
    TempError,
    PermError,
}

impl Outcome {
    /// The word of the standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// A DKIM signature and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    pub domain: Name,
    pub selector: Name,
    pub outcome: Outcome,
}

/// The SPF check of the envelope sender.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spf {
    pub domain: Name,
    pub outcome: Outcome,
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub source: IpAddr,
    /// Messages.
    pub count: u64,
    pub disposition: Disposition,
    pub dkim_aligned: bool,
    pub spf_aligned: bool,
    pub reason: Option<Reason>,
    pub header_from: Name,
    pub envelope_from: Name,
    pub envelope_to: Option<Name>,
    pub dkim: Arc<[Signature]>,
    pub spf: Spf,
    /// Index of the scenario that these messages belong to, in the world's list.
    pub scenario: Option<usize>,
}

impl Record {
    /// The one verdict: aligned DKIM or aligned SPF.
    pub fn passes(&self) -> bool {
        self.dkim_aligned || self.spf_aligned
    }
}

/// An aggregate report.
#[derive(Debug, Clone)]
pub struct Report {
    pub reporter: &'static Reporter,
    /// The policy domain.
    pub domain: Name,
    /// As a reader should find it: without decoration.
    pub id: String,
    /// The interval as given, in seconds since 1970.
    pub begin: i64,
    pub end: i64,
    /// When it was mailed, in seconds since 1970.
    pub sent: i64,
    pub policy: Policy,
    pub records: Vec<Record>,
    /// What is odd about this report.
    pub quirk: Option<Quirk>,
    /// How many copies of it are delivered beside the first.
    pub copies: u32,
    /// A stream's key of its own.
    pub(crate) key: u64,
}

impl Report {
    /// Messages of all records.
    pub fn messages(&self) -> u64 {
        self.records.iter().map(|r| r.count).sum()
    }

    /// Messages that pass.
    pub fn passed(&self) -> u64 {
        self.records.iter().filter(|r| r.passes()).map(|r| r.count).sum()
    }

    /// The name that reporters give the file: `receiver!domain!begin!end[!id]`, without an ending.
    pub fn file_name(&self) -> String {
        let mut name = format!("{}!{}!{}!{}", self.reporter.receiver, self.domain, self.begin, self.end);
        if self.reporter.id == IdStyle::DomainBegin {
            // The id tells these reports as little apart as anything else but their recipients.
            name.extend(self.reporter.recipients.first().map(|r| format!("!{r}")));
        } else if self.reporter.id_in_name {
            name.push('!');
            name.extend(
                self.id
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() || "-._@=".contains(c) { c } else { '_' }),
            );
        }
        name
    }

    /// Gives the report an oddity.
    pub(crate) fn afflict(&mut self, quirk: Quirk) {
        match quirk {
            Quirk::NoLength => self.end = self.begin,
            Quirk::BracketedId if !self.id.contains('@') => {
                self.id = format!("{}@{}", self.id, self.reporter.receiver)
            }
            _ => {}
        }
        self.quirk = Some(quirk);
    }

    /// Random numbers of this report, for one purpose.
    pub(crate) fn rng(&self, purpose: u64) -> Rng {
        Rng::of(self.key, &[purpose])
    }
}

/// Whether a checked domain is aligned with the domain of the From header.
pub fn aligned(checked: &str, header_from: &str, strict: bool) -> bool {
    if strict { checked == header_from } else { organizational(checked) == organizational(header_from) }
}

/// The organizational domain: the last two labels, as suffices for the domains of this world.
fn organizational(domain: &str) -> &str {
    let second = domain.rmatch_indices('.').nth(1);
    second.map_or(domain, |(dot, _)| &domain[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_is_relaxed_or_strict() {
        assert!(aligned("em1.shop.example", "shop.example", false));
        assert!(!aligned("em1.shop.example", "shop.example", true));
        assert!(aligned("shop.example", "shop.example", true));
        assert!(!aligned("amazonses.com", "shop.example", false));
    }

    #[test]
    fn subdomains_follow_sp_where_it_is_given() {
        let policy = Policy { sp: Some(Disposition::None), ..Policy::new(Disposition::Reject) };
        assert_eq!((policy.asks(false), policy.asks(true)), (Disposition::Reject, Disposition::None));
        assert_eq!(Policy::new(Disposition::Reject).asks(true), Disposition::Reject);
    }
}
