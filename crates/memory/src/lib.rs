//! Tells the system's allocator what this program is like. The one crate that may use `unsafe`.
//!
//! Exports pass buffers of two megabytes from thread to thread. The GNU allocator keeps an arena per
//! thread and gives none of them back while anything in it lives, so that the peak grows with the
//! length of an export. With one arena for all, requests wait for one another's allocations: a
//! third more of them are accepted with two (`docs/performance.md`), which exports cost a few
//! megabytes. Exports themselves are as fast with one, since large buffers are taken again instead
//! of allocated anew.

/// Arenas of all threads together.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// To be called once, first in `main`, before there are other threads. Does nothing where the
/// allocator is another one.
pub fn keep_level() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "mallopt is a foreign function; it takes two integers and keeps no reference")]
        // SAFETY: no pointers are passed; the option and its value are documented in mallopt(3).
        let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
        debug_assert_eq!(taken, 1, "the GNU allocator knows this option");
    }
}

/// Gives free pages back to the system, also those between others that are in use. To be called
/// after long work: what a query engine takes and drops, in sizes that never quite fit, otherwise
/// lies under the work after it. Takes some ten milliseconds, during which other threads may have to
/// wait for memory, and what is taken next has to be paged in again: not for the middle of work.
/// Does nothing where the allocator is another one.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "malloc_trim is a foreign function; it takes an integer and keeps no reference")]
        // SAFETY: no pointers are passed, and it may be called at any time from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
