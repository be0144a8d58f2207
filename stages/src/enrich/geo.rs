//! Tells the country and the autonomous system of an address, from data of one version.
//!
//! Countries are built in (the Tor Project's build of the IPFire location database), and the autonomous
//! systems of large senders, clouds and networks (a table of our own). A database in MaxMind's format takes
//! the place of the one or the other.
//! Addresses that belong to nobody on the Internet (private, loopback, documentation, multicast …)
//! have neither.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::temporal_conversions::date32_to_datetime;
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use tor_geoip::{CountryCode, GeoipDb};

use super::systems::Systems;

/// The crate that the built-in data comes with, and its version. A test holds it to `Cargo.lock`.
const EMBEDDED: &str = "tor-geoip-db 0.1.1";

const SECONDS_PER_DAY: u64 = 86_400;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    #[error(
        "the address database {path} cannot be read: {source}; check the path in `{setting}`, or remove the setting to do without it"
    )]
    Unreadable { path: PathBuf, setting: &'static str, source: std::io::Error },
    #[error(
        "{path} is no database in MaxMind's format (.mmdb): {reason}; download it again and unpack it, or correct `{setting}`"
    )]
    Format { path: PathBuf, setting: &'static str, reason: String },
    #[error("{path} is of type `{found}`, but `{setting}` wants {wanted}")]
    Kind { path: PathBuf, setting: &'static str, found: String, wanted: &'static str },
    #[error("the built-in table of autonomous systems cannot be read: {0}; this is a defect of dmarcflow")]
    BuiltIn(String),
}

/// What is known of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<&'a str>,
    pub asn: Option<u32>,
    pub as_name: Option<&'a str>,
}

/// Address data.
pub struct Geo {
    countries: Countries,
    systems: AutonomousSystems,
    version: String,
}

enum Countries {
    Embedded(Arc<GeoipDb>),
    MaxMind(Reader<Vec<u8>>),
}

enum AutonomousSystems {
    BuiltIn(Systems),
    MaxMind(Reader<Vec<u8>>),
}

impl Geo {
    /// The data in these databases; what is built in in place of one that is not given.
    pub fn open(country_db: Option<&Path>, asn_db: Option<&Path>) -> Result<Self, GeoError> {
        let (countries, of_countries) = match country_db {
            None => (Countries::Embedded(GeoipDb::new_embedded()), EMBEDDED.to_owned()),
            Some(path) => {
                let (reader, version) = open(path, &COUNTRY)?;
                (Countries::MaxMind(reader), version)
            }
        };
        let (systems, of_systems) = match asn_db {
            None => {
                let systems = Systems::built_in()?;
                let version = systems.version().to_owned();
                (AutonomousSystems::BuiltIn(systems), version)
            }
            Some(path) => {
                let (reader, version) = open(path, &SYSTEM)?;
                (AutonomousSystems::MaxMind(reader), version)
            }
        };
        Ok(Self { countries, systems, version: format!("{of_countries}, {of_systems}") })
    }

