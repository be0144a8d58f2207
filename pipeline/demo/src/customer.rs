//! The domains of the world: who they are, what they send with, which policy they published when.
//!
//! The first four are characters of a story and the same in every world; the others are drawn.

use crate::address::{Net, Pool, v4};
use crate::calendar::{Day, Span};
use crate::flow::{Flow, Origin};
use crate::prng::{Rng, key, mix};
use crate::report::{Disposition, Name, Outcome, Policy, Signature, Spf};
use crate::reporter::REPORTERS;
use crate::services::{
    AMAZON_SES, BREVO, GOOGLE_WORKSPACE, HOSTILE, IONOS, MAILCHIMP, MICROSOFT_365, OWN_SERVER, SENDGRID,
    SERVICES, Service, ZENDESK,
};

/// A domain and the mail that is sent in its name.
#[derive(Debug)]
pub struct Customer {
    pub domain: Name,
    /// Messages of its own on an average day in the middle of the world's time, over all reporters.
    pub volume: f64,
    /// Growth a day, as a share of the volume.
    pub trend: f64,
    /// Policies, each from its day on, in order.
    policies: Vec<(Day, Policy)>,
    flows: Vec<Flow>,
    /// Each reporter's share of its mail; they add up to 1.
    pub(crate) shares: Vec<f64>,
    key: u64,
}

/// What a customer is made from.
struct Plan<'a> {
    domain: &'a str,
    volume: f64,
    trend: f64,
    /// Services with their share of the volume and the subdomain that they send as.
    services: Vec<(&'static Service, f64, &'static str)>,
    /// Policies, each from that share of the world's time on.
    policies: Vec<(f64, Policy)>,
    /// Forwarded messages as a share of the volume.
    forwarded: f64,
}

const NONE: Policy = Policy::new(Disposition::None);
const QUARANTINE: Policy = Policy::new(Disposition::Quarantine);
const REJECT: Policy = Policy::new(Disposition::Reject);

/// Domains of the story.
pub const STORY: [&str; 4] =
    ["acme-shop.example", "nordwind.example", "kanzlei-brandt.example", "studio-lumen.example"];

/// The plan of a character of the story.
fn story(index: usize) -> Plan<'static> {
    let domain = STORY[index];
    match index {
        // On its way to enforcement, and its newsletter's key breaks meanwhile.
        0 => Plan {
            domain,
            volume: 2600.0,
            trend: 0.004,
            services: vec![
                (&AMAZON_SES, 0.42, ""),
                (&SENDGRID, 0.26, ""),
                (&MAILCHIMP, 0.24, "news"),
                (&GOOGLE_WORKSPACE, 0.08, ""),
            ],
            policies: vec![
                (0.0, NONE),
                (0.4, Policy { pct: Some(25), sp: Some(Disposition::None), ..QUARANTINE }),
                (0.8, Policy { sp: Some(Disposition::None), ..QUARANTINE }),
            ],
            forwarded: 0.02,
        },
        // At reject, and attacked.
        1 => Plan {
            domain,
            volume: 800.0,
            trend: 0.0,
            services: vec![(&MICROSOFT_365, 0.72, ""), (&OWN_SERVER, 0.16, "status"), (&BREVO, 0.12, "")],
            policies: vec![(0.0, Policy { sp: Some(Disposition::Reject), ..REJECT })],
            forwarded: 0.03,
        },
        // Small, watching only, with a help desk that was never set up.
        2 => Plan {
            domain,
            volume: 140.0,
            trend: 0.001,
            services: vec![(&IONOS, 0.6, ""), (&ZENDESK, 0.4, "")],
            policies: vec![(0.0, NONE)],
            forwarded: 0.04,
        },
        // Half way, on many mailing lists.
        _ => Plan {
            domain,
            volume: 320.0,
            trend: -0.001,
            services: vec![(&GOOGLE_WORKSPACE, 0.8, ""), (&MAILCHIMP, 0.2, "")],
            policies: vec![(0.0, Policy { pct: Some(50), ..QUARANTINE })],
            forwarded: 0.22,
        },
    }
}

const FIRST_NAMES: [&str; 32] = [
    "alpen", "amber", "blue", "bright", "castle", "cedar", "clear", "delta", "eagle", "ember", "forest",
    "granite", "green", "harbor", "iron", "lake", "linden", "maple", "meridian", "north", "oak", "orchid",
    "polar", "quartz", "river", "rosen", "silver", "solar", "stone", "summit", "tide", "willow",
];
const LAST_NAMES: [&str; 32] = [
    "academy",
    "agency",
    "analytics",
    "bakery",
    "books",
    "bikes",
    "capital",
    "care",
    "clinic",
    "coffee",
    "design",
    "energy",
    "events",
    "farms",
    "foods",
    "freight",
    "gardens",
    "group",
    "health",
    "hotels",
    "labs",
    "legal",
    "logistics",
    "media",
    "motors",
    "outdoor",
    "partners",
    "press",
    "sports",
    "studio",
    "travel",
    "works",
];

