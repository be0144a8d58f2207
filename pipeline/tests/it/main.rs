//! The program, run as a person runs it: once, twice, killed, starved of disk, fed with rubbish.

mod commands;
mod corpus;
mod nothing_lost;
mod once;
mod open;
mod support;
