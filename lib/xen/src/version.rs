//! What Xen says of itself (public/version.h).

use alloc::string::String;

use xen_sys as sys;

use crate::error::XenVersion;
use crate::{Result, hypercall};

/// Version of the running hypervisor.
///
/// # Errors
/// Xen refuses.
pub fn version() -> Result<XenVersion> {
    // SAFETY: XENVER_version takes no pointer.
    let both = unsafe {
        hypercall::call(
            "XENVER_version",
            sys::__HYPERVISOR_xen_version,
            [sys::XENVER_version as usize, 0, 0, 0, 0],
        )?
    };
    let half = |bits: u64| u16::try_from(bits & 0xffff).unwrap_or(0);
    Ok(XenVersion {
        major: half(both >> 16),
        minor: half(both),
    })
}

/// The hypervisor's `extraversion` (".7" of "4.17.7"), up to 15 characters.
///
/// # Errors
/// Xen refuses.
pub fn extra_version() -> Result<String> {
    text::<16>("XENVER_extraversion", sys::XENVER_extraversion)
}

/// The command line that Xen itself was started with, up to 1023 characters.
///
/// # Errors
/// Xen refuses, as it does to an unprivileged domain.
pub fn command_line() -> Result<String> {
    text::<1024>("XENVER_commandline", sys::XENVER_commandline)
}

fn text<const N: usize>(operation: &'static str, what: u32) -> Result<String> {
    let mut buffer = [0u8; N];
    // SAFETY: Xen writes at most N bytes (the size of the type that `what` stands for) into the buffer.
    unsafe {
        hypercall::call(
            operation,
            sys::__HYPERVISOR_xen_version,
            [what as usize, buffer.as_mut_ptr() as usize, 0, 0, 0],
        )?;
    }
    let length = buffer.iter().position(|&byte| byte == 0).unwrap_or(N);
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}
