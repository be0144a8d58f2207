//! How reporters write XML: the same report looks different from each of them.
//!
//! A dialect is data, what differs between real reporters: white space, the root's attributes, which elements there
//! are and in which order.

/// Elements of `report_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    Org,
    Email,
    Contact,
    Id,
    Range,
    Generator(&'static str),
}

/// Elements of `policy_published`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Domain,
    Adkim,
    Aspf,
    P,
    /// Always there: repeats `p` where the domain published none.
    Sp,
    /// There where the domain published one.
    SpIfGiven,
    /// There, but empty, where the domain published none.
    SpOrEmpty,
    Pct,
    Fo,
    Np,
    Testing,
    Discovery,
}

/// Elements of `identifiers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    EnvelopeTo,
    EnvelopeFrom,
    HeaderFrom,
}

/// Elements of a DKIM or SPF result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Domain,
    Selector,
    Scope,
    Result,
    /// The result again, in the reporter's words.
    Human,
    /// An empty element, closed at once.
    HumanEmpty,
}

/// A way to write reports.
#[derive(Debug)]
pub struct Dialect {
    pub name: &'static str,
    /// The XML declaration; may be empty.
    pub declaration: &'static str,
    /// Attributes of the root, with a blank before them.
    pub root: &'static str,
    /// Ends every line.
    pub newline: &'static str,
    /// Once per level.
    pub indent: &'static str,
    /// Stands where the last line would end.
    pub tail: &'static str,
    pub version: Option<&'static str>,
    pub metadata: &'static [Metadata],
    pub published: &'static [Published],
    pub identifiers: &'static [Identifier],
    pub dkim: &'static [Check],
    pub spf: &'static [Check],
    pub spf_before_dkim: bool,
    /// A reason element in every row, empty where there is none.
    pub empty_reason: bool,
    /// Messages that pass are disposed of as `pass` (RFC 9990), not `none`.
    pub pass: bool,
}

use Check::{Domain, Human, HumanEmpty, Result, Scope, Selector};
use Identifier::{EnvelopeFrom, EnvelopeTo, HeaderFrom};
use Metadata::{Contact, Email, Generator, Id, Org, Range};
use Published::{Adkim, Aspf, Discovery, Fo, Np, P, Pct, Sp, SpIfGiven, SpOrEmpty, Testing};

/// What most reporters have in common.
const COMMON: Dialect = Dialect {
    name: "common",
    declaration: r#"<?xml version="1.0" encoding="UTF-8" ?>"#,
    root: "",
    newline: "\n",
    indent: "  ",
    tail: "\n",
    version: None,
    metadata: &[Org, Email, Contact, Id, Range],
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct],
    identifiers: &[HeaderFrom],
    dkim: &[Domain, Selector, Result],
    spf: &[Domain, Result],
    spf_before_dkim: false,
    empty_reason: false,
    pass: false,
};

pub static GOOGLE: Dialect = Dialect {
    name: "google",
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Np],
    dkim: &[Domain, Result, Selector],
    ..COMMON
};

pub static YAHOO: Dialect = Dialect {
    name: "yahoo",
    declaration: r#"<?xml version="1.0"?>"#,
    newline: "\t\n",
    tail: "\t",
    metadata: &[Org, Email, Id, Range],
    published: &[Published::Domain, Adkim, Aspf, P, SpIfGiven, Pct],
    ..COMMON
};

pub static MICROSOFT: Dialect = Dialect {
    name: "microsoft",
    declaration: r#"<?xml version="1.0"?>"#,
    root: r#" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance""#,
    newline: "\r\n",
    tail: "",
    version: Some("1.0"),
    metadata: &[Org, Email, Id, Range],
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Fo],
    identifiers: &[EnvelopeTo, EnvelopeFrom, HeaderFrom],
    spf: &[Domain, Scope, Result],
    ..COMMON
};

pub static MAIL_RU: Dialect = Dialect {
    name: "mail.ru",
    declaration: "<?xml version='1.0' encoding='utf-8'?>",
    newline: "",
    indent: "",
    tail: "",
    spf: &[Domain, Scope, Result],
    ..COMMON
};

