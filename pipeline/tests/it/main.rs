//! The program, run as a person runs it: once, twice, killed, starved of disk, fed with rubbish.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../log/tests/it/broker.rs"]
mod broker;
mod commands;
mod corpus;
mod flat;
mod full_disk;
mod kafka;
mod moving;
mod nothing_lost;
mod once;
mod open;
mod replay;
mod s3;
#[path = "../../lake/tests/it/s3_server.rs"]
mod s3_server;
mod serve;
mod support;
