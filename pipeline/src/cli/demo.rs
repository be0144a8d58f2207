//! `demo`: a world of reports to try things with, the same for the same seed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use dmarcflow_demo::{Day, Form, World, WorldConfig, Wrapping, write};

use super::summary::grouped;

/// The last day of a world, unless another is asked for: fixed, so that a seed is a world.
const END: (i32, u32, u32) = (2026, 6, 30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to
    folder: PathBuf,
    /// The same seed gives the same reports, byte for byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Domains that mail is sent for
    #[arg(long)]
    domains: Option<usize>,
    /// Days that the reports cover
    #[arg(long, default_value_t = 60)]
    days: u32,
    /// Exactly so many distinct reports
    #[arg(long)]
    reports: Option<u64>,
    /// What the folder holds
    #[arg(long, value_enum, default_value_t = As::Mixed)]
    form: As,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// Of everything some
    Mixed,
    Xml,
    Gzip,
    Zip,
    Mail,
    Mbox,
    Maildir,
    /// Zip archives of many reports
    Archives,
}

impl As {
    fn form(self) -> Form {
        match self {
            Self::Mixed => Form::Mixed,
            Self::Xml => Form::Files(Wrapping::Xml),
            Self::Gzip => Form::Files(Wrapping::Gzip),
            Self::Zip => Form::Files(Wrapping::Zip),
            Self::Mail => Form::Files(Wrapping::Mail),
            Self::Mbox => Form::Mbox,
            Self::Maildir => Form::Maildir,
            Self::Archives => Form::Archives,
        }
    }
}

pub(super) fn main(args: &Args) -> Result<ExitCode> {
    let (year, month, day) = END;
    let end = Day::new(year, month, day).context("the end of the world is no day")?;
    let mut config = match args.reports {
        Some(reports) => WorldConfig::sized(args.seed, end, reports),
        None => WorldConfig::new(args.seed, end),
    };
    config.days = args.days;
    if let Some(domains) = args.domains {
        config.domains = domains;
    }
    let written = write(&World::new(config), &args.folder, args.form.form(), |_| {})?;
    let truth = &written.truth;
    println!(
        "{} files, {:.1} MB in {}: {} reports, {} messages",
        grouped(written.files),
        written.bytes as f64 / 1e6,
        args.folder.display(),
        grouped(truth.total.reports),
        grouped(truth.total.messages),
    );
    println!("Take them in: dmarcflow ingest {}", args.folder.display());
    Ok(ExitCode::SUCCESS)
}
