//! The pipeline: the topology and what runs it, sources, configuration, the program's commands.
//!
//! Start with [`topology`], which is the whole flow on one screen, then [`runner`], which says what
//! is guaranteed. `ARCHITECTURE.md` beside this crate is the map.

pub mod app;
pub mod cli;
pub mod config;
mod crash;
pub mod logging;
pub mod memory;
pub mod replay;
pub mod runner;
pub mod serve;
pub mod source;
pub mod topology;
