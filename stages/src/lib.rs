//! The stages: one verb a file.
//!
//! A stage takes records and gives messages. It is deterministic and synchronous: no clock,
//! no network, no disk but what it is handed. The runner owns I/O, time, retries and commits.
//!
//! Every record's fate is explicit: its content is emitted, dropped as a duplicate, or dead-lettered
//! by the stage itself as a message of `dead.letters`; what a stage cannot handle at all it returns as
//! a [`Fault`], and the runner retries it or dead-letters it whole.

pub mod aggregate;
pub mod enrich;
pub mod parse;
pub mod tally;
pub mod topics;
mod view;
pub mod write;

use dmarcflow_schemas::{Message, Record};

pub use tally::Tally;

/// Why a stage could not process its input.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The input itself: trying again cannot help.
    #[error("{detail}")]
    Poison { reason: &'static str, detail: String },
    /// The surroundings: trying again later may help.
    #[error("{0}")]
    Transient(String),
}

/// The state that a stage keeps for the partition at hand: what it reads is committed state and
/// its own changes of this batch; what it writes is committed with its output.
pub trait State {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>);
    /// Keys that begin with `prefix` and had a value before this batch, in order, `limit` at most.
    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Fault>;
}

/// What a stage made of a batch.
#[derive(Debug, Default)]
pub struct Output {
    pub messages: Vec<Message>,
    pub tally: Tally,
}

/// A stage.
pub trait Stage: Send {
    /// Its verb, which is also its consumer group.
    fn name(&self) -> &'static str;

    /// Processes records of one partition, in order. The output must not depend on how the
    /// partition was cut into batches, other than in how messages are grouped.
    fn process(&mut self, input: &[Record], state: &mut dyn State) -> Result<Output, Fault>;
}
