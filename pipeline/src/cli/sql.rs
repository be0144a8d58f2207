//! `sql`: a query, a bundled question, a file of one's own, or a prompt.

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use dmarcflow_queries::{Format, Library, Options, Params, Query, Session, TableStyle, prompt};

use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A query; without one and without --file, a prompt
    query: Option<String>,
    /// A bundled question by its name, or a file with SQL; `--list` shows the bundled ones
    #[arg(long, short, value_name = "NAME|FILE", conflicts_with = "query")]
    file: Option<String>,
    /// A parameter of the query, bound to `$NAME`
    #[arg(long, short, value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// How the answer is written
    #[arg(long, default_value = "table", value_parser = Format::ALL.map(Format::name))]
    format: String,
    /// Write the answer to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List the bundled questions and their parameters
    #[arg(long)]
    list: bool,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let library = Library::new()?;
    if args.list {
        list(&library)?;
        return Ok(ExitCode::SUCCESS);
    }
    let session = session(app)?;
    let Some(query) = question(&args, &library)? else {
        let history = Some(app.data().join("sql-history"));
        prompt::run(&session, &library, &prompt::Settings { history, format: args.format.parse()? }).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let answer = session.ask(&query, &params(&args.param)?).await?;
    let format: Format = args.format.parse()?;
    match &args.output {
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            let mut file = std::fs::File::create(path).with_context(failed)?;
            answer.write(format, &TableStyle::default(), &mut file).await?;
            file.sync_all().with_context(failed)?;
        }
        None => {
            let mut out = stdout();
            answer.write(format, &TableStyle { width: width() }, &mut out).await?;
            out.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what a newcomer would ask first.
pub(super) async fn first_answer(app: &App) -> Result<()> {
    let answer = session(app)?.ask(Library::new()?.get("domains")?, &Params::new()).await?;
    answer.write(Format::Table, &TableStyle { width: width() }, &mut stdout()).await?;
    Ok(())
}

/// The live tables.
pub(super) fn session(app: &App) -> Result<Session> {
    session_at(app, &app.lake_url())
}

/// Tables at a place.
pub(super) fn session_at(app: &App, url: &str) -> Result<Session> {
    let options = Options {
        storage: app.config.map("lake.storage")?,
        memory_bytes: app.config.required("query.memory") as usize,
        ..Options::default()
    };
    Ok(Session::open(url, &options)?)
}

/// What is asked, if anything is.
fn question(args: &Args, library: &Library) -> Result<Option<Query>> {
    if let Some(sql) = &args.query {
        return Ok(Some(Query::parse("query", sql)?));
    }
    let Some(file) = &args.file else { return Ok(None) };
    if Path::new(file).extension().is_none() {
        return Ok(Some(library.get(file)?.clone()));
    }
    let sql = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    Ok(Some(Query::parse(file, sql)?))
}

fn params(given: &[String]) -> Result<Params> {
    let mut params = Params::new();
    for param in given {
        let Some((name, value)) = param.split_once('=') else {
            bail!("`{param}` is no parameter; write --param NAME=VALUE");
        };
        params.insert(name.to_owned(), value.to_owned());
    }
    Ok(params)
}

fn list(library: &Library) -> Result<()> {
    let mut out = stdout().lock();
    for query in library.list() {
        writeln!(out, "{:<20}{}", query.name, query.header.title)?;
        for p in &query.header.parameters {
            let default = p.default.as_deref().map_or_else(|| "all".to_owned(), str::to_owned);
            writeln!(out, "{:<20}  ${} [{default}] {}", "", p.name, p.meaning)?;
        }
    }
    Ok(())
}

/// Columns of the terminal that the answer goes to, if it goes to one.
fn width() -> Option<usize> {
    if !stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}
