//! Adds up messages by the keys of every rollup, exactly.
//!
//! Text is interned for the length of a batch, so that a key is a few integers and adding a
//! record to the four rollups hashes no text twice.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Date32Builder, Int64Builder, RecordBatch, StringBuilder};
use dmarcflow_schemas::rollup::Rollup;
use xxhash_rust::xxh3::Xxh3Builder;

/// Text seen in this batch, by number; number 0 is absent.
#[derive(Default)]
struct Interner<'a> {
    ids: HashMap<&'a str, u32, Xxh3Builder>,
    texts: Vec<&'a str>,
}

impl<'a> Interner<'a> {
    fn id(&mut self, text: Option<&'a str>) -> u32 {
        let Some(text) = text else { return 0 };
        let next = self.texts.len() as u32 + 1;
        let id = *self.ids.entry(text).or_insert(next);
        if id == next {
            self.texts.push(text);
        }
        id
    }

    fn text(&self, id: u32) -> Option<&'a str> {
        id.checked_sub(1).and_then(|i| self.texts.get(i as usize)).copied()
    }
}

/// What of a record the rollups are keyed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) policy_domain: &'a str,
    pub(crate) org_name: &'a str,
    pub(crate) source_ip: &'a str,
    pub(crate) header_from: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    pub(crate) forwarding: Option<&'a str>,
    pub(crate) asn: Option<i64>,
    pub(crate) disposition: Option<&'a str>,
    pub(crate) dkim_aligned: bool,
    pub(crate) spf_aligned: bool,
    pub(crate) dmarc_pass: bool,
}

/// The superset of all rollups' keys, interned. A field that a rollup is not keyed by is left at 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    date: i32,
    policy_domain: u32,
    org_name: u32,
    source_ip: u32,
    header_from: u32,
    service: u32,
    country: u32,
    forwarding: u32,
    /// The number plus one; 0 is absent.
    asn: i64,
    disposition: u32,
    flags: u8,
}

const DKIM: u8 = 1;
const SPF: u8 = 2;
const PASS: u8 = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Measures {
    messages: i64,
    apportioned: i64,
}

/// The sums of a batch.
#[derive(Default)]
pub(crate) struct Sums<'a> {
    interner: Interner<'a>,
    by_rollup: [HashMap<Key, Measures, Xxh3Builder>; Rollup::ALL.len()],
}

impl<'a> Sums<'a> {
    /// Adds a record's messages on the days that they were apportioned to.
    pub(crate) fn add(&mut self, keys: &Keys<'a>, shares: &[(i32, i64)], apportioned: bool) {
        let whole = self.intern(keys);
        for (date, messages) in shares {
            for rollup in Rollup::ALL {
                let key = Key { date: *date, ..project(&whole, rollup) };
                let sum = self.by_rollup[rollup as usize].entry(key).or_default();
                sum.messages = sum.messages.saturating_add(*messages);
                if apportioned {
                    sum.apportioned = sum.apportioned.saturating_add(*messages);
                }
            }
        }
    }

    fn intern(&mut self, k: &Keys<'a>) -> Key {
        let id = &mut self.interner;
        Key {
            date: 0,
            policy_domain: id.id(Some(k.policy_domain)),
            org_name: id.id(Some(k.org_name)),
            source_ip: id.id(Some(k.source_ip)),
            header_from: id.id(k.header_from),
            service: id.id(k.service),
            country: id.id(k.country),
            forwarding: id.id(k.forwarding),
            asn: k.asn.map_or(0, |n| n + 1),
            disposition: id.id(k.disposition),
            flags: u8::from(k.dkim_aligned) * DKIM
                + u8::from(k.spf_aligned) * SPF
                + u8::from(k.dmarc_pass) * PASS,
        }
    }

    /// The sums of one rollup as a batch of its schema, sorted by interned key; none where there are none.
    pub(crate) fn batch(&self, rollup: Rollup) -> Result<Option<RecordBatch>, arrow::error::ArrowError> {
        let sums = &self.by_rollup[rollup as usize];
        if sums.is_empty() {
            return Ok(None);
        }
        let mut rows: Vec<(&Key, &Measures)> = sums.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| **key);
        let schema = rollup.schema();
        let columns = schema.fields().iter().map(|field| self.column(field.name(), &rows)).collect();
        RecordBatch::try_new(schema, columns).map(Some)
    }

    fn column(&self, name: &str, rows: &[(&Key, &Measures)]) -> ArrayRef {
        let text = |id: fn(&Key) -> u32| -> ArrayRef {
            let mut out = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
            rows.iter().for_each(|(key, _)| out.append_option(self.interner.text(id(key))));
            Arc::new(out.finish())
        };
        let flag = |bit: u8| -> ArrayRef {
            let mut out = BooleanBuilder::with_capacity(rows.len());
            rows.iter().for_each(|(key, _)| out.append_value(key.flags & bit != 0));
            Arc::new(out.finish())
        };
        let number = |value: fn(&Key, &Measures) -> Option<i64>| -> ArrayRef {
            let mut out = Int64Builder::with_capacity(rows.len());
            rows.iter().for_each(|(key, sum)| out.append_option(value(key, sum)));
            Arc::new(out.finish())
        };
        match name {
            "date" => {
                let mut out = Date32Builder::with_capacity(rows.len());
                rows.iter().for_each(|(key, _)| out.append_value(key.date));
                Arc::new(out.finish())
            }
            "policy_domain" => text(|k| k.policy_domain),
            "org_name" => text(|k| k.org_name),
            "source_ip" => text(|k| k.source_ip),
            "header_from" => text(|k| k.header_from),
            "service" => text(|k| k.service),
            "country" => text(|k| k.country),
            "forwarding" => text(|k| k.forwarding),
            "disposition" => text(|k| k.disposition),
            "dkim_aligned" => flag(DKIM),
            "spf_aligned" => flag(SPF),
            "dmarc_pass" => flag(PASS),
            "asn" => number(|k, _| k.asn.checked_sub(1).filter(|n| *n >= 0)),
            "apportioned_messages" => number(|_, sum| Some(sum.apportioned)),
            _ => number(|_, sum| Some(sum.messages)),
        }
    }
}

/// The key as that rollup has it.
fn project(k: &Key, rollup: Rollup) -> Key {
    match rollup {
        Rollup::Daily => Key {
            policy_domain: k.policy_domain,
            disposition: k.disposition,
            flags: k.flags,
            ..Key::default()
        },
        Rollup::Senders => Key { org_name: 0, source_ip: 0, header_from: 0, ..*k },
        Rollup::Reporters => Key {
            policy_domain: k.policy_domain,
            org_name: k.org_name,
            flags: k.flags & PASS,
            ..Key::default()
        },
        Rollup::Sources => Key { org_name: 0, ..*k },
    }
}
