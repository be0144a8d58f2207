//! `worker`: some or all stages of a pipeline that many processes share, until stopped.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::run;
use crate::app::App;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Stages to work at, separated by commas: parse, enrich, aggregate, write, trim [default: all]
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    stages: Vec<String>,
    /// Where to tell how things are: /health, /ready, /metrics [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    beside: run::Beside,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    if !app.is_shared() {
        bail!(
            "the embedded log is for one process, which works at every stage: `dmarcflow run`; \
             workers share a log on Apache Kafka: `--log kafka`, or `log = \"kafka\"` in the configuration"
        );
    }
    let (log, topology) = app.open()?;
    let verbs = topology.verbs();
    if let Some(unknown) = args.stages.iter().find(|stage| !verbs.contains(&stage.as_str())) {
        bail!("there is no stage `{unknown}`; there are {}", verbs.join(", "));
    }
    let topology = if args.stages.is_empty() { topology } else { topology.only(&args.stages) };
    let listen = args.listen.as_deref().or(app.listen());
    run::work(app, (log, topology), Vec::new(), listen, args.beside).await
}
