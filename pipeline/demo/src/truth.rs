//! What a pipeline must find in a world: added up from the reports as they are made, by the rules of the tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::calendar::{Day, SECONDS};
use crate::report::{Name, Report};
use crate::scenario::Scenario;

/// A tail of an interval past a day's end that still belongs to the day before, in seconds.
const TAIL: i64 = 60;

/// Sums over reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Distinct reports.
    pub reports: u64,
    pub records: u64,
    pub messages: u64,
    /// Messages that pass: aligned DKIM or aligned SPF.
    pub passed: u64,
}

/// Sums of a UTC day, messages of intervals that cross days shared over them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySums {
    pub messages: u64,
    pub passed: u64,
    /// Messages of the day that come from shared intervals.
    pub apportioned: u64,
}

/// What a scenario did, as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The kind of scenario.
    pub kind: &'static str,
    pub domain: Name,
    pub service: Option<&'static str>,
    pub first: Day,
    pub last: Day,
    pub records: u64,
    pub messages: u64,
}

/// The truth about a world's reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Over all distinct reports.
    pub total: Sums,
    /// Copies delivered beside the first of each report.
    pub copies: u64,
    /// Distinct reports that share their identity with another one.
    pub conflicts: u64,
    pub domains: BTreeMap<Name, Sums>,
    /// By organisation.
    pub reporters: BTreeMap<&'static str, Sums>,
    /// By the UTC day on which the interval begins: the partitions of reports and records.
    pub begins: BTreeMap<Day, Sums>,
    /// By UTC day and domain, apportioned: the daily rollups.
    pub days: BTreeMap<(Day, Name), DaySums>,
    /// Messages by disposition.
    pub dispositions: BTreeMap<&'static str, u64>,
    /// Messages by the reason for another disposition.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Reports by quirk.
    pub quirks: BTreeMap<&'static str, u64>,
    pub labels: Vec<Label>,
    /// Identity of the report before: those that share one come one after the other.
    before: Option<(&'static str, Name, String, i64, i64)>,
}

impl Truth {
    /// Nothing yet of a world in which these things happen to these domains.
    pub fn new(scenarios: &[Scenario], domain: impl Fn(usize) -> Name) -> Self {
        let label = |s: &Scenario| Label {
            kind: s.label(),
            domain: domain(s.customer),
            service: s.service(),
            first: s.first,
            last: s.last,
            records: 0,
            messages: 0,
        };
        Self { labels: scenarios.iter().map(label).collect(), ..Self::default() }
    }

    /// Counts a report, in the order in which the world makes them.
    pub fn add(&mut self, report: &Report) {
        let sums = Sums {
            reports: 1,
            records: report.records.len() as u64,
            messages: report.messages(),
            passed: report.passed(),
        };
        self.total.add(sums);
        self.domains.entry(report.domain.clone()).or_default().add(sums);
        self.reporters.entry(report.reporter.org).or_default().add(sums);
        self.begins.entry(Day::of(report.begin)).or_default().add(sums);
        self.copies += u64::from(report.copies);
        if let Some(quirk) = report.quirk {
            *self.quirks.entry(quirk.name()).or_default() += 1;
        }
        let identity =
            (report.reporter.org, report.domain.clone(), report.id.clone(), report.begin, report.end);
        if self.before.as_ref() == Some(&identity) {
            self.conflicts += 2;
        }
        self.before = Some(identity);
        self.records(report);
    }

    fn records(&mut self, report: &Report) {
        let days = days(report.begin, report.end);
        for record in &report.records {
            *self.dispositions.entry(record.disposition.name()).or_default() += record.count;
            if let Some(reason) = record.reason {
                *self.reasons.entry(reason.kind).or_default() += record.count;
            }
            if let Some(label) = record.scenario.and_then(|id| self.labels.get_mut(id)) {
                label.records += 1;
                label.messages += record.count;
            }
            for ((day, _), messages) in days.iter().zip(shares(&days, record.count)).filter(|(_, n)| *n > 0) {
                let sums = self.days.entry((*day, report.domain.clone())).or_default();
                sums.messages += messages;
                sums.passed += if record.passes() { messages } else { 0 };
                sums.apportioned += if days.len() > 1 { messages } else { 0 };
            }
        }
    }

    /// The truth as a JSON object.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{\n");
        let Sums { reports, records, messages, passed } = self.total;
        let _ = writeln!(out, "\"reports\": {reports},\n\"records\": {records},\n\"messages\": {messages},");
        let _ = writeln!(
            out,
            "\"passed\": {passed},\n\"copies\": {},\n\"conflicts\": {},",
            self.copies, self.conflicts
        );
        object(&mut out, "domains", self.domains.iter().map(|(k, s)| (k.to_string(), s.json())));
        object(&mut out, "reporters", self.reporters.iter().map(|(k, s)| ((*k).to_owned(), s.json())));
        object(&mut out, "begins", self.begins.iter().map(|(k, s)| (k.to_string(), s.json())));
        object(
            &mut out,
            "dispositions",
            self.dispositions.iter().map(|(k, n)| ((*k).to_owned(), n.to_string())),
        );
        object(&mut out, "reasons", self.reasons.iter().map(|(k, n)| ((*k).to_owned(), n.to_string())));
        object(&mut out, "quirks", self.quirks.iter().map(|(k, n)| ((*k).to_owned(), n.to_string())));
        let days = self.days.iter().map(|((day, domain), s)| {
            let DaySums { messages, passed, apportioned } = s;
            format!(
                r#"{{"date": "{day}", "policy_domain": "{domain}", "messages": {messages}, "passed": {passed}, "apportioned": {apportioned}}}"#
            )
        });
        let _ = writeln!(out, "\"days\": [\n{}\n],", days.collect::<Vec<_>>().join(",\n"));
        let labels: Vec<_> = self.labels.iter().map(Label::json).collect();
        let _ = write!(out, "\"labels\": [\n{}\n]\n}}\n", labels.join(",\n"));
        out
    }
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.reports += other.reports;
        self.records += other.records;
        self.messages += other.messages;
        self.passed += other.passed;
    }

    fn json(&self) -> String {
        let Self { reports, records, messages, passed } = self;
        format!(
            r#"{{"reports": {reports}, "records": {records}, "messages": {messages}, "passed": {passed}}}"#
        )
    }
}

