//! A world: from a seed the same reports, byte for byte, on every platform.
//!
//! Nothing is kept but the customers: each report is made when it is asked for, from random numbers that its day,
//! domain and reporter name. So memory is bounded whatever the number of reports, and any part can be made alone.

use std::sync::Arc;

use crate::calendar::{Day, Span};
use crate::customer::{self, Customer};
use crate::flow::{Flow, Origin, Seen};
use crate::prng::{Rng, exp_minus, key, mix};
use crate::quirk::Quirk;
use crate::report::{Record, Report};
use crate::reporter::{Interval, REPORTERS, Reporter};
use crate::scenario::{self, Scenario};
use crate::truth::Truth;

/// The most domains that a world grows to.
const MOST_DOMAINS: usize = 100_000;

/// What world is wanted.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    pub seed: u64,
    /// Domains; the first four are those of the story.
    pub domains: usize,
    /// Days that the world lasts.
    pub days: u32,
    /// Its last day.
    pub end: Day,
    /// Exactly so many distinct reports: evenly fewer than there would be, or more domains. Of all, where absent.
    pub reports: Option<u64>,
    /// Factor on every volume.
    pub scale: f64,
    /// Share of reports with an oddity.
    pub quirks: f64,
    /// Share of reports that are delivered twice.
    pub copies: f64,
    /// What happens; the story and drawn events where absent.
    pub scenarios: Option<Vec<Scenario>>,
}

impl WorldConfig {
    /// A small world of eight domains and sixty days that ends with that day.
    pub fn new(seed: u64, end: Day) -> Self {
        Self {
            seed,
            domains: 8,
            days: 60,
            end,
            reports: None,
            scale: 1.0,
            quirks: 0.06,
            copies: 0.03,
            scenarios: None,
        }
    }

    /// A world of exactly so many reports, with as many domains as they take.
    pub fn sized(seed: u64, end: Day, reports: u64) -> Self {
        Self { domains: customer::STORY.len(), reports: Some(reports), ..Self::new(seed, end) }
    }
}

/// A world of reports.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    span: Span,
    customers: Vec<Customer>,
    scenarios: Vec<Scenario>,
    /// Reports that there would be, and how many of them are made.
    there: u64,
    made: u64,
}

impl World {
    /// The world of that configuration.
    pub fn new(config: WorldConfig) -> Self {
        let span = Span { first: config.end.plus(1 - config.days.max(1).cast_signed()), last: config.end };
        let mut world =
            Self { config, span, customers: Vec::new(), scenarios: Vec::new(), there: 0, made: u64::MAX };
        world.populate(world.config.domains.clamp(1, MOST_DOMAINS));
        if let Some(wanted) = world.config.reports {
            world.there = world.slots().count() as u64;
            while world.there < wanted && world.customers.len() < MOST_DOMAINS {
                let grown = world.customers.len() as u64 * wanted / world.there.max(1);
                world.populate((grown + grown / 50 + 1).min(MOST_DOMAINS as u64) as usize);
                world.there = world.slots().count() as u64;
            }
            world.made = wanted;
        }
        world
    }

    fn populate(&mut self, domains: usize) {
        let config = &self.config;
        self.customers = customer::all(config.seed, domains, config.scale, self.span);
        self.scenarios = match &config.scenarios {
            Some(given) => given.iter().filter(|s| s.customer < domains).cloned().collect(),
            None => scenario::story(&self.customers, config.seed, self.span),
        };
    }

    /// Its configuration.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// Its days. Reports of other time zones may begin some hours before the first.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Its domains.
    pub fn customers(&self) -> &[Customer] {
        &self.customers
    }

    /// What happens in it.
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// Every distinct report, by day, domain and reporter.
    pub fn reports(&self) -> impl Iterator<Item = Report> + '_ {
        let (there, made) = (u128::from(self.there), u128::from(self.made));
        // Of `there` reports `made` are kept, evenly spaced.
        let kept = move |n: u128| made >= there || (n + 1) * made / there > n * made / there;
        self.slots().enumerate().filter(move |(n, _)| kept(*n as u128)).map(|(_, slot)| self.report(&slot))
    }

    /// The truth to which the reports are to be added; see [`Truth::add`].
    pub fn truth(&self) -> Truth {
        Truth::new(&self.scenarios, |customer| self.customers[customer].domain.clone())
    }

    fn slots(&self) -> Slots<'_> {
        Slots { world: self, day: self.span.first, customer: 0, reporter: 0, flows: None }
    }

    /// The flows of a customer's day.
    fn flows(&self, customer: usize, day: Day) -> Vec<Flow> {
        let it = &self.customers[customer];
        let mut flows = it.flows(day, self.span);
        for (id, scenario) in self.scenarios.iter().enumerate().filter(|(_, s)| s.customer == customer) {
            scenario.shape(id, day, it, &mut flows);
        }
        flows
    }

    fn report(&self, slot: &Slot) -> Report {
        let (customer, reporter) = (&self.customers[slot.customer], &REPORTERS[slot.reporter]);
        let key = slot.key(self);
        let mut rng = Rng::of(key, &[1]);
        let (begin, end) = reporter.interval.of(slot.day, &mut rng);
        let sent = sent(end, reporter, &mut rng);
        let id = reporter.id.id(&mut rng, reporter, &customer.domain, begin, sent);
        let quirk = Quirk::draw(&mut rng, self.config.quirks);
        let copies = if rng.chance(self.config.copies) { 1 + u32::from(rng.chance(0.1)) } else { 0 };
        let policy = *customer.policy(slot.day);
        let recipients = reporter.recipients;
        let seen = Seen {
            reporter,
            policy: &policy,
            domain: &customer.domain,
            envelope_to: (!recipients.is_empty()).then(|| (*rng.pick(recipients)).into()),
        };
        let records = slot.records(customer, &seen, &mut rng);
        let domain = customer.domain.clone();
        let mut report =
            Report { reporter, domain, id, begin, end, sent, policy, records, quirk: None, copies, key };
        quirk.into_iter().for_each(|quirk| report.afflict(quirk));
        report
    }
}

