//! `schema`: the tables and their columns, as the code defines them.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Result, bail};
use dmarcflow_schemas::{Column, TABLES, Table, Type};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A table; without it, all tables are listed
    table: Option<String>,
}

pub(super) fn main(args: &Args) -> Result<ExitCode> {
    let mut out = stdout().lock();
    match &args.table {
        None => {
            for table in TABLES {
                writeln!(out, "{:<18}{}", table.name, table.row)?;
            }
            writeln!(out, "\nColumns of one: dmarcflow schema TABLE")?;
        }
        Some(name) => {
            let Some(table) = Table::named(name) else {
                let names: Vec<_> = TABLES.iter().map(|t| t.name).collect();
                bail!("there is no table `{name}`; there are {}", names.join(", "));
            };
            describe(&mut out, table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(out: &mut impl Write, table: &Table) -> std::io::Result<()> {
    writeln!(out, "{}: {}", table.name, table.row)?;
    writeln!(out, "partitioned by date, sorted by {}\n", table.sort.join(", "))?;
    for column in table.columns {
        line(out, column, 0)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, column: &Column, depth: usize) -> std::io::Result<()> {
    let name = format!("{:depth$}{}", "", column.name, depth = depth * 2);
    let unit = if column.unit.is_empty() { String::new() } else { format!(" in {}", column.unit) };
    let absent = if column.nullable { ", may be absent" } else { "" };
    writeln!(out, "{name:<22}{}{unit}{absent}", column.r#type.name())?;
    writeln!(out, "{:22}{} [{}]", "", column.meaning, column.source)?;
    if let Type::StructList(columns) = column.r#type {
        for column in columns {
            line(out, column, depth + 1)?;
        }
    }
    Ok(())
}
