//! Recognises the sending service of a record, and says by what and how surely.
//!
//! # Rule
//!
//! Every result of a record may be a sign of a service in the table:
//!
//! | sign | confidence | why |
//! |---|---|---|
//! | a DKIM signature by the service's domain that passes | 0.99 | only the service holds the key; it survives forwarding |
//! | SPF passes for the service's return path | 0.95 | only its hosts may; but a guest of a shared host may too |
//! | a characteristic selector on a passing signature of another domain, from the service's network | 0.80 | both agree |
//! | the source address is in a network, or an autonomous system, that is the service's alone | 0.60 | no one can forge it; but others may relay through it |
//! | that selector alone | 0.50 | anyone may choose its name |
//! | a DKIM signature by the service's domain that does not pass | 0.30 | a claim: anyone can write it |
//! | SPF does not pass for the service's return path | 0.25 | a claim as well |
//!
//! Several signs of one service add up: what remains in doubt is multiplied, 1 - (1 - a)(1 - b).
//! Claims do not add to one another, nor to anything but the service's own network: what anyone can
//! write stays below 0.5 however often it is written. An autonomous system that a service shares
//! with others (`asn_shared`) names nothing; it only makes a selector surer.
//!
//! Where several services are recognised, the one with the strongest sign is given, in the order of
//! the table above. Among equal signs, those who wrote a message go before those who delivered it for
//! them (`delivery`), and these before those who passed it on (`security-gateway`, `forwarder`,
//! `mailing-list`): mail that Amazon SES signed and a gateway filtered came from Amazon SES. Then
//! the higher confidence decides, then the order of the table.
//!
//! Domains match whole labels from the right, the longest first: `amazonses.com` matches
//! `eu-west-1.amazonses.com` and not `notamazonses.com`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::lookup::{Hit, Map, Ranges, Selectors, ServiceId, Suffixes};
pub use super::table::Kind;
use super::table::{BUILT_IN, Entry, Table, TableError};

/// Version of the rule above: it is part of the references' version.
const RULE: u64 = 1;

/// Results of one kind that are looked at in a record; more than any sender writes.
pub(super) const RESULTS_MAX: usize = 32;

const DKIM_PASS: f64 = 0.99;
const SPF_PASS: f64 = 0.95;
const SELECTOR_IN_NETWORK: f64 = 0.80;
const NETWORK: f64 = 0.60;
const SELECTOR: f64 = 0.50;
const DKIM_CLAIM: f64 = 0.30;
const SPF_CLAIM: f64 = 0.25;

/// The kinds of signs; as an index, and as a bit of [`Candidate::found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Sign {
    SpfClaim,
    DkimClaim,
    Selector,
    Network,
    SpfPass,
    DkimPass,
}

const SIGNS: usize = 6;

/// A service that at least one sign speaks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    service: ServiceId,
    /// Set bits of [`Sign`].
    found: u8,
    /// The text for the source's autonomous system, where the service shares that with others.
    shared: Option<u32>,
    /// For each sign that was found, the text that names it.
    evidence: [u32; SIGNS],
}

/// What a record was recognised as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recognition<'a> {
    pub name: &'a str,
    pub kind: Kind,
    /// `dkim:DOMAIN`, `spf:DOMAIN`, `selector:NAME`, `network:PREFIX` or `asn:NUMBER`.
    pub evidence: &'a str,
    /// A second sign, where both together decided: a selector's network.
    pub with: Option<&'a str>,
    /// From 0 to 1.
    pub confidence: f64,
    /// A passing signature is among its signs, by domain or selector.
    pub signed: bool,
    /// The source address is in a network of the service, shared ones included.
    pub at_home: bool,
}

/// A DKIM result of a record.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    pub domain: Option<&'a str>,
    pub selector: Option<&'a str>,
    pub pass: bool,
}

/// An SPF result of a record.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    pub domain: Option<&'a str>,
    pub pass: bool,
}

/// What a source address says of services, looked up once for an address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    network: Option<Hit>,
    asn: Option<u32>,
}

#[derive(Debug)]
struct Service {
    name: Box<str>,
    kind: Kind,
    /// Autonomous systems that it shares with others, and the text for each.
    shared: Vec<(u32, u32)>,
}

/// The table, as maps.
#[derive(Debug)]
pub struct Services {
    services: Vec<Service>,
    dkim: Suffixes,
    spf: Suffixes,
    selectors: Selectors,
    networks: Ranges<Hit>,
    asn: Map<u32, Hit>,
    evidence: Vec<Box<str>>,
    version: String,
}

