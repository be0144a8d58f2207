//! Tests of the stages through their public interface, in one binary.

mod corpus;
mod hostile;
mod laws;
mod quirks;
mod support;
