//! The door to Xen. The runtime of a domain installs how a hypercall is made; everything else in this crate goes
//! through [`call`].

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{Errno, Error, Result};

/// Makes hypercall `op` with five arguments and gives Xen's answer: negative is minus an error number.
///
/// # Safety
/// As [`call`].
pub type Entry = unsafe extern "C" fn(op: usize, arguments: *const [usize; 5]) -> isize;

static ENTRY: AtomicUsize = AtomicUsize::new(0);

/// Installs how hypercalls are made. The first thing that a runtime does.
///
/// # Safety
/// `entry` must make the hypercall it is asked for, and return what Xen answered.
pub unsafe fn install(entry: Entry) {
    ENTRY.store(entry as usize, Ordering::Release);
}

/// Makes a hypercall.
///
/// # Errors
/// [`Error::Refused`] with `operation` and Xen's error number; `ENOSYS` when no entry is installed.
///
/// # Safety
/// The arguments must be what `op` expects: pointers valid for as long as Xen reads or writes through them, with room
/// for what it writes, and no request may give Xen leave to change memory that Rust believes to be unshared.
pub unsafe fn call(operation: &'static str, op: u32, arguments: [usize; 5]) -> Result<u64> {
    let address = ENTRY.load(Ordering::Acquire);
    if address == 0 {
        return Err(Error::Refused {
            operation,
            errno: Errno::ENOSYS,
        });
    }
    // SAFETY: only `install` writes ENTRY, and it writes a function of this type.
    let entry = unsafe { core::mem::transmute::<usize, Entry>(address) };
    // SAFETY: the caller vouches for the arguments; the array outlives the call.
    let answer = unsafe { entry(op as usize, &raw const arguments) };
    u64::try_from(answer).map_err(|_| Error::Refused {
        operation,
        errno: Errno(u16::try_from(answer.unsigned_abs()).unwrap_or(u16::MAX)),
    })
}
