//! `ingest`: everything below some paths into the tables, then a summary.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmarcflow_log::{Log, LogError};
use dmarcflow_schemas::TABLES;
use dmarcflow_schemas::tables::Merge;
use indicatif::{ProgressBar, ProgressStyle};

use super::sql;
use super::summary::Summary;
use crate::app::App;
use crate::memory;
use crate::runner::{Progress, Runner, backoff};
use crate::source::Item;
use crate::source::feed::{Fed, Feeder};
use crate::source::files::Walk;

/// Time between two lines of progress where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders, mboxes, Maildirs; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Exit with status 1 when something became a dead letter
    #[arg(long)]
    strict: bool,
    /// Print no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let started = Instant::now();
    let (log, topology) = app.open()?;
    let lake = app.lake().await?;
    let runner = Runner::start(topology, Arc::clone(&log), Arc::clone(&lake), app.runner_settings())?;
    let intake = Arc::new(Intake::default());
    let bar = Bar::new(args.quiet);
    let feeding = {
        let (walk, paths, intake) = (app.walk(), args.paths.clone(), Arc::clone(&intake));
        tokio::task::spawn_blocking(move || feed(log, &walk, &paths, &intake))
    };
    tokio::task::block_in_place(|| {
        while !feeding.is_finished() && !runner.progress().is_stopping() {
            std::thread::park_timeout(Duration::from_millis(100));
            bar.show(&intake, runner.progress());
        }
    });
    intake.stop.store(runner.progress().is_stopping(), Ordering::Release);
    let fed = feeding.await.context("the intake died")??;
    tokio::task::block_in_place(|| runner.drain(|progress| bar.show(&intake, progress)))?;
    let progress = tokio::task::block_in_place(|| runner.stop())?;
    memory::give_back();
    for table in TABLES {
        // Sums are added up for good; of other tables only many small files are worth joining.
        lake.compact(table, table.merge == Merge::Sum).await?;
    }
    bar.finish();
    let unread = intake.unread.load(Ordering::Relaxed);
    let summary = Summary::of(&progress.tally(), fed, unread, started.elapsed());
    println!("{summary}");
    if !args.quiet {
        println!(
            "\nMessages by domain, the 30 days up to the newest (`dmarcflow sql --list` shows what else can be asked):\n"
        );
        sql::first_answer(app).await?;
    }
    let failed = unread > 0 || args.strict && summary.dead_letters() > 0;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the intake and the display know of each other.
#[derive(Default)]
struct Intake {
    /// Items found so far.
    found: AtomicU64,
    /// Items that an earlier run took in.
    known: AtomicU64,
    /// Inputs that could not be read.
    unread: AtomicU64,
    /// Whether everything was found.
    complete: AtomicBool,
    stop: AtomicBool,
}

/// Hands everything below the paths over to the log.
fn feed(log: Arc<dyn Log>, walk: &Walk, paths: &[PathBuf], intake: &Intake) -> Result<Fed> {
    let mut feeder = Feeder::new(log);
    let mut fault = None;
    let walked = walk.files(paths, &mut |path| {
        let outcome = path.and_then(|path| {
            walk.items(&path, &mut |item| {
                intake.found.fetch_add(1, Ordering::Relaxed);
                offer(&mut feeder, item, intake).map_err(|e| {
                    fault = Some(e);
                    std::io::ErrorKind::Interrupted.into()
                })
            })
        });
        if fault.is_some() || intake.stop.load(Ordering::Acquire) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        if let Err(problem) = outcome {
            intake.unread.fetch_add(1, Ordering::Relaxed);
            eprintln!("error: {problem}");
        }
        intake.known.store(feeder.fed().known, Ordering::Relaxed);
        Ok(())
    });
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    if walked.is_ok() {
        patiently(intake, || feeder.flush())?;
        intake.complete.store(true, Ordering::Release);
    }
    Ok(feeder.fed())
}

fn offer(feeder: &mut Feeder, item: Item, intake: &Intake) -> Result<(), LogError> {
    if patiently(intake, || feeder.knows(&item))? {
        feeder.pass_over();
        return Ok(());
    }
    match feeder.take(item) {
        Err(e) if e.is_transient() => {
            tracing::warn!("{e}");
            patiently(intake, || feeder.flush())
        }
        outcome => outcome,
    }
}

/// Tries until the log has room again.
fn patiently<T>(intake: &Intake, mut f: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut attempts = 0;
    loop {
        match f() {
            Err(e) if e.is_transient() && !intake.stop.load(Ordering::Acquire) => {
                attempts += 1;
                if attempts == 1 {
                    tracing::warn!("{e}");
                }
                std::thread::park_timeout(backoff::wait(attempts, backoff::jitter()));
            }
            outcome => return outcome,
        }
    }
}

/// Progress with rate and time left on a terminal, plain lines elsewhere.
enum Bar {
    None,
    Terminal(ProgressBar),
    Lines { started: Instant, last: std::cell::Cell<Instant> },
}

impl Bar {
    fn new(quiet: bool) -> Self {
        if quiet {
            return Self::None;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { started: Instant::now(), last: std::cell::Cell::new(Instant::now()) };
        }
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos}/{human_len} reports, {per_sec}, {eta} left {msg}",
        );
        let bar = ProgressBar::new(0);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self::Terminal(bar)
    }

    fn show(&self, intake: &Intake, progress: &Progress) {
        let found = intake.found.load(Ordering::Relaxed);
        let done = progress.tally().get("in/parse") + intake.known.load(Ordering::Relaxed);
        match self {
            Self::None => {}
            Self::Terminal(bar) => {
                bar.set_length(found);
                bar.set_position(done.min(found));
                let waits = progress.trouble().into_iter().next();
                bar.set_message(
                    waits.map_or_else(String::new, |(name, t)| format!("({name} waits: {})", t.error)),
                );
            }
            Self::Lines { started, last } => {
                if last.get().elapsed() < LINE {
                    return;
                }
                last.set(Instant::now());
                let rate = done as f64 / started.elapsed().as_secs_f64();
                let more = if intake.complete.load(Ordering::Acquire) { "" } else { " so far" };
                eprintln!("{done} of {found} reports{more}, {rate:.0} a second");
            }
        }
    }

    fn finish(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}
