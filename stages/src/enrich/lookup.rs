//! Finds the sign that a domain, a selector or an address is, without looking at the others.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::table::{Network, SELECTOR_MAX};

/// Where a service stands in the table.
pub(super) type ServiceId = u16;
pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// A sign of a service: whose, and the text that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) service: ServiceId,
    /// Index of the text.
    pub(super) evidence: u32,
}

/// Domains, found by a name that ends with one of them at a label's boundary.
#[derive(Debug, Default)]
pub(super) struct Suffixes {
    map: Map<Box<str>, Hit>,
    /// Labels of the longest one: a bound on how often a name is looked up.
    labels_max: usize,
}

impl Suffixes {
    pub(super) fn insert(&mut self, domain: &str, hit: Hit) {
        self.labels_max = self.labels_max.max(labels(domain));
        self.map.entry(domain.into()).or_insert(hit);
    }

    /// The longest domain that the name is, or is under. Names are lower case.
    pub(super) fn find(&self, name: &str) -> Option<Hit> {
        let mut rest = name;
        for left in (2..=labels(name)).rev() {
            if left <= self.labels_max
                && let Some(hit) = self.map.get(rest)
            {
                return Some(*hit);
            }
            rest = rest.split_once('.')?.1;
        }
        None
    }
}

fn labels(domain: &str) -> usize {
    1 + memchr::memchr_iter(b'.', domain.as_bytes()).count()
}

/// Selectors: whole, or with a free beginning or end. Letter case does not matter.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    whole: Map<Box<str>, Hit>,
    /// A handful; the free part must not be empty.
    begins: Vec<(Box<str>, Hit)>,
    ends: Vec<(Box<str>, Hit)>,
}

impl Selectors {
    pub(super) fn insert(&mut self, pattern: &str, hit: Hit) {
        if let Some(end) = pattern.strip_prefix('*') {
            self.ends.push((end.into(), hit));
        } else if let Some(begin) = pattern.strip_suffix('*') {
            self.begins.push((begin.into(), hit));
        } else {
            self.whole.entry(pattern.into()).or_insert(hit);
        }
    }

    pub(super) fn find(&self, selector: &str) -> Option<Hit> {
        let mut room = [0; SELECTOR_MAX];
        let lower = room.get_mut(..selector.len())?;
        lower.copy_from_slice(selector.as_bytes());
        lower.make_ascii_lowercase();
        let lower = std::str::from_utf8(lower).ok()?;
        let beginning = || self.begins.iter().find(|(b, _)| lower.len() > b.len() && lower.starts_with(&**b));
        let ending = || self.ends.iter().find(|(e, _)| lower.len() > e.len() && lower.ends_with(&**e));
        self.whole.get(lower).or_else(|| beginning().or_else(ending).map(|(_, hit)| hit)).copied()
    }
}

/// Networks and what each of them means, searched by halves. Where they nest, the smallest counts.
#[derive(Debug)]
pub(super) struct Ranges<T> {
    ranges: Vec<(Network, T)>,
    /// For each range, the one around it.
    parents: Vec<Option<usize>>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { ranges: Vec::new(), parents: Vec::new() }
    }
}

impl<T: Copy> Ranges<T> {
    pub(super) fn insert(&mut self, network: Network, meaning: T) {
        self.ranges.push((network, meaning));
    }

    /// To be called after the last insertion and before the first search.
    pub(super) fn sort(&mut self) {
        // Stable: of equal ranges, the one of the earlier table comes first and is kept.
        self.ranges.sort_by_key(|(n, _)| (n.first, n.prefix));
        self.ranges.dedup_by_key(|(n, _)| *n);
        let mut open: Vec<usize> = Vec::new();
        self.parents.clear();
        for (at, (network, _)) in self.ranges.iter().enumerate() {
            while open.last().is_some_and(|o| self.ranges[*o].0.last < network.first) {
                open.pop();
            }
            self.parents.push(open.last().copied());
            open.push(at);
        }
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<T> {
        let mut at = self.ranges.partition_point(|(n, _)| n.first <= address).checked_sub(1);
        while let Some(i) = at {
            if address <= self.ranges[i].0.last {
                return Some(self.ranges[i].1);
            }
            at = self.parents[i];
        }
        None
    }
}
