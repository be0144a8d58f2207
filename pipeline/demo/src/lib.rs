//! A seeded, realistic world of DMARC aggregate reports whose truth is known exactly.
//!
//! * [`world`] — a seed becomes an endless-looking stream of reports, the same on every platform.
//! * [`customer`], [`services`], [`flow`], [`scenario`] — who sends what, and what goes wrong.
//! * [`reporter`], [`dialect`], [`quirk`] — who reports, how they write, and what is odd about it.
//! * [`truth`] — what a pipeline must find.
//! * [`wrapping`], [`folder`] — files: XML, gzip, zip, mails, mboxes, Maildirs.
//! * [`examples`] — the small set of files that the repository carries.

pub mod address;
mod archive;
pub mod calendar;
pub mod customer;
pub mod dialect;
pub mod examples;
pub mod flow;
pub mod folder;
mod mail;
pub mod prng;
pub mod quirk;
pub mod report;
pub mod reporter;
pub mod scenario;
pub mod services;
pub mod truth;
pub mod world;
pub mod wrapping;
mod xml;

pub use calendar::Day;
pub use folder::{Form, WriteError, Written, write};
pub use report::{Record, Report};
pub use truth::Truth;
pub use world::{World, WorldConfig};
pub use wrapping::Wrapping;
