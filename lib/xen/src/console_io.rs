//! Xen's own console (`console_io`): the initial domain writes to it and reads what is typed on the serial line.

use xen_sys as sys;

use crate::{Result, hypercall};

/// Writes bytes to Xen's console.
///
/// # Errors
/// Xen refuses.
pub fn write(bytes: &[u8]) -> Result<()> {
    // SAFETY: Xen reads `bytes.len()` bytes from the slice.
    unsafe {
        hypercall::call(
            "CONSOLEIO_write",
            sys::__HYPERVISOR_console_io,
            [
                sys::CONSOLEIO_write as usize,
                bytes.len(),
                bytes.as_ptr() as usize,
                0,
                0,
            ],
        )?;
    }
    Ok(())
}

/// Reads what was typed, without waiting; the number of bytes put into `buffer`.
///
/// # Errors
/// Xen refuses.
pub fn read(buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: Xen writes at most `buffer.len()` bytes into the slice.
    let count = unsafe {
        hypercall::call(
            "CONSOLEIO_read",
            sys::__HYPERVISOR_console_io,
            [
                sys::CONSOLEIO_read as usize,
                buffer.len(),
                buffer.as_mut_ptr() as usize,
                0,
                0,
            ],
        )?
    };
    Ok(usize::try_from(count).unwrap_or(0).min(buffer.len()))
}
