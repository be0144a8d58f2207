//! Says of every record where it came from: country, network, sending service, signs of forwarding.
//!
//! Reads `reports.parsed`, writes the same batches to `reports.enriched`. Only the columns of
//! [`ENRICHMENT`](dmarcflow_schemas::report::ENRICHMENT) and [`VERSIONS`](dmarcflow_schemas::report::VERSIONS)
//! change; all others are handed on as they are, without a copy.
//!
//! What a row says depends on the record and on the [`References`] alone, whose versions stand in
//! the row: with the same references, a replay says the same.

mod columns;
pub mod forwarding;
pub mod geo;
mod lookup;
pub mod services;
mod systems;
mod table;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::report::{SCHEMA, VERSION};
use dmarcflow_schemas::{Header, Message, Record, ipc};

use crate::{Fault, Output, Stage, State, topics};
pub use geo::{Geo, GeoError};
pub use services::Services;
pub use table::TableError;

/// Size that a message's value should not exceed: a larger one is divided, unless it holds a single
/// row. In bytes.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// Where reference data is read from. Nothing set: what is built in.
#[derive(Debug, Clone, Default)]
pub struct ReferencesConfig {
    /// A database in MaxMind's format with countries (GeoLite2 Country or City).
    pub country_db: Option<PathBuf>,
    /// A database in MaxMind's format with autonomous systems (GeoLite2 ASN).
    pub asn_db: Option<PathBuf>,
    /// A person's own sending services, in the form of the table that is built in; they come before it.
    pub services: Option<PathBuf>,
}

/// Why reference data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReferencesError {
    #[error(transparent)]
    Geo(#[from] GeoError),
    #[error(transparent)]
    Services(#[from] TableError),
}

/// A snapshot of the reference data: it does not change while it lives, and each part has a version.
#[derive(Debug)]
pub struct References {
    pub geo: Geo,
    pub services: Services,
}

impl References {
    /// Reads the reference data.
    pub fn load(config: &ReferencesConfig) -> Result<Self, ReferencesError> {
        Ok(Self {
            geo: Geo::open(config.country_db.as_deref(), config.asn_db.as_deref())?,
            services: Services::load(config.services.as_deref())?,
        })
    }
}

/// The stage.
#[derive(Debug)]
pub struct Enrich {
    references: Arc<References>,
}

impl Enrich {
    pub fn new(references: Arc<References>) -> Self {
        Self { references }
    }
}

impl Stage for Enrich {
    fn name(&self) -> &'static str {
        "enrich"
    }

    fn process(&mut self, input: &[Record], _: &mut dyn State) -> Result<Output, Fault> {
        let mut output = Output::default();
        for record in input {
            let batch = ipc::decode(&record.value, &SCHEMA).map_err(fault)?;
            let batch = columns::enrich(&batch, &self.references)?;
            emit(record, &batch, MESSAGE_BYTES, &mut output.messages)?;
        }
        Ok(output)
    }
}

/// The batch as messages of at most `limit` bytes: divided by rows, in order. One row is never
/// divided, as the number of slices that a report has is in each of them.
fn emit(
    record: &Record,
    batch: &RecordBatch,
    limit: usize,
    messages: &mut Vec<Message>,
) -> Result<(), Fault> {
    let value = ipc::encode(batch).map_err(fault)?;
    let rows = batch.num_rows();
    if value.len() <= limit || rows <= 1 {
        messages.push(Message {
            topic: topics::ENRICHED,
            key: record.key.to_vec(),
            headers: headers(&record.headers),
            value,
        });
        return Ok(());
    }
    drop(value);
    let half = rows / 2;
    emit(record, &batch.slice(0, half), limit, messages)?;
    emit(record, &batch.slice(half, rows - half), limit, messages)
}

/// The headers as they came, with the schema version that the batch has now.
fn headers(given: &[Header]) -> Vec<Header> {
    let schema = Header { name: header::SCHEMA.to_owned(), value: VERSION.to_string().into_bytes() };
    let others = given.iter().filter(|h| h.name != header::SCHEMA).cloned();
    others.chain([schema]).collect()
}

fn fault(e: impl std::fmt::Display) -> Fault {
    Fault::Poison { reason: "schema", detail: format!("the message cannot be read: {e}") }
}