    /// Which data this is: type and date, or crate and version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What is known of the address.
    pub fn place(&self, address: IpAddr) -> Place<'_> {
        let address = address.to_canonical();
        if is_special(address) {
            return Place::default();
        }
        let country = match &self.countries {
            Countries::Embedded(db) => db.lookup_country_code(address).map(CountryCode::get),
            Countries::MaxMind(db) => record::<CountryRecord<'_>>(db, address)
                .and_then(|r| r.country.iso_code.or(r.registered_country.iso_code)),
        };
        let (asn, as_name) = match &self.systems {
            AutonomousSystems::BuiltIn(systems) => systems.find(address).unzip(),
            AutonomousSystems::MaxMind(db) => {
                let system = record::<SystemRecord<'_>>(db, address).unwrap_or_default();
                (system.autonomous_system_number, system.autonomous_system_organization)
            }
        };
        Place { country, asn: asn.filter(|n| *n != 0), as_name: as_name.filter(|n| !n.is_empty()) }
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Geo").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Writes the network of an address: its /24, or its /48 for IPv6.
pub fn write_network(address: IpAddr, out: &mut impl Write) -> fmt::Result {
    match address.to_canonical() {
        IpAddr::V4(a) => {
            let [a, b, c, _] = a.octets();
            write!(out, "{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(a) => {
            let [a, b, c, ..] = a.segments();
            write!(out, "{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// Whether an address is none that a host on the Internet has (IANA's special-purpose registries).
pub fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => is_special_v4(a),
        IpAddr::V6(a) => is_special_v6(a),
    }
}

fn is_special_v4(a: Ipv4Addr) -> bool {
    let [first, second, third, _] = a.octets();
    a.is_private()
        || a.is_loopback()
        || a.is_link_local()
        || a.is_documentation()
        || first == 0
        // Shared by carriers' NATs, protocol assignments, benchmarks.
        || (first == 100 && second & 0xc0 == 64)
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && second & 0xfe == 18)
        // Multicast, reserved, broadcast.
        || first >= 224
}

fn is_special_v6(a: Ipv6Addr) -> bool {
    let [first, second, ..] = a.segments();
    // Everything outside 2000::/3 is unassigned or local, but for NAT64 (64:ff9b::/96), whose
    // addresses say nothing of the sender either. Within it: documentation and benchmarks.
    first & 0xe000 != 0x2000
        || (first == 0x2001 && second == 0xdb8)
        || (first == 0x3fff && second & 0xf000 == 0)
        || (first == 0x2001 && second == 2)
}

/// A kind of database, and how a person would confuse it.
struct Kind {
    setting: &'static str,
    wanted: &'static str,
    /// Parts of the type's name, lower case, that speak for this kind, and for the other.
    own: &'static [&'static str],
    other: &'static [&'static str],
}

const COUNTRY: Kind = Kind {
    setting: "geo.country",
    wanted: "countries (GeoLite2-Country, GeoLite2-City or the like)",
    own: &["country", "city", "enterprise"],
    other: &["asn", "isp"],
};
const SYSTEM: Kind = Kind {
    setting: "geo.asn",
    wanted: "autonomous systems (GeoLite2-ASN, GeoIP2-ISP or the like)",
    own: &["asn", "isp"],
    other: &["country", "city"],
};

fn open(path: &Path, kind: &Kind) -> Result<(Reader<Vec<u8>>, String), GeoError> {
    let Kind { setting, wanted, own, other } = kind;
    let reader = Reader::open_readfile(path).map_err(|e| match e {
        MaxMindDbError::Io(source) => GeoError::Unreadable { path: path.into(), setting, source },
        e => GeoError::Format { path: path.into(), setting, reason: e.to_string() },
    })?;
    let metadata = reader.metadata();
    let name = metadata.database_type.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if says(other) && !says(own) {
        return Err(GeoError::Kind {
            path: path.into(),
            setting,
            found: metadata.database_type.clone(),
            wanted,
        });
    }
    let version = format!("{} {}", metadata.database_type, date(metadata.build_epoch));
    Ok((reader, version))
}

/// The UTC day of a time in seconds since 1970, or the number itself where no calendar reaches.
fn date(epoch: u64) -> String {
    let day = i32::try_from(epoch / SECONDS_PER_DAY).ok().and_then(date32_to_datetime);
    day.map_or_else(|| epoch.to_string(), |d| d.date().to_string())
}

/// The record of an address. A place in the file that cannot be read is as one without a record.
fn record<'a, R: Deserialize<'a>>(db: &'a Reader<Vec<u8>>, address: IpAddr) -> Option<R> {
    db.lookup(address).ok()?.decode().ok()?
}

#[derive(Default, Deserialize)]
struct CountryRecord<'a> {
    #[serde(borrow, default)]
    country: Country<'a>,
    /// Where the network is registered: for addresses whose own country is not known.
    #[serde(borrow, default)]
    registered_country: Country<'a>,
}

