//! `replay`: everything once more, beside the live tables, to be compared and promoted.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use dmarcflow_log::Log;
use dmarcflow_schemas::TABLES;
use dmarcflow_schemas::tables::Merge;
use dmarcflow_stages::topics::RAW;

use super::progress_lines::Lines;
use super::summary::grouped;
use super::{replay_diff, sql};
use crate::app::App;
use crate::replay::{FIRST, Flows, Replay, drop_flow, forget};
use crate::runner::Progress;

/// How long a promotion waits for processes of the flow that was replaced to end.
const FAREWELL: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Begin a replay, or go on with one, until it has come as far as the log
    Run {
        /// What the replay is called: lower-case letters, digits, hyphens
        name: String,
        /// Reports a second at most, so that the live flow keeps its pace [default: as fast as it goes]
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
    },
    /// List replays and how far each has come
    List,
    /// Show what promoting a replay would change, by domain and day
    Diff {
        name: String,
        /// Show at most so many days of domains, the largest changes first
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Make a replay's tables the live ones, and its flow the one that goes on
    Promote {
        name: String,
        /// Also where retention had forgotten reports when it began: their rows go
        #[arg(long)]
        partial: bool,
    },
    /// Forget a replay and its tables, or a flow that a promotion replaced; `first` is the one from the start
    Drop { name: String },
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let log = app.open_whole()?;
    match args.action {
        Action::Run { name, rate } => run(app, &log, &name, rate).await?,
        Action::List => list(app, &log)?,
        Action::Diff { name, limit } => {
            Replay::known(app, &log, &name).await?;
            replay_diff::print(&sql::session(app)?, &sql::session_at(app, &app.replay_url(&name))?, limit)
                .await?;
        }
        Action::Promote { name, partial } => promote(app, &log, &name, partial).await?,
        Action::Drop { name } => {
            drop_flow(app, &log, &name).await?;
            println!("{name} is forgotten");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(app: &App, log: &Arc<dyn Log>, name: &str, rate: Option<f64>) -> Result<()> {
    let replay = Replay::open(app, log, name, rate).await?;
    catch_up(app, &replay).await?;
    println!(
        "the replay {name} has come as far as the log; `dmarcflow replay diff {name}` shows what it would change, \
         `dmarcflow replay promote {name}` makes it the tables"
    );
    Ok(())
}

/// Works until the replay has read what there is, and puts its files together.
async fn catch_up(app: &App, replay: &Replay) -> Result<()> {
    let runner = replay.start(app)?;
    let mut lines = Lines::new("reports");
    let mut show = |_: &Progress| {
        if let Ok((done, all)) = standing(&*replay.flow) {
            lines.show(done, all);
        }
    };
    tokio::task::block_in_place(|| runner.drain(&mut show))?;
    tokio::task::block_in_place(|| runner.stop())?;
    for table in TABLES {
        replay.lake.compact(table, table.merge == Merge::Sum).await?;
    }
    Ok(())
}

/// How many records of `reports.raw` a flow has read, and how many there are.
fn standing(flow: &dyn Log) -> Result<(u64, u64)> {
    let mut all = 0;
    for p in 0..flow.topics().iter().find(|t| t.name == RAW).map_or(0, |t| t.partitions) {
        let marks = flow.watermarks(&dmarcflow_schemas::TopicPartition::new(RAW, p))?;
        all += marks.high - marks.low;
    }
    let behind: u64 = flow.lag("parse", RAW)?.iter().map(|(_, n)| n).sum();
    Ok((all.saturating_sub(behind), all))
}

fn list(app: &App, log: &Arc<dyn Log>) -> Result<()> {
    let flows = Flows(&**log);
    let live = flows.live()?;
    println!("{:<24}{:>16}{:>16}  STATE", "FLOW", "READ", "REPORTS");
    let line = |name: &str, state: &str| -> Result<()> {
        let (done, all) = standing(&*app.flow_of(log, if name == FIRST { "" } else { name })?)?;
        println!("{name:<24}{:>16}{:>16}  {state}", grouped(done), grouped(all));
        Ok(())
    };
    line(if live.is_empty() { FIRST } else { &live }, "live")?;
    let promoting = flows.promoting()?;
    for replay in flows.replays()? {
        line(
            &replay,
            if promoting.as_ref() == Some(&replay) { "its promotion has begun" } else { "replay" },
        )?;
    }
    Ok(())
}

async fn promote(app: &App, log: &Arc<dyn Log>, name: &str, partial: bool) -> Result<()> {
    let replay = Replay::known(app, log, name).await?;
    let flows = Flows(&**log);
    let forgotten = flows.forgotten(name)?;
    if forgotten > 0 && !partial {
        bail!(
            "retention had forgotten {} reports when the replay {name} began: their rows are in the live tables only and \
             would go; `dmarcflow export` keeps a copy, --partial promotes it all the same",
            grouped(forgotten)
        );
    }
    let before = flows.live()?;
    if flows.promoting()?.is_none() {
        catch_up(app, &replay).await?;
    }
    replay.promote(app).await?;
    println!(
        "the tables are those of {name}, which goes on from here; processes that run have to be started again"
    );
    let called = if before.is_empty() { FIRST } else { &before };
    if before != name {
        let old = app.flow_of(log, &before)?;
        let topology = app.topology()?;
        let until = std::time::Instant::now() + FAREWELL;
        // Processes of the old flow end by themselves when they see that it was replaced.
        while let Err(error) = forget(&*old, &topology) {
            if std::time::Instant::now() > until {
                eprintln!("warning: {error}; later: `dmarcflow replay drop {called}`");
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    drop(replay);
    app.remove_lake(&app.replay_url(name)).await
}
