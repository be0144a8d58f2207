//! A flow: messages of one kind, with one way of being signed, from one pool of addresses.
//!
//! A customer's day is a list of flows. Scenarios change that list; reporters see a share of it.

use std::sync::Arc;

use crate::address::Pool;
use crate::prng::Rng;
use crate::prng::{key, mix};
use crate::report::{Disposition, Name, Outcome, Policy, Record, Signature, Spf, aligned};
use crate::reporter::{Reason, Reporter};
use crate::services::{Also, MailFrom, STEADY, Selector, Service, Week};

/// What sends the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A service that the customer uses, by its name.
    Service(&'static str),
    /// Somebody who passes the customer's mail on.
    Forwarder(&'static str),
    /// Spoofed mail that every domain gets some of.
    Noise,
    /// What a scenario adds.
    Scenario,
}

/// Messages of one kind.
#[derive(Debug, Clone)]
pub struct Flow {
    pub origin: Origin,
    /// Messages a day, over all reporters.
    pub mean: f64,
    pub week: Week,
    pub pool: Pool,
    pub header_from: Name,
    pub envelope_from: Name,
    pub dkim: Arc<[Signature]>,
    pub spf: Spf,
    /// Share of the messages whose signatures break on their way.
    pub breakage: f64,
    /// Whether a receiver may take it for forwarded, and let it pass.
    pub forwarded: bool,
    /// Index of the scenario that it belongs to.
    pub scenario: Option<usize>,
}

/// The share of messages whose signatures break on their way, of ordinary mail.
const ORDINARY_BREAKAGE: f64 = 0.002;

impl Flow {
    /// A customer's mail through a service that is set up right, from the domain itself or a subdomain of it.
    pub(crate) fn service(
        service: &'static Service,
        domain: &str,
        subdomain: &str,
        mean: f64,
        seed: u64,
    ) -> Self {
        let key = mix(seed ^ key(domain) ^ key(service.name).rotate_left(17));
        let header_from: Name =
            if subdomain.is_empty() { domain.into() } else { format!("{subdomain}.{domain}").into() };
        let signer = if service.signs.is_empty() {
            header_from.clone()
        } else {
            format!("{}.{domain}", service.signs).into()
        };
        let selector: Name = match service.selector {
            Selector::Fixed(name) => name.into(),
            Selector::Token(n) => Rng::of(key, &[]).text(b"abcdefghijklmnopqrstuvwxyz234567", n).into(),
        };
        let mut dkim = vec![Signature { domain: signer, selector, outcome: Outcome::Pass }];
        if let Also::Own(domain, selector) = service.also {
            dkim.push(Signature { domain: domain.into(), selector: selector.into(), outcome: Outcome::Pass });
        }
        let envelope_from: Name = match service.mail_from {
            MailFrom::Customer => header_from.clone(),
            MailFrom::Subdomain(label) => format!("{label}.{domain}").into(),
            MailFrom::Own(own) => own.into(),
        };
        Self {
            origin: Origin::Service(service.name),
            mean,
            week: service.week,
            pool: Pool::new(service.nets, key, service.addresses),
            header_from,
            spf: Spf { domain: envelope_from.clone(), outcome: Outcome::Pass },
            envelope_from,
            dkim: dkim.into(),
            breakage: ORDINARY_BREAKAGE,
            forwarded: false,
            scenario: None,
        }
    }

    /// Mail in the name of a domain by somebody who has no right to it.
    pub(crate) fn spoofed(header_from: Name, spf: Outcome, pool: Pool, mean: f64) -> Self {
        Self {
            origin: Origin::Noise,
            mean,
            week: STEADY,
            pool,
            envelope_from: header_from.clone(),
            spf: Spf { domain: header_from.clone(), outcome: spf },
            header_from,
            dkim: [].into(),
            breakage: 0.0,
            forwarded: false,
            scenario: None,
        }
    }

    /// Takes the customer's signature away and leaves what the service signs by itself.
    pub(crate) fn unsign(&mut self, service: &Service) {
        let label = self.header_from.replace('.', "-");
        let own = match service.also {
            Also::Nothing => None,
            Also::Own(domain, selector) => Some((domain.to_owned(), selector.to_owned())),
            Also::Tenant => {
                Some((format!("{label}.onmicrosoft.com"), format!("selector2-{label}-onmicrosoft-com")))
            }
            Also::Gapps => Some((format!("{label}.20230601.gappssmtp.com"), "20230601".to_owned())),
        };
        let signature = own.map(|(domain, selector)| Signature {
            domain: domain.into(),
            selector: selector.into(),
            outcome: Outcome::Pass,
        });
        self.dkim = signature.into_iter().collect();
    }

    /// Makes every signature of the customer's domains fail.
    pub(crate) fn break_signatures(&mut self) {
        let broken = |s: &Signature| {
            let own = aligned(&s.domain, &self.header_from, false);
            Signature { outcome: if own { Outcome::Fail } else { s.outcome }, ..s.clone() }
        };
        self.dkim = self.dkim.iter().map(broken).collect();
    }

    /// Adds the records of `messages` messages as a reporter sees them.
    pub(crate) fn records(&self, messages: u64, seen: &Seen<'_>, rng: &mut Rng, out: &mut Vec<Record>) {
        let spread = if self.pool.scattered { messages } else { messages.isqrt() + 1 };
        let addresses = spread.min(self.pool.size).min(messages);
        let first = rng.below(self.pool.size);
        let mut left = messages;
        for i in 0..addresses {
            let others = addresses - i - 1;
            let even = left as f64 / (others + 1) as f64;
            let count = if others == 0 { left } else { rng.poisson(even).clamp(1, left - others) };
            left -= count;
            let broken = rng.poisson(count as f64 * self.breakage).min(count);
            let source = self.pool.address(first + i);
            let mut add = |count, dkim: &Arc<[Signature]>| {
                if count > 0 {
                    seen.judge(self, source, count, dkim, rng, out);
                }
            };
            add(count - broken, &self.dkim);
            if broken > 0 {
                let fail = |s: &Signature| Signature { outcome: Outcome::Fail, ..s.clone() };
                add(broken, &self.dkim.iter().map(fail).collect());
            }
        }
    }
}

/// How a reporter judges messages: with which policy, in which habits.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) reporter: &'a Reporter,
    pub(crate) policy: &'a Policy,
    pub(crate) domain: &'a str,
    pub(crate) envelope_to: Option<Name>,
}

