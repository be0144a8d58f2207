//! How long to wait before trying again: exponential, with jitter, up to a limit.

use std::time::Duration;

/// Attempts after which a record that a stage cannot process for transient reasons is dead-lettered.
pub const ATTEMPTS: u32 = 8;
/// The first wait.
const BASE: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// The wait before attempt `attempt` (counted from 1 for the first retry), shortened by up to half by `jitter` in 0..=1.
pub fn wait(attempt: u32, jitter: f64) -> Duration {
    let full = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    full.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

/// A number in 0..1 that differs from call to call and from worker to worker.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::thread::current().id());
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_halves_at_most() {
        assert_eq!(wait(1, 0.0), BASE);
        assert_eq!(wait(3, 0.0), BASE * 4);
        assert_eq!(wait(60, 0.0), LONGEST);
        assert_eq!(wait(1, 1.0), BASE / 2);
        assert!((0.0..1.0).contains(&jitter()));
    }
}
