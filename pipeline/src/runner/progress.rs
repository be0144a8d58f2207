//! What the pipeline has done, what stands in its way, and the signals to drain and to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dmarcflow_stages::Tally;

/// Something that a worker waits for to get better.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub since: Instant,
    pub attempts: u32,
    pub error: String,
}

#[derive(Default)]
struct State {
    commits: u64,
    tally: Tally,
    trouble: BTreeMap<String, Trouble>,
    /// Workers that ever had to wait.
    waited: BTreeSet<String>,
}

/// Shared by all workers.
#[derive(Default)]
pub struct Progress {
    stopping: AtomicBool,
    draining: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

impl Progress {
    /// Counts of all stages together.
    pub fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// Workers that wait for something to get better, by name.
    pub fn trouble(&self) -> BTreeMap<String, Trouble> {
        self.lock().trouble.clone()
    }

    /// Workers that ever had to wait, and whether they do now.
    pub fn waiting(&self) -> Vec<(String, bool)> {
        let state = self.lock();
        state.waited.iter().map(|worker| (worker.clone(), state.trouble.contains_key(worker))).collect()
    }

    /// Whether the workers are to end, or have ended.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    pub(super) fn drain(&self, on: bool) {
        self.draining.store(on, Ordering::Release);
    }

    /// How many commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Counts a commit of a worker and what it did; the worker's trouble is over.
    pub(super) fn committed(&self, worker: &str, tally: &Tally) {
        for (reason, n) in tally.under("dead/") {
            metrics::counter!("dmarcflow_dead_letters_total", "reason" => reason.to_owned()).increment(n);
        }
        let mut state = self.lock();
        state.commits += 1;
        state.tally.merge(tally);
        state.trouble.remove(worker);
        drop(state);
        self.changed.notify_all();
    }

    /// Notes that a worker waits no more, though it committed nothing.
    pub(super) fn recovered(&self, worker: &str) {
        self.lock().trouble.remove(worker);
    }

    /// Waits until there were other commits than `seen`, `at_most` long.
    pub(super) fn wait_for_commit(&self, seen: u64, at_most: Duration) {
        let state = self.lock();
        let pending = |s: &mut State| s.commits == seen && !self.is_stopping();
        drop(self.changed.wait_timeout_while(state, at_most, pending));
    }

    /// Waits for `time`, or until the pipeline stops.
    pub(super) fn pause(&self, time: Duration) {
        let state = self.lock();
        drop(self.changed.wait_timeout_while(state, time, |_| !self.is_stopping()));
    }

    /// Notes that a worker has to try again, so that people can see it.
    pub(super) fn troubled(&self, worker: &str, attempts: u32, error: &str) {
        metrics::counter!("dmarcflow_retries_total", "worker" => worker.to_owned()).increment(1);
        let mut state = self.lock();
        if !state.waited.contains(worker) {
            state.waited.insert(worker.to_owned());
        }
        let since = state.trouble.get(worker).map_or_else(Instant::now, |t| t.since);
        state.trouble.insert(worker.to_owned(), Trouble { since, attempts, error: error.to_owned() });
        drop(state);
        tracing::warn!(worker, attempts, error, "waiting to try again");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts stay consistent whatever a panicking thread did: each change is one statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
