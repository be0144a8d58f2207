//! `export`: a plain copy of the tables for tools that read files by a pattern.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use dmarcflow_schemas::{TABLES, Table};

use super::summary::grouped;
use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to: TABLE/date=YYYY-MM-DD/*.parquet; it must not exist yet, or be an earlier export
    folder: PathBuf,
    /// A table; without it, all of them
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let mut tables: Vec<&'static Table> = Vec::new();
    for name in &args.table {
        match Table::named(name) {
            Some(table) => tables.push(table),
            None => bail!("there is no table `{name}`; `dmarcflow schema` lists them"),
        }
    }
    if tables.is_empty() {
        tables.extend(TABLES);
    }
    let lake = app.lake().await?;
    for exported in lake.export(&args.folder, &tables).await? {
        println!("{:<18}{:>14} rows{:>10} files", exported.table, grouped(exported.rows), grouped(exported.files));
    }
    Ok(ExitCode::SUCCESS)
}
