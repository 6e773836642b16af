//! A clock that stands still until it is set: one for each test, as each has a thread of its own.

use std::cell::Cell;

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000 * SECOND) });

/// The time in nanoseconds.
pub(crate) fn now() -> u64 {
    NOW.get()
}

/// Lets time pass.
pub(crate) fn pass(nanoseconds: u64) {
    NOW.set(now() + nanoseconds);
}