pub static FASTMAIL: Dialect = Dialect {
    name: "fastmail",
    declaration: r#"<?xml version="1.0"?>"#,
    indent: "\t",
    version: Some("1.0"),
    published: &[Published::Domain, P, Sp, Pct, Fo],
    identifiers: &[EnvelopeFrom, HeaderFrom],
    dkim: &[Domain, Selector, Result, Human],
    spf: &[Domain, Scope, Result],
    ..COMMON
};

pub static AMAZON: Dialect = Dialect {
    name: "amazon",
    declaration: r#"<?xml version="1.0"?>"#,
    indent: "\t",
    version: Some("0.1"),
    metadata: &[Org, Email, Id, Range],
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Fo],
    identifiers: &[EnvelopeFrom, HeaderFrom],
    dkim: &[Domain, Result],
    ..COMMON
};

pub static COMCAST: Dialect = Dialect {
    name: "comcast",
    indent: "\t",
    version: Some("1.0"),
    metadata: &[Org, Email, Id, Range],
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Fo],
    identifiers: &[HeaderFrom, EnvelopeFrom],
    dkim: &[Domain, Result, Selector],
    spf: &[Domain, Scope, Result],
    ..COMMON
};

pub static MIMECAST: Dialect = Dialect {
    name: "mimecast",
    declaration: r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    dkim: &[Domain, Selector, Result, HumanEmpty],
    ..COMMON
};

pub static CISCO: Dialect = Dialect {
    name: "cisco",
    tail: "",
    version: Some("1.0"),
    published: &[Published::Domain, Adkim, Aspf, P, SpOrEmpty, Pct],
    identifiers: &[HeaderFrom, EnvelopeFrom],
    spf: &[Domain, Scope, Result],
    ..COMMON
};

pub static ZOHO: Dialect = Dialect {
    name: "zoho",
    declaration: r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>"#,
    indent: "    ",
    version: Some("1.0"),
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Fo],
    dkim: &[Result, Domain, Selector],
    spf: &[Domain, Result, Scope],
    ..COMMON
};

/// The web mailers of 1&1: GMX, WEB.DE, mail.com; and those that write like them.
pub static KUNDENSERVER: Dialect =
    Dialect { name: "kundenserver", indent: "    ", dkim: &[Domain, Result, Selector], ..COMMON };

/// Of those that use OpenDMARC or a descendant of it.
pub static OPENDMARC: Dialect = Dialect {
    name: "opendmarc",
    metadata: &[Org, Email, Id, Range],
    identifiers: &[HeaderFrom],
    dkim: &[Domain, Result],
    spf_before_dkim: true,
    ..COMMON
};

/// The metadata in another order, on one line.
pub static WP: Dialect = Dialect {
    name: "wp",
    declaration: "",
    newline: "",
    indent: "",
    tail: "",
    metadata: &[Range, Org, Email, Contact, Id],
    ..COMMON
};

pub static KDDI: Dialect = Dialect {
    name: "kddi",
    declaration: r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    version: Some("1.0"),
    published: &[Published::Domain, Adkim, Aspf, P, Sp, Pct, Fo],
    identifiers: &[EnvelopeTo, EnvelopeFrom, HeaderFrom],
    dkim: &[Domain, Selector, Result, Human],
    spf: &[Domain, Scope, Result],
    empty_reason: true,
    ..COMMON
};

/// RFC 9990: a namespace, a generator, no `pct`.
pub static RFC9990: Dialect = Dialect {
    name: "rfc9990",
    declaration: r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    root: r#" xmlns="urn:ietf:params:xml:ns:dmarc-2.0""#,
    version: Some("1.0"),
    metadata: &[Org, Email, Contact, Id, Range, Generator("Tallyho DMARC Reporter 2.3")],
    published: &[Published::Domain, P, SpIfGiven, Np, Adkim, Aspf, Testing, Discovery],
    identifiers: &[HeaderFrom, EnvelopeFrom],
    dkim: &[Domain, Selector, Result],
    spf: &[Domain, Scope, Result],
    pass: true,
    ..COMMON
};

/// Every dialect.
pub static DIALECTS: [&Dialect; 15] = [
    &GOOGLE,
    &YAHOO,
    &MICROSOFT,
    &MAIL_RU,
    &FASTMAIL,
    &AMAZON,
    &COMCAST,
    &MIMECAST,
    &CISCO,
    &ZOHO,
    &KUNDENSERVER,
    &OPENDMARC,
    &WP,
    &KDDI,
    &RFC9990,
];
