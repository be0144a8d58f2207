//! What goes wrong in the world: a scenario changes the flows of one customer for some days, and its messages are labelled.
//!
//! A new kind of scenario is one more variant of [`Kind`] and its arm in [`Scenario::shape`].

use crate::address::{Net, Pool};
use crate::calendar::{Day, Span};
use crate::customer::Customer;
use crate::flow::{Flow, Origin};
use crate::prng::{Rng, key, mix};
use crate::report::Outcome;
use crate::services::{HOSTILE, MAILCHIMP, Service, ZENDESK};

/// What happens.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Many addresses of several countries send as the customer; neither DKIM nor SPF pass.
    SpoofingCampaign {
        /// Messages a day as a multiple of the customer's own.
        strength: f64,
        addresses: u64,
        /// Indices into [`HOSTILE`].
        countries: Vec<usize>,
    },
    /// A service's signatures no longer verify, of that share of its mail.
    DkimBreak { service: &'static Service, share: f64 },
    /// A service sends for the customer, who published neither its key nor its SPF include.
    NeverSetUp { service: &'static Service },
    /// The customer's own mail becomes that many times as much.
    Volume { factor: f64 },
}

/// One of the things that happen.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub kind: Kind,
    /// Index of the customer.
    pub customer: usize,
    /// First and last day, both included.
    pub first: Day,
    pub last: Day,
}

impl Scenario {
    /// The label of its kind.
    pub fn label(&self) -> &'static str {
        match self.kind {
            Kind::SpoofingCampaign { .. } => "spoofing-campaign",
            Kind::DkimBreak { .. } => "dkim-break",
            Kind::NeverSetUp { .. } => "never-set-up",
            Kind::Volume { .. } => "volume",
        }
    }

    /// The service that it is about.
    pub fn service(&self) -> Option<&'static str> {
        match self.kind {
            Kind::DkimBreak { service, .. } | Kind::NeverSetUp { service } => Some(service.name),
            Kind::SpoofingCampaign { .. } | Kind::Volume { .. } => None,
        }
    }

    /// Changes the customer's flows of a day. `id` is the scenario's index in the world's list.
    pub(crate) fn shape(&self, id: usize, day: Day, customer: &Customer, flows: &mut Vec<Flow>) {
        if day < self.first || day > self.last {
            return;
        }
        match &self.kind {
            Kind::SpoofingCampaign { strength, addresses, countries } => {
                let nets: Vec<Net> = countries.iter().map(|i| HOSTILE[i % HOSTILE.len()].1).collect();
                let pool = Pool::new(&nets, mix(key(&customer.domain) ^ id as u64), *addresses).scattered();
                let mut flow =
                    Flow::spoofed(customer.domain.clone(), Outcome::Fail, pool, strength * customer.volume);
                flow.origin = Origin::Scenario;
                flow.scenario = Some(id);
                flows.push(flow);
            }
            Kind::DkimBreak { service, share } => {
                let mut broken = Vec::new();
                for flow in flows.iter_mut().filter(|f| f.origin == Origin::Service(service.name)) {
                    let mut part = flow.clone();
                    part.mean *= share;
                    part.scenario = Some(id);
                    part.break_signatures();
                    flow.mean *= 1.0 - share;
                    broken.push(part);
                }
                flows.append(&mut broken);
                flows.retain(|flow| flow.mean > 0.0);
            }
            Kind::NeverSetUp { service } => {
                for flow in flows.iter_mut().filter(|f| f.origin == Origin::Service(service.name)) {
                    flow.unsign(service);
                    if flow.envelope_from == flow.header_from {
                        flow.spf.outcome = Outcome::SoftFail;
                    }
                    flow.scenario = Some(id);
                }
            }
            Kind::Volume { factor } => {
                for flow in
                    flows.iter_mut().filter(|f| matches!(f.origin, Origin::Service(_) | Origin::Forwarder(_)))
                {
                    flow.mean *= factor;
                    flow.scenario = Some(id);
                }
            }
        }
    }
}

/// What happens in a world where nothing else is asked for.
pub(crate) fn story(customers: &[Customer], seed: u64, span: Span) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (index, customer) in customers.iter().enumerate() {
        let mut add = |kind, from, to| {
            all.push(Scenario { kind, customer: index, first: span.at(from), last: span.at(to) });
        };
        let mut rng = Rng::of(seed, &[key("scenario"), index as u64]);
        match index {
            0 => add(Kind::DkimBreak { service: &MAILCHIMP, share: 1.0 }, 0.6, 1.0),
            1 => add(
                Kind::SpoofingCampaign { strength: 1.6, addresses: 400, countries: vec![0, 1, 2, 3, 9] },
                0.5,
                0.78,
            ),
            2 => add(Kind::NeverSetUp { service: &ZENDESK }, 0.0, 1.0),
            3 => {}
            _ if rng.chance(0.15) => {
                let countries =
                    (0..rng.between(3, 7)).map(|_| rng.below(HOSTILE.len() as u64) as usize).collect();
                let kind = Kind::SpoofingCampaign {
                    strength: 0.2 + 3.0 * rng.unit(),
                    addresses: rng.between(40, 900),
                    countries,
                };
                let from = 0.8 * rng.unit();
                add(kind, from, (from + 0.05 + 0.2 * rng.unit()).min(1.0));
            }
            _ if rng.chance(0.3) => {
                let Some(service) = customer.some_service(&mut rng) else { continue };
                let from = 0.2 + 0.7 * rng.unit();
                match rng.below(3) {
                    0 => add(Kind::NeverSetUp { service }, 0.0, 1.0),
                    n => add(Kind::DkimBreak { service, share: if n == 1 { 1.0 } else { 0.4 } }, from, 1.0),
                }
            }
            _ => {}
        }
    }
    all
}