impl Services {
    /// The built-in table, and before it a person's own.
    pub fn load(own: Option<&Path>) -> Result<Self, TableError> {
        let built_in = Table::built_in()?;
        let mut version = format!("{} {}", built_in.version, digest(BUILT_IN));
        let own = match own {
            None => Vec::new(),
            Some(path) => {
                let (own, text) = Table::own(path, &built_in.services)?;
                version = format!("{version}, own {} {}", own.version, digest(&text)).replace("  ", " ");
                own.services
            }
        };
        Ok(Self::index(&[own, built_in.services], version))
    }

    /// Indexes tables; a sign that an earlier one has is not taken from a later one. A service that
    /// is in several has the name and kind of the first that gives them, and the signs of all.
    fn index(tables: &[Vec<Entry>], version: String) -> Self {
        let mut this = Self {
            services: Vec::new(),
            dkim: Suffixes::default(),
            spf: Suffixes::default(),
            selectors: Selectors::default(),
            networks: Ranges::default(),
            asn: Map::default(),
            evidence: Vec::new(),
            version,
        };
        let mut ids: HashMap<&str, ServiceId> = HashMap::new();
        for entry in tables.iter().flatten() {
            let same = || tables.iter().flatten().filter(|e| e.id == entry.id);
            let service = *ids.entry(&entry.id).or_insert_with(|| {
                let name = same().find_map(|e| e.name.as_deref()).unwrap_or(&entry.id);
                let kind = same().find_map(|e| e.kind).unwrap_or(Kind::Application);
                this.services.push(Service { name: name.into(), kind, shared: Vec::new() });
                // Two tables of `SERVICES_MAX` at most.
                (this.services.len() - 1) as ServiceId
            });
            this.add(entry, service);
        }
        this.networks.sort();
        this
    }

    fn add(&mut self, entry: &Entry, service: ServiceId) {
        for domain in entry.domains.iter().chain(&entry.dkim) {
            let hit = self.hit(service, format!("dkim:{domain}"));
            self.dkim.insert(domain, hit);
        }
        for domain in entry.domains.iter().chain(&entry.spf) {
            let hit = self.hit(service, format!("spf:{domain}"));
            self.spf.insert(domain, hit);
        }
        for selector in &entry.selectors {
            let hit = self.hit(service, format!("selector:{selector}"));
            self.selectors.insert(selector, hit);
        }
        for network in &entry.networks {
            let hit = self.hit(service, format!("network:{network}"));
            self.networks.insert(*network, hit);
        }
        for asn in &entry.asn {
            let hit = self.hit(service, format!("asn:{asn}"));
            self.asn.entry(*asn).or_insert(hit);
        }
        for asn in &entry.asn_shared {
            let hit = self.hit(service, format!("asn:{asn}"));
            self.services[usize::from(service)].shared.push((*asn, hit.evidence));
        }
    }

    fn hit(&mut self, service: ServiceId, evidence: String) -> Hit {
        self.evidence.push(evidence.into());
        Hit { service, evidence: (self.evidence.len() - 1) as u32 }
    }

    /// Which table this is: its date and a digest of its content.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// What the source address says.
    pub fn origin(&self, address: Option<IpAddr>, asn: Option<u32>) -> Origin {
        let network = address.and_then(|a| self.networks.find(a.to_canonical()));
        Origin { network: network.or_else(|| asn.and_then(|n| self.asn.get(&n).copied())), asn }
    }

    /// The kind of the service that a DKIM domain belongs to.
    pub fn signer(&self, domain: &str) -> Option<Kind> {
        self.dkim.find(domain).map(|h| self.kind(h))
    }

    /// The kind of the service that a return path's domain belongs to.
    pub fn return_path(&self, domain: &str) -> Option<Kind> {
        self.spf.find(domain).map(|h| self.kind(h))
    }

    fn kind(&self, hit: Hit) -> Kind {
        self.services[usize::from(hit.service)].kind
    }

    /// The service that a record was sent by. `candidates` is room to work in.
    pub(super) fn recognise<'s, 'r>(
        &'s self,
        dkim: impl Iterator<Item = Signature<'r>>,
        spf: impl Iterator<Item = Check<'r>>,
        origin: Origin,
        candidates: &mut Candidates,
    ) -> Option<Recognition<'s>> {
        candidates.0.clear();
        for signature in dkim.take(RESULTS_MAX) {
            let by_domain = signature.domain.and_then(|d| self.dkim.find(d));
            match by_domain {
                Some(hit) => {
                    candidates.note(hit, if signature.pass { Sign::DkimPass } else { Sign::DkimClaim })
                }
                // Of a signature that does not verify, the selector says nothing.
                None if signature.pass => {
                    if let Some(hit) = signature.selector.and_then(|s| self.selectors.find(s)) {
                        candidates.note(hit, Sign::Selector);
                    }
                }
                None => {}
            }
        }
        for check in spf.take(RESULTS_MAX) {
            if let Some(hit) = check.domain.and_then(|d| self.spf.find(d)) {
                candidates.note(hit, if check.pass { Sign::SpfPass } else { Sign::SpfClaim });
            }
        }
        if let Some(hit) = origin.network {
            candidates.note(hit, Sign::Network);
        }
        for candidate in &mut candidates.0 {
            let shared = &self.services[usize::from(candidate.service)].shared;
            candidate.shared = shared.iter().find(|(n, _)| Some(*n) == origin.asn).map(|(_, text)| *text);
        }
        let best = candidates.0.iter().max_by(|a, b| {
            let (a, b) = (self.weight(a), self.weight(b));
            (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
        })?;
        Some(self.describe(best))
    }

