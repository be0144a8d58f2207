//! The program, run as a person runs it: once, twice, killed, starved of disk, fed with rubbish.

mod commands;
mod corpus;
mod full_disk;
mod nothing_lost;
mod once;
mod open;
mod support;
