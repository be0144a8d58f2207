//! Progress as plain lines with rate and time left, for commands that count.

use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Lines on standard error.
pub(super) struct Lines {
    what: &'static str,
    started: Instant,
    last: Instant,
    first: Option<u64>,
}

impl Lines {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, started: Instant::now(), last: Instant::now(), first: None }
    }

    /// Says how far it came, if it is time to.
    pub(super) fn show(&mut self, done: u64, all: u64) {
        // An earlier run's share says nothing about this one's rate.
        let first = *self.first.get_or_insert(done);
        if self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        let rate = (done - first) as f64 / self.started.elapsed().as_secs_f64();
        let left =
            if rate > 0.0 { format!(", {:.0} s left", (all - done) as f64 / rate) } else { String::new() };
        eprintln!("{done} of {all} {}, {rate:.0} a second{left}", self.what);
    }
}
