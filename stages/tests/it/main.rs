//! Tests of the stages through their public interface, in one binary.
#![allow(clippy::unwrap_used)]

mod corpus;
mod hostile;
mod laws;
mod quirks;
mod support;
