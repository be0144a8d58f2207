//! What the lake promises, shown over real tables on disk, on a full disk, and on an S3 server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod concurrent;
mod cost;
mod crash;
mod data;
mod disk;
mod evolve;
mod merge;
mod once;
mod python;
mod replace;
mod s3;
mod s3_server;
