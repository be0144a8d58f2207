//! `move`: what another data folder's log took in, into this one: when one machine is outgrown.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use dmarcflow_log::embedded::Settings;
use dmarcflow_log::{EmbeddedLog, Log, TopicSpec};
use dmarcflow_stages::topics::RAW;

use super::progress_lines::Lines;
use super::summary::grouped;
use crate::app::{App, patiently};
use crate::source::moved::Move;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data folder to move from; nothing may be running there, and it stays as it is
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Move what is left, also where retention has forgotten reports that the tables of that folder have
    #[arg(long)]
    partial: bool,
}

pub(super) fn main(app: &App, args: &Args) -> Result<ExitCode> {
    let folder = args.from.join("log");
    if !folder.is_dir() {
        bail!("there is no log in {}; --from names the data folder to move from", args.from.display());
    }
    let from = EmbeddedLog::open(
        &folder,
        Settings {
            memory_bytes: app.config.required("embedded.memory"),
            reserve_bytes: app.config.required("embedded.reserve"),
        },
    )?;
    let Some(partitions) = from.partitions_of(RAW)? else {
        bail!("the log in {} never took in a report: there is nothing to move", args.from.display());
    };
    from.create_topics(&[TopicSpec { name: RAW, partitions, passing: false }])?;
    let (to, _) = app.open()?;
    let mut moving = patiently(|| Move::begin(&from, &*to, partitions))?;
    if moving.forgotten() > 0 && !args.partial {
        bail!(
            "retention has forgotten {} reports of that folder, whose rows only its tables have: copy those tables \
             first (`dmarcflow export --data {}`), then move what is left with --partial",
            grouped(moving.forgotten()),
            args.from.display()
        );
    }
    let mut lines = Lines::new("records");
    while patiently(|| moving.step())? {
        lines.show(moving.moved, moving.records);
    }
    println!(
        "{} records of {} are in the log of {}; the stages make tables of them: `dmarcflow {}`",
        grouped(moving.moved),
        args.from.display(),
        if app.is_shared() {
            app.config.text("kafka.brokers").to_owned()
        } else {
            app.data().display().to_string()
        },
        if app.is_shared() { "worker --log kafka" } else { "run" },
    );
    Ok(ExitCode::SUCCESS)
}
