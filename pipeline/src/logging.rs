//! Logs to standard error: for people by default, JSON with `DMARCFLOW_LOG_FORMAT=json`; `RUST_LOG` filters.

use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT: &str = "warn,dmarcflow=info,dmarcflow_log=warn,dmarcflow_lake=warn";

/// Starts logging, once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = if std::env::var("DMARCFLOW_LOG_FORMAT").is_ok_and(|f| f == "json") {
        logs.json().try_init()
    } else {
        logs.with_target(false).try_init()
    };
    if let Err(error) = outcome {
        eprintln!("warning: no logs: {error}");
    }
}
