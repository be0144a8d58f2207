//! The SQL files, the session and the formats over a small lake whose truth was worked out by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod formats;
mod read_only;
mod session;
mod world;