impl Label {
    fn json(&self) -> String {
        let Self { kind, domain, first, last, records, messages, .. } = self;
        let service = self.service.map_or("null".to_owned(), |s| format!("\"{s}\""));
        format!(
            r#"{{"kind": "{kind}", "domain": "{domain}", "service": {service}, "first": "{first}", "last": "{last}", "records": {records}, "messages": {messages}}}"#
        )
    }
}

/// A member of the object whose values are JSON already. Keys are names of ours, without anything to escape.
fn object(out: &mut String, name: &str, members: impl Iterator<Item = (String, String)>) {
    let members: Vec<_> = members.map(|(key, value)| format!("  \"{key}\": {value}")).collect();
    let _ = writeln!(out, "\"{name}\": {{\n{}\n}},", members.join(",\n"));
}

/// The UTC days of an interval, with the seconds of it on each.
fn days(begin: i64, end: i64) -> Vec<(Day, i64)> {
    let first = Day::of(begin);
    let last = if begin < end { Day::of(end - 1) } else { first };
    let mut days: Vec<_> = (first.0..=last.0)
        .map(Day)
        .map(|day| (day, end.min(day.start() + SECONDS) - begin.max(day.start())))
        .collect();
    if days.len() > 1 && days.last().is_some_and(|(_, seconds)| *seconds <= TAIL) {
        days.pop();
    }
    days
}

/// Messages shared in proportion to seconds by largest remainder, the earlier day where remainders are equal.
fn shares(days: &[(Day, i64)], messages: u64) -> Vec<u64> {
    if days.len() == 1 {
        return vec![messages];
    }
    let total: i64 = days.iter().map(|(_, seconds)| seconds).sum();
    let total = total.unsigned_abs();
    let exact = |seconds: i64| messages * seconds.unsigned_abs();
    let mut shares: Vec<u64> = days.iter().map(|(_, seconds)| exact(*seconds) / total).collect();
    let mut order: Vec<usize> = (0..days.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(exact(days[*i].1) % total));
    let left = messages - shares.iter().sum::<u64>();
    order.into_iter().take(left as usize).for_each(|i| shares[i] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{World, WorldConfig};

    fn truth(world: &World) -> Truth {
        let mut truth = world.truth();
        world.reports().for_each(|report| truth.add(&report));
        truth
    }

    #[test]
    fn every_breakdown_adds_up_to_the_same() {
        let world = World::new(WorldConfig::new(11, Day(20_600)));
        let truth = truth(&world);
        let Sums { reports, messages, passed, .. } = truth.total;
        assert_eq!(reports, world.reports().count() as u64);
        assert!(passed < messages && passed > messages / 2);
        for sums in
            [&truth.domains.values().copied().collect::<Vec<_>>(), &truth.begins.values().copied().collect()]
        {
            let mut total = Sums::default();
            sums.iter().for_each(|s| total.add(*s));
            assert_eq!(total, truth.total);
        }
        assert_eq!(truth.days.values().map(|d| d.messages).sum::<u64>(), messages);
        assert_eq!(truth.days.values().map(|d| d.passed).sum::<u64>(), passed);
        assert_eq!(truth.dispositions.values().sum::<u64>(), messages);
        assert!(truth.days.values().any(|d| d.apportioned > 0));
        assert!(truth.conflicts > 0 && truth.copies > 0 && truth.quirks.len() > 20);
        for reason in ["sampled_out", "local_policy", "mailing_list", "forwarded"] {
            assert!(truth.reasons.contains_key(reason), "{reason}: {:?}", truth.reasons);
        }
        for kind in ["spoofing-campaign", "dkim-break", "never-set-up"] {
            assert!(truth.labels.iter().any(|l| l.kind == kind && l.messages > 0), "{kind}");
        }
    }

    #[test]
    fn days_and_shares_follow_the_rules_of_the_rollups() {
        let day = |seconds| shares(&days(0, seconds), 7);
        assert!([1, SECONDS - 1, SECONDS, SECONDS + 32, SECONDS + 60].into_iter().all(|end| day(end) == [7]));
        assert_eq!(days(500, 500).len(), 1);
        assert_eq!(days(500, -9), [(Day(0), -509)]);
        assert_eq!(shares(&days(SECONDS / 2, SECONDS * 3 / 2), 7), [4, 3]);
        assert_eq!(shares(&days(0, 3 * SECONDS), 5), [2, 2, 1]);
        assert_eq!(shares(&days(SECONDS - 3600, 2 * SECONDS - 3601), 24), [1, 23]);
    }

    #[test]
    fn the_json_is_well_formed_as_far_as_brackets_go() {
        let json = truth(&World::new(WorldConfig::sized(1, Day(20_600), 50))).to_json();
        let count = |c| json.matches(c).count();
        assert_eq!((count('{'), count('[')), (count('}'), count(']')));
        assert!(!json.contains(",\n}") && !json.contains(",\n]") && count('"') % 2 == 0);
    }
}