impl Seen<'_> {
    /// Adds the rows of some messages of one source with equal results.
    fn judge(
        &self,
        flow: &Flow,
        source: std::net::IpAddr,
        count: u64,
        dkim: &Arc<[Signature]>,
        rng: &mut Rng,
        out: &mut Vec<Record>,
    ) {
        let from = &*flow.header_from;
        let (strict_dkim, strict_spf) = self.policy.strict;
        let passes = |s: &Signature| s.outcome == Outcome::Pass && aligned(&s.domain, from, strict_dkim);
        let record = Record {
            source,
            count,
            disposition: Disposition::None,
            dkim_aligned: dkim.iter().any(passes),
            spf_aligned: flow.spf.outcome == Outcome::Pass && aligned(&flow.spf.domain, from, strict_spf),
            reason: None,
            header_from: flow.header_from.clone(),
            envelope_from: flow.envelope_from.clone(),
            envelope_to: self.envelope_to.clone(),
            dkim: Arc::clone(dkim),
            spf: flow.spf.clone(),
            scenario: flow.scenario,
        };
        let asked = self.policy.asks(from != self.domain);
        if record.passes() {
            let disposition = if self.reporter.dialect.pass { Disposition::Pass } else { Disposition::None };
            out.push(Record { disposition, ..record });
        } else if asked == Disposition::None {
            out.push(record);
        } else if let Some(reason) = self.reporter.overrides.filter(|_| flow.forwarded) {
            out.push(Record { reason: Some(reason), ..record });
        } else {
            let spared = self.spared(count, rng);
            if spared > 0 {
                let reason = Some(Reason { kind: "sampled_out", comment: "" });
                out.push(Record { count: spared, disposition: asked.milder(), reason, ..record.clone() });
            }
            if count > spared {
                out.push(Record { count: count - spared, disposition: asked, ..record });
            }
        }
    }

    /// How many of the messages `pct` spares. RFC 9990 knows no `pct`, nor do its reporters.
    fn spared(&self, count: u64, rng: &mut Rng) -> u64 {
        match self.policy.pct {
            Some(pct) if pct < 100 && !self.reporter.dialect.pass => {
                let share = f64::from(100 - pct) / 100.0;
                if count > 50 {
                    (count as f64 * share) as u64
                } else {
                    (0..count).filter(|_| rng.chance(share)).count() as u64
                }
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::REPORTERS;
    use crate::services::{AMAZON_SES, MAILCHIMP, MICROSOFT_365};

    fn records(flow: &Flow, policy: Policy, messages: u64) -> Vec<Record> {
        let mut out = Vec::new();
        let seen =
            Seen { reporter: &REPORTERS[3], policy: &policy, domain: "shop.example", envelope_to: None };
        flow.records(messages, &seen, &mut Rng::of(1, &[]), &mut out);
        out
    }

    #[test]
    fn every_message_is_in_one_record() {
        for messages in [1, 2, 3, 17, 400, 90_000] {
            for service in crate::services::SERVICES {
                let flow = Flow::service(service, "shop.example", "", 1.0, 1);
                let out = records(&flow, Policy::new(Disposition::Reject), messages);
                assert_eq!(out.iter().map(|r| r.count).sum::<u64>(), messages, "{}", service.name);
                assert!(out.iter().all(|r| r.count > 0));
            }
        }
    }

    #[test]
    fn services_pass_by_what_they_align() {
        let mut ses = Flow::service(&AMAZON_SES, "shop.example", "", 1.0, 1);
        ses.breakage = 0.0;
        let policy = Policy::new(Disposition::Reject);
        assert!(records(&ses, policy, 9).iter().all(|r| r.dkim_aligned && !r.spf_aligned));
        ses.break_signatures();
        assert!(records(&ses, policy, 9).iter().all(|r| !r.passes() && r.disposition == Disposition::Reject));
        assert_eq!(ses.dkim[1].outcome, Outcome::Pass, "the service's own signature still verifies");

        let mut m365 = Flow::service(&MICROSOFT_365, "shop.example", "", 1.0, 1);
        m365.unsign(&MICROSOFT_365);
        assert_eq!(&*m365.dkim[0].domain, "shop-example.onmicrosoft.com");
        assert!(records(&m365, policy, 9).iter().all(|r| !r.dkim_aligned && r.spf_aligned));
    }

    #[test]
    fn pct_spares_its_share_and_says_so() {
        let mut flow = Flow::service(&MAILCHIMP, "shop.example", "", 1.0, 1);
        flow.break_signatures();
        flow.breakage = 0.0;
        let policy = Policy { pct: Some(25), ..Policy::new(Disposition::Quarantine) };
        let out = records(&flow, policy, 4000);
        let of = |d| out.iter().filter(|r| r.disposition == d).map(|r| r.count).sum::<u64>();
        assert!((900..1100).contains(&of(Disposition::Quarantine)), "{}", of(Disposition::Quarantine));
        assert!(out.iter().all(|r| (r.disposition == Disposition::None) == r.reason.is_some()));
    }
}
