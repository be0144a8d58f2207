//! Places at which a test has the process die. Nothing of it is in a release build.

/// Aborts here when `DMARCFLOW_CRASH_AT` is `NAME:N` and this is the N-th time.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let at = std::env::var("DMARCFLOW_CRASH_AT").ok()?;
        let (name, n) = at.split_once(':')?;
        Some((name.to_owned(), n.parse().ok()?))
    });
    static SEEN: AtomicU64 = AtomicU64::new(0);
    if let Some((at, n)) = &*AT
        && at == name
        && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *n
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &str) {}
