//! Fills the enrichment columns of a batch; every other column stays the very same buffers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Builder, Int64Builder, ListArray, RecordBatch,
    StringArray, StringBuilder, StructArray,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use foldhash::fast::FixedState;

use super::References;
use super::forwarding::{self, Facts};
use super::geo::{self, Place};
use super::services::{Candidates, Check, Origin, RESULTS_MAX, Recognition, Services, Signature};
use crate::Fault;
use crate::view::{child, records, text};

/// Reasons of a record that are looked at.
const REASONS_MAX: usize = 32;
/// Bytes that a record's text columns take in the common case; builders start with room for them.
const TEXT_HINT: usize = 16;

/// The batch with its enrichment columns and versions filled.
pub(super) fn enrich(batch: &RecordBatch, references: &References) -> Result<RecordBatch, Fault> {
    let (list, values) = records(batch)?;
    let added = fill(values, references)?;
    let values = replace_children(values, added).map_err(fault)?;
    let DataType::List(item) = list.data_type() else { return Err(fault("`records` is no list")) };
    let list =
        ListArray::try_new(Arc::clone(item), list.offsets().clone(), Arc::new(values), list.nulls().cloned());
    let list: ArrayRef = Arc::new(list.map_err(fault)?);
    let rows = batch.num_rows();
    let versions = [
        ("records", list),
        ("geo_version", repeat(references.geo.version(), rows)),
        ("services_version", repeat(references.services.version(), rows)),
    ];
    let mut columns = batch.columns().to_vec();
    for (name, array) in versions {
        let at = batch.schema_ref().index_of(name).map_err(fault)?;
        columns[at] = array;
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(fault)
}

fn repeat(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

fn replace_children(parent: &StructArray, new: Vec<(&str, ArrayRef)>) -> Result<StructArray, ArrowError> {
    let (fields, mut children, nulls) = parent.clone().into_parts();
    for (name, array) in new {
        let at = fields.iter().position(|f| f.name() == name);
        let at = at.ok_or_else(|| ArrowError::SchemaError(format!("`records` has no column `{name}`")))?;
        children[at] = array;
    }
    StructArray::try_new(fields, children, nulls)
}

/// The enrichment of every record, as columns.
fn fill<'a>(
    records: &'a StructArray,
    references: &'a References,
) -> Result<Vec<(&'static str, ArrayRef)>, Fault> {
    let view = View::of(records)?;
    let mut places = Places::new(references);
    let mut out = Columns::with_capacity(records.len());
    let mut candidates = Candidates::default();
    for i in 0..records.len() {
        let place = places.of(view.source_ip.value(i)).map_err(fault)?;
        let service = references.services.recognise(view.dkim(i), view.spf(i), place.origin, &mut candidates);
        let sign = view.forwarding(i, place.place.asn, service.as_ref(), &references.services);
        out.append(place, service.as_ref(), sign).map_err(fault)?;
    }
    Ok(out.finish())
}

/// A record's columns that enrichment reads.
struct View<'a> {
    source_ip: &'a StringArray,
    header_from: &'a StringArray,
    dkim_aligned: &'a BooleanArray,
    spf_aligned: &'a BooleanArray,
    reasons: (&'a ListArray, &'a StringArray),
    dkim: (&'a ListArray, [&'a StringArray; 3]),
    spf: (&'a ListArray, [&'a StringArray; 2]),
}

impl<'a> View<'a> {
    fn of(records: &'a StructArray) -> Result<Self, Fault> {
        let texts = |name| child(records, name, |a| a.as_string_opt::<i32>());
        let bools = |name| child(records, name, |a| a.as_boolean_opt());
        let (reasons, [reason]) = nested(records, "reasons", ["type"])?;
        Ok(Self {
            source_ip: texts("source_ip")?,
            header_from: texts("header_from")?,
            dkim_aligned: bools("dkim_aligned")?,
            spf_aligned: bools("spf_aligned")?,
            reasons: (reasons, reason),
            dkim: nested(records, "dkim", ["domain", "selector", "result"])?,
            spf: nested(records, "spf", ["domain", "result"])?,
        })
    }

    fn dkim(&self, i: usize) -> impl Iterator<Item = Signature<'a>> {
        let (list, [domain, selector, result]) = self.dkim;
        range(list, i, RESULTS_MAX).map(move |n| Signature {
            domain: text(domain, n),
            selector: text(selector, n),
            pass: text(result, n) == Some("pass"),
        })
    }

    fn spf(&self, i: usize) -> impl Iterator<Item = Check<'a>> {
        let (list, [domain, result]) = self.spf;
        range(list, i, RESULTS_MAX)
            .map(move |n| Check { domain: text(domain, n), pass: text(result, n) == Some("pass") })
    }

    fn forwarding(
        &self,
        i: usize,
        asn: Option<u32>,
        service: Option<&Recognition<'a>>,
        services: &Services,
    ) -> Option<forwarding::Forwarding> {
        let facts = Facts {
            header_from: text(self.header_from, i),
            dkim_aligned: self.dkim_aligned.value(i),
            spf_aligned: self.spf_aligned.value(i),
            asn,
            service,
        };
        let reasons = range(self.reasons.0, i, REASONS_MAX).filter_map(|n| text(self.reasons.1, n));
        forwarding::sign(&facts, reasons, self.dkim(i), self.spf(i), services)
    }
}