    /// By what candidates are compared: sign, place on the way, confidence, place in the table.
    fn weight(&self, candidate: &Candidate) -> (u8, u8, f64, Reverse<ServiceId>) {
        let place = match self.services[usize::from(candidate.service)].kind {
            kind if kind.relays() => 0,
            Kind::Delivery => 1,
            _ => 2,
        };
        (candidate.strength(), place, candidate.confidence(), Reverse(candidate.service))
    }

    fn describe(&self, candidate: &Candidate) -> Recognition<'_> {
        let service = &self.services[usize::from(candidate.service)];
        let text = |id: u32| -> &str { &self.evidence[id as usize] };
        let strongest = candidate.strongest();
        let home = candidate
            .has(Sign::Network)
            .then(|| candidate.evidence[Sign::Network as usize])
            .or(candidate.shared);
        Recognition {
            name: &service.name,
            kind: service.kind,
            evidence: text(candidate.evidence[strongest as usize]),
            with: home.filter(|_| strongest == Sign::Selector).map(text),
            confidence: candidate.confidence(),
            signed: candidate.has(Sign::DkimPass) || candidate.has(Sign::Selector),
            at_home: home.is_some(),
        }
    }
}

/// Room for the candidates of a record, used again for the next.
#[derive(Debug, Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    fn note(&mut self, hit: Hit, sign: Sign) {
        let candidate = match self.0.iter().position(|c| c.service == hit.service) {
            Some(at) => &mut self.0[at],
            None => {
                self.0.push(Candidate { service: hit.service, found: 0, shared: None, evidence: [0; SIGNS] });
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        if !candidate.has(sign) {
            candidate.found |= 1 << sign as u8;
            candidate.evidence[sign as usize] = hit.evidence;
        }
    }
}

impl Candidate {
    fn has(&self, sign: Sign) -> bool {
        self.found & (1 << sign as u8) != 0
    }

    /// A selector with the network that it belongs to.
    fn selector_in_network(&self) -> bool {
        self.has(Sign::Selector) && (self.shared.is_some() || self.has(Sign::Network))
    }

    /// The sign to name. A selector goes before the network only where both agree.
    fn strongest(&self) -> Sign {
        let order = [Sign::DkimPass, Sign::SpfPass];
        let verified = order.into_iter().find(|s| self.has(*s));
        let selector = self.selector_in_network().then_some(Sign::Selector);
        let rest = [Sign::Network, Sign::Selector, Sign::DkimClaim, Sign::SpfClaim];
        verified.or(selector).or_else(|| rest.into_iter().find(|s| self.has(*s))).unwrap_or(Sign::SpfClaim)
    }

    /// The row of the rule's table, counted from its end.
    fn strength(&self) -> u8 {
        match self.strongest() {
            Sign::DkimPass => 6,
            Sign::SpfPass => 5,
            Sign::Selector if self.selector_in_network() => 4,
            Sign::Network => 3,
            Sign::Selector => 2,
            Sign::DkimClaim => 1,
            Sign::SpfClaim => 0,
        }
    }

    fn confidence(&self) -> f64 {
        let claim = match (self.has(Sign::DkimClaim), self.has(Sign::SpfClaim)) {
            (true, _) => DKIM_CLAIM,
            (false, true) => SPF_CLAIM,
            (false, false) => 0.0,
        };
        let verified = self.found & !(1 << Sign::DkimClaim as u8 | 1 << Sign::SpfClaim as u8) != 0;
        if !verified {
            return claim;
        }
        let mut doubt = 1.0;
        let mut sign = |present: bool, confidence: f64| {
            if present {
                doubt *= 1.0 - confidence;
            }
        };
        sign(self.has(Sign::DkimPass), DKIM_PASS);
        sign(self.has(Sign::SpfPass), SPF_PASS);
        if self.selector_in_network() {
            sign(true, SELECTOR_IN_NETWORK);
        } else {
            sign(self.has(Sign::Network), NETWORK);
            sign(self.has(Sign::Selector), SELECTOR);
        }
        sign(self.has(Sign::Network), claim);
        1.0 - doubt
    }
}

/// Eight hex digits that change with the text, and with the rule.
fn digest(text: &str) -> String {
    format!("{:08x}", (xxh3_64(text.as_bytes()) ^ RULE.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32)
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
