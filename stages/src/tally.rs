//! What became of the input, counted.

use std::collections::BTreeMap;

/// Counts by name: `reports` (read), `repair/bom`, `dead/not-a-report`, `distinct/reports` (new), `distinct/copies` …
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    /// Adds to a count.
    pub fn add(&mut self, name: &str, n: u64) {
        if n == 0 {
            return;
        }
        match self.0.get_mut(name) {
            Some(count) => *count += n,
            None => drop(self.0.insert(name.to_owned(), n)),
        }
    }

    /// A count, 0 where nothing was counted.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Counts whose names begin with `prefix`, without it.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> + 'a {
        self.0.iter().filter_map(move |(name, n)| Some((name.strip_prefix(prefix)?, *n)))
    }

    /// Adds all counts of another tally.
    pub fn merge(&mut self, other: &Self) {
        for (name, n) in &other.0 {
            self.add(name, *n);
        }
    }
}
