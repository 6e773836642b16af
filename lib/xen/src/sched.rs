//! Blocking and ending this domain (public/sched.h), and its timer.

use xen_sys as sys;

use crate::{Result, hypercall};

/// Why a domain ended (`SHUTDOWN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Shutdown {
    /// Went off in order.
    Poweroff = sys::SHUTDOWN_poweroff,
    /// Asks to be started again.
    Reboot = sys::SHUTDOWN_reboot,
    /// Failed.
    Crash = sys::SHUTDOWN_crash,
}

/// Unmasks events and sleeps until one is pending (`SCHEDOP_block`).
///
/// # Errors
/// Xen refuses.
pub fn block() -> Result<()> {
    // SAFETY: SCHEDOP_block takes no pointer.
    unsafe {
        hypercall::call(
            "SCHEDOP_block",
            sys::__HYPERVISOR_sched_op,
            [sys::SCHEDOP_block as usize, 0, 0, 0, 0],
        )?;
    }
    Ok(())
}

/// Sleeps until one of `ports` is pending or Xen's system time is `until` (nanoseconds), without delivering any event
/// (`SCHEDOP_poll`).
///
/// # Errors
/// Xen refuses: more than 128 ports, or one that does not exist.
pub fn poll(ports: &[u32], until: u64) -> Result<()> {
    let argument = sys::sched_poll {
        ports: sys::__guest_handle_evtchn_port_t {
            p: ports.as_ptr().cast_mut(),
        },
        nr_ports: u32::try_from(ports.len()).unwrap_or(u32::MAX),
        timeout: until,
    };
    // SAFETY: Xen reads one sched_poll and nr_ports numbers, which outlive the call, and writes neither.
    unsafe {
        hypercall::call(
            "SCHEDOP_poll",
            sys::__HYPERVISOR_sched_op,
            [sys::SCHEDOP_poll as usize, &raw const argument as usize, 0, 0, 0],
        )?;
    }
    Ok(())
}

/// Lets other vCPUs of the machine run first.
pub fn yield_now() {
    // SAFETY: SCHEDOP_yield takes no pointer.
    let _ = unsafe {
        hypercall::call(
            "SCHEDOP_yield",
            sys::__HYPERVISOR_sched_op,
            [sys::SCHEDOP_yield as usize, 0, 0, 0, 0],
        )
    };
}

/// Ends this domain; for the initial domain, the machine. Returns only if Xen refuses.
pub fn shutdown(reason: Shutdown) {
    let argument = sys::sched_shutdown { reason: reason as u32 };
    // SAFETY: `argument` is a sched_shutdown that outlives the call.
    let _ = unsafe {
        hypercall::call(
            "SCHEDOP_shutdown",
            sys::__HYPERVISOR_sched_op,
            [sys::SCHEDOP_shutdown as usize, &raw const argument as usize, 0, 0, 0],
        )
    };
}

/// Sets this vCPU's one-shot timer to Xen's system time `ns`; zero stops it. It fires `VIRQ_TIMER`.
///
/// # Errors
/// Xen refuses.
pub fn set_timer(ns: u64) -> Result<()> {
    // SAFETY: set_timer_op takes a time by value.
    unsafe {
        hypercall::call(
            "set_timer_op",
            sys::__HYPERVISOR_set_timer_op,
            [usize::try_from(ns).unwrap_or(usize::MAX), 0, 0, 0, 0],
        )?;
    }
    Ok(())
}