/// When a report is mailed: some hours after its end, now and then days.
fn sent(end: i64, reporter: &Reporter, rng: &mut Rng) -> i64 {
    let usual = 1800 + key(reporter.org) % 28_800;
    let late = if rng.chance(0.02) { rng.below(3 * 86_400) } else { rng.below(3600) };
    end + (usual + late).cast_signed()
}

/// A report that there is: of which day, domain and reporter, about which flows.
struct Slot {
    day: Day,
    customer: usize,
    reporter: usize,
    flows: Arc<Vec<Flow>>,
}

impl Slot {
    fn key(&self, world: &World) -> u64 {
        let domain = key(&world.customers[self.customer].domain);
        mix(world.config.seed
            ^ mix(domain ^ mix(self.day.0.cast_unsigned().into()) ^ (self.reporter as u64) << 40))
    }

    /// Messages of a flow that the reporter sees on average.
    fn mean(&self, customer: &Customer, flow: &Flow) -> f64 {
        flow.mean * customer.shares[self.reporter] * reach(flow, self.reporter)
    }

    /// Whether the reporter sees a message at all.
    fn is_there(&self, world: &World) -> bool {
        let customer = &world.customers[self.customer];
        let mean: f64 = self.flows.iter().map(|flow| self.mean(customer, flow)).sum();
        mean > 0.0 && Rng::of(self.key(world), &[0]).chance(1.0 - exp_minus(mean))
    }

    /// The records; at least one.
    fn records(&self, customer: &Customer, seen: &Seen<'_>, rng: &mut Rng) -> Vec<Record> {
        let mut records = Vec::with_capacity(16);
        for flow in self.flows.iter() {
            let messages = rng.poisson(self.mean(customer, flow));
            flow.records(messages, seen, rng, &mut records);
        }
        if records.is_empty() {
            let mean = |flow: &&Flow| self.mean(customer, flow);
            if let Some(flow) = self.flows.iter().max_by(|a, b| mean(a).total_cmp(&mean(b))) {
                flow.records(1, seen, rng, &mut records);
            }
        }
        if seen.reporter.interval.days() > 1 {
            merge(&mut records);
        }
        records
    }
}

/// How much more of a flow a reporter sees than of others: forwarders forward to few.
fn reach(flow: &Flow, reporter: usize) -> f64 {
    match flow.origin {
        Origin::Forwarder(_) if mix(flow.pool.key ^ reporter as u64).is_multiple_of(3) => 3.0,
        Origin::Forwarder(_) => 0.0,
        _ => 1.0,
    }
}

/// Adds up the rows that differ in nothing but their count.
fn merge(records: &mut Vec<Record>) {
    let mut merged: Vec<Record> = Vec::with_capacity(records.len());
    for record in records.drain(..) {
        let same = merged.iter_mut().find(|m| Record { count: record.count, ..(*m).clone() } == record);
        match same {
            Some(same) => same.count += record.count,
            None => merged.push(record),
        }
    }
    *records = merged;
}

/// Goes through the reports that there are.
struct Slots<'w> {
    world: &'w World,
    day: Day,
    customer: usize,
    reporter: usize,
    /// Of the day and customer at hand.
    flows: Option<Arc<Vec<Flow>>>,
}

impl Slots<'_> {
    /// The flows that a report of this day is about, where one is due.
    fn due(&mut self, interval: Interval) -> Option<Arc<Vec<Flow>>> {
        let (world, customer, day) = (self.world, self.customer, self.day);
        if let Interval::Days(n) = interval {
            let first = day.plus(1 - n);
            let due = interval.is_due(day) && first >= world.span.first;
            return due
                .then(|| Arc::new((0..n).flat_map(|i| world.flows(customer, first.plus(i))).collect()));
        }
        Some(Arc::clone(self.flows.get_or_insert_with(|| Arc::new(world.flows(customer, day)))))
    }

    fn advance(&mut self) {
        self.reporter += 1;
        if self.reporter == REPORTERS.len() {
            (self.reporter, self.flows) = (0, None);
            self.customer += 1;
            if self.customer == self.world.customers.len() {
                (self.customer, self.day) = (0, self.day.plus(1));
            }
        }
    }
}

