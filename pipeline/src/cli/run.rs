//! `run`: every stage, and the watched folders, until stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use dmarcflow_log::Log;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::runner::Runner;
use crate::source::feed::Feeder;
use crate::source::watch::Watch;
use crate::topology::Topology;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder to watch, beside those of the configuration
    #[arg(long, value_name = "DIR")]
    watch: Vec<PathBuf>,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let folders: Vec<PathBuf> =
        app.config.list("watch").iter().map(PathBuf::from).chain(args.watch).collect();
    for folder in &folders {
        if !folder.is_dir() {
            bail!("the watched folder {} does not exist; make it or name another", folder.display());
        }
    }
    let (log, topology) = app.open()?;
    work(app, log, topology, folders).await
}

/// Works at a topology, and looks at folders, until stopped.
pub(super) async fn work(
    app: &App,
    log: Arc<dyn Log>,
    topology: Topology,
    folders: Vec<PathBuf>,
) -> Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let runner = Runner::start(topology, Arc::clone(&log), app.lake().await?, app.runner_settings())?;
    let interval = app.config.duration("watch_interval").unwrap_or(Duration::from_secs(2));
    tracing::info!(data = %app.data().display(), folders = folders.len(), "running; stop with Ctrl-C");
    let mut watches: Vec<_> = folders.into_iter().map(|folder| Watch::new(folder, app.walk())).collect();
    let mut feeder = Feeder::new(log);
    while !runner.progress().is_stopping() {
        tokio::task::block_in_place(|| watches.iter_mut().for_each(|watch| look(watch, &mut feeder)));
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(interval) => {}
        }
    }
    tracing::info!("stopping: committing what was read");
    tokio::task::block_in_place(|| runner.stop())?;
    Ok(ExitCode::SUCCESS)
}

/// One look at a folder. What fails now is tried again at the next look.
fn look(watch: &mut Watch, feeder: &mut Feeder) {
    match watch.look(feeder) {
        Ok((taken, problems)) => {
            if taken > 0 {
                tracing::info!(files = taken, "taken in");
            }
            for problem in problems {
                tracing::warn!("{problem}");
            }
        }
        Err(error) => tracing::warn!("{error}"),
    }
}
