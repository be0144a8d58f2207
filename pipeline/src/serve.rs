//! What a running process tells over HTTP: whether it lives, whether it can work, and figures for Prometheus.
//!
//! | path | answer |
//! |---|---|
//! | `/health` | 200 while the workers run; 503 when they stopped |
//! | `/ready` | 200 when nothing stands in the way of work; 503 with what does |
//! | `/metrics` | figures in Prometheus' text format, see [`FIGURES`] |

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dmarcflow_log::{Log, LogError};
use dmarcflow_schemas::TopicPartition;
use dmarcflow_stages::topics::RAW;
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use warp::http::StatusCode;
use warp::{Filter, Reply, reply};

use crate::runner::Progress;

/// A figure: its name, kind, unit and meaning.
pub struct Figure {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub doc: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const fn figure(name: &'static str, kind: Kind, unit: Unit, doc: &'static str) -> Figure {
    Figure { name, kind, unit, doc }
}

/// Every figure that `/metrics` has.
pub const FIGURES: &[Figure] = &[
    figure(
        "dmarcflow_records_total",
        Kind::Counter,
        Unit::Count,
        "Records that a stage has read and committed, by stage",
    ),
    figure(
        "dmarcflow_dead_letters_total",
        Kind::Counter,
        Unit::Count,
        "Dead letters that this process committed, by reason",
    ),
    figure(
        "dmarcflow_taken_in_total",
        Kind::Counter,
        Unit::Count,
        "Inputs that this process made durable in the log, by outcome: accepted, too-large",
    ),
    figure(
        "dmarcflow_retries_total",
        Kind::Counter,
        Unit::Count,
        "Times that a worker had to try again, by worker",
    ),
    figure(
        "dmarcflow_waiting",
        Kind::Gauge,
        Unit::Count,
        "1 while a worker waits for something to get better, by worker",
    ),
    figure(
        "dmarcflow_fenced_total",
        Kind::Counter,
        Unit::Count,
        "Commits that were refused because the partition went to another worker, by worker",
    ),
    figure(
        "dmarcflow_rebalances_total",
        Kind::Counter,
        Unit::Count,
        "Times that partitions came to this process or left it, by group and direction",
    ),
    figure(
        "dmarcflow_log_commit_seconds",
        Kind::Histogram,
        Unit::Seconds,
        "Time of a transaction of the log, by worker",
    ),
    figure(
        "dmarcflow_lake_commit_seconds",
        Kind::Histogram,
        Unit::Seconds,
        "Time of a commit to a table, by table",
    ),
    figure(
        "dmarcflow_lag_records",
        Kind::Gauge,
        Unit::Count,
        "Records that a group has still to read, by group, topic and partition; groups of this process only",
    ),
    figure(
        "dmarcflow_log_up",
        Kind::Gauge,
        Unit::Count,
        "1 when the log told its state when it was asked last, which is every two seconds",
    ),
    figure("process_resident_memory_bytes", Kind::Gauge, Unit::Bytes, "Resident memory of this process"),
    figure("process_cpu_seconds_total", Kind::Gauge, Unit::Seconds, "User and system time of this process"),
    figure("dmarcflow_build_info", Kind::Gauge, Unit::Count, "1, with the version"),
];

/// Upper ends of the histograms' buckets, in seconds.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Time between two questions to the log about its state.
const LOOK: Duration = Duration::from_secs(2);
/// Clock ticks a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;
/// Bytes of a page, as `/proc` counts memory.
const PAGE: f64 = 4096.0;

/// Starts to count; before the first figure. Once a process.
pub fn record() -> Result<PrometheusHandle> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?;
    let handle = builder.install_recorder().context("figures are recorded already")?;
    for Figure { name, kind, unit, doc } in FIGURES {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *unit, *doc),
            Kind::Gauge => metrics::describe_gauge!(*name, *unit, *doc),
            Kind::Histogram => metrics::describe_histogram!(*name, *unit, *doc),
        }
    }
    metrics::gauge!("dmarcflow_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// What is told.
pub struct Told {
    pub figures: PrometheusHandle,
    pub log: Arc<dyn Log>,
    pub progress: Arc<Progress>,
    /// The consumer groups of this process, each with its topic.
    pub groups: Vec<(String, &'static str)>,
    /// What the log said last when it was asked for its state, if it could not tell it.
    pub silence: Mutex<Option<String>>,
}

/// A server that ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _task: JoinHandle<()>,
}

/// Takes an address, before anything else is begun.
pub async fn bind(address: &str) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen at {address}; choose another with --listen HOST:PORT"))
}