/// The name of the `index`-th drawn domain; all are distinct.
fn name(index: usize) -> String {
    let pairs = FIRST_NAMES.len() * LAST_NAMES.len();
    // 397 has no divisor in common with 1024, so that every pair comes once before any comes again.
    let pair = (index * 397 + 11) % pairs;
    let (first, last) = (FIRST_NAMES[pair / LAST_NAMES.len()], LAST_NAMES[pair % LAST_NAMES.len()]);
    match index / pairs {
        0 => format!("{first}-{last}.example"),
        more => format!("{first}-{last}-{}.example", more + 1),
    }
}

/// The plan of a drawn customer.
fn drawn<'a>(domain: &'a str, rng: &mut Rng) -> Plan<'a> {
    let mut services: Vec<(&Service, f64, &str)> = Vec::new();
    let office = *rng.pick(&[&GOOGLE_WORKSPACE, &MICROSOFT_365, &MICROSOFT_365, &IONOS]);
    services.push((office, 0.3 + 0.5 * rng.unit(), ""));
    for _ in 0..rng.below(4) {
        let service = *rng.pick(&SERVICES);
        if services.iter().all(|(other, ..)| other.name != service.name) {
            let subdomain = if rng.chance(0.25) { *rng.pick(&["news", "mail", "info", "shop"]) } else { "" };
            services.push((service, 0.1 + 0.6 * rng.unit(), subdomain));
        }
    }
    let total: f64 = services.iter().map(|(_, share, _)| share).sum();
    services.iter_mut().for_each(|(_, share, _)| *share /= total);
    let sp = *rng.pick(&[None, None, Some(Disposition::None), Some(Disposition::Reject)]);
    let with = |policy: Policy| Policy { sp, ..policy };
    let strict = if rng.chance(0.1) { (true, false) } else { (false, false) };
    let partial = Policy { pct: Some(*rng.pick(&[10, 25, 50])), ..QUARANTINE };
    let mut policies = match rng.below(10) {
        0..=3 => vec![(0.0, NONE)],
        4 => vec![(0.0, with(partial))],
        5 => vec![(0.0, with(Policy { strict, ..QUARANTINE }))],
        6 => vec![(0.0, NONE), (0.2 + 0.6 * rng.unit(), with(partial))],
        7 => vec![(0.0, with(QUARANTINE)), (0.2 + 0.6 * rng.unit(), with(REJECT))],
        _ => vec![(0.0, with(Policy { strict, ..REJECT }))],
    };
    policies.sort_by(|a, b| a.0.total_cmp(&b.0));
    Plan {
        domain,
        // Many small ones and few large: from 30 messages a day to some thousands.
        volume: 30.0 / (rng.unit() + 0.006),
        trend: 0.006 * (rng.unit() - 0.45),
        services,
        policies,
        forwarded: 0.08 * rng.unit() * rng.unit(),
    }
}

/// The customers of a world, and what the story has in store for them.
pub(crate) fn all(seed: u64, count: usize, scale: f64, span: Span) -> Vec<Customer> {
    (0..count)
        .map(|index| {
            if index < STORY.len() {
                return Customer::new(story(index), seed, scale, span);
            }
            let name = name(index - STORY.len());
            Customer::new(
                drawn(&name, &mut Rng::of(seed, &[key("customer"), index as u64])),
                seed,
                scale,
                span,
            )
        })
        .collect()
}

impl Customer {
    fn new(plan: Plan<'_>, seed: u64, scale: f64, span: Span) -> Self {
        let volume = plan.volume * scale;
        let domain: Name = plan.domain.into();
        let id = mix(seed ^ key(&domain));
        let own: Vec<Flow> = plan
            .services
            .iter()
            .map(|(service, share, subdomain)| {
                Flow::service(service, &domain, subdomain, share * volume, seed)
            })
            .collect();
        let mut flows = own.clone();
        if let Some(main) = own.iter().max_by(|a, b| a.mean.total_cmp(&b.mean)) {
            flows.extend(forwarded(main, plan.forwarded * volume, id));
        }
        flows.extend(noise(&domain, volume, id));
        let policies = plan.policies.iter().map(|(from, policy)| (span.at(*from), *policy)).collect();
        Self { domain, volume, trend: plan.trend, policies, flows, shares: shares(id), key: id }
    }

    /// The policy of a day.
    pub fn policy(&self, day: Day) -> &Policy {
        let now = self.policies.iter().rev().find(|(from, _)| *from <= day);
        now.or(self.policies.first()).map_or(&NONE, |(_, policy)| policy)
    }

    /// The flows of a day, before any scenario: with weekday, trend and the day's luck.
    pub(crate) fn flows(&self, day: Day, span: Span) -> Vec<Flow> {
        let middle = f64::from(day.0 - span.first.0) - f64::from(span.last.0 - span.first.0) / 2.0;
        let trend = (1.0 + self.trend * middle).max(0.1);
        let mut flows = self.flows.clone();
        for (n, flow) in flows.iter_mut().enumerate() {
            let mut luck = Rng::of(self.key, &[day.0.cast_unsigned().into(), n as u64]);
            flow.mean *= match flow.origin {
                // Heavy-tailed: most days little, some days a lot.
                Origin::Noise => (0.25 / (luck.unit() + 0.01)).min(12.0),
                _ => trend * f64::from(flow.week[day.weekday()]) / 100.0 * (0.85 + 0.3 * luck.unit()),
            };
        }
        flows
    }