impl Iterator for Slots<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        while self.day <= self.world.span.last {
            let flows = self.due(REPORTERS[self.reporter].interval);
            let slot = flows.map(|flows| Slot {
                day: self.day,
                customer: self.customer,
                reporter: self.reporter,
                flows,
            });
            self.advance();
            if let Some(slot) = slot.filter(|slot| slot.is_there(self.world)) {
                return Some(slot);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Kind;

    fn config(seed: u64) -> WorldConfig {
        WorldConfig { domains: 6, days: 30, ..WorldConfig::new(seed, Day(20_600)) }
    }

    fn hash(world: &World) -> u64 {
        world.reports().fold(0, |h, r| {
            let xml = r.xml();
            mix(h
                ^ xml.iter().fold(0, |h: u64, b| h.wrapping_mul(31).wrapping_add(u64::from(*b)))
                ^ key(&r.file_name()))
        })
    }

    #[test]
    fn a_seed_is_a_world_and_another_seed_another() {
        let one = hash(&World::new(config(1)));
        assert_eq!(one, hash(&World::new(config(1))));
        assert_ne!(one, hash(&World::new(config(2))));
        // On every platform and for ever: whoever changes the world on purpose changes this number.
        assert_eq!(one, 12_231_703_369_131_410_683, "the bytes of seed 1 have changed");
    }

    #[test]
    fn exactly_as_many_reports_as_were_asked_for() {
        let end = Day(20_600);
        for wanted in [1, 40, 1234, 9000] {
            let world = World::new(WorldConfig::sized(3, end, wanted));
            let reports: Vec<_> = world.reports().collect();
            assert_eq!(reports.len() as u64, wanted);
            if wanted > 100 {
                let days: std::collections::HashSet<_> = reports.iter().map(|r| Day::of(r.begin)).collect();
                assert!(days.len() >= 60, "spread over the whole time, not {}", days.len());
            }
        }
    }

    #[test]
    fn every_report_says_something_and_all_identities_differ_but_the_shared_ones() {
        let world = World::new(config(4));
        let mut identities = std::collections::HashMap::new();
        for report in world.reports() {
            assert!(report.messages() > 0 && report.records.iter().all(|r| r.count > 0));
            assert!(report.sent > report.end);
            let identity =
                (report.reporter.org, report.domain.clone(), report.id.clone(), report.begin, report.end);
            let again: u32 = *identities.entry(identity).and_modify(|n| *n += 1).or_insert(1);
            assert!(again == 1 || report.reporter.org == "GMO Pepabo, Inc.");
        }
        assert!(identities.values().any(|n| *n == 2));
    }

    #[test]
    fn volumes_follow_the_week_and_the_plan() {
        let world = World::new(WorldConfig { days: 70, scenarios: Some(Vec::new()), ..config(5) });
        let nordwind = &world.customers()[1];
        let mut week = [0_u64; 7];
        for report in
            world.reports().filter(|r| r.domain == nordwind.domain && r.reporter.interval == Interval::Day)
        {
            week[Day::of(report.begin).weekday()] += report.passed();
        }
        assert!(week[1] > 2 * week[6], "an office is quiet on Sundays: {week:?}");
        let all: u64 = world.reports().filter(|r| r.domain == nordwind.domain).map(|r| r.passed()).sum();
        let planned = nordwind.volume * 70.0;
        assert!((all as f64 / planned - 1.0).abs() < 0.15, "{all} of {planned} planned");
    }

    #[test]
    fn scenarios_can_be_given() {
        let kind = Kind::SpoofingCampaign { strength: 2.0, addresses: 100, countries: vec![0, 1] };
        let scenario = Scenario { kind, customer: 2, first: Day(20_590), last: Day(20_592) };
        let world = World::new(WorldConfig { scenarios: Some(vec![scenario]), ..config(6) });
        let (mut spoofed, mut sources) = (0, std::collections::HashSet::new());
        for report in world.reports() {
            for record in report.records.iter().filter(|r| r.scenario == Some(0)) {
                assert!(!record.passes() && report.domain == world.customers()[2].domain);
                spoofed += record.count;
                sources.insert(record.source);
            }
        }
        assert!((650..1050).contains(&spoofed), "3 days of twice 140 messages: {spoofed}");
        assert!((80..=100).contains(&sources.len()), "{}", sources.len());
    }

    #[test]
    fn merging_keeps_messages() {
        let world = World::new(config(7));
        let mut report = world.reports().find(|r| r.records.len() > 4).unwrap();
        let (messages, rows) = (report.messages(), report.records.len());
        let copy = report.records.clone();
        report.records.extend(copy);
        merge(&mut report.records);
        assert_eq!((report.messages(), report.records.len()), (2 * messages, rows));
    }
}
