//! Reads a table of sending services and vouches that no sign in it is claimed twice.
//!
//! The form is that of `stages/data/services.toml`, which explains it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

/// The table that is built in.
pub(super) const BUILT_IN: &str = include_str!("../../data/services.toml");

/// How the built-in table is called in messages.
const BUILT_IN_NAME: &str = "the built-in table of services";

/// Length of the longest selector that is looked at, in bytes: that of a DNS label.
pub(super) const SELECTOR_MAX: usize = 63;
/// Services that a table may have at most.
const SERVICES_MAX: usize = 10_000;
/// Size that a person's own table may have at most, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// Why a table of services could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the table of services {file} cannot be read: {source}; check the path in `services`")]
    Unreadable { file: String, source: std::io::Error },
    #[error("the table of services {file} is larger than {FILE_MAX} bytes")]
    TooLarge { file: String },
    #[error("{file} is no table of services: {source}")]
    Syntax { file: String, source: Box<toml::de::Error> },
    #[error("{file}: service `{id}`: {problem}")]
    Entry { file: String, id: String, problem: String },
}

/// What a service is to the mail that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// People's mailboxes.
    Mailbox,
    /// Newsletters and campaigns.
    Marketing,
    /// Customer records, sales.
    Crm,
    /// Tickets, support.
    Helpdesk,
    /// An application that writes to its users or for them: billing, shops, signatures, code.
    Application,
    /// Websites' and servers' mail.
    Hosting,
    /// Delivers for applications and for other services of this table.
    Delivery,
    /// Filters mail that others send or receive, and hands it on.
    SecurityGateway,
    /// Hands mail on to another address.
    Forwarder,
    /// Hands mail on to many.
    MailingList,
}

impl Kind {
    /// Whether the service passes on what others wrote and signed.
    pub fn relays(self) -> bool {
        matches!(self, Self::SecurityGateway | Self::Forwarder | Self::MailingList)
    }
}

/// A service, and the signs that it is known by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) kind: Option<Kind>,
    #[serde(default)]
    pub(super) domains: Vec<String>,
    #[serde(default)]
    pub(super) dkim: Vec<String>,
    #[serde(default)]
    pub(super) spf: Vec<String>,
    #[serde(default)]
    pub(super) selectors: Vec<String>,
    #[serde(default)]
    pub(super) networks: Vec<Network>,
    #[serde(default)]
    pub(super) asn: Vec<u32>,
    #[serde(default)]
    pub(super) asn_shared: Vec<u32>,
}

/// A range of addresses, written with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Network {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
    pub(super) prefix: u8,
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is no network such as 192.0.2.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let first: IpAddr = address.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        let (last, clean) = match first {
            IpAddr::V4(a) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                (IpAddr::V4((u32::from(a) | host).into()), prefix <= 32 && u32::from(a) & host == 0)
            }
            IpAddr::V6(a) => {
                let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                (IpAddr::V6((u128::from(a) | host).into()), prefix <= 128 && u128::from(a) & host == 0)
            }
        };
        if clean { Ok(Self { first, last, prefix }) } else { Err(invalid()) }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// A table, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The day of the last change.
    #[serde(default)]
    pub(super) version: String,
    #[serde(default, rename = "service")]
    pub(super) services: Vec<Entry>,
}

impl Table {
    /// The table that is built in.
    pub(super) fn built_in() -> Result<Self, TableError> {
        Self::parse(BUILT_IN, BUILT_IN_NAME, &[])
    }

    /// A person's own table and its text. Services that `known` has need neither name nor kind there.
    pub(super) fn own(path: &Path, known: &[Entry]) -> Result<(Self, String), TableError> {
        let file = path.display().to_string();
        let unreadable = |source| TableError::Unreadable { file: file.clone(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX {
            return Err(TableError::TooLarge { file });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok((Self::parse(&text, &file, known)?, text))
    }

    pub(super) fn parse(text: &str, file: &str, known: &[Entry]) -> Result<Self, TableError> {
        let table: Self = toml::from_str(text)
            .map_err(|e| TableError::Syntax { file: file.into(), source: Box::new(e) })?;
        table.check(known).map_err(|(id, problem)| TableError::Entry { file: file.into(), id, problem })?;
        Ok(table)
    }

    fn check(&self, known: &[Entry]) -> Result<(), (String, String)> {
        let mut ids = HashSet::new();
        let mut signs: HashMap<(&str, String), &str> = HashMap::new();
        for (n, entry) in self.services.iter().enumerate() {
            let fail = |problem: String| Err((entry.id.clone(), problem));
            if n >= SERVICES_MAX {
                return fail(format!("there are more than {SERVICES_MAX} services"));
            }
            if !is_slug(&entry.id) {
                return fail("an id is made of a-z, 0-9 and `-`".into());
            }
            if !ids.insert(&entry.id) {
                return fail("it is there twice".into());
            }
            let is_known = known.iter().any(|k| k.id == entry.id);
            if !is_known && (entry.name.as_deref().unwrap_or_default().is_empty() || entry.kind.is_none()) {
                return fail("it needs a `name` and a `kind`".into());
            }
            if let Some(domain) =
                entry.domains.iter().chain(&entry.dkim).chain(&entry.spf).find(|d| !is_domain(d))
            {
                return fail(format!("`{domain}` is no domain in lower case with two labels at least"));
            }
            if let Some(selector) = entry.selectors.iter().find(|s| !is_selector(s)) {
                return fail(format!(
                    "`{selector}` is no selector in lower case, with `*` at one end at most"
                ));
            }
            for sign in entry.signs() {
                if let Some(other) = signs.insert(sign.clone(), &entry.id) {
                    return fail(format!("{} `{}` is already a sign of `{other}`", sign.0, sign.1));
                }
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Everything that may stand under one service only.
    fn signs(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let dkim = self.domains.iter().chain(&self.dkim).map(|d| ("DKIM domain", d.clone()));
        let spf = self.domains.iter().chain(&self.spf).map(|d| ("SPF domain", d.clone()));
        let selectors = self.selectors.iter().map(|s| ("selector", s.clone()));
        let networks = self.networks.iter().map(|n| ("network", n.to_string()));
        let asn = self.asn.iter().map(|n| ("ASN", n.to_string()));
        dkim.chain(spf).chain(selectors).chain(networks).chain(asn)
    }
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_domain(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn is_selector(text: &str) -> bool {
    let inner = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(text);
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    !inner.is_empty() && inner.len() <= SELECTOR_MAX && inner.bytes().all(allowed)
}
