//! The allocator, told how this program uses it: rows are made in one thread and freed in another, in waves.
//!
//! Only glibc needs to be told; elsewhere these do nothing.

/// Has threads share the allocator's arenas, one a core: with glibc's default of eight a core a third of the
/// memory would be left lying in those that are idle. To be called before there is a second thread.
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let arenas = libc::c_int::try_from(cores.max(2)).unwrap_or(libc::c_int::MAX);
        // SAFETY: it sets a number in the allocator.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, arenas);
        }
    }
}

/// Gives back to the system what is free, wherever it lies in the heap: what the last wave left between
/// living rows would otherwise add to the peak of the next one. Takes some milliseconds.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only walks and returns what the allocator holds as free, under the allocator's own locks.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}
