//! Tells the autonomous system of an address that a large sender, cloud or network holds, from a table that is
//! built in.
//!
//! The form is that of `stages/data/systems.toml`, which says what is in it and what is not. Most of the
//! Internet is not: a database in MaxMind's format takes its place where one is configured.

use std::net::IpAddr;

use serde::Deserialize;

use super::geo::GeoError;
use super::lookup::Ranges;
use super::table::Network;

/// The table that is built in.
const BUILT_IN: &str = include_str!("../../data/systems.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    version: String,
    #[serde(rename = "system")]
    systems: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    asn: u32,
    name: Box<str>,
    networks: Vec<Network>,
}

/// Autonomous systems and the blocks that they announce.
#[derive(Debug)]
pub(super) struct Systems {
    blocks: Ranges<u16>,
    systems: Vec<(u32, Box<str>)>,
    version: String,
}

impl Systems {
    /// The table that is built in.
    pub(super) fn built_in() -> Result<Self, GeoError> {
        let table: Table = toml::from_str(BUILT_IN).map_err(|e| GeoError::BuiltIn(e.to_string()))?;
        let mut blocks = Ranges::default();
        for (at, entry) in (0..).zip(&table.systems) {
            entry.networks.iter().for_each(|network| blocks.insert(*network, at));
        }
        blocks.sort();
        let systems = table.systems.into_iter().map(|e| (e.asn, e.name)).collect();
        Ok(Self { blocks, systems, version: format!("systems {}", table.version) })
    }

    /// Which table this is.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Number and name of the system that an address belongs to, where the table has it.
    pub(super) fn find(&self, address: IpAddr) -> Option<(u32, &str)> {
        let (asn, name) = self.systems.get(usize::from(self.blocks.find(address)?))?;
        Some((*asn, name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_names_the_system_around_an_address() {
        let systems = Systems::built_in().unwrap();
        let find = |text: &str| systems.find(text.parse().unwrap());
        assert_eq!(find("209.85.220.41"), Some((15_169, "Google")));
        assert_eq!(find("40.107.22.1"), Some((8_075, "Microsoft")));
        assert_eq!(find("13.111.4.5").map(|s| s.0), Some(22_606), "the smaller block counts");
        assert_eq!(find("13.109.4.5").map(|s| s.0), Some(14_340));
        assert_eq!(find("2a00:1450::1").map(|s| s.0), Some(15_169));
        assert_eq!(find("9.9.9.9"), None);
        assert!(systems.version().starts_with("systems 20"), "{}", systems.version());
    }

    #[test]
    fn no_system_and_no_block_is_there_twice() {
        let table: Table = toml::from_str(BUILT_IN).unwrap();
        let (mut numbers, mut blocks) = (HashSet::new(), HashSet::new());
        for entry in &table.systems {
            assert!(entry.asn > 0 && numbers.insert(entry.asn), "AS{}", entry.asn);
            for network in &entry.networks {
                assert!(blocks.insert(*network), "{network}");
            }
        }
    }
}