/// A list of structs inside the records, with some of its text columns.
fn nested<'a, const N: usize>(
    records: &'a StructArray,
    name: &str,
    columns: [&str; N],
) -> Result<(&'a ListArray, [&'a StringArray; N]), Fault> {
    let list = child(records, name, |a| a.as_list_opt::<i32>())?;
    let items =
        list.values().as_struct_opt().ok_or_else(|| fault(format!("`{name}` is no list of structs")))?;
    let mut texts = [None; N];
    for (slot, column) in texts.iter_mut().zip(columns) {
        *slot = Some(child(items, column, |a| a.as_string_opt::<i32>())?);
    }
    let complete = |_| fault(format!("`{name}` lacks a column"));
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    Ok((list, texts.try_into().map_err(complete)?))
}

/// The items of a list's row, the first `limit` of them.
fn range(list: &ListArray, i: usize, limit: usize) -> Range<usize> {
    let offsets = list.value_offsets();
    let (start, end) = (offsets[i] as usize, offsets[i + 1] as usize);
    start..end.min(start + limit)
}

/// What is known of a source address.
#[derive(Debug, Clone, Copy, Default)]
struct Source<'a> {
    place: Place<'a>,
    origin: Origin,
    /// Bounds of the network's text.
    network: Option<(usize, usize)>,
}

/// Each address of a batch, looked up once.
struct Places<'a> {
    references: &'a References,
    seen: HashMap<&'a str, Source<'a>, FixedState>,
    networks: String,
}

impl<'a> Places<'a> {
    fn new(references: &'a References) -> Self {
        Self { references, seen: HashMap::default(), networks: String::new() }
    }

    fn of(&mut self, ip: &'a str) -> Result<Located<'a, '_>, std::fmt::Error> {
        let source = match self.seen.entry(ip) {
            Entry::Occupied(known) => *known.into_mut(),
            Entry::Vacant(new) => *new.insert(locate(self.references, ip, &mut self.networks)?),
        };
        let network = source.network.and_then(|(start, end)| self.networks.get(start..end));
        Ok(Located { place: source.place, origin: source.origin, network })
    }
}

/// An address's place, with the text of its network.
#[derive(Debug, Clone, Copy)]
struct Located<'a, 'n> {
    place: Place<'a>,
    origin: Origin,
    network: Option<&'n str>,
}

/// Text that is no address has no place.
fn locate<'a>(
    references: &'a References,
    ip: &str,
    networks: &mut String,
) -> Result<Source<'a>, std::fmt::Error> {
    let Ok(address) = ip.parse::<IpAddr>() else { return Ok(Source::default()) };
    let place = references.geo.place(address);
    let start = networks.len();
    geo::write_network(address, networks)?;
    let origin = references.services.origin(Some(address), place.asn);
    Ok(Source { place, origin, network: Some((start, networks.len())) })
}

/// The columns in the making.
struct Columns {
    country: StringBuilder,
    asn: Int64Builder,
    as_name: StringBuilder,
    network: StringBuilder,
    service: StringBuilder,
    evidence: StringBuilder,
    confidence: Float64Builder,
    forwarding: StringBuilder,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        let texts = || StringBuilder::with_capacity(rows, rows * TEXT_HINT);
        Self {
            country: StringBuilder::with_capacity(rows, rows * 2),
            asn: Int64Builder::with_capacity(rows),
            as_name: texts(),
            network: texts(),
            service: texts(),
            evidence: texts(),
            confidence: Float64Builder::with_capacity(rows),
            forwarding: StringBuilder::with_capacity(rows, 0),
        }
    }

    fn append(
        &mut self,
        at: Located<'_, '_>,
        service: Option<&Recognition<'_>>,
        sign: Option<forwarding::Forwarding>,
    ) -> std::fmt::Result {
        self.country.append_option(at.place.country);
        self.asn.append_option(at.place.asn.map(i64::from));
        self.as_name.append_option(at.place.as_name);
        self.network.append_option(at.network);
        self.service.append_option(service.map(|s| s.name));
        self.confidence.append_option(service.map(|s| s.confidence));
        match service {
            Some(Recognition { evidence, with: Some(with), .. }) => {
                write!(self.evidence, "{evidence}+{with}")?;
                self.evidence.append_value("");
            }
            other => self.evidence.append_option(other.map(|s| s.evidence)),
        }
        self.forwarding.append_option(sign.map(|s| s.as_str()));
        Ok(())
    }

    fn finish(mut self) -> Vec<(&'static str, ArrayRef)> {
        vec![
            ("country", Arc::new(self.country.finish())),
            ("asn", Arc::new(self.asn.finish())),
            ("as_name", Arc::new(self.as_name.finish())),
            ("network", Arc::new(self.network.finish())),
            ("service", Arc::new(self.service.finish())),
            ("service_evidence", Arc::new(self.evidence.finish())),
            ("service_confidence", Arc::new(self.confidence.finish())),
            ("forwarding", Arc::new(self.forwarding.finish())),
        ]
    }
}

fn fault(e: impl std::fmt::Display) -> Fault {
    Fault::Poison { reason: "schema", detail: format!("the message cannot be enriched: {e}") }
}
