//! `check-config`: every setting, its value, and where that comes from.

use std::process::ExitCode;

use anyhow::Result;

use crate::app::App;
use crate::config::reference;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the reference of all settings, as Markdown
    #[arg(long)]
    reference: bool,
}

pub(super) fn main(app: &App, args: &Args) -> Result<ExitCode> {
    if args.reference {
        print!("{}", reference::markdown());
        return Ok(ExitCode::SUCCESS);
    }
    for (setting, value, place) in app.config.effective() {
        println!("{:<26}{:<24}from {place}", setting.key, value.to_string());
    }
    // What only shows when it is used: files that are named must be readable.
    app.topology()?;
    println!("\nThe configuration is valid.");
    Ok(ExitCode::SUCCESS)
}