#[derive(Default, Deserialize)]
struct Country<'a> {
    #[serde(borrow, default)]
    iso_code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct SystemRecord<'a> {
    #[serde(default)]
    autonomous_system_number: Option<u32>,
    #[serde(borrow, default)]
    autonomous_system_organization: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> String {
        let mut out = String::new();
        write_network(address(text), &mut out).unwrap();
        out
    }

    #[test]
    fn built_in_data_knows_countries_of_both_families_and_large_systems() {
        let geo = Geo::open(None, None).unwrap();
        let google = Place { country: Some("US"), asn: Some(15_169), as_name: Some("Google") };
        assert_eq!(geo.place(address("209.85.220.41")), google);
        assert_eq!(geo.place(address("8.8.8.8")), Place { country: Some("US"), ..Place::default() });
        assert_eq!(geo.place(address("2a01:e00::1")).country, Some("FR"));
        assert_eq!(geo.place(address("::ffff:8.8.8.8")).country, Some("US"));
    }

    #[test]
    fn addresses_of_nobody_have_no_place() {
        let geo = Geo::open(None, None).unwrap();
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.31.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "2001:db8::1",
            "3fff::1",
            "ff02::1",
            "64:ff9b::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_special(address(text).to_canonical()), "{text}");
            assert_eq!(geo.place(address(text)), Place::default(), "{text}");
        }
        for text in [
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.1",
            "2600::1",
        ] {
            assert!(!is_special(address(text)), "{text}");
        }
    }

    #[test]
    fn networks_are_written_shortest() {
        assert_eq!(network("209.85.220.41"), "209.85.220.0/24");
        assert_eq!(network("2a01:111:f400:7eae::20f"), "2a01:111:f400::/48");
        assert_eq!(network("::ffff:1.2.3.4"), "1.2.3.0/24");
        assert_eq!(network("2001::1"), "2001::/48");
    }

    #[test]
    fn the_version_is_that_of_the_locked_crate() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        let (name, version) = EMBEDDED.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "update EMBEDDED");
    }

    #[test]
    fn a_missing_or_foreign_file_is_named_with_its_setting() {
        let missing = Geo::open(Some(Path::new("no/such.mmdb")), None).unwrap_err().to_string();
        assert!(missing.contains("no/such.mmdb") && missing.contains("geo.country"), "{missing}");
        let foreign =
            Geo::open(None, Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")))).unwrap_err();
        assert!(matches!(foreign, GeoError::Format { setting: "geo.asn", .. }), "{foreign}");
    }

    #[test]
    fn build_dates_are_calendar_days() {
        assert_eq!(date(1_761_955_199), "2025-10-31");
        assert_eq!(date(u64::MAX), u64::MAX.to_string());
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }

    #[test]
    fn databases_in_maxminds_format_are_read() {
        let geo = Geo::open(Some(&fixture("country.mmdb")), Some(&fixture("asn.mmdb"))).unwrap();
        assert_eq!(geo.version(), "Example-Country 2025-11-19, Example-ASN 2025-11-19");
        let place = |text| geo.place(address(text));
        assert_eq!(
            place("1.2.3.4"),
            Place { country: Some("SE"), asn: Some(8075), as_name: Some("EXAMPLE-MAIL") }
        );
        assert_eq!(place("5.6.7.8"), Place { country: Some("JP"), asn: Some(64_500), as_name: None });
        assert_eq!(place("9.9.9.9"), Place { country: None, asn: Some(11_377), as_name: None });
        assert_eq!(place("2a00:1450::1").as_name, Some("Exempel Nät AB"));
        assert_eq!(place("10.1.2.3"), Place::default(), "a private address, though the file has it");
        assert_eq!(place("77.0.0.1"), Place::default());
    }

    #[test]
    fn autonomous_systems_go_with_countries_that_are_built_in() {
        let geo = Geo::open(None, Some(&fixture("asn.mmdb"))).unwrap();
        assert_eq!(geo.version(), format!("{EMBEDDED}, Example-ASN 2025-11-19"));
        let place = geo.place(address("9.9.9.9"));
        assert_eq!((place.country, place.asn), (Some("US"), Some(11_377)));
    }

    #[test]
    fn databases_that_were_mixed_up_are_refused() {
        let mixed = Geo::open(Some(&fixture("asn.mmdb")), None).unwrap_err();
        assert!(
            matches!(&mixed, GeoError::Kind { setting: "geo.country", found, .. } if found == "Example-ASN"),
            "{mixed}"
        );
        let mixed = Geo::open(None, Some(&fixture("country.mmdb"))).unwrap_err();
        assert!(matches!(mixed, GeoError::Kind { setting: "geo.asn", .. }), "{mixed}");
    }

    #[test]
    fn a_damaged_database_is_an_error_or_has_gaps_and_never_a_panic() {
        let whole = std::fs::read(fixture("country.mmdb")).unwrap();
        let folder = std::env::temp_dir().join(format!("dmarcflow-geo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("damaged.mmdb");
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(geo) = Geo::open(Some(&path), None) {
                for text in ["1.2.3.4", "5.6.7.8", "9.9.9.9", "2a00:1450::1", "77.0.0.1"] {
                    geo.place(address(text));
                }
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
