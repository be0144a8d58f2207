//! `run`: every stage, and the watched folders, until stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use dmarcflow_log::Log;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::replay::Replay;
use crate::runner::Runner;
use crate::serve::{self, Told};
use crate::source::feed::Feeder;
use crate::source::watch::Watch;
use crate::topology::Topology;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder to watch, beside those of the configuration
    #[arg(long, value_name = "DIR")]
    watch: Vec<PathBuf>,
    /// Where to tell how things are: /health, /ready, /metrics [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    beside: Beside,
}

/// A replay in the same process.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Beside {
    /// Also work at a replay, begun here or with `replay run`
    #[arg(long, value_name = "NAME")]
    replay: Option<String>,
    /// Reports a second that the replay reads at most [default: as fast as it goes]
    #[arg(long, value_name = "N", requires = "replay")]
    replay_rate: Option<f64>,
}

/// Where `run` listens unless it is told.
const LISTEN: &str = "127.0.0.1:8080";

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let folders: Vec<PathBuf> =
        app.config.list("watch").iter().map(PathBuf::from).chain(args.watch).collect();
    for folder in &folders {
        if !folder.is_dir() {
            bail!("the watched folder {} does not exist; make it or name another", folder.display());
        }
    }
    let (log, topology) = app.open()?;
    let listen = args.listen.unwrap_or_else(|| app.listen().unwrap_or(LISTEN).to_owned());
    work(app, (log, topology), folders, Some(&listen), args.beside).await
}

/// Works at a topology, and looks at folders, until stopped; tells how things are where it is to listen.
pub(super) async fn work(
    app: &App,
    (log, topology): (Arc<dyn Log>, Topology),
    folders: Vec<PathBuf>,
    listen: Option<&str>,
    beside: Beside,
) -> Result<ExitCode> {
    let figures = serve::record()?;
    let listener = match listen {
        Some(address) => Some(serve::bind(address).await?),
        None => None,
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let runner = Runner::start(topology, Arc::clone(&log), app.lake().await?, app.runner_settings())?;
    let replay = match (&beside.replay, app.whole()) {
        (Some(name), Some(whole)) => {
            let replay = Replay::open(app, whole, name, beside.replay_rate).await?;
            Some(replay.start(app)?)
        }
        _ => None,
    };
    let told = Told {
        figures,
        log: Arc::clone(&log),
        progress: Arc::clone(runner.progress()),
        groups: runner.groups(),
        silence: Mutex::default(),
    };
    let server = listener.map(|listener| serve::serve(listener, told)).transpose()?;
    let address = server.as_ref().map(|server| format!("http://{}", server.address));
    let interval = app.config.duration("watch_interval").unwrap_or(Duration::from_secs(1));
    tracing::info!(
        data = %app.data().display(),
        folders = folders.len(),
        listening = address.unwrap_or_else(|| "no".to_owned()),
        "running; stop with Ctrl-C"
    );
    let mut watches: Vec<_> = folders.into_iter().map(|folder| Watch::new(folder, app.walk())).collect();
    let mut feeder = Feeder::new(log);
    let is_stopping = |runner: &Runner| runner.progress().is_stopping();
    while !is_stopping(&runner) && !replay.as_ref().is_some_and(is_stopping) && !app.is_replaced() {
        tokio::task::block_in_place(|| watches.iter_mut().for_each(|watch| look(watch, &mut feeder)));
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(interval) => {}
        }
    }
    tracing::info!("stopping: committing what was read");
    if let Some(replay) = replay {
        tokio::task::block_in_place(|| replay.stop())?;
    }
    let outcome = tokio::task::block_in_place(|| runner.stop());
    if app.is_replaced() {
        bail!("a replay was promoted, and this process works at what it replaced: start it again");
    }
    outcome?;
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