/// Serves there.
pub fn serve(listener: TcpListener, told: Told) -> Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let told = Arc::new(told);
    let looking = tokio::spawn(Arc::clone(&told).look());
    let server = warp::serve(routes(told)).incoming(listener).graceful(async move {
        // An error is a sender that is gone: the same thing.
        drop(stopped.await);
        looking.abort();
    });
    Ok(Server { address, _stop: stop, _task: tokio::spawn(server.run()) })
}

fn routes(told: Arc<Told>) -> impl Filter<Extract = (impl Reply,), Error = warp::Rejection> + Clone {
    let with = move || {
        let told = Arc::clone(&told);
        warp::any().map(move || Arc::clone(&told))
    };
    let health = warp::path!("health").and(with()).map(|told: Arc<Told>| told.health());
    let ready = warp::path!("ready").and(with()).map(|told: Arc<Told>| told.ready());
    let metrics = warp::path!("metrics").and(with()).map(|told: Arc<Told>| told.metrics());
    warp::get().and(health.or(ready).unify().or(metrics).unify())
}

impl Told {
    fn health(&self) -> reply::Response {
        if self.progress.is_stopping() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopping" }));
        }
        answer(StatusCode::OK, &json!({ "status": "ok" }))
    }

    fn ready(&self) -> reply::Response {
        let mut waits: Vec<_> = self
            .progress
            .trouble()
            .into_iter()
            .map(|(worker, trouble)| {
                let since = trouble.since.elapsed().as_secs();
                json!({ "worker": worker, "error": trouble.error, "attempts": trouble.attempts, "seconds": since })
            })
            .collect();
        if let Some(error) = &*self.silence.lock().unwrap_or_else(PoisonError::into_inner) {
            waits.push(json!({ "worker": "log", "error": error }));
        }
        if self.progress.is_stopping() {
            waits.push(json!({ "worker": "all", "error": "stopping" }));
        }
        let status = if waits.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        answer(status, &json!({ "ready": waits.is_empty(), "waiting": waits }))
    }

    fn metrics(&self) -> reply::Response {
        for (worker, waits) in self.progress.waiting() {
            metrics::gauge!("dmarcflow_waiting", "worker" => worker).set(if waits { 1.0 } else { 0.0 });
        }
        if let Some((memory, cpu)) = process() {
            metrics::gauge!("process_resident_memory_bytes").set(memory);
            metrics::gauge!("process_cpu_seconds_total").set(cpu);
        }
        let text = self.figures.render();
        reply::with_header(text, "content-type", "text/plain; version=0.0.4; charset=utf-8").into_response()
    }

    /// Asks the log how far each group is behind, again and again, so that nobody who asks us waits for it.
    async fn look(self: Arc<Self>) {
        loop {
            let told = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || told.ask()).await;
            let silence = match looked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            metrics::gauge!("dmarcflow_log_up").set(if silence.is_none() { 1.0 } else { 0.0 });
            *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = silence;
            tokio::time::sleep(LOOK).await;
        }
    }

    fn ask(&self) -> Result<(), LogError> {
        // A process without groups asks for something, too.
        self.log.watermarks(&TopicPartition::new(RAW, 0))?;
        for (group, topic) in &self.groups {
            for (partition, behind) in self.log.lag(group, topic)? {
                let labels = [
                    ("group", group.clone()),
                    ("topic", (*topic).to_owned()),
                    ("partition", partition.to_string()),
                ];
                metrics::gauge!("dmarcflow_lag_records", &labels).set(behind as f64);
            }
        }
        Ok(())
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> reply::Response {
    reply::with_status(reply::json(body), status).into_response()
}

/// Resident memory in bytes and CPU time in seconds, where the system tells.
fn process() -> Option<(f64, f64)> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((pages * PAGE, (ticks()? + ticks()?) / TICKS))
}
