//! The command line: what can be asked of the program, and which file answers.

mod check_config;
mod dead_letters;
mod demo;
mod export;
mod ingest;
mod moving;
mod progress_lines;
mod replay;
mod replay_diff;
mod run;
mod schema;
mod sql;
mod summary;
mod topics;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::app::App;
use crate::config::Config;

/// Turns DMARC reports into tables that you can query.
#[derive(Debug, Parser)]
#[command(name = "dmarcflow", version, about, max_term_width = 100)]
pub struct Cli {
    /// Folder of everything that dmarcflow keeps [default: data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where topics are kept: `embedded` in the data folder, or on Apache `kafka` [default: embedded]
    #[arg(long, global = true, value_name = "LOG")]
    log: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "DMARCFLOW_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take in files, folders, mboxes, Maildirs or standard input (-), and write the tables
    Ingest(ingest::Args),
    /// Watch folders and run every stage until stopped
    Run(run::Args),
    /// Work at some or all stages of a pipeline on Apache Kafka, beside other workers, until stopped
    Worker(worker::Args),
    /// Query the tables: a query, a file with parameters, or a prompt
    Sql(sql::Args),
    /// Show topics: partitions, offsets, lag, bytes
    Topics(topics::Args),
    /// List, show, retry or discard what could not be processed
    DeadLetters(dead_letters::Args),
    /// Describe the tables and their columns
    Schema(schema::Args),
    /// Write a plain, hive-partitioned copy of the tables
    Export(export::Args),
    /// Process everything once more beside the live tables; compare, then promote
    Replay(replay::Args),
    /// Take over what another data folder's log took in: when one machine is outgrown
    Move(moving::Args),
    /// Write a seeded, realistic world of reports to try things with
    Demo(demo::Args),
    /// Print the configuration and where each value comes from
    CheckConfig(check_config::Args),
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
}

/// Runs the command; the exit code is the program's.
pub async fn main(cli: Cli) -> Result<ExitCode> {
    if let Command::Completions { shell } = &cli.command {
        // Written by ourselves: clap_complete panics when its reader goes away.
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "dmarcflow", &mut script);
        std::io::stdout().write_all(&script)?;
        return Ok(ExitCode::SUCCESS);
    }
    let data = cli.data.iter().map(|dir| ("data", "--data", dir.display().to_string()));
    let flags = data.chain(cli.log.iter().map(|log| ("log", "--log", log.clone())));
    let app = App::new(Config::load(cli.config.as_deref(), std::env::vars(), flags)?);
    match cli.command {
        Command::Ingest(args) => ingest::main(&app, args).await,
        Command::Run(args) => run::main(&app, args).await,
        Command::Worker(args) => worker::main(&app, args).await,
        Command::Sql(args) => sql::main(&app, args).await,
        Command::Topics(args) => topics::main(&app, &args),
        Command::DeadLetters(args) => dead_letters::main(&app, args).await,
        Command::Schema(args) => schema::main(&args),
        Command::Export(args) => export::main(&app, args).await,
        Command::Replay(args) => replay::main(&app, args).await,
        Command::Move(args) => moving::main(&app, &args),
        Command::Demo(args) => demo::main(&args),
        Command::CheckConfig(args) => check_config::main(&app, &args),
        Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