    /// One of the services that it sends with.
    pub(crate) fn some_service(&self, rng: &mut Rng) -> Option<&'static Service> {
        let used: Vec<&'static Service> = SERVICES
            .into_iter()
            .filter(|s| self.flows.iter().any(|f| f.origin == Origin::Service(s.name)))
            .collect();
        (!used.is_empty()).then(|| *rng.pick(&used))
    }
}

/// Each reporter's share of a customer's mail.
fn shares(id: u64) -> Vec<f64> {
    let mut rng = Rng::of(id, &[key("shares")]);
    let raw: Vec<f64> = REPORTERS.iter().map(|r| r.share * (0.1 + 1.8 * rng.unit())).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|share| share / total).collect()
}

/// Who passes mail on: name, networks, and the domain it puts in the envelope; none where it keeps the sender's.
static FORWARDERS: [(&str, Net, Option<&str>); 4] = [
    ("alumni forwarding", v4(130, 133, 4, 0, 24), None),
    ("mail redirection", v4(217, 70, 178, 192, 26), None),
    ("sender rewriting", v4(209, 85, 220, 0, 24), Some("srs.hollybank.example")),
    ("mailing list", v4(188, 68, 32, 0, 20), Some("lists.commons-forum.example")),
];

/// The customer's main mail as forwarders and mailing lists pass it on.
fn forwarded(main: &Flow, mean: f64, id: u64) -> Vec<Flow> {
    let flow = |(n, (name, net, envelope)): (usize, &(&'static str, Net, Option<&str>))| {
        let list = *name == "mailing list";
        let envelope_from = envelope.map_or_else(|| main.envelope_from.clone(), Name::from);
        let mut flow = Flow {
            origin: Origin::Forwarder(name),
            mean: mean * [0.25, 0.2, 0.2, 0.35][n],
            pool: Pool::new(&[*net], id ^ n as u64, if list { 2 } else { 4 }),
            spf: Spf {
                domain: envelope_from.clone(),
                outcome: if envelope.is_some() { Outcome::Pass } else { Outcome::Fail },
            },
            envelope_from: envelope_from.clone(),
            forwarded: true,
            ..main.clone()
        };
        if list {
            // The footer breaks the signature; the list adds its own.
            flow.break_signatures();
            let own =
                Signature { domain: envelope_from, selector: "list2023".into(), outcome: Outcome::Pass };
            flow.dkim = flow.dkim.iter().cloned().chain([own]).collect();
        }
        flow
    };
    FORWARDERS.iter().enumerate().map(flow).collect()
}

/// The spoofed mail that every domain gets, some of it from subdomains that do not exist.
fn noise(domain: &Name, volume: f64, id: u64) -> [Flow; 2] {
    let nets: Vec<Net> = HOSTILE.iter().map(|(_, net)| *net).collect();
    let pool = |n| Pool::new(&nets, id.wrapping_add(n), 5000).scattered();
    let mean = 0.4 + 0.006 * volume;
    let label = *Rng::of(id, &[key("noise")]).pick(&["billing", "secure", "accounts", "support"]);
    [
        Flow::spoofed(domain.clone(), Outcome::SoftFail, pool(1), 0.8 * mean),
        Flow::spoofed(format!("{label}.{domain}").into(), Outcome::None, pool(2), 0.2 * mean),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span { first: Day(20_000), last: Day(20_099) }
    }

    #[test]
    fn domains_are_distinct_and_fictional() {
        let customers = all(1, 3000, 1.0, span());
        let names: std::collections::HashSet<_> = customers.iter().map(|c| c.domain.clone()).collect();
        assert_eq!(names.len(), 3000);
        assert!(names.iter().all(|n| n.ends_with(".example")));
    }

    #[test]
    fn shares_and_services_add_up() {
        for customer in all(5, 60, 1.0, span()) {
            assert!((customer.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let own: f64 = customer
                .flows
                .iter()
                .filter(|f| matches!(f.origin, Origin::Service(_)))
                .map(|f| f.mean)
                .sum();
            assert!((own / customer.volume - 1.0).abs() < 1e-9, "{}", customer.domain);
        }
    }

    #[test]
    fn weeks_average_to_their_mean() {
        for service in SERVICES {
            let sum: u32 = service.week.iter().map(|w| u32::from(*w)).sum();
            assert_eq!(sum, 700, "{}", service.name);
        }
    }

    #[test]
    fn a_policy_changes_on_its_day() {
        let customers = all(1, 1, 1.0, span());
        assert_eq!(customers[0].policy(Day(20_000)).p, Disposition::None);
        assert_eq!(customers[0].policy(Day(20_050)).pct, Some(25));
        assert_eq!(customers[0].policy(Day(20_099)).pct, None);
    }
}
