//! `export`: a plain copy of the tables for tools that read files by a pattern.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use dmarcflow_schemas::{TABLES, Table};

use super::summary::grouped;
use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to: TABLE/date=YYYY-MM-DD/*.parquet
    folder: PathBuf,
    /// Replace the folder when it is there
    #[arg(long)]
    replace: bool,
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
    let done = lake.export(&args.folder, &tables, args.replace).await?;
    let (rows, files, mb) = (grouped(done.rows), grouped(done.files as u64), done.bytes as f64 / 1e6);
    println!("{} tables, {rows} rows, {files} files, {mb:.1} MB in {}", done.tables, args.folder.display());
    Ok(ExitCode::SUCCESS)
}
